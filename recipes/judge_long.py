"""Pieces longer than the window, part against part.

    python recipes/judge_long.py [MODEL] [--n 48] [--seconds 32] [--ways blended extended cut]
        [--out data_samples/logs/long.json]
    python recipes/judge_long.py --time

Three ways to a long piece, to captions of the split `valid`: windows blended at every step (what
`generate` does), each window made around the end of the last one, which is known (`extended`), and
windows made alone and cut together (`cut`, the bad join that the measures must find).
Measured: the kernel audio distance of each 10 s to the first 10 s, of other pieces (half of the
pieces against the other half, mean over splits, so that equal distributions give 0); spectral flux
and level at the joins, against elsewhere; correlation of the chroma of 6 s parts with the next
part, the last part, and another piece. musicnn hears what `generate` does; the other two ways are
told from it by their joins.
--time measures a piece of MODEL on two threads, text and decoding included, and when the first
chunk of `stream` is there. Each call adds its rows to the record.
"""

import time
from dataclasses import replace
from pathlib import Path

from common import LOGS, new_parser, read_record, stamped, write_json

import torch
import torch.nn.functional as F

from presto_nb.evidence.latency import processor
from presto_nb.evidence.metrics import LogMelEmbedder, MusicnnEmbedder, held_out_prompts
from presto_nb.evidence.metrics import interval, kad, median_bandwidth
from presto_nb.material.audio import chroma, onset_strength
from presto_nb.material.text import Condition
from presto_nb.material.pieces import starts
from presto_nb.pipeline import MusicPipeline

PROMPT = 'a lively reel on the violin with piano, in G major, at 110 bpm'


# --- three ways to a long piece ----------------------------------------------------------------


def walk_of(pipe, r, frames):
    "The walk from noise to latents"
    return pipe.sampler(replace(r, frames=frames))[1]


def blended(pipe, r, cond):
    "What `generate` does"
    return walk_of(pipe, r, r.frames)(pipe.noise(r.seed, 1, r.frames), cond, [r.seed])


def alone(pipe, r, cond, i, **known):
    "Window number i of a piece, counted from 0, from its own noise"
    seed = r.seed + 10_000 * i
    walk = walk_of(pipe, r, pipe.window)
    return walk(pipe.noise(seed, 1, pipe.window), cond, [seed], **known)


def extended(pipe, r, cond):
    "Each window knows the end of the last one"
    x = alone(pipe, r, cond, 0)
    for i, a in enumerate(starts(r.frames, pipe.window)[1:], 1):
        k = x.shape[1] - a  # frames that are known
        known = F.pad(x[:, a:], (0, 0, 0, pipe.window - k))
        mask = (torch.arange(pipe.window) < k)[:, None]
        y = alone(pipe, r, cond, i, known=known, known_mask=mask)
        x = torch.cat([x, y[:, k:]], 1)
    return x


def cut(pipe, r, cond):
    "No window knows of another"
    at = starts(r.frames, pipe.window)
    half = (pipe.window - at[1]) // 2
    parts = [alone(pipe, r, cond, i)[:, (half if i else 0) :] for i in range(len(at))]
    joins = [a + half for a in at[1:]]
    lengths = [b - a for a, b in zip([0, *joins], [*joins, r.frames])]
    return torch.cat([p[:, :n] for p, n in zip(parts, lengths)], 1)


WAYS = dict(blended=blended, extended=extended, cut=cut)


# --- what is measured --------------------------------------------------------------------------


def joins_of(pipe, r, way):  # s
    "Beginnings, middles and ends of the overlaps, or where the new part begins"
    at = starts(r.frames, pipe.window)
    over = pipe.window - at[1]
    places = dict(blended=(0, over // 2, over), extended=(over,), cut=(over // 2,))[way]
    return [(a + k) / pipe.codec.frame_rate for a in at[1:] for k in places]


def near(t, where, distance):  # s [n]; s; s
    "Which times are near one of some places, [n]"
    return ((t[:, None] - torch.tensor(where)).abs() < distance).any(1)


def flux_at(audio, where):  # s
    "Spectral flux at and apart from the joins, dB"
    flux, fps = onset_strength(audio)
    t = torch.arange(len(flux)) / fps - 2048 / 22050
    inner = (t > 0.5) & (t < audio.seconds - 0.5)
    at = near(t, where, 0.06)
    return flux[at & inner].mean(), flux[~at & inner].mean()


def level_at(audio, where):  # s
    "Level at and apart from the joins, dB"
    power = F.avg_pool1d(audio.samples[None].square(), 4410, 4410)[0, 0]
    t = (torch.arange(len(power)) + 0.5) * 0.1
    inner = (t > 0.5) & (t < audio.seconds - 0.5)
    at = near(t, where, 0.15)
    return [10 * power[m & inner].mean().clamp(min=1e-9).log10() for m in (at, ~at)]


def at_joins(audio, where):  # s
    "Flux at and apart from the joins (dB), level at and apart (dB), [4]"
    return torch.stack([*flux_at(audio, where), *level_at(audio, where)])


def standard(v):
    "Without its mean, of length 1"
    return F.normalize(v - v.mean(-1, keepdim=True), dim=-1)


def corr(x, y):
    "Correlation along the last axis"
    return (standard(x) * standard(y)).sum(-1)


def part_distances(z, splits=50):  # embeddings [n, parts, d]
    "KAD of each part to the first part of other pieces"
    n = len(z)
    width = median_bandwidth(z[:, 0])
    halves = []
    for k in range(splits):
        rng = torch.Generator().manual_seed(k)
        halves.append(torch.randperm(n, generator=rng).chunk(2))
    means = []
    for i in range(z.shape[1]):
        means.append(sum(kad(z[a, i], z[b, 0], width) for a, b in halves) / splits)
    return [round(m, 2) for m in means]


def piece(pipe, way, prompt, seconds, seed):
    "One long piece, and where it was joined"
    r = pipe.request(prompt.caption, seconds, seed=seed)
    cond = Condition.from_prompts(pipe.encoder, [prompt.caption], [prompt.facts['bpm']])
    samples = pipe.codec.decode(WAYS[way](pipe, r, cond))
    (audio,) = pipe.finish(samples, [prompt.caption], seconds)
    return audio, joins_of(pipe, r, way)


def parts_of(audio, seconds, length):
    "A piece in parts of a length"
    return [audio.clip(length * k, length) for k in range(int(seconds / length))]


def measure(pipe, way, prompts, seconds, embedders):
    "Of all pieces: numbers at joins [n, 4]; chroma [n, parts, 12]; embedder -> [n, parts, d]"
    at = []
    chromas = []
    points = {e.name: [] for e in embedders}
    for i, p in enumerate(prompts):
        audio, where = piece(pipe, way, p, seconds, i)
        at.append(at_joins(audio, where))
        chromas.append(torch.stack([chroma(a) for a in parts_of(audio, seconds, 6.0)]))
        for e in embedders:
            points[e.name].append(e(parts_of(audio, seconds, 10.0)).double())
        if i % 8 == 7:
            print(f'{way}: {i + 1} of {len(prompts)}', flush=True)
    points = {k: torch.stack(z) for k, z in points.items()}
    return torch.stack(at).double(), torch.stack(chromas), points


def with_interval(f, n):  # which of n -> number
    "[value, low, high]"
    found = interval(f, n, generator=torch.Generator().manual_seed(0))
    return [round(float(v), 3) for v in found]


def judge(pipe, way, prompts, seconds, embedders):
    "A row of the record"
    at, chromas, points = measure(pipe, way, prompts, seconds, embedders)
    others = chromas.roll(1, 0)
    shown = dict(
        flux_at_joins=lambda i: at[i, 0].mean() / at[i, 1].mean(),
        level_at_joins_db=lambda i: (at[i, 2] - at[i, 3]).mean(),
        chroma_next=lambda i: corr(chromas[i, 1:], chromas[i, :-1]).mean(),
        chroma_last=lambda i: corr(chromas[i, 0], chromas[i, -1]).mean(),
        chroma_other=lambda i: corr(chromas[i, 0], others[i, 0]).mean(),
    )
    n = len(prompts)
    return dict(
        clips=n,
        seconds=seconds,
        **{k: with_interval(f, n) for k, f in shown.items()},
        KAD={k: part_distances(z) for k, z in points.items()},
    )


# --- times -------------------------------------------------------------------------------------


def one_time(pipe, seconds):  # ms
    "A piece, and the first chunk of its stream"
    start = time.perf_counter()
    pipe.generate(PROMPT, seconds, progress=False)
    row = pipe.timings | dict(all=1000 * (time.perf_counter() - start))
    start = time.perf_counter()
    next(pipe.stream(PROMPT, seconds))
    return row | dict(first_sound=1000 * (time.perf_counter() - start))


def timed(pipe, seconds, runs=5):  # ms
    "Medians of generate, and of the first chunk of stream"
    rows = [one_time(pipe, seconds) for _ in range(runs + 1)][1:]  # the first call warms up
    found = {}
    for k in ('text', 'network', 'decode', 'all', 'first_sound'):
        found[f'{k}_ms'] = round(sorted(r[k] for r in rows)[runs // 2], 1)
    return found | dict(runs=runs)


# --- the record --------------------------------------------------------------------------------


def write(args, pipe, name, row):
    "A row into the record"
    record = read_record(args.out)
    words = '--time' if args.time else f'--n {args.n}'
    command = f'python recipes/judge_long.py {args.model} {words}'
    made = stamped(row | dict(check=pipe.config.check), command)
    record.setdefault(args.model, {})[name] = made
    write_json(args.out, record)
    print(name, row, flush=True)


def write_times(args, pipe):
    "Times of three lengths"
    rows = {f'{s:g} s': timed(pipe, s) for s in (6.0, args.seconds, 120.0)}
    write(args, pipe, 'time', rows | dict(threads=2, processor=processor()))


@torch.inference_mode()
def write_ways(args, pipe):
    "What is heard of each way"
    prompts = held_out_prompts(args.n, 'long', args.seconds, 'valid')
    for way in args.ways:
        embedders = [LogMelEmbedder()]
        if way == 'blended' and args.n >= 16:
            embedders.append(MusicnnEmbedder())
        write(args, pipe, way, judge(pipe, way, prompts, args.seconds, embedders))


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('model', nargs='?', default='presto-ls')
    p.add_argument('--n', type=int, default=48)
    p.add_argument('--seconds', type=float, default=32.0)
    p.add_argument('--ways', nargs='+', default=list(WAYS), choices=list(WAYS))
    p.add_argument('--time', action='store_true')
    p.add_argument('--out', type=Path, default=LOGS / 'long.json')
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(2)
    pipe = MusicPipeline.from_pretrained(args.model, device='cpu')
    (write_times if args.time else write_ways)(args, pipe)


if __name__ == '__main__':
    main()
