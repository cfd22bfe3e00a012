"""Few wide frames or many narrow ones, at the same numbers a second and the same budget.

    python recipes/compare_codecs.py --data data/small --out runs/codecs [--minutes 10]

Two codecs from nothing, by spectral losses alone (an adversary is lost on such budgets), one after
the other on as many threads. Then, to judge them:

    python recipes/judge_codec.py --work FOLDER --split valid --n 128
        --codec 21.5x64=runs/codecs/21.5x64/model --codec 43x32=runs/codecs/43x32/model
        --out data_samples/logs/compare_codecs.json
"""

from pathlib import Path

from common import new_parser  # first: it sets how torch waits

import torch

from presto_nb.codec_training import CODEC_RUN, train_codec
from presto_nb.material.codec import SpectralVAEConfig
from presto_nb.material.tunes import load_folder
from presto_nb.tools.cli import split_of

SIZES = {  # frames a second x channels
    '21.5x64': SpectralVAEConfig(),
    '43x32': SpectralVAEConfig(stride=2, channels=32),
}


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--data', type=Path, required=True)
    p.add_argument('--out', type=Path, required=True)
    p.add_argument('--minutes', type=float, default=10.0)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--threads', type=int, default=1)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    clips = split_of(load_folder(args.data))
    config = CODEC_RUN.replace(minutes=args.minutes, seed=args.seed)
    for name, size in SIZES.items():
        out = args.out / name
        train_codec(clips, out, out / 'model', config, size, filters=0)


if __name__ == '__main__':
    main()
