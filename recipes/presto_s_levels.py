"""Where a generator goes astray.

    python recipes/presto_s_levels.py NAME=RUN ... [--latents latents/full] [--out
        data_samples/logs/presto_s_levels.json]

For each run (a folder of `presto-nb train presto-s`, ended or not): the averaged generator's
answers to 48 held-out windows noised at the four levels, and ping-pong samples of 1, 4 and 8 steps
with the same
captions, each compared with the real windows (`likeness_by_level`). The base model's own samples
with and without guidance stand beside them. NAME says how the run was made.
"""

import argparse
import datetime
import json
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, new_rng, load_state
from presto_nb.dit import DiT
from presto_nb.edm import Denoiser
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_s import likeness
from presto_nb.presto_s_on_music import likeness_by_level
from presto_nb.sampling import guided, plan, sample
from presto_nb.material.text import Condition
from presto_nb.material.latents import LatentWindows
from presto_nb.material.runs import read_log, run_weights


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('runs', nargs='+', help='NAME=FOLDER')
    p.add_argument('--latents', default='latents/full')
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'presto_s_levels.json',
    )
    args = p.parse_args(argv)
    base = MusicPipeline.from_pretrained('base')
    data = LatentWindows(args.latents, 129, 'valid')
    g = new_rng('levels')
    b = data.batch(list(range(48)), g)
    cond = Condition.from_prompts(base.encoder, b['captions'], b['bpm'].tolist())
    noise = torch.randn(b['x0'].shape, generator=g)
    rows = {}
    for w in (1.0, 1.5, 3.0):
        sigmas, step = plan(40)
        x = sample(
            base.denoiser,
            noise,
            sigmas,
            cond,
            step,
            None if w == 1 else lambda d: guided(d, cond.null(), w),
        )
        rows[f'base, 40 evaluations, w = {w:g}'] = dict(
            samples={k: round(v.item(), 3) for k, v in likeness(x, b['x0']).items()}
        )
    for name, folder in (r.rsplit('=', 1) for r in args.runs):
        weights = {
            k.removeprefix('generator.'): v
            for k, v in run_weights(folder).items()
            if k.startswith('generator.')
        }
        G = Denoiser(load_state(DiT(base.denoiser.network.config), weights, folder))
        rows[name] = likeness_by_level(G, b['x0'], cond) | dict(
            turns=int(read_log(Path(folder) / 'log.csv')['step'][-1])
        )
        print(name, json.dumps(rows[name]), flush=True)
    record = dict(
        rows=rows,
        windows=48,
        split='valid',
        date=datetime.date.today().isoformat(),
        command='python recipes/presto_s_levels.py '
        + ' '.join(f'"{r.rsplit("=", 1)[0]}={Path(r.rsplit("=", 1)[1]).name}"' for r in args.runs),
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
