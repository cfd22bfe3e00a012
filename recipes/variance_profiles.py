"""Variance of the residual stream of shipped models: python recipes/variance_profiles.py base presto-s [--latents latents/full] [--clips 64] [--out data_samples/logs]

For each model: one window of 129 frames of each of 64 held-out tunes (split `test`) with one of its captions and its tempo, at 41 noise levels from .002 to 80, as a `Profile`. Beside it, at five of the levels,
the mean and mean square of every channel of the stream after every block (`levels` [5], `mean` and `square` [5, blocks, width]). Files of about 50 kB, the command in their header.
"""

import argparse, datetime, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import new_rng, save_tensors, sha256
from presto_nb.edm import SIGMA_MAX, SIGMA_MIN, noised
from presto_nb.pipeline import MusicPipeline, find_model
from presto_nb.sampling import noise_like
from presto_nb.material.text import Condition
from presto_nb.training import LatentWindows
from presto_nb.variance import FIELDS, Probe, variance_profile

FRAMES, SEED, LEVELS = 129, 0, (0.01, 0.1, 1.0, 10.0, 80.0)
moments = lambda before, after: dict(mean=after.mean(1), square=after.square().mean(1))


@torch.no_grad()
def channels(denoiser, x0, cond):
    "Mean and mean square of every channel after every block, each [levels, blocks, width]"
    noise, rows = noise_like(x0.shape, range(SEED, SEED + len(x0))), []
    for sigma in LEVELS:
        with Probe(denoiser.network, keep=moments) as probe:
            denoiser(noised(x0, torch.full((len(x0),), sigma), noise), sigma, cond)
        rows.append(probe.stats)
    return {
        k: torch.stack([torch.stack([s[k] for s in r.values()]) for r in rows])
        for k in ('mean', 'square')
    }


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('models', nargs='+')
    p.add_argument('--latents', default='latents/full')
    p.add_argument('--clips', type=int, default=64)
    p.add_argument(
        '--out', type=Path, default=Path(__file__).resolve().parent.parent / 'data_samples' / 'logs'
    )
    args = p.parse_args(argv)
    data = LatentWindows(args.latents, FRAMES, 'test')
    g = new_rng('variance', SEED)
    b = data.batch(torch.randperm(len(data), generator=g)[: args.clips].tolist(), g)
    sigmas = torch.logspace(0, 1, 41, base=SIGMA_MAX / SIGMA_MIN) * SIGMA_MIN
    for name in args.models:
        pipe = MusicPipeline.from_pretrained(name)
        cond = Condition.from_prompts(pipe.encoder, b['captions'], b['bpm'].tolist())
        profile = variance_profile(pipe.denoiser, b['x0'], sigmas, cond, SEED)
        spike = profile.spike().over_median
        made = dict(
            model=name,
            sha256=sha256(find_model(name) / 'model.safetensors'),
            seed=str(SEED),
            clips=str(len(b['x0'])),
            frames=str(FRAMES),
            split='test',
            date=datetime.date.today().isoformat(),
            command=f'python recipes/variance_profiles.py {name} --latents latents/full --clips {args.clips}',
        )
        extra = dict(levels=torch.tensor(LEVELS)) | channels(pipe.denoiser, b['x0'], cond)
        save_tensors(
            args.out / f'variance_{name}.safetensors',
            {k: getattr(profile, k) for k in ('sigmas', 'blocks', *FIELDS)} | extra,
            made,
        )
        print(
            f'{name}: last block over the median of the others at most {spike.max():.2f} at sigma {sigmas[spike.argmax()]:.3g}, at least {spike.min():.2f}',
            flush=True,
        )


if __name__ == '__main__':
    main()
