"""Pieces longer than the window, part against part: python recipes/judge_long.py [MODEL] [--n 48] [--seconds 32] [--ways blended extended cut] [--out data_samples/logs/long.json]; python recipes/judge_long.py --time

Three ways to a long piece, to captions of the split `valid`: windows blended at every step (what `generate` does), each window made around the end of the last one, which is known (`extended`), and windows made alone and cut together (`cut`, the bad join that the measures must find).
Measured: the kernel audio distance of each 10 s to the first 10 s, of other pieces (half of the pieces against the other half, mean over splits, so that equal distributions give 0); spectral flux and level at the joins, against elsewhere; correlation of the chroma of 6 s parts with the next part, the last part, and another piece. musicnn hears what `generate` does; the other two ways are told from it by their joins.
--time measures a piece of MODEL on two threads, text and decoding included, and when the first chunk of `stream` is there. Each call adds its rows to the record.
"""

import argparse, datetime, json, os, time

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from dataclasses import replace
from pathlib import Path
import torch, torch.nn.functional as F
from presto_nb.material.audio import chroma, onset_strength
from presto_nb.material.core import atomic_path
from presto_nb.evidence.latency import processor
from presto_nb.evidence.metrics import (
    LogMelEmbedder,
    MusicnnEmbedder,
    held_out_prompts,
    interval,
    kad,
    median_bandwidth,
)
from presto_nb.pipeline import MusicPipeline, starts
from presto_nb.material.text import Condition

PROMPT = 'a lively reel on the violin with piano, in G major, at 110 bpm'


def walk_of(pipe, r, frames):
    return pipe.sampler(replace(r, frames=frames))[1]


def blended(pipe, r, cond):  # what `generate` does
    return walk_of(pipe, r, r.frames)(pipe.noise(r.seed, 1, r.frames), cond, [r.seed])


def alone(pipe, r, cond, i, **known):  # window number i of a piece, from its own noise
    return walk_of(pipe, r, pipe.window)(
        pipe.noise(r.seed + 10_000 * i, 1, pipe.window), cond, [r.seed + 10_000 * i], **known
    )


def extended(pipe, r, cond):  # each window knows the end of the last one
    x, W = alone(pipe, r, cond, 0), pipe.window
    for i, a in enumerate(starts(r.frames, W)[1:], 1):
        k = x.shape[1] - a
        y = alone(
            pipe,
            r,
            cond,
            i,
            known=F.pad(x[:, a:], (0, 0, 0, W - k)),
            known_mask=(torch.arange(W) < k)[:, None],
        )
        x = torch.cat([x, y[:, k:]], 1)
    return x


def cut(pipe, r, cond):  # no window knows of another
    at = starts(r.frames, pipe.window)
    half = (pipe.window - at[1]) // 2
    parts = [alone(pipe, r, cond, i)[:, (half if i else 0) :] for i in range(len(at))]
    return torch.cat(
        [
            p[:, : b - a]
            for p, a, b in zip(
                parts, [0] + [a + half for a in at[1:]], [a + half for a in at[1:]] + [r.frames]
            )
        ],
        1,
    )


def joins(
    pipe, r, way
):  # s: the beginnings, middles and ends of the overlaps, or where the new part begins
    at, W = starts(r.frames, pipe.window), pipe.window
    over = W - at[1]
    return [
        (a + k) / pipe.codec.frame_rate
        for a in at[1:]
        for k in dict(blended=(0, over // 2, over), extended=(over,), cut=(over // 2,))[way]
    ]


def at_joins(audio, where):  # s -> flux at and apart from the joins (dB), level at and apart (dB)
    flux, fps = onset_strength(audio)
    t = torch.arange(len(flux)) / fps - 2048 / 22050
    power = F.avg_pool1d(audio.samples[None].square(), 4410, 4410)[0, 0]
    u = (torch.arange(len(power)) + 0.5) * 0.1
    near = lambda t, s: ((t[:, None] - torch.tensor(where)).abs() < s).any(1)
    inner = lambda t: (t > 0.5) & (t < audio.seconds - 0.5)
    level = lambda m: 10 * power[m & inner(u)].mean().clamp(min=1e-9).log10()
    return torch.stack(
        [
            flux[near(t, 0.06) & inner(t)].mean(),
            flux[~near(t, 0.06) & inner(t)].mean(),
            level(near(u, 0.15)),
            level(~near(u, 0.15)),
        ]
    )


def corr(x, y):
    z = lambda v: F.normalize(v - v.mean(-1, keepdim=True), dim=-1)
    return (z(x) * z(y)).sum(-1)


def part_distances(
    z, splits=50
):  # embeddings [n, parts, d] -> KAD of each part to the first part of other pieces
    n, s = len(z), median_bandwidth(z[:, 0])
    halves = [
        torch.randperm(n, generator=torch.Generator().manual_seed(k)).chunk(2)
        for k in range(splits)
    ]
    return [
        round(sum(kad(z[a, i], z[b, 0], s) for a, b in halves) / splits, 2)
        for i in range(z.shape[1])
    ]


def judge(pipe, way, prompts, seconds, embedders):
    J, C, Z = [], [], {e.name: [] for e in embedders}
    for i, p in enumerate(prompts):
        r = pipe.request(p.caption, seconds, seed=i)
        cond = Condition.from_prompts(pipe.encoder, [p.caption], [p.facts['bpm']])
        (a,) = pipe.finish(pipe.codec.decode(globals()[way](pipe, r, cond)), [p.caption], seconds)
        J.append(at_joins(a, joins(pipe, r, way)))
        C.append(torch.stack([chroma(a.clip(6.0 * k, 6.0)) for k in range(int(seconds / 6))]))
        for e in embedders:
            Z[e.name].append(e([a.clip(10.0 * k, 10.0) for k in range(int(seconds / 10))]).double())
        if i % 8 == 7:
            print(f'{way}: {i + 1} of {len(prompts)}', flush=True)
    J, C, n = torch.stack(J).double(), torch.stack(C), len(prompts)
    show = lambda f: [
        round(float(v), 3) for v in interval(f, n, generator=torch.Generator().manual_seed(0))
    ]
    return dict(
        clips=n,
        seconds=seconds,
        flux_at_joins=show(lambda i: J[i, 0].mean() / J[i, 1].mean()),
        level_at_joins_db=show(lambda i: (J[i, 2] - J[i, 3]).mean()),
        chroma_next=show(lambda i: corr(C[i, 1:], C[i, :-1]).mean()),
        chroma_last=show(lambda i: corr(C[i, 0], C[i, -1]).mean()),
        chroma_other=show(lambda i: corr(C[i, 0], C.roll(1, 0)[i, 0]).mean()),
        KAD={k: part_distances(torch.stack(z)) for k, z in Z.items()},
    )


def timed(pipe, seconds, runs=5):  # ms: medians of generate, and of the first chunk of stream
    rows, first = [], []
    for _ in range(runs + 1):
        t = time.perf_counter()
        pipe.generate(PROMPT, seconds, progress=False)
        rows.append(pipe.timings | dict(all=1000 * (time.perf_counter() - t)))
        t = time.perf_counter()
        next(pipe.stream(PROMPT, seconds))
        first.append(1000 * (time.perf_counter() - t))
    median = lambda v: round(sorted(v[1:])[runs // 2], 1)  # the first call warms up
    return {
        f'{k}_ms': median([r[k] for r in rows]) for k in ('text', 'network', 'decode', 'all')
    } | dict(first_sound_ms=median(first), runs=runs)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('model', nargs='?', default='presto-ls')
    p.add_argument('--n', type=int, default=48)
    p.add_argument('--seconds', type=float, default=32.0)
    p.add_argument(
        '--ways',
        nargs='+',
        default=['blended', 'extended', 'cut'],
        choices=['blended', 'extended', 'cut'],
    )
    p.add_argument('--time', action='store_true')
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent / 'data_samples' / 'logs' / 'long.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(2)
    pipe = MusicPipeline.from_pretrained(args.model, device='cpu')

    def write(name, row):  # into the record
        record = json.loads(args.out.read_text()) if args.out.is_file() else {}
        record.setdefault(args.model, {})[name] = row | dict(
            check=pipe.config.check,
            date=datetime.date.today().isoformat(),
            command=' '.join(
                [
                    'python recipes/judge_long.py',
                    args.model,
                    '--time' if args.time else f'--n {args.n}',
                ]
            ),
        )
        with atomic_path(args.out) as tmp:
            tmp.write_text(json.dumps(record, indent=1) + '\n')
        print(name, row, flush=True)

    if args.time:
        return write(
            'time',
            {f'{s:g} s': timed(pipe, s) for s in (6.0, args.seconds, 120.0)}
            | dict(threads=2, processor=processor()),
        )
    prompts = held_out_prompts(args.n, 'long', args.seconds, 'valid')
    with torch.inference_mode():
        for way in args.ways:
            write(
                way,
                judge(
                    pipe,
                    way,
                    prompts,
                    args.seconds,
                    [LogMelEmbedder()]
                    + ([MusicnnEmbedder()] if way == 'blended' and args.n >= 16 else []),
                ),
            )


if __name__ == '__main__':
    main()
