"""Step distillation in the plane, where the truth is known: python recipes/study_toy.py [--part NAME ...] [--record data_samples/logs/toy_presto_s.json]

Every run distils the shipped teacher of 20_toy (five seeds in one network) for TURNS fake turns with batches of BATCH rows a seed, Adam at LR falling to 0 along a cosine, w = 1. The measure is the
unbiased MMD^2 (bandwidth 0.2) of 4096 ping-pong samples of each seed against 4096 exact ones, after 1, 2, 4 and 8 steps; a mode counts as found when at least 4 % of the samples are nearest to it
(an equal share is 12.5 %). Written before the runs:

levels      p_dmd = train is better than inf; p_gan = train better than inf; p_dsm matters least; p_gen = train is worse than inf (paper, table 1, as we understand it). Eight choices, and all-train.
steps       a generator with continuous levels gets better with every doubling of steps; one with the four discrete levels is best at four.
start       an exact real score does worse than the learned one, and a fake score that starts from another, equally good network does worse than one that starts from the teacher: because what cancels
            is the *same* error in both. If that is the reason, a fake score that is trained more often (ratio 20) must narrow the gap.
baselines   without the GAN, without matching, with the non-saturating game, DMD2-style, offline regression: each is worse than presto-s.
ratio       1 and 3 are worse than 5; 10 is no better.
normaliser  no expectation.
teacher     a teacher that was trained at the music model's noise only, and so says something else than 0 at sigma = 80, makes a worse generator: fewer modes after one step.
"""

import argparse, datetime, json, os, time

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, new_rng
from presto_nb.edm import Denoiser
from presto_nb.presto_s import (
    BASELINES,
    PrestoSConfig,
    distil_toy,
    health,
    teacher_pairs,
    toy_samples,
)
from presto_nb.toy import ToyNet, mmd, mmd_quantile, pick_seeds, toy_teacher, train_teacher

TURNS, BATCH, LR, N, STEPS = 3000, 128, 1e-3, 4096, (1, 2, 4, 8)
ring, teacher = toy_teacher()
seeds = teacher.network.seeds
another = Denoiser(
    pick_seeds(teacher.network, [*range(1, seeds), 0])
)  # equally good, with other errors


def usual_teacher():
    "The shipped teacher's recipe at LogNormal()"
    net = ToyNet(**teacher.network.sizes, seeds=seeds, generator=new_rng('toy teacher', 'weights'))
    return train_teacher(ring, net, 6000, 256, 5e-3, 1 - 12 / 6000)[0].requires_grad_(False)


def offline():
    "Pairs of the teacher for the regression, 512 a seed"
    return teacher_pairs(
        teacher.requires_grad_(False),
        torch.randn(512 * seeds, 2, generator=new_rng('toy pairs')),
        steps=40,
        batch=512 * seeds,
    )


levels = {
    f'gen inf, dmd {a}, dsm {b}, gan {c}': dict(p_dmd=a, p_dsm=b, p_gan=c)
    for a in ('inf', 'train')
    for b in ('inf', 'train')
    for c in ('inf', 'train')
}
PARTS = dict(
    levels=levels | {'all train': dict(p_gen='train')},
    steps={'four discrete levels': BASELINES['discrete']},
    start={
        'exact real score': dict(real_score=ring),
        'exact real score, ratio 20': dict(real_score=ring, ratio=20),
        'fake score of another seed': dict(fake_score=another),
        'fake score of another seed, ratio 20': dict(fake_score=another, ratio=20),
        'ratio 20': dict(ratio=20),
    },
    baselines={
        k: BASELINES[k] for k in ('no-gan', 'no-dmd', 'non-saturating', 'dmd-gan', 'offline')
    },
    ratio={f'ratio {r}': dict(ratio=r) for r in (1, 3, 10)},
    normaliser={'not normalised': dict(normalise=False)},
    teacher={'teacher trained at the usual noise': dict(usual=True)},
)


def shape(x):
    "Modes found, and the samples' rms distance from the nearest mode's centre over the modes' own width, of each seed"
    gap, near = (x[:, :, None] - ring.means.float()).norm(dim=-1).min(-1)
    return dict(
        modes=[int((n.bincount(minlength=8) > 0.04 * N).sum()) for n in near],
        width=[float(f'{v:.3g}') for v in (gap.square().mean(1) / 2).sqrt() / ring.std[0]],
    )


def judge(gen):
    "step count -> MMD^2, modes and widths of each seed"
    ref, samples = (
        ring.sample(N, new_rng('toy judge', 'exact')),
        {str(k): toy_samples(gen, k, N) for k in STEPS},
    )
    return dict(
        mmd={k: [float(f'{v:.4g}') for v in mmd(x, ref).tolist()] for k, x in samples.items()}
    ) | {name: {k: shape(x)[name] for k, x in samples.items()} for name in ('modes', 'width')}


def run(switches):
    "One distillation: a row of the record"
    switches = dict(switches)
    start_from = usual_teacher() if switches.pop('usual', False) else teacher
    players = {k: switches[k] for k in ('real_score', 'fake_score') if k in switches}
    config = PrestoSConfig(
        **dict(w=1.0, lr=LR) | {k: v for k, v in switches.items() if k not in players}
    )
    pairs = offline() if config.nu_reg else None
    start = time.time()
    gen, log = distil_toy(ring, start_from, config, TURNS, BATCH, pairs=pairs, **players)
    thin = {
        k: [float(f'{v:.3g}') for v in log[k][::5]]
        for k in (
            'step',
            'dsm',
            'dmd',
            'd_real',
            'd_fake',
            'gan_g',
            'gan_d',
            'right_real',
            'drift',
            'spread',
        )
        if k in log
    }
    return judge(gen) | dict(
        switches=config.to_dict(),
        evaluations_before=pairs.evaluations if pairs else 0,
        health=list(health(log).values()),
        log=thin,
        minutes=round((time.time() - start) / 60, 2),
    )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--part', nargs='+', default=list(PARTS), choices=list(PARTS))
    p.add_argument(
        '--record',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'toy_presto_s.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    teacher.requires_grad_(False)
    record = (
        json.loads(args.record.read_text())
        if args.record.is_file()
        else dict(
            turns=TURNS,
            batch=BATCH,
            lr=LR,
            n=N,
            floor=mmd_quantile(ring, N),
            runs={},
            command='python recipes/study_toy.py',
        )
    )
    for part in args.part:
        for name, switches in PARTS[part].items():
            if name in record['runs']:
                continue  # a study that was cut goes on
            record['runs'][name] = run(switches) | dict(
                part=part, date=datetime.date.today().isoformat()
            )
            with atomic_path(args.record) as tmp:
                tmp.write_text(json.dumps(record) + '\n')
            r = record['runs'][name]
            print(
                name,
                {
                    k: f"{sorted(v)[len(v) // 2] / record['floor']:.1f} floors"
                    for k, v in r['mmd'].items()
                },
                r['modes'],
                r['width']['4'],
                r['health'],
                r['minutes'],
                flush=True,
            )


if __name__ == '__main__':
    main()
