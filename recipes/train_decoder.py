"""Train the shipped codec's decoder further, against an adversary: python recipes/train_decoder.py --data data/full --out runs/decoder [--steps 3000 --rows 2 --clips 600]

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
    p.add_argument('--steps', type=int, default=3000); p.add_argument('--rows', type=int, default=2); p.add_argument('--clips', type=int, default=600); p.add_argument('--filters', type=int, default=8)
    p.add_argument('--threads', type=int, default=1); p.add_argument('--after', type=float, default=.02); p.add_argument('--lr', type=float, default=5e-4)
    args = p.parse_args(argv); torch.set_num_threads(args.threads)
    clips = [c for c in load_folder(args.data) if c.split == 'train'][:args.clips]
    train_codec(clips, args.out, args.out/'model', CODEC_RUN.replace(steps=args.steps, minutes=None, log_every=10, precision='no'), filters=args.filters, after=args.after, decoder=True,
                lr=args.lr, rows=args.rows or None, init_from=assets()/'codec'/'model.safetensors')

if __name__ == '__main__': main()
