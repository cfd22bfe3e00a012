"""Step distillation in the plane, where the truth is known.

    python recipes/study_toy.py [--part NAME ...] [--record data_samples/logs/toy_presto_s.json]

Every run distils the shipped teacher of 20_toy (five seeds in one network) for TURNS fake turns
with batches of BATCH rows a seed, AdamW at LR falling to 0 along a cosine, w = 1. The measure is
the unbiased MMD^2 (bandwidth 0.2) of 4096 ping-pong samples of each seed against 4096 exact ones,
after 1, 2, 4 and 8 steps; a mode counts as found when at least 4 % of the samples are nearest to
it (an equal share is 12.5 %). A run that is in the record is not made again. Written before the
runs:

levels      p_dmd = train is better than inf; p_gan = train better than inf; p_dsm matters least;
            p_gen = train is worse than inf (paper, table 1, as we understand it). Eight choices,
            and all-train.
steps       a generator with continuous levels gets better with every doubling of steps; one with
            the four discrete levels is best at four.
start       an exact real score does worse than the learned one, and a fake score that starts from
            another, equally good network does worse than one that starts from the teacher: because
            what cancels is the *same* error in both. If that is the reason, a fake score that is
            trained more often (ratio 20) must narrow the gap.
baselines   without the GAN, without matching, with the non-saturating game, DMD2-style, offline
            regression: each is worse than presto-s. Backward simulation: no expectation.
normaliser  no expectation.
teacher     a teacher that was trained at the music model's noise only, and so says something else
            than 0 at sigma = 80, makes a worse generator: fewer modes after one step.
usual       added when music had said that p_dmd = inf is far worse, and the plane had not: the
            shipped teacher of the plane was trained at nearly all levels that inf draws, the base
            of the music was not. If that is the reason, inf is worse here, beyond the spread of
            the five seeds, with the teacher that was trained at the music model's noise only.
ratio       A first version of this part gave every ratio the same number of fake turns, so that
            ratio 1 had five times the generator updates of ratio 5, and found nothing. So now
            equal updates of the generator (600 for all), and equal cost (the forwards of 600 cycles
            at ratio 5, by `cycle_forwards`). At equal updates 1 is worse than 5, and 10 is no
            better; at equal cost no expectation.
"""

import argparse
import datetime
import functools
import json
import os
import time
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported

import torch

from presto_nb.dmd import teacher_pairs
from presto_nb.edm import Denoiser
from presto_nb.evidence.health import health
from presto_nb.in_the_plane import distil_toy, toy_samples
from presto_nb.material.core import atomic_path, new_rng
from presto_nb.presto_s import BASELINES, PrestoSConfig, cycle_forwards
from presto_nb.toy import ToyNet, mmd, mmd_quantile, pick_seeds, toy_teacher, train_teacher

RECORD = Path(__file__).resolve().parent.parent / 'data_samples' / 'logs' / 'toy_presto_s.json'
TURNS, BATCH, LR, N = 3000, 128, 1e-3, 4096
STEPS = 1, 2, 4, 8
UPDATES = TURNS // PrestoSConfig().ratio
LOGGED = 'step', 'dsm', 'dmd', 'd_real', 'd_fake', 'gan_g', 'gan_d', 'right_real', 'drift', 'spread'
ring, teacher = toy_teacher()
seeds = teacher.network.seeds
another = Denoiser(pick_seeds(teacher.network, [*range(1, seeds), 0]))  # as good, other errors


@functools.cache
def usual_teacher():
    "The shipped teacher's recipe at LogNormal()"
    rng = new_rng('toy teacher', 'weights')
    net = ToyNet(**teacher.network.sizes, seeds=seeds, generator=rng)
    trained, _ = train_teacher(ring, net, 6000, 256, 5e-3, 1 - 12 / 6000)
    return trained.requires_grad_(False)


def offline():
    "Pairs of the teacher for the regression, 512 a seed"
    noise = torch.randn(512 * seeds, 2, generator=new_rng('toy pairs'))
    return teacher_pairs(teacher.requires_grad_(False), noise, steps=40, batch=len(noise))


def level_choices():
    "Eight sets of switches"
    for a in ('inf', 'train'):
        for b in ('inf', 'train'):
            for c in ('inf', 'train'):
                yield f'gen inf, dmd {a}, dsm {b}, gan {c}', dict(p_dmd=a, p_dsm=b, p_gan=c)


def cycle_cost(ratio):
    "Forwards of a cycle of the toy"
    return cycle_forwards(PrestoSConfig(w=1.0, ratio=ratio), teacher.network.sizes['depth'])


def ratios():
    "The same number of generator updates, and the same cost, as ratio 5"
    for ratio in (1, 3, 10):
        cycles = round(UPDATES * cycle_cost(5) / cycle_cost(ratio))
        yield f'ratio {ratio}, equal updates', dict(ratio=ratio, turns=ratio * UPDATES)
        yield f'ratio {ratio}, equal cost', dict(ratio=ratio, turns=ratio * cycles)


NAMED = 'no-gan', 'no-dmd', 'non-saturating', 'dmd-gan', 'dmd2-simulated', 'offline'
PARTS = dict(
    levels=dict(level_choices()) | {'all train': dict(p_gen='train')},
    steps={'four discrete levels': BASELINES['discrete']},
    start={
        'exact real score': dict(real_score=ring),
        'exact real score, ratio 20': dict(real_score=ring, ratio=20),
        'fake score of another seed': dict(fake_score=another),
        'fake score of another seed, ratio 20': dict(fake_score=another, ratio=20),
        'ratio 20': dict(ratio=20),
    },
    baselines={name: BASELINES[name] for name in NAMED},
    ratio=dict(ratios()),
    normaliser={'not normalised': dict(normalise=False)},
    teacher={'teacher trained at the usual noise': dict(usual=True)},
    usual={
        'usual noise, dmd train': dict(usual=True),
        'usual noise, dmd inf': dict(usual=True, p_dmd='inf'),
    },
)


def shortened(values, digits):
    "Numbers with so many digits"
    return [float(f'{v:.{digits}g}') for v in values]


def shape(x):
    "Modes found, and distance from the nearest mode over the modes' width (rms), of each seed"
    gap, near = (x[:, :, None] - ring.means.float()).norm(dim=-1).min(-1)
    modes = [int((row.bincount(minlength=8) > 0.04 * N).sum()) for row in near]
    width = (gap.square().mean(1) / 2).sqrt() / ring.std[0]
    return dict(modes=modes, width=shortened(width, 3))


def judge(generator):
    "step count -> MMD^2, modes and widths of each seed"
    exact = ring.sample(N, new_rng('toy judge', 'exact'))
    samples = {str(n): toy_samples(generator, n, N) for n in STEPS}
    shapes = {n: shape(x) for n, x in samples.items()}
    found = dict(mmd={n: shortened(mmd(x, exact).tolist(), 4) for n, x in samples.items()})
    for name in ('modes', 'width'):
        found[name] = {n: s[name] for n, s in shapes.items()}
    return found


def run(switches):
    "One distillation: a row of the record"
    switches = dict(switches)
    begun = time.time()
    start = usual_teacher() if switches.pop('usual', False) else teacher
    turns = switches.pop('turns', TURNS)
    players = {k: switches.pop(k) for k in ('real_score', 'fake_score') if k in switches}
    config = PrestoSConfig(**dict(w=1.0, lr=LR) | switches)
    pairs = offline() if config.nu_reg else None
    generator, log = distil_toy(ring, start, config, turns, BATCH, pairs=pairs, **players)
    return judge(generator) | dict(
        switches=config.to_dict(),
        turns=turns,
        evaluations_before=pairs.evaluations if pairs else 0,
        health=list(health(log).values()),
        log={k: shortened(log[k][::5], 3) for k in LOGGED if k in log},
        minutes=round((time.time() - begun) / 60, 2),
        date=datetime.date.today().isoformat(),
    )


def new_record():
    "A record without runs"
    floor = mmd_quantile(ring, N)
    command = 'python recipes/study_toy.py'
    return dict(turns=TURNS, batch=BATCH, lr=LR, n=N, floor=floor, runs={}, command=command)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--part', nargs='+', default=list(PARTS), choices=list(PARTS))
    p.add_argument('--record', type=Path, default=RECORD)
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    teacher.requires_grad_(False)
    known = args.record.is_file()
    record = json.loads(args.record.read_text(encoding='utf-8')) if known else new_record()
    for part in args.part:
        for name, switches in PARTS[part].items():
            if name in record['runs']:
                continue  # a study that was cut goes on
            row = record['runs'][name] = run(switches) | dict(part=part)
            with atomic_path(args.record) as tmp:
                tmp.write_text(json.dumps(record) + '\n', encoding='utf-8')
            medians = {n: sorted(v)[len(v) // 2] / record['floor'] for n, v in row['mmd'].items()}
            print(
                name, {n: f'{v:.1f} floors' for n, v in medians.items()}, row['minutes'], flush=True
            )


if __name__ == '__main__':
    main()
