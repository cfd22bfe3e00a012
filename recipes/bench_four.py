"""Time a shipped model on a route: python recipes/bench_four.py PART [--model NAME] [--mode MODE] [--out data_samples/logs/bench_four.json]

PART is one of
  rows    one piece of 6 s (the models' window), and by base and presto-ls one of 10 s: 215 frames in one go, which the rotary positions allow; distance of latents and samples from eager
  batch   growing batches of 6 s
  saved   presto-ls against presto-s, the network alone, in turn, and beside it what `flops` counts
Each call adds its part to the record. Two threads; medians and quartiles in ms, after all that is prepared once.
"""

import argparse, json, statistics
from presto_nb.tools.cli import wait_awake

wait_awake()  # as in `presto-nb generate`, before torch is imported: threads that sleep at every small step take three times as long
from pathlib import Path


def load(name, seconds=None):
    "A shipped model, allowed to make longer pieces than it was trained at"
    from presto_nb.pipeline import MusicPipeline

    pipe = MusicPipeline.from_pretrained(name, device='cpu')
    if seconds:
        pipe.config = pipe.config.replace(max_seconds=seconds)
    return pipe


def errors(pipe, fast, seconds):
    "Relative distance from eager after the network and after the decoder"
    import torch
    from presto_nb.evidence.latency import own_variant, parts

    def run(p):
        chain = parts(p, own_variant(pipe), 1, seconds)
        with torch.no_grad():
            z = chain['network'](chain['text'](None))
            return z, chain['decode'](z)

    return {
        k: float(f'{((a - b).norm() / b.norm()).item():.2g}')
        for k, a, b in zip(('latents', 'samples'), run(fast), run(pipe))
    }


def rows(name, mode, runs, batches=(1,), lengths=None):
    "Whole calls"
    lengths = lengths or ((6.0, 10.0) if name in ('base', 'presto-ls') else (6.0,))
    from presto_nb.evidence.latency import in_mode, own_variant, row

    pipe = load(name, max(lengths))
    fast, v, out = in_mode(pipe, mode), own_variant(pipe), []
    for seconds in lengths:
        for b in batches:
            out.append(
                row(fast, v, 'eager', b, seconds, 3 * runs if v.few and b == 1 else runs)
                | dict(
                    mode=mode,
                    seconds=seconds,
                    error=errors(pipe, fast, seconds) if b == 1 else None,
                )
            )
    return out


def batch(name, mode, runs):  # seconds of music in a second
    return rows(
        name, mode, runs, (2, 8, 32) if 'presto-s' in name or 'ls' in name else (2, 8), (6.0,)
    )


def saved(name, mode, runs):
    "Time saved by presto-ls over what is counted"
    import torch
    from presto_nb.dit import DiTConfig, flops
    from presto_nb.evidence.latency import compare, evaluations, in_mode, own_variant, parts

    calls, counted = {}, {}
    for name in ('presto-s', 'presto-ls'):
        pipe = in_mode(load(name), mode)
        v = own_variant(pipe)
        chain = parts(pipe, v, 1, 6.0)
        cond = chain['text'](None)
        calls[name] = lambda f=chain['network'], cond=cond: f(cond)
        counted[name] = sum(
            flops(DiTConfig.from_dict(pipe.config.dit), 129, cond.tokens.shape[1], n)
            for n in evaluations(pipe, v)
        )
    with torch.no_grad():
        times = compare(calls, 20 * runs, 5)
    ratios = [ls / s for s, ls in zip(times['presto-s'].runs, times['presto-ls'].runs)]
    time, work = 1 - statistics.median(ratios), 1 - counted['presto-ls'] / counted['presto-s']
    return dict(
        **{k: t.record() for k, t in times.items()},
        flops=counted,
        time_saved=round(time, 4),
        counted_saving=round(work, 4),
        ratio=round(time / work, 3),
    )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('part', choices=('rows', 'batch', 'saved'))
    p.add_argument('--model', default='presto-ls')
    p.add_argument('--mode', default='eager')
    p.add_argument('--runs', type=int, default=5)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--out', type=Path)
    args = p.parse_args(argv)
    import torch
    from presto_nb.material.core import atomic_path
    from presto_nb.evidence.latency import machine

    torch.set_num_threads(args.threads)
    before = machine('cpu')
    part = dict(
        result=globals()[args.part](args.model, args.mode, args.runs),
        **before,
        command=f'python recipes/bench_four.py {args.part} --model {args.model} --mode {args.mode} --runs {args.runs}',
    )
    if args.out:
        record = json.loads(args.out.read_text()) if args.out.is_file() else {}
        record.setdefault(args.part, {}).setdefault(args.mode, {})[args.model] = part
        with atomic_path(args.out) as tmp:
            tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(part))


if __name__ == '__main__':
    main()
