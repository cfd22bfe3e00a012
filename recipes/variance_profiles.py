"""Variance of the residual stream of shipped models.

    python recipes/variance_profiles.py base presto-s [--latents latents/full] [--clips 64]
        [--out data_samples/logs]

For each model: one window of 129 frames of each of 64 held-out tunes (split `test`) with one of its
captions and its tempo, at 41 noise levels from .002 to 80, as a `Profile`. Beside it, at five of
the levels, the mean and mean square of every channel of the stream after every block (`levels` [5],
`mean` and `square` [5, blocks, width]). Files of about 50 kB, the command in their header.
"""

from pathlib import Path

from common import LOGS, new_parser, stamped  # first: it sets how torch waits

import torch

from presto_nb.edm import SIGMA_MAX, SIGMA_MIN, noised
from presto_nb.material.core import new_rng, save_tensors, sha256
from presto_nb.material.text import Condition
from presto_nb.material.model_folders import find_model
from presto_nb.pipeline import MusicPipeline
from presto_nb.sampling import noise_like
from presto_nb.material.latents import LatentWindows
from presto_nb.variance import FIELDS, Probe, variance_profile

FRAMES = 129
SEED = 0
LEVELS = 0.01, 0.1, 1.0, 10.0, 80.0


def moments(before, after):  # the stream around a block
    "Mean and mean square over frames"
    return dict(mean=after.mean(1), square=after.square().mean(1))


@torch.no_grad()
def channels(denoiser, x0, cond):
    "Mean and mean square of every channel after every block, each [levels, blocks, width]"
    noise = noise_like(x0.shape, range(SEED, SEED + len(x0)))
    found = dict(mean=[], square=[])
    for sigma in LEVELS:
        with Probe(denoiser.network, keep=moments) as probe:
            denoiser(noised(x0, torch.full((len(x0),), sigma), noise), sigma, cond)
        for name, levels in found.items():
            levels.append(torch.stack([block[name] for block in probe.stats.values()]))
    return {name: torch.stack(levels) for name, levels in found.items()}


def held_out(latents, clips):
    "One window of each of the tunes"
    data = LatentWindows(latents, FRAMES, 'test')
    rng = new_rng('variance', SEED)
    rows = torch.randperm(len(data), generator=rng)[:clips].tolist()
    return data.batch(rows, rng)


def header(name, windows, clips):
    "What the file says of itself"
    about = dict(
        model=name,
        sha256=sha256(find_model(name) / 'model.safetensors'),
        seed=str(SEED),
        clips=str(windows),
        frames=str(FRAMES),
        split='test',
    )
    words = f'{name} --latents latents/full --clips {clips}'
    return stamped(about, f'python recipes/variance_profiles.py {words}')


def write_profile(name, b, args):
    "The file of a model"
    sigmas = torch.logspace(0, 1, 41, base=SIGMA_MAX / SIGMA_MIN) * SIGMA_MIN
    pipe = MusicPipeline.from_pretrained(name)
    cond = Condition.from_prompts(pipe.encoder, b['captions'], b['bpm'].tolist())
    profile = variance_profile(pipe.denoiser, b['x0'], sigmas, cond, SEED)
    tensors = {k: getattr(profile, k) for k in ('sigmas', 'blocks', *FIELDS)}
    tensors |= dict(levels=torch.tensor(LEVELS)) | channels(pipe.denoiser, b['x0'], cond)
    about = header(name, len(b['x0']), args.clips)
    save_tensors(args.out / f'variance_{name}.safetensors', tensors, about)
    spike = profile.spike().over_median
    print(
        f'{name}: last block over the median of the others at most {spike.max():.2f} '
        f'at sigma {sigmas[spike.argmax()]:.3g}, at least {spike.min():.2f}',
        flush=True,
    )


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('models', nargs='+')
    p.add_argument('--latents', default='latents/full')
    p.add_argument('--clips', type=int, default=64)
    p.add_argument('--out', type=Path, default=LOGS)
    args = p.parse_args(argv)
    b = held_out(args.latents, args.clips)
    for name in args.models:
        write_profile(name, b, args)


if __name__ == '__main__':
    main()
