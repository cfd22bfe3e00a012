"""How far to trust the metrics: python recipes/study_metrics.py --out EVALUATION [--n 512] [--bank data_samples/sonivox/sonivox.sf3] [--record data_samples/logs/metrics_study.json]

Real clips of held-out tunes are spoilt in eight known ways, and every metric is asked how far they are from other real clips. Clips and what was heard of them lie in
the folder EVALUATION, which `presto-nb evaluate` uses as well, and are made once. The record holds, for each set, all scores with intervals (nbs/studies/60 shows them),
and for some sets the distances of parts of 64 to n clips (ten random parts of each size).
"""

import argparse, dataclasses, datetime, json, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path


def on_the_piano(prompts, first):
    "A maker: every part of every tune on the piano"
    from presto_nb.material.tunes import render

    return [
        render(
            dataclasses.replace(p.arrangement, programs={k: 0 for k in p.arrangement.programs}),
            p.start,
            p.seconds,
        )
        for p in prompts
    ]


def sets(bank):
    "Name -> maker and how it is made; in no order"
    from presto_nb.material.codec import SpectralVAE, codec_sha256
    from presto_nb.material.core import sha256
    from presto_nb.evidence.metrics import DISTORTIONS, of_real, through_codec

    codec = SpectralVAE.from_pretrained()
    return {
        'codec': (
            of_real(through_codec(codec)),
            dict(kind='real clips through the codec', codec=codec_sha256(codec)),
        ),
        'other font': (of_real(bank=bank), dict(kind='real clips, other font', bank=sha256(bank))),
        'all on the piano': (on_the_piano, dict(kind='real clips, all on the piano')),
    } | {k: (of_real(f), dict(kind=f'real clips, {k}')) for k, f in DISTORTIONS.items()}


def curve(z, reference, sizes, draws=10):
    "Distance by number of clips: mean and standard deviation over random parts"
    import torch
    from presto_nb.material.core import new_rng
    from presto_nb.evidence.metrics import (
        frechet_distance,
        frechet_inf,
        frechet_sizes,
        kad,
        median_bandwidth,
        prdc,
    )

    width, g, rows = median_bandwidth(reference), new_rng('curve'), []
    for n in sizes:
        found = {}
        for _ in range(draws):
            x, y = (
                z[torch.randperm(len(z), generator=g)[:n]],
                reference[torch.randperm(len(reference), generator=g)[:n]],
            )
            d = {
                'KAD': kad(x, y, width),
                'FD': frechet_distance(x, y),
                'FD inf': frechet_inf(x, y, frechet_sizes(*x.shape, 5), g),
                'coverage': prdc(y, x)['coverage'],
            }
            for k, v in d.items():
                found.setdefault(k, []).append(v)
        rows.append(
            dict(clips=n)
            | {
                k: [float(torch.tensor(v).mean()), float(torch.tensor(v).std())]
                for k, v in found.items()
            }
        )
    return rows


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--out', required=True)
    p.add_argument('--n', type=int, default=512)
    p.add_argument('--bank', default='data_samples/sonivox/sonivox.sf3')
    p.add_argument('--record', type=Path)
    args = p.parse_args(argv)
    from presto_nb.material.core import atomic_path
    from presto_nb.evidence.metrics import Evaluator, LogMelEmbedder, chance

    ev = Evaluator(args.out, args.n, embedders=[LogMelEmbedder()])
    heard = {'real': ev.real} | {k: ev.add(k, *v) for k, v in sets(args.bank).items()}
    cards = {k: ev.scorecard(h) for k, h in heard.items()}
    sizes = [n for n in (32, 64, 128, 256, 512, 1024) if n <= args.n]
    curves = {
        k: {
            e: curve(heard[k].embeddings[e], ev.reference.embeddings[e], sizes)
            for e in ('musicnn', 'log-mel statistics')
        }
        for k in ('real', 'codec', 'noise-20dB', 'low-pass')
    }
    record = dict(
        clips=args.n,
        seconds=ev.seconds,
        scores={k: c['scores'] for k, c in cards.items()},
        chance=chance(ev.real),
        curves=curves,
        intervals=cards['real']['intervals'],
        reference=cards['real']['reference'],
        listener=cards['real']['listener'],
        embedders=cards['real']['embedders'],
        date=datetime.date.today().isoformat(),
        command='python recipes/study_metrics.py',
    )
    if args.record:
        with atomic_path(args.record) as tmp:
            tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(
        json.dumps(
            {
                k: {
                    m: round(s[m][0], 3)
                    for m in ('KAD', 'FD', 'KAD log-mel statistics', 'agreement')
                }
                for k, s in record['scores'].items()
            }
        )
    )


if __name__ == '__main__':
    main()
