"""What the recipes share. Imported first, for it sets OMP_WAIT_POLICY, which torch reads but once.

Records: where they go (`LOGS`), how they are written (`write_record`: all or nothing, with the
command and the date that made them). Processes: the command line as words (`PRESTO_NB`). Scores:
the judge on validation prompts (`Judge`), which asks whatever `Prompts` a recipe names.
"""

import argparse
import datetime
import json
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / 'data_samples' / 'logs'
INTERVALS = '95 %, 100 half samples of whole clips'  # what `with_intervals` gives
PRESTO_NB = [
    sys.executable,
    '-c',
    'import sys; from presto_nb.tools.cli import main; sys.exit(main(sys.argv[1:]))',
]


# --- records -----------------------------------------------------------------------------------


def new_parser(doc):  # of the recipe
    "A parser that says the first line of a recipe's docstring"
    return argparse.ArgumentParser(description=doc.strip().split('\n')[0])


def today():
    "As records write it: 2026-01-31"
    return datetime.date.today().isoformat()


def rounded(scores, digits=3):  # name -> [value, low, high]
    "Scores as they are printed"
    return {k: [round(x, digits) for x in v] for k, v in scores.items()}


def write_text(path, text):
    "All of the file or nothing"
    from presto_nb.material.core import atomic_path

    with atomic_path(path) as tmp:
        tmp.write_text(text, encoding='utf-8')


def write_json(path, value):
    "All of the file or nothing, one value a line"
    write_text(path, json.dumps(value, indent=1) + '\n')


def read_record(path, **first):
    "The record so far, or a new one that begins with `first`"
    return json.loads(path.read_text(encoding='utf-8')) if path.is_file() else first


def stamped(record, command, seed=None):
    "The record with what made it: command, seed where there is but one, date"
    seeds = {} if seed is None else dict(seed=seed)
    return record | seeds | dict(date=today(), command=command)


def write_record(
    path,  # None: nothing is written
    record,
    command,  # what a reader types to make it again
    seed=None,
):
    "Write a record with what made it; returns it"
    record = stamped(record, command, seed)
    if path:
        write_json(path, record)
    return record


# --- scores on validation prompts --------------------------------------------------------------


@dataclass(frozen=True)
class Prompts:
    "Which captions a judge asks for, and which real clips distances are taken to"

    name: str  # of the arrangements; another name gives other arrangements of the same tunes
    reference: str  # of the arrangements that the answers are compared with
    kind: str  # what the reference's folder says of itself; a folder that says else is refused
    split: str = 'valid'

    def asked(self, n):
        "n prompts"
        from presto_nb.evidence.metrics import held_out_prompts

        return held_out_prompts(n, self.name, split=self.split)

    def others(self, n):
        "n prompts of the reference"
        from presto_nb.evidence.metrics import held_out_prompts

        return held_out_prompts(n, self.reference, split=self.split)


# Both ask for tunes of the split `valid`, from which no released number is taken, but in other
# arrangements: scores on the one are not to be compared with scores on the other.
STUDY_PROMPTS = Prompts(
    'validation',
    'validation reference',
    'real clips of other arrangements, split valid',
)
CHOICE_PROMPTS = Prompts('evaluation', 'reference', 'real clips of other arrangements')


class Judge:
    "Hears sets of clips on the same prompts, and scores them with intervals and differences"

    def __init__(
        self,
        folder,  # of everything made and heard
        n,  # prompts
        prompts,  # a `Prompts`
        shown=None,  # names of the scores that are kept; all if None
    ):
        from presto_nb.evidence.metrics import Evaluator

        self.n = n
        self.prompts = prompts
        self.shown = shown
        self.known = {}  # (set, half sample) -> scores: every difference asks for the same halves
        self.ev = Evaluator(folder, n)
        self.ev.prompts = prompts.asked(n)

    def about(self):
        "What a record says of the prompts"
        return dict(split=self.prompts.split, arrangements=self.prompts.name, clips=self.n)

    @cached_property
    def reference(self):
        "The real clips that distances are taken to, made when they are first asked for"
        from presto_nb.evidence.metrics import of_real

        made = dict(kind=self.prompts.kind)
        self.ev.reference = self.ev.add(
            'reference', of_real(), made, self.prompts.others(self.ev.n)
        )
        return self.ev.reference

    def hear(self, name, maker, **made):  # how: what must be equal for a set to go on
        "A set of clips: made and heard where it is not there yet"
        return self.ev.add(name, maker, made)

    def some_scores(self, heard, i):  # `Hearing`; which clips [b]
        "The scores of some of the clips"
        from presto_nb.evidence.metrics import scores

        key = heard.name, i.numpy().tobytes()
        if key not in self.known:
            found = scores(heard, self.ev.real, self.reference, i)
            shown = found if self.shown is None else self.shown
            self.known[key] = {k: v for k, v in found.items() if k in shown}
        return self.known[key]

    def scores(self, heard):
        "Score -> [value, low, high]"
        from presto_nb.evidence.metrics import with_intervals

        return with_intervals(lambda i: self.some_scores(heard, i), self.n)

    def difference(self, heard, other):
        "Score of one set minus that of another, clip by clip: score -> [value, low, high]"
        from presto_nb.evidence.metrics import with_intervals

        def minus(i):
            theirs = self.some_scores(other, i)
            return {k: v - theirs[k] for k, v in self.some_scores(heard, i).items()}

        return with_intervals(minus, self.n)

    def facts(self, heard, names):
        "How often facts of the prompts are found: name -> [value, low, high]"
        from presto_nb.evidence.metrics import with_intervals

        return with_intervals(lambda i: {k: heard.found[k][i].mean().item() for k in names}, self.n)
