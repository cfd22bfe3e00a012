"""How strongly a model should be guided: python recipes/choose_guidance.py --model laptop-base --work FOLDER [--scales 1 1.5 2 3] [--n 64] [--out data_samples/logs/guidance_laptop_base.json]

Answers to validation prompts at each guidance scale, judged like those of `presto-nb evaluate`."""

import argparse, datetime, json, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, sha256
from presto_nb.evidence.metrics import (
    Evaluator,
    held_out_prompts,
    of_model,
    of_real,
    scores,
    with_intervals,
)
from presto_nb.pipeline import MusicPipeline, find_model


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--model', default='laptop-base')
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--scales', type=float, nargs='+', default=[1.0, 1.5, 2.0, 3.0])
    p.add_argument('--n', type=int, default=64)
    p.add_argument('--out', type=Path)
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    ev, pipe = Evaluator(args.work, args.n), MusicPipeline.from_pretrained(args.model, device='cpu')
    ev.prompts = held_out_prompts(args.n, split='valid')
    ev.reference = ev.add(
        'reference',
        of_real(),
        dict(kind='real clips of other arrangements'),
        held_out_prompts(args.n, 'reference', split='valid'),
    )
    weights, rows = sha256(find_model(args.model) / 'model.safetensors'), {}
    for scale in args.scales:
        heard = ev.add(
            f'{args.model}-{scale:g}',
            of_model(pipe, guidance_scale=scale),
            dict(kind='model', weights=weights, guidance_scale=scale),
        )
        rows[f'{scale:g}'] = with_intervals(lambda i: scores(heard, ev.real, ev.reference, i), ev.n)
        print(
            scale, {k: [round(x, 2) for x in v] for k, v in rows[f'{scale:g}'].items()}, flush=True
        )
    out = (
        args.out
        or Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / f"guidance_{args.model.replace('-', '_')}.json"
    )
    record = dict(
        command=f"python recipes/choose_guidance.py --model {args.model} --work FOLDER --scales {' '.join(f'{s:g}' for s in args.scales)} --n {args.n}",
        model=args.model,
        weights_sha256=weights,
        split='valid',
        clips=args.n,
        seconds=ev.seconds,
        intervals='95 %, 100 half samples of whole clips',
        date=datetime.date.today().isoformat(),
        scores=rows,
    )
    with atomic_path(out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
