"""Answer the held-out prompts on one machine, judge the answers on another: python recipes/answers.py make --model FOLDER --out FOLDER [--n 1024]; python recipes/answers.py keep --model FOLDER --answers FOLDER --work FOLDER; then presto-nb evaluate FOLDER --out FOLDER

What travels are latents, in files of 512 answers.
"""

import argparse
from argparse import Namespace
from pathlib import Path
import torch
from presto_nb.tools.cli import set_of
from presto_nb.material.core import load_tensors, save_tensors
from presto_nb.evidence.metrics import Evaluator, held_out_prompts
from presto_nb.pipeline import MusicPipeline, decode_blocks

SECONDS, PART = 6.0, 512


@torch.inference_mode()
def make(args):  # of the command line
    "Walk from noise to latents, as `presto-nb evaluate` would with seed 0"
    pipe, prompts = (
        MusicPipeline.from_pretrained(args.model, device=args.device),
        held_out_prompts(args.n, seconds=SECONDS),
    )
    r, walked = pipe.request([p.caption for p in prompts], SECONDS, seed=0), []
    for rows, x in pipe.walks(
        r, [p.facts['bpm'] for p in prompts], batch_size=args.batch_size, progress=True
    ):
        walked.append(x.half().cpu())
        if rows.stop % PART == 0 or rows.stop >= len(prompts):
            save_tensors(
                args.out / f'answers-{(rows.stop - 1) // PART:04d}.safetensors',
                dict(x0=torch.cat(walked)),
            )
            walked = []


@torch.inference_mode()
def keep(args):  # of the command line
    "Decode the latents into an evaluation's folder"
    x0 = torch.cat(
        [load_tensors(f)['x0'].float() for f in sorted(args.answers.glob('answers-*.safetensors'))]
    )
    name, _, made = set_of(
        str(args.model),
        Namespace(steps=None, guidance=None, rho=None, seconds=SECONDS, seed=0, device='cpu'),
    )
    pipe = MusicPipeline.from_pretrained(args.model, device='cpu')

    def maker(prompts, first):
        return pipe.finish(
            torch.cat(
                list(decode_blocks(pipe.codec, x0[first : first + len(prompts)], pipe.window)), -1
            ),
            [p.caption for p in prompts],
            SECONDS,
            None,
        )

    Evaluator(args.work, len(x0)).add(name, maker, made)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    sub = p.add_subparsers(required=True)
    for f in (make, keep):
        q = sub.add_parser(f.__name__, help=f.__doc__)
        q.add_argument('--model', type=Path, required=True)
        q.set_defaults(run=f)
        if f is make:
            q.add_argument('--out', type=Path, required=True)
            q.add_argument('--n', type=int, default=1024)
            q.add_argument('--batch-size', type=int, default=64)
            q.add_argument('--device')
        else:
            q.add_argument('--answers', type=Path, required=True)
            q.add_argument('--work', type=Path, required=True)
    args = p.parse_args(argv)
    args.run(args)


if __name__ == '__main__':
    main()
