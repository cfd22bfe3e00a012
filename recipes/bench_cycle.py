"""What a cycle of step distillation costs: python recipes/bench_cycle.py [--threads 1] [--out data_samples/logs/bench_cycle.json]

A cycle is five fake turns and one generator turn. It is counted in forward passes of one batch (a backward pass counts as two) by `cycle_forwards`, and timed through the training loop, data,
optimisers, averages and log included, beside a forward pass of the same batch, as it runs in training
(keeping what its backward pass will need) and without gradients, where the network has faster paths; ROUNDS of all in turn, medians of the quotients. The study base, batch 8, random latents. The target: at most 1.15 times the count.
"""

import argparse, datetime, json, os, statistics, tempfile, time

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, new_rng
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_s import BASELINES, PrestoSConfig, PrestoSStage, cycle_forwards
from presto_nb.training import Trainer, TrainConfig, _load_part, _train_step

ROUNDS, BATCH = 7, 8


class Noise:
    "Random latents with one caption, as `LatentWindows` gives them"

    frames, captions = 129, [['a lively reel in D major on the fiddle with guitar at 120 bpm']] * 64

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


def measure(pipe, variant, w):
    "Counted and measured forwards of a variant"
    config = PrestoSConfig(**BASELINES[variant] | dict(w=w, lr=1e-4))
    stage = PrestoSStage(pipe.denoiser, Noise(), pipe.encoder, config, pipe.codec.frame_rate)
    trainer = Trainer(
        stage,
        TrainConfig(steps=1000, batch_size=BATCH, quiet=True, device='cpu'),
        tempfile.mkdtemp(),
    )
    load = lambda step, part: _load_part(trainer, step, part)
    batch = Noise().batch(range(BATCH), new_rng('bench'))
    cond = stage.condition(trainer, batch['captions'], batch['bpm'])
    sigma = torch.ones(BATCH)

    def forward():
        stage.players.generator(batch['x0'], sigma, cond)

    plain = torch.no_grad()(forward)
    cycle = lambda: [_train_step(trainer, load) for _ in range(config.ratio)]
    cycle()
    forward()
    plain()
    rounds = [
        (timed(cycle), *(statistics.median(timed(f) for _ in range(5)) for f in (forward, plain)))
        for _ in range(ROUNDS)
    ]
    c, f, n = (statistics.median(v) for v in zip(*rounds))
    counted = cycle_forwards(config, len(pipe.denoiser.network.blocks))
    over = lambda i: round(statistics.median(r[0] / r[i] for r in rounds) / counted, 3)
    return dict(
        variant=variant,
        w=w,
        counted=counted,
        cycle_s=round(c, 3),
        forward_ms=round(1000 * f, 1),
        forward_no_grad_ms=round(1000 * n, 1),
        ratio=over(1),
        ratio_no_grad=over(2),
    )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--threads', type=int, default=1)
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'bench_cycle.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    pipe = MusicPipeline.from_pretrained('base')
    rows = [measure(pipe, v, w) for v, w in (('presto-s', 4.5), ('presto-s', 1.0), ('no-gan', 1.0))]
    record = dict(
        rows=rows,
        batch=BATCH,
        frames=129,
        rounds=ROUNDS,
        threads=args.threads,
        torch=torch.__version__,
        date=datetime.date.today().isoformat(),
        command=f'python recipes/bench_cycle.py --threads {args.threads}',
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))


if __name__ == '__main__':
    main()
