"""Time the formulas: python recipes/bench_metrics.py [--n 5000] [--dim 200] [--threads 2] [--out data_samples/logs/bench_metrics.json]

n embeddings against n: Frechet distance, KAD with its median bandwidth, CMMD, and precision, recall, density and coverage, each once, in float64. Wall time,
and the processor's time over all threads, which other work on the machine moves less. Memory is what the process holds at its peak beyond what it held
before, embeddings included. The last line is JSON.
"""

import argparse, datetime, json, os, resource, sys, time

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path


def peak_mb():
    "Most memory held so far, MB"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if sys.platform == 'darwin' else 1e3
    )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--n', type=int, default=5000)
    p.add_argument('--dim', type=int, default=200)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--out', type=Path)
    args = p.parse_args(argv)
    import torch
    from presto_nb.material.core import atomic_path, new_rng
    from presto_nb.evidence.metrics import cmmd, frechet_distance, kad, prdc

    torch.set_num_threads(args.threads)
    g = new_rng('bench_metrics')
    before = peak_mb()
    x, y = (
        torch.randn(args.n, args.dim, generator=g),
        1.1 * torch.randn(args.n, args.dim, generator=g) + 0.1,
    )
    seconds, scores, cpu = {}, {}, time.process_time()
    for f in (frechet_distance, kad, cmmd, prdc):
        t = time.perf_counter()
        scores[f.__name__] = f(x, y)
        seconds[f.__name__] = round(time.perf_counter() - t, 2)
        print(f"{f.__name__:17s} {seconds[f.__name__]:6.2f} s   {scores[f.__name__]}")
    cpu = time.process_time() - cpu
    record = dict(
        n=args.n,
        dim=args.dim,
        threads=args.threads,
        seconds=seconds,
        seconds_together=round(sum(seconds.values()), 2),
        cpu_seconds_together=round(cpu, 2),
        peak_mb_beyond_start=round(peak_mb() - before),
        load_average=round(os.getloadavg()[0], 2),
        torch=torch.__version__,
        date=datetime.date.today().isoformat(),
        command='python recipes/bench_metrics.py',
    )
    if args.out:
        with atomic_path(args.out) as tmp:
            tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))


if __name__ == '__main__':
    main()
