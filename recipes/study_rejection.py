"""Many samples, the best of them kept: python recipes/study_rejection.py --work FOLDER [--model presto-ls] [--out data_samples/logs/rejection.json]

A few-step model answers PROMPTS prompts of the split `valid` EACH times. A rate r throws away the share r of a prompt's samples that agree least with it (facts that the listener finds: lead, accompaniment, drums, key, tempo;
a tie is broken by the sample's number). From what is left one sample a prompt is drawn, DRAWS times, so that every rate is judged on sets of one size.
Written before the run: agreement rises by construction (the judge is the selector); the key, rarest of all facts, rises most. KAD falls at first, since wrong instruments go; recall falls with the rate (the paper's trade, as we understand it).
"""

import argparse, datetime, json, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, new_rng
from presto_nb.evidence.metrics import (
    Evaluator,
    held_out_prompts,
    kad,
    of_model,
    of_real,
    prdc,
    with_intervals,
)
from presto_nb.pipeline import MusicPipeline

PROMPTS, EACH, DRAWS, RATES, SHOWN = (
    64,
    25,
    8,
    (0.0, 0.2, 0.4, 0.6, 0.8, 0.92),
    ('agreement', 'lead', 'drums', 'key'),
)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--model', default='presto-ls')
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent / 'data_samples' / 'logs' / 'rejection.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    ev = Evaluator(args.work / 'heard', PROMPTS * EACH)
    once = held_out_prompts(PROMPTS, 'validation', split='valid')
    prompts = [p for p in once for _ in range(EACH)]
    few = ev.add(
        args.model,
        of_model(MusicPipeline.from_pretrained(args.model)),
        dict(kind=args.model),
        prompts,
    )
    ev.n = 256
    ref = ev.add(
        'reference',
        of_real(),
        dict(kind='real clips of other arrangements, split valid'),
        held_out_prompts(256, 'validation reference', split='valid'),
    )
    found = {k: v.float().view(PROMPTS, EACH) for k, v in few.found.items()}
    z = few.embeddings['musicnn'].view(PROMPTS, EACH, -1)
    real = ref.embeddings['musicnn']
    best = found['agreement'].argsort(dim=1, descending=True, stable=True)
    rows = []
    for rate in RATES:
        keep = round(EACH * (1 - rate))
        drawn = best[
            torch.arange(PROMPTS)[:, None],
            torch.randint(keep, (PROMPTS, DRAWS), generator=new_rng('draws', keep)),
        ]  # [prompts, draws]

        def of(i):
            at = [(i, drawn[i, d]) for d in range(DRAWS)]
            mean = lambda f: sum(f(*x) for x in at) / DRAWS
            space = [prdc(real, z[x]) for x in at]
            return (
                {k: mean(lambda a, b: float(found[k][a, b].mean())) for k in SHOWN}
                | dict(KAD=mean(lambda a, b: float(kad(z[a, b], real, ref.widths['musicnn']))))
                | {k: sum(s[k] for s in space) / DRAWS for k in space[0]}
            )

        rows.append(dict(rate=rate, kept=keep, scores=with_intervals(of, PROMPTS)))
        print(
            rate, {k: [round(x, 3) for x in v] for k, v in rows[-1]['scores'].items()}, flush=True
        )
    record = dict(
        command='python recipes/study_rejection.py --work FOLDER',
        model=args.model,
        prompts=PROMPTS,
        each=EACH,
        draws=DRAWS,
        date=datetime.date.today().isoformat(),
        rows=rows,
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
