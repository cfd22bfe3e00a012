"""The arrays and clips of the variance lab.

    python recipes/variance_lab.py [--latents latents/full] [--models base presto-s ...]

Eight clips of three seconds from tunes of the split `test`, one for each of eight lead instruments.
Without --latents the clips stay as they are. For every model the variance profile and the errors of
skipping, at 24 noise levels (1 minute a model on one core). Seed 0.
"""

from common import new_parser, write_json  # first: it sets how torch waits

import torch

from presto_nb.skipping import DROPS
from presto_nb.labs.variance_lab import lab_folder, measure_model
from presto_nb.material.core import save_tensors, sha256, stable_hash
from presto_nb.material.latents import read_latents
from presto_nb.material.model_folders import RELEASED, find_model, model_names
from presto_nb.pipeline import MusicPipeline

FRAMES = 65  # three seconds
CLIPS = 8


def shortest(row):
    "The shortest caption of a clip"
    return min(row['captions'], key=len)


def choose(rows, latents):
    "The first long enough clip of each lead instrument, which is how a caption begins"
    chosen = {}
    for r in sorted(rows, key=lambda r: stable_hash('lab', r['id'])):
        if len(latents[r['id']]) > 3 * FRAMES:
            chosen.setdefault(tuple(shortest(r).split()[:3]), r)
    return list(chosen.values())[:CLIPS]


def write_clips(folder):
    "The clips' latents, and what they are"
    rows, latents = read_latents(folder, 'test')
    chosen = choose(rows, latents)
    x0 = torch.stack([latents[r['id']][FRAMES : 2 * FRAMES] for r in chosen])
    save_tensors(lab_folder() / 'clips.safetensors', dict(x0=x0.half()))
    about = dict(
        ids=[r['id'] for r in chosen],
        captions=[shortest(r) for r in chosen],
        bpm=[r['bpm'] for r in chosen],
        frames=FRAMES,
    )
    write_json(lab_folder() / 'clips.json', about)


def write_model(name):
    "What is measured of a model"
    pipe = MusicPipeline.from_pretrained(name)
    size = 'laptop' if name in RELEASED else 'study'
    drops = torch.tensor(pipe.config.drops or DROPS[size]['l'])
    tensors = measure_model(pipe)
    weights = dict(weights=sha256(find_model(name) / 'model.safetensors'))
    save_tensors(lab_folder() / f'{name}.safetensors', tensors | dict(drops=drops), weights)
    print(name, {k: tuple(v.shape) for k, v in tensors.items()})


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--latents')
    p.add_argument('--models', nargs='+', default=model_names())
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    if args.latents:
        write_clips(args.latents)
    for name in args.models:
        write_model(name)


if __name__ == '__main__':
    main()
