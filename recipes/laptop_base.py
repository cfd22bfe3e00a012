"""The base of the second edition: train it, and judge what it has come to.

    python recipes/laptop_base.py --data LATENTS --codec FOLDER --out runs/base --steps 36000
    python recipes/laptop_base.py --data LATENTS --codec FOLDER --out runs/base --judge curve.csv

`--judge` lets the averaged weights of the newest checkpoint, or a finished model in OUT/model,
answer 64 validation prompts and adds a row to the table: pulse, tempo, key, agreement, hours.
Interrupted, the same command goes on, equal to the bit.
"""

import argparse
import csv
import io
import os
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported

import torch

from presto_nb.tools.cli import load_codec
from presto_nb.material.core import atomic_path
from presto_nb.dit import PRESETS, DiT
from presto_nb.edm import WIDE, LogNormal
from presto_nb.evidence.metrics import Evaluator, held_out_prompts, of_model
from presto_nb.pipeline import MusicPipeline, new_pipeline
from presto_nb.material.text import SmallTextEncoder
from presto_nb.training import BASE_RUN, base_stage, fit, load_checkpoint, run_weights

NETWORKS = dict(
    laptop=PRESETS['laptop'].replace(width=192, depth=12, heads=4, beat_heads=2, rope_base=100.0),
    tiny=PRESETS['tiny'].replace(beat_heads=2, rope_base=100.0),
)
CLIPS, FACTS = 64, ('pulse', 'tempo', 'tempo_tolerant', 'key', 'agreement')


def arguments(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--data', type=Path, required=True)
    p.add_argument('--codec', type=Path, required=True)
    p.add_argument('--out', type=Path, required=True)
    p.add_argument('--network', choices=NETWORKS, default='laptop')
    p.add_argument('--steps', type=int)
    p.add_argument('--minutes', type=float)
    p.add_argument('--batch-size', type=int, default=32)
    p.add_argument('--frames', type=int, help='of a window; the longest unless given')
    p.add_argument('--init', type=Path, help='weights to begin with')
    p.add_argument('--plain', action='store_true', help='blocks are not compiled')
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--judge', type=Path, help='train nothing; add a row to this table')
    return p.parse_args(argv)


def train(args):
    "Train; the model when the run has come to its end"
    encoder = SmallTextEncoder.from_pretrained()
    stage = base_stage(
        args.data,
        encoder,
        NETWORKS[args.network],
        args.frames,
        args.seed,
        noise=LogNormal(*WIDE),
        muon=True,
    )
    config = BASE_RUN.replace(
        steps=args.steps,
        minutes=args.minutes,
        batch_size=args.batch_size,
        seed=args.seed,
        precision='auto',
        compile=not args.plain,
        tensorboard=False,
    )
    trainer = fit(stage, config, args.out, init_from=args.init)
    if trainer.stopped or not trainer.main:
        return
    with trainer.emas['network'].swapped():
        network = stage.models['network'].cpu()
        pipe = new_pipeline(
            network,
            load_codec(args.codec),
            encoder,
            stage.data.frames,
            P_mean=WIDE[0],
            P_std=WIDE[1],
        )
        pipe.save_pretrained(args.out / 'model')


def newest(args):
    "The pipeline of the finished model, or of the newest checkpoint; steps and hours"
    if (args.out / 'model' / 'config.json').is_file():
        return MusicPipeline.from_pretrained(args.out / 'model', device='cpu'), 'all', ''
    state = load_checkpoint(args.out / 'checkpoint')
    codec, encoder = load_codec(args.codec), SmallTextEncoder.from_pretrained()
    config = NETWORKS[args.network]
    network = DiT(
        config.replace(channels=codec.channels, text_dim=encoder.dim, frame_rate=codec.frame_rate)
    )
    weights = run_weights(args.out)
    network.load_state_dict({k.removeprefix('network.'): v for k, v in weights.items()})
    pipe = new_pipeline(
        network.eval(),
        codec,
        encoder,
        args.frames or config.max_frames,
        step='dpmpp_2m',
        steps=40,
        guidance_scale=2.0,
    )
    return pipe, state['step'], f"{state['minutes'] / 60:.2f}"


def judge(args):
    "A row of the curve"
    pipe, step, hours = newest(args)
    ev = Evaluator(args.judge.parent / 'judged', CLIPS)
    ev.prompts = held_out_prompts(CLIPS, split='valid')
    name = f'{args.out.name}-{step}'
    heard = ev.add(name, of_model(pipe), dict(kind='campaign', run=args.out.name, step=step))
    row = dict(run=args.out.name, step=step, hours=hours)
    row |= {k: f'{heard.found[k].nanmean().item():.3f}' for k in FACTS}
    old = args.judge.read_text(encoding='utf-8') if args.judge.is_file() else ','.join(row) + '\n'
    line = io.StringIO()
    csv.writer(line, lineterminator='\n').writerow(row.values())
    with atomic_path(args.judge) as tmp:
        tmp.write_text(old + line.getvalue(), encoding='utf-8')
    print(row)


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    (judge if args.judge else train)(args)


if __name__ == '__main__':
    main()
