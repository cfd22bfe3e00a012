"""What memorisation would sound like.

    python recipes/closest_pairs.py --evaluation DIR [--name base] [--out data_samples]

DIR is a folder in which `presto-nb evaluate NAME --memorisation 256` has looked for the nearest
training tune of every clip. Writes OUT/logs/memorisation_NAME.csv (likeness of every output, of
real clips of held-out tunes, and of real clips of 64 training tunes in new arrangements, which
shows that the search finds what is there), and the five closest pairs to OUT/memorisation: the
output, and the training clip from where the likeness begins. The last line is JSON.
"""

import csv
import io
import json
from pathlib import Path

from common import new_parser, write_text  # first: it sets how torch waits

COLUMNS = 'set', 'clip', 'tune', 'similarity', 'shift', 'start', 'right'


def control(tunes, n=64):
    "Rows for training tunes in arrangements that no model has heard"
    from presto_nb.evidence.listen import EIGHTH, TuneFinder
    from presto_nb.evidence.metrics import held_out_prompts
    from presto_nb.material.core import progress

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


def table_of(sets):
    "All rows as CSV"
    text = io.StringIO()
    w = csv.DictWriter(text, COLUMNS)
    w.writeheader()
    for name, rows in sets.items():
        w.writerows(dict(set=name, clip=i, **r) for i, r in enumerate(rows))
    return text.getvalue()


def training_clip(tune, start, seconds):
    "The training tune from where the likeness begins"
    from presto_nb.evidence.listen import EIGHTH
    from presto_nb.material.tunes import arrange, render

    return render(arrange(tune), tune.notes[0][0] + start * EIGHTH, seconds)


def save_mp3(path, audio):
    "A small file to listen to"
    from presto_nb.material.core import atomic_path

    with atomic_path(path) as tmp:
        tmp.write_bytes(audio.encode('mp3', level=0.7))


def save_pairs(args, made, train):
    "The five closest pairs as sounds; the numbers of their clips"
    from presto_nb.evidence.metrics import held_out_prompts
    from presto_nb.material.audio import Audio

    prompts = held_out_prompts(len(made))
    closest = sorted(range(len(made)), key=lambda i: -made[i]['similarity'])[:5]
    folder = args.out / 'memorisation'
    for rank, i in enumerate(closest, 1):
        output = Audio.load(args.evaluation / args.name / 'clips' / f'{i:04d}.flac')
        tune = training_clip(train[made[i]['tune']], made[i]['start'], prompts[i].seconds)
        save_mp3(folder / f'{rank}-output.mp3', output)
        save_mp3(folder / f'{rank}-tune.mp3', tune)
    return closest


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--evaluation', type=Path, required=True)
    p.add_argument('--name', default='base')
    p.add_argument('--out', type=Path, default=Path('data_samples'))
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    from presto_nb.material.core import load_json
    from presto_nb.material.tunes import read_tunes

    train = {t.id: t for t in read_tunes() if t.split == 'train'}
    names = args.name, 'real'
    sets = {k: load_json(args.evaluation / k / 'nearest.json')['rows'] for k in names}
    sets['train'] = list(control(list(train.values())))
    write_text(args.out / 'logs' / f'memorisation_{args.name}.csv', table_of(sets))
    made = sets[args.name]
    closest = save_pairs(args, made, train)
    found = dict(
        right=sum(r['right'] for r in sets['train']),
        of=len(sets['train']),
        closest=[made[i] | dict(clip=i) for i in closest],
    )
    print(json.dumps(found))


if __name__ == '__main__':
    main()
