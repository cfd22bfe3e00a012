"""Time what lies around the network.

    python recipes/bench_parts.py [--out data_samples/logs/bench_parts.json]

Rendering: eight tunes of the collection, arranged and rendered whole with loudness normalisation,
one core, after a first pass that fills the cache of held tones. Codec: six seconds encoded at batch
1 on two cores (decoding is timed by `presto-nb bench`). Import: `import presto_nb.pipeline` in a
fresh process beyond `import torch`. Wall time, the median of several runs. The last line is JSON.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import new_parser, write_record  # first: it sets how torch waits

IMPORT = """
import torch, time
t = time.perf_counter()
import presto_nb.pipeline
print(time.perf_counter() - t)
"""


def median_time(f, runs=7):
    "Seconds of one call, after a warm-up"
    times = []
    for _ in range(runs + 1):
        t = time.perf_counter()
        f()
        times.append(time.perf_counter() - t)
    return statistics.median(times[1:])


def rendering():
    "Times real time"
    from presto_nb.material.tunes import arrange, read_tunes, render

    arrangements = [arrange(t) for t in read_tunes()[5::400]]
    seconds = sum(render(a).seconds for a in arrangements)
    return round(seconds / median_time(lambda: [render(a) for a in arrangements], 3))


def encoding(seconds=6):
    "Times real time"
    import torch
    from presto_nb.material.codec import SpectralVAE

    torch.set_num_threads(2)
    vae = SpectralVAE.from_pretrained()
    frames = round(seconds * vae.frame_rate)
    audio = 0.1 * torch.randn(1, 1, frames * vae.hop, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return round(seconds / median_time(lambda: vae.encode(audio)))


def one_import():
    "Seconds beyond torch, in a fresh process"
    words = [sys.executable, '-c', IMPORT]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--out', type=Path)
    args = p.parse_args(argv)
    import torch

    imports = round(statistics.median(one_import() for _ in range(5)), 2)
    torch.set_num_threads(1)
    record = dict(
        rendering_times_real_time=rendering(),
        encode_times_real_time=encoding(),
        import_seconds_beyond_torch=imports,
        load_average=os.getloadavg()[0],
        torch=torch.__version__,
    )
    print(json.dumps(write_record(args.out, record, 'python recipes/bench_parts.py')))


if __name__ == '__main__':
    main()
