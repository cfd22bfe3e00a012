"""The best of N answers: what is gained, what it costs, and who says so.

    python recipes/study_best_of.py --work FOLDER [--out data_samples/logs/best_of.json]

Presto-LS answers PROMPTS prompts of the split `valid` EACH times, and of every N of them the answer
is kept that agrees best with its prompt (facts that the listener finds; a tie is broken by the
sample's number). The base answers each prompt once. KAD and recall are taken on the ears that
choose (musicnn) and on ears that do not (log-mel statistics). Times are processor seconds of one
thread, for an answer that is made alone and for one that is heard.
Written before the run: the best of 2, 4 and 8 gain what order statistics of normal draws say, with
the spread among answers to one prompt, within 2 points at 2 and 4 and less than that at 8, where
many answers have all facts right. Neither recall nor KAD is told apart from those of single
answers, on either pair of ears. Hearing an answer costs more than making it, so the base's
one answer costs four of Presto-LS, of which the best agrees better than the base's.
"""

import math
import time
from pathlib import Path

from common import LOGS, STUDY_PROMPTS, new_parser, rounded, write_record

import torch

from presto_nb.evidence.metrics import Evaluator, kad, of_model, of_real, prdc, with_intervals
from presto_nb.pipeline import MusicPipeline

PROMPTS = 64
EACH = 8
REFERENCE = 256  # clips
TIMED = 6  # answers
SIZES = 1, 2, 4, 8
FEW, FULL = 'presto-ls', 'base'
FACTS = 'agreement', 'key'
EARS = 'musicnn', 'log-mel statistics'


def hear(work, model, each):
    "What was heard of all answers of a model"
    ev = Evaluator(work / 'heard', PROMPTS * each)
    prompts = [p for p in STUDY_PROMPTS.asked(PROMPTS) for _ in range(each)]
    answers = of_model(MusicPipeline.from_pretrained(model))
    return ev.add(model, answers, dict(kind=f'{model}, {each} answers'), prompts)


def hear_reference(work):
    "Real clips of other arrangements"
    ev = Evaluator(work / 'heard', REFERENCE)
    made = dict(kind=STUDY_PROMPTS.kind)
    return ev.add('reference', of_real(), made, STUDY_PROMPTS.others(REFERENCE))


class Answers:
    "The answers to every prompt, and what is chosen of them"

    def __init__(self, heard, reference, each):
        self.each = each
        self.found = {k: heard.found[k].float().view(PROMPTS, each) for k in FACTS}
        self.points = {k: heard.embeddings[k].view(PROMPTS, each, -1) for k in EARS}
        self.reference = reference

    def best(self, n):
        "Of each n answers in turn the number of the one that agrees best [prompts, each / n]"
        groups = self.found['agreement'].view(PROMPTS, -1, n)
        first = torch.arange(0, self.each, n)
        return groups.argmax(-1) + first  # the first of those that are equal

    def scores(self, i, chosen):  # prompts [b]; an answer of each [b]
        "Scores of one answer a prompt"
        found = {k: float(v[i, chosen].mean()) for k, v in self.found.items()}
        for ears in EARS:
            z, real = self.points[ears][i, chosen], self.reference.embeddings[ears]
            found[f'KAD {ears}'] = float(kad(z, real, self.reference.widths[ears]))
            found[f'recall {ears}'] = prdc(real, z)['recall']
        return found

    def mean_scores(self, i, n):  # prompts [b]; answers to choose from
        "The mean over the groups of n answers"
        best = self.best(n)[i]
        rows = [self.scores(i, chosen) for chosen in best.T]
        return {k: sum(r[k] for r in rows) / len(rows) for k in rows[0]}

    def minus_one(self, i, n):
        "The best of n minus single answers"
        best, one = self.mean_scores(i, n), self.mean_scores(i, 1)
        return {k: best[k] - one[k] for k in best}

    def spreads(self):
        "Standard deviations of agreement among answers to a prompt, and among prompts' means"
        v = self.found['agreement']
        within = v.var(1).mean()
        between = v.mean(1).var() - within / self.each
        return dict(within=float(within.sqrt()), between=math.sqrt(max(0.0, float(between))))


def processor_seconds(action):
    "Of the fastest of TIMED calls: other programs cost a call nothing but cache"
    times = []
    for i in range(TIMED + 1):
        start = time.process_time()
        action(i)
        times.append(time.process_time() - start)
    return min(times[1:])


def times(listener):
    "Processor seconds of an answer made alone, and of one heard"
    (prompt, *_) = [p.caption for p in STUDY_PROMPTS.asked(1)]
    found, sounds = {}, []
    for model in (FEW, FULL):
        pipe = MusicPipeline.from_pretrained(model)
        make = lambda i: sounds.extend(pipe.generate(prompt, 6.0, seed=i, progress=False))
        found[model] = processor_seconds(make)
    return found | dict(heard=processor_seconds(lambda i: listener([sounds[i]])))


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--out', type=Path, default=LOGS / 'best_of.json')
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    few = hear(args.work, FEW, EACH)
    base = hear(args.work, FULL, 1)
    reference = hear_reference(args.work)
    answers, alone = Answers(few, reference, EACH), Answers(base, reference, 1)
    rows = []
    for n in SIZES:
        scores = with_intervals(lambda i: answers.mean_scores(i, n), PROMPTS)
        minus = with_intervals(lambda i: answers.minus_one(i, n), PROMPTS)
        rows.append(dict(n=n, scores=scores, minus_one=minus))
        print(n, rounded(scores), flush=True)

    def minus_base(i, n):
        ours, theirs = answers.mean_scores(i, n), alone.mean_scores(i, 1)
        return {k: ours[k] - theirs[k] for k in ours}

    for row in rows:
        row['minus_base'] = with_intervals(lambda i: minus_base(i, row['n']), PROMPTS)
    record = dict(
        models=[FEW, FULL],
        split=STUDY_PROMPTS.split,
        arrangements=STUDY_PROMPTS.name,
        prompts=PROMPTS,
        each=EACH,
        reference=REFERENCE,
        spreads=answers.spreads(),
        base=with_intervals(lambda i: alone.mean_scores(i, 1), PROMPTS),
        processor_seconds=times(Evaluator(args.work / 'heard', 16).listener),
        threads=1,
        rows=rows,
    )
    write_record(args.out, record, 'python recipes/study_best_of.py --work FOLDER', 0)


if __name__ == '__main__':
    main()
