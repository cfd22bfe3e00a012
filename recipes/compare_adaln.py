"""Shared or per-block adaLN: same steps, batches and noise.

    python recipes/compare_adaln.py --latents LATENTS [--steps 300]
        [--out data_samples/logs/compare_adaln.json]

Hypothesis, written before the run: at the study size the shared projection with an offset per block
is no worse than one projection per block, by a margin of 2 % of the validation loss, although it
has a third fewer parameters. Budget: `steps` of batch 16 each, one seed. The measure is the EDM
loss of the averaged weights on the validation split, the same 256 windows, noise levels and noise
for both, with the 95 % interval of the paired difference.
"""

import json
import math
import tempfile
from pathlib import Path

from common import new_parser, write_record  # first: it sets how torch waits

BATCH = 16


def validation_loss(stage, trainer, data, windows=256):
    "EDM loss of each window, [windows]"
    import torch
    from presto_nb.edm import LogNormal, edm_loss
    from presto_nb.material.core import new_rng
    from presto_nb.material.text import Condition

    rng = new_rng('adaln', 'validation')
    losses = []
    with torch.no_grad(), trainer.emas['network'].swapped():
        for i in range(0, windows, 32):
            b = data.batch([j % len(data) for j in range(i, i + 32)], rng)
            noise = torch.randn(b['x0'].shape, generator=rng)
            sigma = LogNormal().sample(32, rng)
            cond = Condition(*stage.encoder(b['captions']), b['bpm'])
            losses.append(edm_loss(stage.denoiser, b['x0'], cond, sigma, noise))
    return torch.cat(losses)


def run_config(args):
    "Of both runs"
    from presto_nb.training import BASE_RUN

    return BASE_RUN.replace(
        steps=args.steps,
        minutes=None,
        batch_size=BATCH,
        ema_decay=0.98,
        seed=args.seed,
        tensorboard=False,
    )


def train_both(args):
    "Way -> validation losses [windows]; way -> parameters"
    from presto_nb.dit import PRESETS, count_parameters
    from presto_nb.material.text import SmallTextEncoder
    from presto_nb.material.latents import LatentWindows
    from presto_nb.training import base_stage, fit

    valid = LatentWindows(args.latents, 129, 'valid')
    encoder = SmallTextEncoder.from_pretrained()
    losses = {}
    sizes = {}
    for name in ('shared', 'per block'):
        preset = PRESETS['study'].replace(shared_adaln=name == 'shared')
        stage = base_stage(args.latents, encoder, preset, seed=args.seed)
        stage.encoder = SmallTextEncoder.from_pretrained()
        encoder = stage.cache  # the captions are encoded once for both
        with tempfile.TemporaryDirectory() as d:
            losses[name] = validation_loss(stage, fit(stage, run_config(args), d), valid)
        sizes[name] = count_parameters(stage.models['network'])
    return losses, sizes


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--latents', required=True)
    p.add_argument('--steps', type=int, default=300)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--out', type=Path)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    losses, sizes = train_both(args)
    d = losses['shared'] - losses['per block']
    record = dict(
        parameters=sizes,
        validation_loss={k: round(v.mean().item(), 4) for k, v in losses.items()},
        difference=round(d.mean().item(), 4),
        interval_95=round(1.96 * d.std().item() / math.sqrt(len(d)), 4),
        steps=args.steps,
        batch_size=BATCH,
    )
    command = f'python recipes/compare_adaln.py --steps {args.steps}'
    print(json.dumps(write_record(args.out, record, command, args.seed)))


if __name__ == '__main__':
    main()
