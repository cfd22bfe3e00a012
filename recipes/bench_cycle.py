"""What a cycle of step distillation costs.

    python recipes/bench_cycle.py [--threads 1] [--out data_samples/logs/bench_cycle.json]

A cycle is five fake turns and one generator turn. It is counted in forward passes of one batch (a
backward pass counts as two) by `cycle_forwards`, and timed through the training loop, data,
optimisers, averages and log included. Beside it a forward pass of the same batch is timed, as it
runs in training (keeping what its backward pass will need) and without gradients, where the network
has faster paths. All take their turns for ROUNDS rounds, and medians of the quotients are written
down. The study base, batch 8, random latents. The target: at most 1.15 times the count.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from common import LOGS, new_parser, write_record  # first: it sets how torch waits

import torch

from presto_nb.material.core import new_rng
from presto_nb.material.runs import load_part
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_s import BASELINES, PrestoSConfig, cycle_forwards
from presto_nb.presto_s_on_music import PrestoSStage
from presto_nb.training import Trainer, TrainConfig, _train_step

ROUNDS = 7
BATCH = 8
CASES = ('presto-s', 4.5), ('presto-s', 1.0), ('no-gan', 1.0)  # variant, guidance strength


class Noise:
    "Random latents with one caption, as `LatentWindows` gives them"

    frames = 129
    captions = [['a lively reel in D major on the fiddle with guitar at 120 bpm']] * 64

    def __len__(self):
        return 64

    def batch(self, indices, generator):
        return dict(
            x0=0.5 * torch.randn(len(indices), 129, 64, generator=generator),
            captions=[self.captions[0][0]] * len(indices),
            bpm=torch.full((len(indices),), 120.0),
            ids=indices,
        )


def timed(f):
    "Seconds"
    start = time.perf_counter()
    f()
    return time.perf_counter() - start


def median_time(f):
    "Seconds, the median of five calls"
    return statistics.median(timed(f) for _ in range(5))


def new_trainer(pipe, config):
    "A trainer of the stage on noise"
    stage = PrestoSStage(pipe.denoiser, Noise(), pipe.encoder, config, pipe.codec.frame_rate)
    run = TrainConfig(steps=1000, batch_size=BATCH, quiet=True, device='cpu')
    return stage, Trainer(stage, run, tempfile.mkdtemp())


def calls(pipe, config):
    "A cycle, a forward as in training, a forward without gradients"
    stage, trainer = new_trainer(pipe, config)
    batch = Noise().batch(range(BATCH), new_rng('bench'))
    cond = stage.condition(trainer, batch['captions'], batch['bpm'])
    sigma = torch.ones(BATCH)

    def load(step, part):
        return load_part(trainer, step, part)

    def cycle():
        for _ in range(config.ratio):
            _train_step(trainer, load)

    def forward():
        stage.players.generator(batch['x0'], sigma, cond)

    return cycle, forward, torch.no_grad()(forward)


def measure(pipe, variant, w):
    "Counted and measured forwards of a variant"
    config = PrestoSConfig(**BASELINES[variant] | dict(w=w, lr=1e-4))
    cycle, forward, plain = calls(pipe, config)
    for f in (cycle, forward, plain):
        f()  # the first call warms up
    rounds = [(timed(cycle), median_time(forward), median_time(plain)) for _ in range(ROUNDS)]
    cycle_s, forward_s, plain_s = (statistics.median(v) for v in zip(*rounds))
    counted = cycle_forwards(config, len(pipe.denoiser.network.blocks))
    over_forward = statistics.median(c / f for c, f, _ in rounds)
    over_plain = statistics.median(c / n for c, _, n in rounds)
    return dict(
        variant=variant,
        w=w,
        counted=counted,
        cycle_s=round(cycle_s, 3),
        forward_ms=round(1000 * forward_s, 1),
        forward_no_grad_ms=round(1000 * plain_s, 1),
        ratio=round(over_forward / counted, 3),
        ratio_no_grad=round(over_plain / counted, 3),
    )


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--out', type=Path, default=LOGS / 'bench_cycle.json')
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    pipe = MusicPipeline.from_pretrained('base')
    record = dict(
        rows=[measure(pipe, variant, w) for variant, w in CASES],
        batch=BATCH,
        frames=129,
        rounds=ROUNDS,
        threads=args.threads,
        torch=torch.__version__,
    )
    command = f'python recipes/bench_cycle.py --threads {args.threads}'
    print(json.dumps(write_record(args.out, record, command)))


if __name__ == '__main__':
    main()
