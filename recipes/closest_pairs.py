"""What memorisation would sound like: python recipes/closest_pairs.py --evaluation DIR [--name base] [--out data_samples]

DIR is a folder in which `presto-nb evaluate NAME --memorisation 256` has looked for the nearest training tune of every clip. Writes OUT/logs/memorisation_NAME.csv (likeness of
every output, of real clips of held-out tunes, and of real clips of 64 training tunes in new arrangements, which shows that the search finds what is there), and the five closest
pairs to OUT/memorisation: the output, and the training clip from where the likeness begins. The last line is JSON.
"""

import argparse, csv, io, json, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path


def control(tunes, n=64):
    "Rows for training tunes in arrangements that no model has heard"
    from presto_nb.material.core import progress
    from presto_nb.evidence.listen import EIGHTH, TuneFinder
    from presto_nb.evidence.metrics import held_out_prompts

    finder = TuneFinder(tunes)
    family = {t.id: t.family for t in tunes}
    for p in progress(held_out_prompts(n, 'taught', split='train'), desc='training tunes'):
        m = finder(p.render(), p.arrangement.tick * EIGHTH)
        yield dict(
            tune=m.tune.id,
            similarity=round(m.similarity, 4),
            shift=m.shift,
            start=m.start,
            right=m.tune.family == family[p.arrangement.id],
        )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--evaluation', type=Path, required=True)
    p.add_argument('--name', default='base')
    p.add_argument('--out', type=Path, default=Path('data_samples'))
    args = p.parse_args(argv)
    from presto_nb.material.audio import Audio
    from presto_nb.material.core import atomic_path, load_json
    from presto_nb.evidence.listen import EIGHTH
    from presto_nb.evidence.metrics import held_out_prompts
    from presto_nb.material.tunes import arrange, read_tunes, render

    train = {t.id: t for t in read_tunes() if t.split == 'train'}
    sets = {
        k: load_json(args.evaluation / k / 'nearest.json')['rows'] for k in (args.name, 'real')
    } | dict(train=list(control(list(train.values()))))
    text = io.StringIO()
    w = csv.DictWriter(text, ['set', 'clip', 'tune', 'similarity', 'shift', 'start', 'right'])
    w.writeheader()
    w.writerows(dict(set=k, clip=i, **r) for k, rows in sets.items() for i, r in enumerate(rows))
    with atomic_path(args.out / 'logs' / f'memorisation_{args.name}.csv') as tmp:
        tmp.write_text(text.getvalue())
    made = sets[args.name]
    prompts = held_out_prompts(len(made))
    closest = sorted(range(len(made)), key=lambda i: -made[i]['similarity'])[:5]
    for rank, i in enumerate(closest, 1):
        tune = train[made[i]['tune']]
        clip = Audio.load(args.evaluation / args.name / 'clips' / f'{i:04d}.flac')
        for kind, a in (
            ('output', clip),
            (
                'tune',
                render(
                    arrange(tune), tune.notes[0][0] + made[i]['start'] * EIGHTH, prompts[i].seconds
                ),
            ),
        ):
            with atomic_path(args.out / 'memorisation' / f'{rank}-{kind}.mp3') as tmp:
                tmp.write_bytes(a.encode('mp3', level=0.7))
    print(
        json.dumps(
            dict(
                right=sum(r['right'] for r in sets['train']),
                of=len(sets['train']),
                closest=[made[i] | dict(clip=i) for i in closest],
            )
        )
    )


if __name__ == '__main__':
    main()
