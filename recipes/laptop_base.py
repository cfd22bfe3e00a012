"""The base of the second edition: train it, and judge what it has come to.

    python recipes/laptop_base.py --data LATENTS --codec FOLDER --out runs/base --steps 36000
    python recipes/laptop_base.py --data LATENTS --codec FOLDER --out runs/base --judge curve.csv

`--judge` lets the averaged weights of the newest checkpoint, or a finished model in OUT/model,
answer 64 validation prompts and adds a row to the table: pulse, tempo, key, agreement, hours.
Interrupted, the same command goes on, equal to the bit.
"""

import csv
import io
from pathlib import Path

from common import CHOICE_PROMPTS, Judge, new_parser, write_text  # first: it sets how torch waits

import torch

from presto_nb.dit import PRESETS, DiT
from presto_nb.edm import WIDE, LogNormal
from presto_nb.evidence.metrics import of_model
from presto_nb.material.runs import load_checkpoint, run_weights
from presto_nb.material.text import SmallTextEncoder
from presto_nb.pipeline import MusicPipeline, new_pipeline
from presto_nb.tools.cli import load_codec
from presto_nb.training import BASE_RUN, base_stage, fit

TOLD = dict(beat_heads=2, rope_base=100.0, key=True)  # nbs/studies/63: what keeps beat and key
NETWORKS = dict(
    laptop=PRESETS['laptop'].replace(width=192, depth=12, heads=4, **TOLD),
    tiny=PRESETS['tiny'].replace(**TOLD),
)
CLIPS = 64
FACTS = 'pulse', 'tempo', 'tempo_tolerant', 'key', 'agreement'


def arguments(argv=None):
    p = new_parser(__doc__)
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


def run_config(args):
    "How it trains"
    return BASE_RUN.replace(
        steps=args.steps,
        minutes=args.minutes,
        batch_size=args.batch_size,
        seed=args.seed,
        precision='auto',
        compile=not args.plain,
        tensorboard=False,
    )


def train(args):
    "Train; the model when the run has come to its end"
    encoder = SmallTextEncoder.from_pretrained()
    how = dict(noise=LogNormal(*WIDE), muon=True)
    stage = base_stage(args.data, encoder, NETWORKS[args.network], args.frames, args.seed, **how)
    trainer = fit(stage, run_config(args), args.out, init_from=args.init)
    if trainer.stopped or not trainer.main:
        return
    with trainer.emas['network'].swapped():
        network = stage.models['network'].cpu()
        codec = load_codec(args.codec)
        wide = dict(P_mean=WIDE[0], P_std=WIDE[1])
        pipe = new_pipeline(network, codec, encoder, stage.data.frames, **wide)
        pipe.save_pretrained(args.out / 'model')


def checkpoint_pipeline(args):
    "The averaged weights of the newest checkpoint as a pipeline"
    codec = load_codec(args.codec)
    encoder = SmallTextEncoder.from_pretrained()
    config = NETWORKS[args.network]
    sizes = dict(channels=codec.channels, text_dim=encoder.dim, frame_rate=codec.frame_rate)
    network = DiT(config.replace(**sizes))
    weights = run_weights(args.out)
    network.load_state_dict({k.removeprefix('network.'): v for k, v in weights.items()})
    frames = args.frames or config.max_frames
    how = dict(step='dpmpp_2m', steps=40, guidance_scale=2.0)
    return new_pipeline(network.eval(), codec, encoder, frames, **how)


def newest(args):
    "The pipeline of the finished model, or of the newest checkpoint; steps and hours"
    if (args.out / 'model' / 'config.json').is_file():
        return MusicPipeline.from_pretrained(args.out / 'model', device='cpu'), 'all', ''
    state = load_checkpoint(args.out / 'checkpoint')
    return checkpoint_pipeline(args), state['step'], f"{state['minutes'] / 60:.2f}"


def add_row(path, row):
    "One more line of a table"
    old = path.read_text(encoding='utf-8') if path.is_file() else ','.join(row) + '\n'
    line = io.StringIO()
    csv.writer(line, lineterminator='\n').writerow(row.values())
    write_text(path, old + line.getvalue())


def judge(args):
    "A row of the curve"
    pipe, step, hours = newest(args)
    run = args.out.name
    asked = Judge(args.judge.parent / 'judged', CLIPS, CHOICE_PROMPTS)
    heard = asked.hear(f'{run}-{step}', of_model(pipe), kind='campaign', run=run, step=step)
    row = dict(run=run, step=step, hours=hours)
    row |= {k: f'{heard.found[k].nanmean().item():.3f}' for k in FACTS}
    add_row(args.judge, row)
    print(row)


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    (judge if args.judge else train)(args)


if __name__ == '__main__':
    main()
