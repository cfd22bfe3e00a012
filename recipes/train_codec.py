"""Train the shipped codec further, against an adversary from `--after` on.

    python recipes/train_codec.py --data data/varied --out runs/codec
    python recipes/train_codec.py --data data/varied --out runs/decoder --part decoder \
        --steps 3000 --after .02

`--part decoder` leaves the encoder as it is, so latents made before, and models trained on them,
stay right. Interrupted, the same command goes on, equal to the bit.
"""

from pathlib import Path

from common import new_parser  # first: it sets how torch waits

import torch

from presto_nb.codec_training import CODEC_RUN, train_codec
from presto_nb.material.core import assets
from presto_nb.material.tunes import load_folder


def spread(clips, n):
    "n clips, evenly over the whole list"
    return [clips[i * len(clips) // n] for i in range(min(n, len(clips)))]


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--data', type=Path, required=True)
    p.add_argument('--out', type=Path, required=True)
    p.add_argument('--part', choices=['both', 'decoder'], default='both')
    p.add_argument('--steps', type=int, help='24,000 unless minutes are given')
    p.add_argument('--minutes', type=float)
    p.add_argument('--after', type=float, default=0.8, help='share of the run before the adversary')
    p.add_argument('--lr', type=float, default=1e-3)
    p.add_argument('--kl', type=float, default=2e-3, help='weight of the divergence')
    p.add_argument('--batch-size', type=int, default=8)
    p.add_argument('--rows', type=int, default=2, help='of a batch, that the adversary hears')
    p.add_argument('--filters', type=int, default=8, help='of the adversary')
    p.add_argument('--clips', type=int, default=2000, help='spread over the training split')
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--seed', type=int, default=0)
    return p.parse_args(argv)


def run_config(args):
    "How it trains"
    return CODEC_RUN.replace(
        steps=args.steps if args.steps or args.minutes else 24000,
        minutes=args.minutes,
        batch_size=args.batch_size,
        seed=args.seed,
        precision='no',
        schedule='cooldown',
        cooldown=0.1,
    )


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    clips = [c for c in load_folder(args.data) if c.split == 'train']
    train_codec(
        spread(clips, args.clips),
        args.out,
        args.out / 'model',
        run_config(args),
        filters=args.filters,
        after=args.after,
        decoder=args.part == 'decoder',
        lr=args.lr,
        rows=args.rows,
        weights=dict(kl=args.kl),
        init_from=assets() / 'codec' / 'model.safetensors',
    )


if __name__ == '__main__':
    main()
