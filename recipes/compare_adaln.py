"""Shared or per-block adaLN, same steps, batches and noise: python recipes/compare_adaln.py --latents LATENTS [--steps 300] [--out data_samples/logs/compare_adaln.json]

Hypothesis, written before the run: at the study size the shared projection with an offset per block is no worse than one projection per block, by a
margin of 2 % of the validation loss, although it has a third fewer parameters. Budget: `steps` of batch 16 each, one seed. The measure is the EDM loss of
the averaged weights on the validation split, the same 256 windows, noise levels and noise for both, with the 95 % interval of the paired difference.
"""

import argparse, datetime, json, math, os, tempfile

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path


def validation_loss(stage, trainer, data, windows=256):
    "EDM loss of each window, [windows]"
    import torch
    from presto_nb.material.core import new_rng
    from presto_nb.edm import LogNormal, edm_loss
    from presto_nb.material.text import Condition

    g, out = new_rng('adaln', 'validation'), []
    with torch.no_grad(), trainer.emas['network'].swapped():
        for i in range(0, windows, 32):
            b = data.batch([j % len(data) for j in range(i, i + 32)], g)
            noise, sigma = torch.randn(b['x0'].shape, generator=g), LogNormal().sample(32, g)
            out.append(
                edm_loss(
                    stage.denoiser,
                    b['x0'],
                    Condition(*stage.encoder(b['captions']), b['bpm']),
                    sigma,
                    noise,
                )
            )
    return torch.cat(out)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--latents', required=True)
    p.add_argument('--steps', type=int, default=300)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--out', type=Path)
    args = p.parse_args(argv)
    from presto_nb.material.core import atomic_path
    from presto_nb.dit import PRESETS, count_parameters
    from presto_nb.material.text import SmallTextEncoder
    from presto_nb.training import BASE_RUN, LatentWindows, base_stage, fit

    config = BASE_RUN.replace(
        steps=args.steps,
        minutes=None,
        batch_size=16,
        ema_decay=0.98,
        seed=args.seed,
        tensorboard=False,
    )
    encoder, valid, losses, sizes = (
        SmallTextEncoder.from_pretrained(),
        LatentWindows(args.latents, 129, 'valid'),
        {},
        {},
    )
    for name in ('shared', 'per block'):
        stage = base_stage(
            args.latents,
            encoder,
            PRESETS['study'].replace(shared_adaln=name == 'shared'),
            seed=args.seed,
        )
        stage.encoder, encoder = (
            SmallTextEncoder.from_pretrained(),
            stage.cache,
        )  # the captions are encoded once for both
        with tempfile.TemporaryDirectory() as d:
            losses[name] = validation_loss(stage, fit(stage, config, d), valid)
        sizes[name] = count_parameters(stage.models['network'])
    d = losses['shared'] - losses['per block']
    record = dict(
        parameters=sizes,
        validation_loss={k: round(v.mean().item(), 4) for k, v in losses.items()},
        difference=round(d.mean().item(), 4),
        interval_95=round(1.96 * d.std().item() / math.sqrt(len(d)), 4),
        steps=args.steps,
        batch_size=16,
        seed=args.seed,
        date=datetime.date.today().isoformat(),
        command=f'python recipes/compare_adaln.py --steps {args.steps}',
    )
    if args.out:
        with atomic_path(args.out) as tmp:
            tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))


if __name__ == '__main__':
    main()
