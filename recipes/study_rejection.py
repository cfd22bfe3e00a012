"""Many samples, the best of them kept.

    python recipes/study_rejection.py --work FOLDER [--model presto-ls]
        [--out data_samples/logs/rejection.json]

A few-step model answers PROMPTS prompts of the split `valid` EACH times. A rate r throws away that
share of a prompt's samples which agree least with it (facts that the listener finds: lead,
accompaniment, drums, key, tempo; a tie is broken by the sample's number). From what is left one
sample a prompt is drawn, DRAWS times, so that every rate is judged on sets of one size.
Written before the run: agreement rises by construction (the judge is the selector); the key, rarest
of all facts, rises most. KAD falls at first, since wrong instruments go; recall falls with the rate
(the paper's trade, as we understand it).
"""

from pathlib import Path

from common import LOGS, STUDY_PROMPTS, new_parser, rounded, write_record

import torch

from presto_nb.evidence.metrics import Evaluator, kad, of_model, of_real, prdc, with_intervals
from presto_nb.material.core import new_rng
from presto_nb.pipeline import MusicPipeline

PROMPTS = 64
EACH = 25
DRAWS = 8
REFERENCE = 256  # clips
RATES = 0.0, 0.2, 0.4, 0.6, 0.8, 0.92
SHOWN = 'agreement', 'lead', 'drums', 'key'


def hear_all(work, model):
    "What was heard of all samples, and of real clips of other arrangements"
    ev = Evaluator(work / 'heard', PROMPTS * EACH)
    prompts = [p for p in STUDY_PROMPTS.asked(PROMPTS) for _ in range(EACH)]
    answers = of_model(MusicPipeline.from_pretrained(model))
    few = ev.add(model, answers, dict(kind=model), prompts)
    ev.n = REFERENCE
    made = dict(kind=STUDY_PROMPTS.kind)
    return few, ev.add('reference', of_real(), made, STUDY_PROMPTS.others(REFERENCE))


class Samples:
    "The samples of every prompt, the best first"

    def __init__(self, few, reference):
        self.found = {k: v.float().view(PROMPTS, EACH) for k, v in few.found.items()}
        self.points = few.embeddings['musicnn'].view(PROMPTS, EACH, -1)
        self.real = reference.embeddings['musicnn']
        self.width = reference.widths['musicnn']
        self.best = self.found['agreement'].argsort(dim=1, descending=True, stable=True)

    def draw(self, keep):
        "Numbers of samples among the best, [prompts, draws]"
        rng = new_rng('draws', keep)
        places = torch.randint(keep, (PROMPTS, DRAWS), generator=rng)
        return self.best[torch.arange(PROMPTS)[:, None], places]

    def scores(self, i, samples):  # prompts [b]; a sample of each [b]
        "Scores of one draw"
        z = self.points[i, samples]
        facts = {k: float(self.found[k][i, samples].mean()) for k in SHOWN}
        return facts | dict(KAD=float(kad(z, self.real, self.width))) | prdc(self.real, z)


def mean_scores(rows):
    "The mean of each score"
    return {k: sum(r[k] for r in rows) / len(rows) for k in rows[0]}


def row_of(samples, rate):
    "A row of the record"
    keep = round(EACH * (1 - rate))
    drawn = samples.draw(keep)

    def some(i):
        return mean_scores([samples.scores(i, drawn[i, d]) for d in range(DRAWS)])

    return dict(rate=rate, kept=keep, scores=with_intervals(some, PROMPTS))


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--model', default='presto-ls')
    p.add_argument('--out', type=Path, default=LOGS / 'rejection.json')
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    samples = Samples(*hear_all(args.work, args.model))
    rows = []
    for rate in RATES:
        rows.append(row_of(samples, rate))
        print(rate, rounded(rows[-1]['scores']), flush=True)
    record = dict(
        model=args.model,
        split=STUDY_PROMPTS.split,
        arrangements=STUDY_PROMPTS.name,
        prompts=PROMPTS,
        each=EACH,
        draws=DRAWS,
        rows=rows,
    )
    write_record(args.out, record, 'python recipes/study_rejection.py --work FOLDER')


if __name__ == '__main__':
    main()
