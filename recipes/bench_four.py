"""Time a shipped model on a route.

    python recipes/bench_four.py PART [--model NAME] [--mode MODE]
        [--out data_samples/logs/bench_four.json]

PART is one of
  rows    one piece of 6 s (the models' window), and by base and presto-ls one of 10 s: 215 frames
          in one go, which the rotary positions allow; distance of latents and samples from eager
  batch   growing batches of 6 s
  saved   presto-ls against presto-s, the network alone, in turn, and beside it what `flops` counts
Each call adds its part to the record. Two threads. Medians and quartiles in ms, after all that is
prepared once.
"""

import json
import statistics
from pathlib import Path

from presto_nb.tools.cli import wait_awake

wait_awake()  # as in `presto-nb generate`: threads that sleep take three times as long

import torch

from common import new_parser, read_record, write_json  # after torch, for its threads are to sleep


def load(name, seconds=None):
    "A shipped model, allowed to make longer pieces than it was trained at"
    from presto_nb.pipeline import MusicPipeline

    pipe = MusicPipeline.from_pretrained(name, device='cpu')
    if seconds:
        pipe.config = pipe.config.replace(max_seconds=seconds)
    return pipe


def latents_and_samples(pipe, variant, seconds):
    "What a pipeline makes: after the network, and after the decoder"
    from presto_nb.evidence.latency import parts

    chain = parts(pipe, variant, 1, seconds)
    with torch.no_grad():
        z = chain['network'](chain['text'](None))
        return z, chain['decode'](z)


def errors(pipe, fast, seconds):
    "Relative distance from eager after the network and after the decoder"
    from presto_nb.evidence.latency import own_variant

    ours = latents_and_samples(fast, own_variant(pipe), seconds)
    plain = latents_and_samples(pipe, own_variant(pipe), seconds)
    found = {}
    for name, a, b in zip(('latents', 'samples'), ours, plain):
        found[name] = float(f'{((a - b).norm() / b.norm()).item():.2g}')
    return found


def rows(name, mode, runs, batches=(1,), lengths=None):
    "Whole calls"
    from presto_nb.evidence.latency import in_mode, own_variant, row

    lengths = lengths or ((6.0, 10.0) if name in ('base', 'presto-ls') else (6.0,))
    pipe = load(name, max(lengths))
    fast = in_mode(pipe, mode)
    v = own_variant(pipe)
    out = []
    for seconds in lengths:
        for b in batches:
            times = 3 * runs if v.few and b == 1 else runs
            error = errors(pipe, fast, seconds) if b == 1 else None
            about = dict(mode=mode, seconds=seconds, error=error)
            out.append(row(fast, v, 'eager', b, seconds, times) | about)
    return out


def batch(name, mode, runs):
    "Seconds of music in a second"
    sizes = (2, 8, 32) if 'presto-s' in name or 'ls' in name else (2, 8)
    return rows(name, mode, runs, sizes, (6.0,))


def network_call(name, mode):
    "The network's part of a call of 6 s, and its counted operations"
    from presto_nb.dit import DiTConfig
    from presto_nb.skipping import flops
    from presto_nb.evidence.latency import evaluations, in_mode, own_variant, parts

    pipe = in_mode(load(name), mode)
    v = own_variant(pipe)
    chain = parts(pipe, v, 1, 6.0)
    cond = chain['text'](None)
    config = DiTConfig.from_dict(pipe.config.dit)
    tokens = cond.tokens.shape[1]
    work = sum(flops(config, 129, tokens, n) for n in evaluations(pipe, v))
    return lambda: chain['network'](cond), work


def saved(name, mode, runs):
    "Time saved by presto-ls over what is counted"
    from presto_nb.evidence.latency import compare

    made = {name: network_call(name, mode) for name in ('presto-s', 'presto-ls')}
    counted = {name: work for name, (_, work) in made.items()}
    with torch.no_grad():
        times = compare({name: call for name, (call, _) in made.items()}, 20 * runs, 5)
    ratios = [ls / s for s, ls in zip(times['presto-s'].runs, times['presto-ls'].runs)]
    time = 1 - statistics.median(ratios)
    work = 1 - counted['presto-ls'] / counted['presto-s']
    return dict(
        **{k: t.record() for k, t in times.items()},
        flops=counted,
        time_saved=round(time, 4),
        counted_saving=round(work, 4),
        ratio=round(time / work, 3),
    )


PARTS = dict(rows=rows, batch=batch, saved=saved)


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('part', choices=tuple(PARTS))
    p.add_argument('--model', default='presto-ls')
    p.add_argument('--mode', default='eager')
    p.add_argument('--runs', type=int, default=5)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--out', type=Path)
    return p.parse_args(argv)


def main(argv=None):
    from presto_nb.evidence.latency import machine

    args = arguments(argv)
    torch.set_num_threads(args.threads)
    where = machine('cpu')  # before it is busy
    words = f'{args.part} --model {args.model} --mode {args.mode} --runs {args.runs}'
    part = dict(
        result=PARTS[args.part](args.model, args.mode, args.runs),
        **where,
        command=f'python recipes/bench_four.py {words}',
    )
    if args.out:
        record = read_record(args.out)
        record.setdefault(args.part, {}).setdefault(args.mode, {})[args.model] = part
        write_json(args.out, record)
    print(json.dumps(part))


if __name__ == '__main__':
    main()
