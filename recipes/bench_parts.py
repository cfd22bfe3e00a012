"""Time what lies around the network: python recipes/bench_parts.py [--out data_samples/logs/bench_parts.json]

Rendering: eight tunes of the collection, arranged and rendered whole with loudness normalisation, one core, after a first pass that fills the cache of
held tones. Codec: six seconds encoded at batch 1 on two cores (decoding is timed by `presto-nb bench`). Import: `import presto_nb.pipeline` in a fresh process beyond `import torch`.
Wall time, the median of several runs. The last line is JSON.
"""

import argparse, datetime, json, os, statistics, subprocess, sys, time

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path


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


def codec(seconds=6):
    "Times real time of encoding"
    import torch
    from presto_nb.material.codec import SpectralVAE

    torch.set_num_threads(2)
    vae = SpectralVAE.from_pretrained()
    frames = round(seconds * vae.frame_rate)
    audio = 0.1 * torch.randn(1, 1, frames * vae.hop, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return dict(encode_times_real_time=round(seconds / median_time(lambda: vae.encode(audio))))


def import_seconds():
    "Beyond torch, in a fresh process"
    code = 'import torch, time; t = time.perf_counter(); import presto_nb.pipeline; print(time.perf_counter() - t)'
    return round(
        statistics.median(
            float(
                subprocess.run(
                    [sys.executable, '-c', code], capture_output=True, text=True, check=True
                ).stdout
            )
            for _ in range(5)
        ),
        2,
    )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--out', type=Path)
    args = p.parse_args(argv)
    import torch
    from presto_nb.material.core import atomic_path

    imports = import_seconds()
    torch.set_num_threads(1)
    record = dict(
        rendering_times_real_time=rendering(),
        **codec(),
        import_seconds_beyond_torch=imports,
        load_average=os.getloadavg()[0],
        torch=torch.__version__,
        date=datetime.date.today().isoformat(),
        command='python recipes/bench_parts.py',
    )
    if args.out:
        with atomic_path(args.out) as tmp:
            tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))


if __name__ == '__main__':
    main()
