"""Fifty clips of another kind of music, and what the shipped base learns from them.

    python recipes/own_audio.py --work FOLDER [--folk LATENTS] [--rates 2e-5 2e-3]
        [--out data_samples/logs/own_audio.json]

The kind is four-part chorales by J. S. Bach on choir, organ or strings: never in Folk-GM, nor are a
choir or a section of strings ever a lead there. 64 clips of 8 s are rendered to FOLDER/clips, 14 of
them held out. Then `presto-nb train base --data FOLDER/clips --init base` as anybody would run it,
and `train presto-l` from there, for a few steps. Written down: the loss of the held-out chorales
before and after, with the same windows, noise levels and noise (intervals over clips), the same for
clips that were trained on, and, where LATENTS of Folk-GM are given, what was forgotten of them.
`--rates` compares other learning rates. Interrupted, the same command goes on.
"""

import csv
import json
import math
from argparse import Namespace
from pathlib import Path

from common import LOGS, new_parser, write_record  # first: it sets how torch waits

import torch

from presto_nb.material.core import atomic_path, load_json
from presto_nb.material.tunes import arrange_chorale, excerpt_start, read_chorales, render
from presto_nb.pipeline import MusicPipeline
from presto_nb.tools.cli import main as presto_nb
from presto_nb.material.latents import LatentWindows
from presto_nb.training import FINE_RUN, fine_stage, fit, held_out_loss

TRAIN = 50  # clips
HELD = 14
SECONDS = 8.0
ROWS = 14 * 8
FRAMES = 129
NOTE = (
    'loss: EDM loss of windows of 6 s, the same windows, noise levels and noise for both models; '
    '95 % over clips'
)


def make_clip(path, chorale):
    "Render a chorale where it is not there yet; its arrangement"
    a = arrange_chorale(chorale)
    if not path.is_file():
        render(a, excerpt_start(a, SECONDS, 'own'), SECONDS).save(path)
    return a


def make_clips(folder):
    "Every fifth chorale, so that all of the collection is met"
    folder.mkdir(parents=True, exist_ok=True)
    rows = [('file', 'caption', 'bpm', 'split')]
    for i, chorale in enumerate(read_chorales()[::5][: TRAIN + HELD]):
        path = folder / f'{i:02d}.flac'
        a = make_clip(path, chorale)
        split = 'valid' if i >= TRAIN else 'train'
        rows += [(path.name, caption, a.bpm, split) for caption in a.captions]
    with atomic_path(folder / 'captions.csv') as p, open(p, 'w', newline='') as f:
        csv.writer(f).writerows(rows)


def by_clip(pipe, data):  # [clips]
    "The mean loss of each clip"
    n = min(len(data), ROWS)
    return held_out_loss(pipe.denoiser, data, pipe.encoder, ROWS // n * n).view(-1, n).mean(0)


def with_interval(x):  # [n]
    "[mean, low, high]: 95 %, normal, over clips"
    half = 1.96 * float(x.std()) / math.sqrt(len(x))
    return [round(float(x.mean()) + d, 4) for d in (0, -half, half)]


def compared(before, after):
    "Losses of the same clips"
    return dict(
        clips=len(before),
        before=with_interval(before),
        after=with_interval(after),
        change=with_interval(after - before),
    )


def words(*parts):
    "What the command line is given"
    return [str(part) for part in parts]


def train_both(w):
    "The base goes on with the chorales, and a layer stage begins from there; did both end well?"
    base = words('train', 'base', '--data', w / 'clips', '--init', 'base', '--out', w / 'run')
    if presto_nb(base + words('--seed', 0)):
        return False
    layers = words('train', 'presto-l', '--data', w / 'run', '--base', w / 'run' / 'model')
    return not presto_nb(layers + words('--out', w / 'presto-l', '--steps', 10, '--seed', 0))


def data_sets(w, folk):
    "Name -> windows that losses are taken on"
    at = w / 'run' / 'latents'
    sets = {
        'chorales held out': LatentWindows(at, FRAMES, 'valid'),
        'chorales trained on': LatentWindows(at, FRAMES),
    }
    if folk:
        sets['Folk-GM, valid'] = LatentWindows(folk, FRAMES, 'valid')
    return sets


def compare_models(w, base, sets):
    "Set -> losses before and after"
    tuned = MusicPipeline.from_pretrained(w / 'run' / 'model', device='cpu')
    return {k: compared(by_clip(base, d), by_clip(tuned, d)) for k, d in sets.items()}


def losses_at(w, base, sets, lr):
    "Set -> loss after a run at another learning rate"
    stage = fine_stage(w / 'run' / 'latents', base, lr=lr)
    trainer = fit(stage, FINE_RUN.replace(quiet=True, tensorboard=False), w / f'rate-{lr:g}')
    with trainer.emas['network'].swapped():
        stage.denoiser.eval()
        tuned = Namespace(denoiser=stage.denoiser, encoder=base.encoder)
        return {k: with_interval(by_clip(tuned, d)) for k, d in sets.items()}


def about_run(w):
    "What the record says of the run"
    log = list(csv.DictReader((w / 'run' / 'log.csv').open()))
    kind = 'Bach chorales on choir, organ or strings, rendered with the shipped sound bank'
    return dict(
        train='presto-nb train base --data clips --init base --out run --seed 0',
        clips=dict(train=TRAIN, held_out=HELD, seconds=SECONDS, kind=kind),
        config=load_json(w / 'run' / 'config.json'),
        lr=2e-4,
        steps=int(log[-1]['step']),
        minutes=round(float(log[-1]['minutes']), 1),
    )


def command_of(args):
    "What a reader types"
    folk = ' --folk LATENTS' if args.folk else ''
    rates = ' --rates ' + ' '.join(f'{r:g}' for r in args.rates) if args.rates else ''
    return f'python recipes/own_audio.py --work FOLDER{folk}{rates}'


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--folk', type=Path)
    p.add_argument('--rates', type=float, nargs='*', default=[])
    p.add_argument('--out', type=Path, default=LOGS / 'own_audio.json')
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(1)
    make_clips(args.work / 'clips')
    if not train_both(args.work):
        return 1
    base = MusicPipeline.from_pretrained('base', device='cpu')
    sets = data_sets(args.work, args.folk)
    loss = compare_models(args.work, base, sets)
    print(json.dumps(loss, indent=1))
    rates = {}
    for lr in args.rates:
        rates[f'{lr:g}'] = losses_at(args.work, base, sets, lr)
        print(lr, rates[f'{lr:g}'], flush=True)
    record = dict(
        **about_run(args.work),
        loss=loss,
        other_rates=rates,
        goes_on='presto-nb train presto-l --data run --base run/model: 10 steps done',
        note=NOTE,
        device='one CPU core of two, shared with other work and stopped for some of it',
    )
    write_record(args.out, record, command_of(args))


if __name__ == '__main__':
    raise SystemExit(main())
