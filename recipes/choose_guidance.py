"""How strongly a model should be guided.

    python recipes/choose_guidance.py --model laptop-base --work FOLDER
        [--scales 1 1.5 2 3] [--n 64] [--out data_samples/logs/guidance_laptop_base.json]

Answers to validation prompts at each guidance scale, judged like those of `presto-nb evaluate`.
"""

from pathlib import Path

from common import CHOICE_PROMPTS, INTERVALS, LOGS, Judge, new_parser, rounded, write_record

import torch

from presto_nb.evidence.metrics import of_model
from presto_nb.material.core import sha256
from presto_nb.material.model_folders import find_model
from presto_nb.pipeline import MusicPipeline


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--model', default='laptop-base')
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--scales', type=float, nargs='+', default=[1.0, 1.5, 2.0, 3.0])
    p.add_argument('--n', type=int, default=64)
    p.add_argument('--out', type=Path)
    return p.parse_args(argv)


def command_of(args):
    "What a reader types"
    scales = ' '.join(f'{s:g}' for s in args.scales)
    return (
        f'python recipes/choose_guidance.py --model {args.model} --work FOLDER '
        f'--scales {scales} --n {args.n}'
    )


def rows_of(args, judge, weights):
    "Guidance scale -> scores"
    pipe = MusicPipeline.from_pretrained(args.model, device='cpu')
    rows = {}
    for scale in args.scales:
        made = dict(kind='model', weights=weights, guidance_scale=scale)
        answers = of_model(pipe, guidance_scale=scale)
        heard = judge.hear(f'{args.model}-{scale:g}', answers, **made)
        rows[f'{scale:g}'] = judge.scores(heard)
        print(scale, rounded(rows[f'{scale:g}'], 2), flush=True)
    return rows


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(1)
    judge = Judge(args.work, args.n, CHOICE_PROMPTS)
    weights = sha256(find_model(args.model) / 'model.safetensors')
    record = dict(
        model=args.model,
        weights_sha256=weights,
        **judge.about(),
        seconds=judge.ev.seconds,
        intervals=INTERVALS,
        scores=rows_of(args, judge, weights),
    )
    out = args.out or LOGS / f"guidance_{args.model.replace('-', '_')}.json"
    write_record(out, record, command_of(args))


if __name__ == '__main__':
    main()
