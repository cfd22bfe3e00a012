"""Fifty clips of another kind of music, and what the shipped base learns from them: python recipes/own_audio.py --work FOLDER [--folk LATENTS] [--rates 2e-5 2e-3] [--out data_samples/logs/own_audio.json]

The kind is four-part chorales by J. S. Bach on choir, organ or strings: never in Folk-GM, nor are a choir or a section of strings ever a lead there. 64 clips of 8 s are rendered to FOLDER/clips, 14 of them held out.
Then `presto-nb train base --data FOLDER/clips --init base` as anybody would run it, and `train presto-l` from there, for a few steps. Written down: the loss of the held-out chorales before and after, with the
same windows, noise levels and noise (intervals over clips), the same for clips that were trained on, and, where LATENTS of Folk-GM are given, what was forgotten of them. `--rates` compares other learning rates.
Interrupted, the same command goes on.
"""

import argparse, csv, datetime, json, math, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.tools.cli import main as presto_nb
from presto_nb.material.core import atomic_path, load_json
from presto_nb.pipeline import MusicPipeline
from presto_nb.material.tunes import arrange_chorale, excerpt_start, read_chorales, render
from presto_nb.training import FINE_RUN, LatentWindows, fine_stage, fit, held_out_loss

TRAIN, HELD, SECONDS, ROWS = 50, 14, 8.0, 14 * 8


def make_clips(folder):
    "Every fifth chorale, so that all of the collection is met"
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, c in enumerate(read_chorales()[::5][: TRAIN + HELD]):
        a = arrange_chorale(c)
        path = folder / f'{i:02d}.flac'
        if not path.is_file():
            render(a, excerpt_start(a, SECONDS, 'own'), SECONDS).save(path)
        rows += [
            (path.name, caption, a.bpm, 'valid' if i >= TRAIN else 'train')
            for caption in a.captions
        ]
    with atomic_path(folder / 'captions.csv') as p, open(p, 'w', newline='') as f:
        w = csv.writer(f)
        w.writerow(('file', 'caption', 'bpm', 'split'))
        w.writerows(rows)


def by_clip(pipe, data):  # [clips]
    "The mean loss of each clip"
    n = min(len(data), ROWS)
    return held_out_loss(pipe.denoiser, data, pipe.encoder, ROWS // n * n).view(-1, n).mean(0)


def with_interval(x):  # [n]
    "[mean, low, high]: 95 %, normal, over clips"
    half = 1.96 * float(x.std()) / math.sqrt(len(x))
    return [round(float(x.mean()) + d, 4) for d in (0, -half, half)]


def compared(before, after):
    return dict(
        clips=len(before),
        before=with_interval(before),
        after=with_interval(after),
        change=with_interval(after - before),
    )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--folk', type=Path)
    p.add_argument('--rates', type=float, nargs='*', default=[])
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent / 'data_samples' / 'logs' / 'own_audio.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    w = args.work
    make_clips(w / 'clips')
    words = lambda *a: [str(x) for x in a]
    train = words(
        'train', 'base', '--data', w / 'clips', '--init', 'base', '--out', w / 'run', '--seed', 0
    )
    if presto_nb(train):
        return 1
    if presto_nb(
        words(
            'train',
            'presto-l',
            '--data',
            w / 'run',
            '--base',
            w / 'run' / 'model',
            '--out',
            w / 'presto-l',
            '--steps',
            10,
            '--seed',
            0,
        )
    ):
        return 1
    base, tuned = (
        MusicPipeline.from_pretrained(m, device='cpu') for m in ('base', w / 'run' / 'model')
    )
    at, frames = w / 'run' / 'latents', 129
    sets = {
        'chorales held out': LatentWindows(at, frames, 'valid'),
        'chorales trained on': LatentWindows(at, frames),
    } | ({'Folk-GM, valid': LatentWindows(args.folk, frames, 'valid')} if args.folk else {})
    loss = {k: compared(by_clip(base, d), by_clip(tuned, d)) for k, d in sets.items()}
    print(json.dumps(loss, indent=1))
    rates = {}
    for lr in args.rates:
        stage = fine_stage(at, base, lr=lr)
        t = fit(stage, FINE_RUN.replace(quiet=True, tensorboard=False), w / f'rate-{lr:g}')
        with t.emas['network'].swapped():
            stage.denoiser.eval()
            like = argparse.Namespace(denoiser=stage.denoiser, encoder=base.encoder)
            rates[f'{lr:g}'] = {k: with_interval(by_clip(like, d)) for k, d in sets.items()}
        print(lr, rates[f'{lr:g}'], flush=True)
    log = list(csv.DictReader((w / 'run' / 'log.csv').open()))
    config = load_json(w / 'run' / 'config.json')
    record = dict(
        train='presto-nb train base --data clips --init base --out run --seed 0',
        clips=dict(
            train=TRAIN,
            held_out=HELD,
            seconds=SECONDS,
            kind='Bach chorales on choir, organ or strings, rendered with the shipped sound bank',
        ),
        config=config,
        lr=2e-4,
        steps=int(log[-1]['step']),
        minutes=round(float(log[-1]['minutes']), 1),
        loss=loss,
        other_rates=rates,
        goes_on='presto-nb train presto-l --data run --base run/model: 10 steps done',
        note='loss: EDM loss of windows of 6 s, the same windows, noise levels and noise for both models; 95 % over clips',
        date=datetime.date.today().isoformat(),
        device='one CPU core of two, shared with other work and stopped for some of it',
        command=f"python recipes/own_audio.py --work FOLDER{' --folk LATENTS' if args.folk else ''}{' --rates ' + ' '.join(f'{r:g}' for r in args.rates) if args.rates else ''}",
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    raise SystemExit(main())
