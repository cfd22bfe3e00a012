"""How far to trust the metrics.

    python recipes/study_metrics.py --out EVALUATION [--n 512]
        [--bank data_samples/sonivox/sonivox.sf3] [--record data_samples/logs/metrics_study.json]

Real clips of held-out tunes are spoilt in eight known ways, and every metric is asked how far they
are from other real clips. Clips and what was heard of them lie in the folder EVALUATION, which
`presto-nb evaluate` uses as well, and are made once. The record holds, for each set, all scores
with intervals (nbs/studies/60 shows them), and for some sets the distances of parts of 64 to n
clips (ten random parts of each size).
"""

import dataclasses
import json
from pathlib import Path

from common import new_parser, write_record  # first: it sets how torch waits

CURVES = 'real', 'codec', 'noise-20dB', 'low-pass'  # sets
EMBEDDERS = 'musicnn', 'log-mel statistics'
SIZES = 32, 64, 128, 256, 512, 1024
SAID = 'KAD', 'FD', 'KAD log-mel statistics', 'agreement'  # on the last line
ABOUT = 'intervals', 'reference', 'listener', 'embedders'  # of every scorecard


def on_the_piano(prompts, first):
    "A maker: every part of every tune on the piano"
    from presto_nb.material.tunes import render

    clips = []
    for p in prompts:
        programs = {k: 0 for k in p.arrangement.programs}
        piano = dataclasses.replace(p.arrangement, programs=programs)
        clips.append(render(piano, p.start, p.seconds))
    return clips


def sets(bank):
    "Name -> maker and how it is made; in no order"
    from presto_nb.evidence.metrics import DISTORTIONS, of_real, through_codec
    from presto_nb.material.codec import SpectralVAE, codec_sha256
    from presto_nb.material.core import sha256

    codec = SpectralVAE.from_pretrained()
    coded = dict(kind='real clips through the codec', codec=codec_sha256(codec))
    found = {
        'codec': (of_real(through_codec(codec)), coded),
        'other font': (of_real(bank=bank), dict(kind='real clips, other font', bank=sha256(bank))),
        'all on the piano': (on_the_piano, dict(kind='real clips, all on the piano')),
    }
    for k, f in DISTORTIONS.items():
        found[k] = of_real(f), dict(kind=f'real clips, {k}')
    return found


def distances(x, y, width, rng):  # embeddings, each [n, dim]
    "By each metric"
    from presto_nb.evidence.metrics import frechet_distance, frechet_inf, frechet_sizes, kad, prdc

    return {
        'KAD': kad(x, y, width),
        'FD': frechet_distance(x, y),
        'FD inf': frechet_inf(x, y, frechet_sizes(*x.shape, 5), rng),
        'coverage': prdc(y, x)['coverage'],
    }


def some_of(z, n, rng):
    "n of the rows, by chance"
    import torch

    return z[torch.randperm(len(z), generator=rng)[:n]]


def spread(values):
    "Mean and standard deviation"
    import torch

    v = torch.tensor(values)
    return [float(v.mean()), float(v.std())]


def curve(z, reference, sizes, draws=10):
    "Distance by number of clips: mean and standard deviation over random parts"
    from presto_nb.evidence.metrics import median_bandwidth
    from presto_nb.material.core import new_rng

    width = median_bandwidth(reference)
    rng = new_rng('curve')
    rows = []
    for n in sizes:
        found = []
        for _ in range(draws):
            x = some_of(z, n, rng)
            y = some_of(reference, n, rng)
            found.append(distances(x, y, width, rng))
        rows.append(dict(clips=n) | {k: spread([d[k] for d in found]) for k in found[0]})
    return rows


def curves_of(ev, heard):
    "Set -> embedder -> rows"
    sizes = [n for n in SIZES if n <= ev.n]
    curves = {k: {} for k in CURVES}
    for k in CURVES:
        for e in EMBEDDERS:
            curves[k][e] = curve(heard[k].embeddings[e], ev.reference.embeddings[e], sizes)
    return curves


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--out', required=True)
    p.add_argument('--n', type=int, default=512)
    p.add_argument('--bank', default='data_samples/sonivox/sonivox.sf3')
    p.add_argument('--record', type=Path)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    from presto_nb.evidence.metrics import Evaluator, LogMelEmbedder, chance

    ev = Evaluator(args.out, args.n, embedders=[LogMelEmbedder()])
    heard = {'real': ev.real} | {k: ev.add(k, *v) for k, v in sets(args.bank).items()}
    cards = {k: ev.scorecard(h) for k, h in heard.items()}
    record = dict(
        clips=args.n,
        seconds=ev.seconds,
        scores={k: c['scores'] for k, c in cards.items()},
        chance=chance(ev.real),
        curves=curves_of(ev, heard),
        **{k: cards['real'][k] for k in ABOUT},
    )
    write_record(args.record, record, 'python recipes/study_metrics.py')
    said = {k: {m: round(s[m][0], 3) for m in SAID} for k, s in record['scores'].items()}
    print(json.dumps(said))


if __name__ == '__main__':
    main()
