"""Answer the held-out prompts on one machine, judge the answers on another.

    python recipes/answers.py make --model FOLDER --out FOLDER [--n 1024]
    python recipes/answers.py keep --model FOLDER --answers FOLDER --work FOLDER
    presto-nb evaluate FOLDER --out FOLDER

What travels are latents, in files of 512 answers.
"""

from argparse import Namespace
from pathlib import Path

from common import new_parser  # first: it sets how torch waits

import torch

from presto_nb.evidence.metrics import Evaluator, held_out_prompts
from presto_nb.material.core import load_tensors, save_tensors
from presto_nb.material.pieces import decode_blocks
from presto_nb.pipeline import MusicPipeline
from presto_nb.tools.cli import set_of

SECONDS = 6.0
PART = 512


@torch.inference_mode()
def make(args):  # of the command line
    "Walk from noise to latents, as `presto-nb evaluate` would with seed 0"
    pipe = MusicPipeline.from_pretrained(args.model, device=args.device)
    prompts = held_out_prompts(args.n, seconds=SECONDS)
    r = pipe.request([p.caption for p in prompts], SECONDS, seed=0)
    bpm = [p.facts['bpm'] for p in prompts]
    part = []
    for rows, x in pipe.walks(r, bpm, batch_size=args.batch_size, progress=True):
        part.append(x.half().cpu())
        if rows.stop % PART == 0 or rows.stop >= len(prompts):
            path = args.out / f'answers-{(rows.stop - 1) // PART:04d}.safetensors'
            save_tensors(path, dict(x0=torch.cat(part)))
            part = []


@torch.inference_mode()
def keep(args):  # of the command line
    "Decode the latents into an evaluation's folder"
    files = sorted(args.answers.glob('answers-*.safetensors'))
    x0 = torch.cat([load_tensors(f)['x0'].float() for f in files])
    how = Namespace(steps=None, guidance=None, rho=None, seconds=SECONDS, seed=0, device='cpu')
    name, _, made = set_of(str(args.model), how)
    pipe = MusicPipeline.from_pretrained(args.model, device='cpu')

    def maker(prompts, first):
        latents = x0[first : first + len(prompts)]
        samples = torch.cat(list(decode_blocks(pipe.codec, latents, pipe.window)), -1)
        return pipe.finish(samples, [p.caption for p in prompts], SECONDS, None)

    Evaluator(args.work, len(x0)).add(name, maker, made)


def arguments(argv=None):
    p = new_parser(__doc__)
    sub = p.add_subparsers(required=True)
    maker = sub.add_parser('make', help=make.__doc__)
    maker.add_argument('--model', type=Path, required=True)
    maker.add_argument('--out', type=Path, required=True)
    maker.add_argument('--n', type=int, default=1024)
    maker.add_argument('--batch-size', type=int, default=64)
    maker.add_argument('--device')
    maker.set_defaults(run=make)
    keeper = sub.add_parser('keep', help=keep.__doc__)
    keeper.add_argument('--model', type=Path, required=True)
    keeper.add_argument('--answers', type=Path, required=True)
    keeper.add_argument('--work', type=Path, required=True)
    keeper.set_defaults(run=keep)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    args.run(args)


if __name__ == '__main__':
    main()
