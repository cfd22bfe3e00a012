"""What codecs lose.

    python recipes/judge_codec.py --work FOLDER [--codec NAME=FOLDER ...] [--n 512 --split test]
        [--out data_samples/logs/evaluate_codec.json]

Real clips of held-out tunes go through each codec and are heard like a model's answers, beside
clips spoilt in known ways. The shipped codec is judged as `shipped`. FOLDER may be the one of
`presto-nb evaluate` with the split test: what was heard there is kept.
"""

import json
from dataclasses import replace
from pathlib import Path

from common import CHOICE_PROMPTS, INTERVALS, LOGS, Judge, new_parser, rounded, write_record

import torch

from presto_nb.evidence.metrics import DISTORTIONS, of_real, through_codec, with_intervals
from presto_nb.material.audio import Audio
from presto_nb.material.codec import codec_sha256, mel_distance, si_sdr
from presto_nb.material.core import assets, progress
from presto_nb.tools.cli import load_codec

BESIDE = 'noise-20dB', 'low-pass'
SAME = {'key as in the original': 'key', 'lead as in the original': 'lead'}


def losses(ev, name):  # an `Evaluator`; name of a set
    "How far each clip is from its original: score -> [n]"
    rows = []
    for i in progress(range(ev.n), desc=f'comparing {name}'):
        y, x = (Audio.load(ev.clip(k, i)).samples for k in (name, 'real'))
        rows.append((mel_distance(y, x), si_sdr(y, x)))
    return dict(zip(('mel distance dB', 'SI-SDR dB'), torch.tensor(rows, dtype=torch.float64).T))


def kept_facts(ev, heard):
    "In which clips a fact is heard as in the original: score -> [n]"
    pairs = list(zip(heard.rows, ev.real.rows))
    same = {name: [float(a[f] == b[f]) for a, b in pairs] for name, f in SAME.items()}
    return {k: torch.tensor(v, dtype=torch.float64) for k, v in same.items()}


def judged(judge, heard):  # a `Judge`; a `Hearing`
    "Score -> [value, low, high]"
    each = kept_facts(judge.ev, heard)
    if heard.name != 'real':
        each |= losses(judge.ev, heard.name)

    def some(i):
        means = {k: float(v[i].mean()) for k, v in each.items()}
        return means | judge.some_scores(heard, i)

    return with_intervals(some, judge.n)


def all_sets(judge, codecs):
    "Name -> what was heard of the real clips, of spoilt ones, and of each codec's"
    made = {'real': judge.ev.real}
    for name in BESIDE:
        clips = of_real(DISTORTIONS[name])
        made[name] = judge.hear(name, clips, kind=f'real clips, {name}')
    for name, folder in codecs:
        codec = load_codec(folder)
        sha = codec_sha256(codec)
        clips = of_real(through_codec(codec))
        about = dict(kind='real clips through the codec', codec=sha)
        made[name] = judge.hear(f'codec {name} {sha[:8]}', clips, **about)
    return made


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--codec', action='append', default=[], metavar='NAME=FOLDER')
    p.add_argument('--n', type=int, default=512)
    p.add_argument('--split', default='test')
    p.add_argument('--out', type=Path, default=LOGS / 'evaluate_codec.json')
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(1)
    judge = Judge(args.work, args.n, replace(CHOICE_PROMPTS, split=args.split))
    codecs = [('shipped', assets() / 'codec')] + [c.split('=', 1) for c in args.codec]
    made = all_sets(judge, codecs)
    rows = {}
    for k, heard in made.items():
        rows[k] = judged(judge, heard)
        print(k, rounded(rows[k]), flush=True)
    how = {k: json.loads((args.work / h.name / 'made.json').read_text()) for k, h in made.items()}
    record = dict(
        **judge.about(),
        seconds=judge.ev.seconds,
        intervals=INTERVALS,
        codecs=how,
        scores=rows,
    )
    words = f'--work FOLDER --n {args.n} --split {args.split}'
    write_record(args.out, record, f'python recipes/judge_codec.py {words}')


if __name__ == '__main__':
    main()
