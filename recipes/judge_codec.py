"""What codecs lose: python recipes/judge_codec.py --work FOLDER [--codec NAME=FOLDER ...] [--n 512 --split test] [--out data_samples/logs/evaluate_codec.json]

Real clips of held-out tunes go through each codec and are heard like a model's answers, beside clips spoilt in known ways. The shipped codec is judged as `shipped`. FOLDER may be the one of `presto-nb evaluate` with the split test: what was heard there is kept.
"""

import argparse, datetime, json, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.audio import Audio
from presto_nb.tools.cli import load_codec
from presto_nb.material.codec import codec_sha256, mel_distance, si_sdr
from presto_nb.material.core import assets, atomic_path, progress
from presto_nb.evidence.metrics import (
    DISTORTIONS,
    Evaluator,
    held_out_prompts,
    of_real,
    scores,
    through_codec,
    with_intervals,
)

BESIDE = 'noise-20dB', 'low-pass'


def losses(ev, name):  # an `Evaluator`; name of a set
    "How far each clip is from its original: score -> [n]"
    rows = []
    for i in progress(range(ev.n), desc=f'comparing {name}'):
        y, x = (Audio.load(ev.clip(k, i)).samples for k in (name, 'real'))
        rows.append((mel_distance(y, x), si_sdr(y, x)))
    return dict(zip(('mel distance dB', 'SI-SDR dB'), torch.tensor(rows, dtype=torch.float64).T))


def judged(ev, heard):  # an `Evaluator`; a `Hearing`
    "Score -> [value, low, high]"
    same = {'key as in the original': 'key', 'lead as in the original': 'lead'}
    each = {
        k: torch.tensor(
            [float(a[f] == b[f]) for a, b in zip(heard.rows, ev.real.rows)], dtype=torch.float64
        )
        for k, f in same.items()
    } | (losses(ev, heard.name) if heard.name != 'real' else {})
    return with_intervals(
        lambda i: (
            {k: float(v[i].mean()) for k, v in each.items()}
            | scores(heard, ev.real, ev.reference, i)
        ),
        ev.n,
    )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--codec', action='append', default=[], metavar='NAME=FOLDER')
    p.add_argument('--n', type=int, default=512)
    p.add_argument('--split', default='test')
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'evaluate_codec.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    ev = Evaluator(args.work, args.n)
    if args.split != 'test':
        ev.prompts = held_out_prompts(args.n, split=args.split)
        ev.reference = ev.add(
            'reference',
            of_real(),
            dict(kind='real clips of other arrangements'),
            held_out_prompts(args.n, 'reference', split=args.split),
        )
    made = {'real': ev.real} | {
        k: ev.add(k, of_real(DISTORTIONS[k]), dict(kind=f'real clips, {k}')) for k in BESIDE
    }
    for name, folder in [('shipped', assets() / 'codec')] + [c.split('=', 1) for c in args.codec]:
        codec = load_codec(folder)
        made[name] = ev.add(
            f'codec {name} {codec_sha256(codec)[:8]}',
            of_real(through_codec(codec)),
            dict(kind='real clips through the codec', codec=codec_sha256(codec)),
        )
    rows = {}
    for k, h in made.items():
        rows[k] = judged(ev, h)
        print(k, {s: [round(x, 3) for x in v] for s, v in rows[k].items()}, flush=True)
    record = dict(
        command=f'python recipes/judge_codec.py --work FOLDER --n {args.n} --split {args.split}',
        split=args.split,
        clips=args.n,
        seconds=ev.seconds,
        intervals='95 %, 100 half samples of whole clips',
        date=datetime.date.today().isoformat(),
        codecs={
            k: json.loads((args.work / h.name / 'made.json').read_text()) for k, h in made.items()
        },
        scores=rows,
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
