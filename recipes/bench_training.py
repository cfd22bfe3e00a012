"""Counted operations of a training step for each second of a processor.

    python recipes/bench_training.py [--presets study laptop] [--steps 4]

One step is a batch of 32 random windows of the preset's length with 16 text tokens: forward,
backward, clipping, AdamW. Counted are the products of `presto_nb.skipping.flops`, three times
(forward, and twice as much backward). Each way runs in a process of its own on one thread, and the
least of `--steps` steps counts. Seconds are the processor's, so other work on the machine disturbs
them little. For a record, let nothing else run. The last line is JSON.
"""

import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

from common import LOGS, new_parser, write_record  # first: it sets how torch waits

import torch

from presto_nb.dit import PRESETS, DiT
from presto_nb.skipping import flops
from presto_nb.edm import Denoiser, LogNormal, edm_loss
from presto_nb.material.runs import faster_precision
from presto_nb.material.text import Condition

WAYS = {  # autocast to bf16?, blocks compiled?
    'bf16': (True, False),
    'float32': (False, False),
    'bf16, compiled': (True, True),
    'float32, compiled': (False, True),
}
ROWS = 32
TOKENS = 16


def random_batch(config):
    "Latents, condition, noise levels and noise of one step"
    x0 = 0.5 * torch.randn(ROWS, config.max_frames, config.channels)
    tokens = torch.randn(ROWS, TOKENS, config.text_dim)
    mask = torch.ones(ROWS, TOKENS, dtype=torch.bool)
    cond = Condition(tokens, mask, torch.full((ROWS,), 120.0))
    return x0, cond, LogNormal().sample(ROWS), torch.randn_like(x0)


def step_time(denoiser, optimizer, batch, low):
    "Processor seconds of one step"
    start = time.process_time()
    with torch.autocast('cpu', torch.bfloat16, enabled=low):
        loss = edm_loss(denoiser, *batch).mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(denoiser.network.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return time.process_time() - start


def seconds(config, low, compiled, steps):
    "Processor seconds of each step"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = DiT(config)
    denoiser = Denoiser(network)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    for block in network.blocks if compiled else ():
        block.compile()
    spent = []
    for _ in range(steps + 2):
        spent.append(step_time(denoiser, optimizer, random_batch(config), low))
    return spent[2:]  # the first two compile and fill caches


def product(dtype, tries=20):
    "GFLOP per processor second of a bare product of the shape that `laptop` multiplies most"
    torch.set_num_threads(1)
    config = PRESETS['laptop']
    rows = ROWS * config.max_frames
    width = config.width
    x = torch.randn(rows, width).to(dtype)
    w = torch.randn(width, 3 * width).to(dtype)
    spent = []
    for _ in range(tries):
        start = time.process_time()
        x @ w
        spent.append(time.process_time() - start)
    return round(2 * rows * width * 3 * width / min(spent) / 1e9)


def one(preset, way, steps):
    "The row of one way, as JSON on the last line"
    config = PRESETS[preset]
    spent = min(seconds(config, *WAYS[way], steps))
    counted = 3 * ROWS * flops(config, config.max_frames, TOKENS) / 1e9
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    row = dict(
        preset=preset,
        way=way,
        seconds=round(spent, 3),
        counted_gflop=round(counted, 1),
        gflop_per_second=round(counted / spent, 1),
        memory_mb=round(memory),
    )
    print(json.dumps(row))


def row_of(preset, way, steps):
    "The row of one way, measured in a fresh process"
    command = [sys.executable, __file__, '--steps', str(steps), '--one', preset, way]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{preset:8} {way:18} {row['seconds']:6.2f} s a step, "
        f"{row['gflop_per_second']:5.0f} counted GFLOP/s, {row['memory_mb']:5} MB",
        flush=True,
    )
    return row


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--presets', nargs='+', choices=PRESETS, default=['study', 'laptop'])
    p.add_argument('--steps', type=int, default=4)
    p.add_argument('--one', nargs=2, metavar=('PRESET', 'WAY'), help='one row, in this process')
    p.add_argument('--out', type=Path, default=LOGS / 'bench_training.json')
    args = p.parse_args(argv)
    if args.one:
        return one(*args.one, args.steps)
    rows = [row_of(preset, way, args.steps) for preset in args.presets for way in WAYS]
    products = {k: product(getattr(torch, k)) for k in ('float32', 'bfloat16')}
    print('a bare product:', products)
    record = dict(
        rows=rows,
        product=products,
        torch=torch.__version__,
        machine=platform.machine(),
        tile_unit=faster_precision('cpu') == 'bf16',
    )
    print(json.dumps(write_record(args.out, record, 'python recipes/bench_training.py')))


if __name__ == '__main__':
    main()
