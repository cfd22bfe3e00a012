"""Time the formulas of the metrics.

    python recipes/bench_metrics.py [--n 5000] [--dim 200] [--threads 2]
        [--out data_samples/logs/bench_metrics.json]

n embeddings against n: Frechet distance, KAD with its median bandwidth, CMMD, and precision,
recall, density and coverage, each once, in float64. Wall time, and the processor's time over all
threads, which other work on the machine moves less. Memory is what the process holds at its peak
beyond what it held before, embeddings included. The last line is JSON.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

from common import new_parser, write_record  # first: it sets how torch waits


def peak_mb():
    "Most memory held so far, MB"
    unit = 1e6 if sys.platform == 'darwin' else 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def two_sets(n, dim):
    "Embeddings of two sets, each [n, dim]"
    import torch
    from presto_nb.material.core import new_rng

    rng = new_rng('bench_metrics')
    x = torch.randn(n, dim, generator=rng)
    y = 1.1 * torch.randn(n, dim, generator=rng) + 0.1
    return x, y


def time_all(x, y):
    "Name of a formula -> seconds"
    from presto_nb.evidence.metrics import cmmd, frechet_distance, kad, prdc

    seconds = {}
    for f in (frechet_distance, kad, cmmd, prdc):
        start = time.perf_counter()
        score = f(x, y)
        seconds[f.__name__] = round(time.perf_counter() - start, 2)
        print(f'{f.__name__:17s} {seconds[f.__name__]:6.2f} s   {score}')
    return seconds


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--n', type=int, default=5000)
    p.add_argument('--dim', type=int, default=200)
    p.add_argument('--threads', type=int, default=2)
    p.add_argument('--out', type=Path)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    import torch
    import presto_nb.evidence.metrics  # noqa: F401  not part of what is measured

    torch.set_num_threads(args.threads)
    before = peak_mb()
    x, y = two_sets(args.n, args.dim)
    cpu = time.process_time()
    seconds = time_all(x, y)
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
    )
    print(json.dumps(write_record(args.out, record, 'python recipes/bench_metrics.py')))


if __name__ == '__main__':
    main()
