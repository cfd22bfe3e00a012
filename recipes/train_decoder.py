"""Train the shipped codec's decoder further, against an adversary: python recipes/train_decoder.py --data data/full --out runs/decoder [--steps 3000 --rows 2 --clips 600] [--minutes 4 --batch-size 16 --rows 16 --filters 16]

The encoder stays as it is, so latents and all models made on them stay right. Interrupted, the same command goes on."""
import argparse, os
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')   # before torch is imported
from pathlib import Path
import torch
from presto_nb.codec_training import CODEC_RUN, train_codec
from presto_nb.core import assets
from presto_nb.scores import load_folder

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--data', type=Path, required=True); p.add_argument('--out', type=Path, required=True)
    p.add_argument('--steps', type=int, help='3,000 unless minutes are given'); p.add_argument('--minutes', type=float); p.add_argument('--seed', type=int, default=0)
    p.add_argument('--batch-size', type=int, default=8); p.add_argument('--rows', type=int, default=2, help='of a batch, that the adversary hears'); p.add_argument('--clips', type=int, default=600); p.add_argument('--filters', type=int, default=8)
    p.add_argument('--threads', type=int, default=1); p.add_argument('--after', type=float, default=.02); p.add_argument('--lr', type=float, default=5e-4)
    args = p.parse_args(argv); torch.set_num_threads(args.threads)
    clips = [c for c in load_folder(args.data) if c.split == 'train'][:args.clips]
    train_codec(clips, args.out, args.out/'model', CODEC_RUN.replace(steps=args.steps if args.steps or args.minutes else 3000, minutes=args.minutes, batch_size=args.batch_size, seed=args.seed, log_every=10, precision='no'), filters=args.filters, after=args.after, decoder=True,
                lr=args.lr, rows=args.rows, init_from=assets()/'codec'/'model.safetensors')

if __name__ == '__main__': main()
