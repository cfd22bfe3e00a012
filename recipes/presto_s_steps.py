"""Steps and placements of a few-step model on validation prompts.

    python recipes/presto_s_steps.py [MODEL] [--n 128] --work FOLDER [--out
        data_samples/logs/presto_s_steps.json]

Tunes of the split `valid`, which no released number is taken from: the base model at its own
settings, and the generator with 1, 2, 4, 8 and 15 ping-pong steps at both placements of the
levels, and four steps at rho 3 and 1000.
Each set against other arrangements of the same tunes: agreement, KAD and Frechet distance (no
intervals: this is for choosing, and differences of a few points are luck).
"""

import argparse
import datetime
import json
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path
from presto_nb.evidence.metrics import Evaluator, held_out_prompts, of_model, of_real, scores
from presto_nb.pipeline import MusicPipeline

SHOWN = (
    'agreement',
    'lead',
    'accompaniment',
    'drums',
    'key',
    'tempo_tolerant',
    'KAD',
    'KAD log-mel statistics',
    'FD',
    'recall',
    'onsets a second',
)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('model', nargs='?', default='presto-s')
    p.add_argument('--n', type=int, default=128)
    p.add_argument('--work', required=True)
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'presto_s_steps.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    ev = Evaluator(args.work, args.n)
    ev.prompts = held_out_prompts(
        args.n, 'validation', split='valid'
    )  # instead of those of the split test
    ev.reference = ev.add(
        'reference',
        of_real(),
        dict(kind='real clips of other arrangements, split valid'),
        held_out_prompts(args.n, 'validation reference', split='valid'),
    )
    few, rows = MusicPipeline.from_pretrained(args.model), {}

    def judge(name, maker):
        heard = ev.add(name.replace(' ', '-'), maker, dict(kind=name)) if maker else ev.real
        s = scores(heard, ev.real, ev.reference, torch.arange(args.n))
        rows[name] = {k: round(s[k], 3) for k in SHOWN}
        print(name, rows[name], flush=True)

    def placed(to_min):
        return MusicPipeline(
            few.denoiser, few.codec, few.encoder, few.config.replace(to_min=to_min)
        )

    judge('real', None)
    judge('base', of_model(MusicPipeline.from_pretrained('base')))
    for to_min in (False, True):
        for steps in (4, 1, 2, 8, 15):
            judge(
                f'{steps} steps{", last at sigma_min" if to_min else ""}',
                of_model(placed(to_min), steps=steps),
            )
    for rho in (3.0, 1000.0):
        judge(f'4 steps, rho {rho:g}', of_model(few, rho=rho))
    record = dict(
        model=args.model,
        check=few.config.check,
        clips=args.n,
        split='valid',
        rows=rows,
        date=datetime.date.today().isoformat(),
        command=f'python recipes/presto_s_steps.py {args.model} --n {args.n} --work FOLDER',
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
