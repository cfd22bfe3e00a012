"""Train a base model for longer, over wider noise levels: python recipes/train_longer.py --data latents/full --out runs/longer --minutes 85 [--init base --lr 1.5e-3 --P-mean .2 --P-std 1.6]

A model of a few evaluations begins at sigma 80, where LogNormal(-0.4, 1) puts one training example in a million. Interrupted, the same command goes on."""
import argparse, os
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')   # before torch is imported
from pathlib import Path
import torch
from presto_nb.cli import recorded
from presto_nb.edm import LogNormal
from presto_nb.pipeline import MusicPipeline, new_pipeline
from presto_nb.training import BASE_RUN, fine_stage, fit

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--data', type=Path, required=True); p.add_argument('--out', type=Path, required=True); p.add_argument('--init', default='base'); p.add_argument('--minutes', type=float, default=85)
    p.add_argument('--lr', type=float, default=1.5e-3); p.add_argument('--P-mean', type=float, default=.2); p.add_argument('--P-std', type=float, default=1.6)
    p.add_argument('--seed', type=int, default=1); p.add_argument('--threads', type=int, default=1)
    args = p.parse_args(argv); torch.set_num_threads(args.threads)
    args.command = f'python recipes/train_longer.py --data {args.data.name} --init {args.init} --minutes {args.minutes:g} --lr {args.lr:g} --P-mean {args.P_mean:g} --P-std {args.P_std:g} --seed {args.seed}'
    pipe = MusicPipeline.from_pretrained(args.init, device='cpu'); c = pipe.config; frames = round(c.max_seconds*pipe.codec.frame_rate)
    stage = fine_stage(args.data, pipe, frames, lr=args.lr); stage.noise = LogNormal(args.P_mean, args.P_std)
    trainer = fit(stage, BASE_RUN.replace(minutes=args.minutes, seed=args.seed), args.out)
    if trainer.stopped: return
    kept = {k: v for k, v in c.to_dict().items() if k not in ('dit', 'max_seconds', 'check')}
    with trainer.emas['network'].swapped(): recorded(new_pipeline(stage.models['network'].cpu(), pipe.codec, pipe.encoder, frames, **kept), args, trainer).save_pretrained(args.out/'model')

if __name__ == '__main__': main()
