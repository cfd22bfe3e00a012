"""The arrays and clips of the variance lab: python recipes/variance_lab.py --latents latents/full [--models base presto-s ...]

Eight clips of three seconds from tunes of the split `test`, one for each of eight lead instruments; for every model the variance profile and the errors of skipping, at 24 noise levels (1 minute a model on one core). Seed 0.
"""

import argparse, json, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
import torch
from presto_nb.material.core import atomic_path, save_tensors, sha256, stable_hash
from presto_nb.dit import DROPS
from presto_nb.pipeline import MusicPipeline, find_model, model_names
from presto_nb.training import read_latents
from presto_nb.labs.variance_lab import lab_folder, measure_model

FRAMES, CLIPS = 65, 8  # three seconds


def write_clips(folder):
    rows, latents = read_latents(folder, 'test')
    chosen, short = {}, lambda r: min(r['captions'], key=len)
    for r in sorted(rows, key=lambda r: stable_hash('lab', r['id'])):
        if len(latents[r['id']]) > 3 * FRAMES:
            chosen.setdefault(
                tuple(short(r).split()[:3]), r
            )  # how the caption begins: the lead instrument
    chosen = list(chosen.values())[:CLIPS]
    save_tensors(
        lab_folder() / 'clips.safetensors',
        dict(x0=torch.stack([latents[r['id']][FRAMES : 2 * FRAMES] for r in chosen]).half()),
    )
    with atomic_path(lab_folder() / 'clips.json') as p:
        p.write_text(
            json.dumps(
                dict(
                    ids=[r['id'] for r in chosen],
                    captions=[short(r) for r in chosen],
                    bpm=[r['bpm'] for r in chosen],
                    frames=FRAMES,
                ),
                indent=1,
            )
            + '\n'
        )


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--latents', required=True)
    p.add_argument('--models', nargs='+', default=model_names())
    args = p.parse_args()
    torch.set_num_threads(1)
    write_clips(args.latents)
    for name in args.models:
        pipe = MusicPipeline.from_pretrained(name)
        drops = torch.tensor(pipe.config.drops or DROPS['study']['l'])
        tensors = measure_model(pipe)
        save_tensors(
            lab_folder() / f'{name}.safetensors',
            tensors | dict(drops=drops),
            dict(weights=sha256(find_model(name) / 'model.safetensors')),
        )
        print(name, {k: tuple(v.shape) for k, v in tensors.items()})


if __name__ == '__main__':
    main()
