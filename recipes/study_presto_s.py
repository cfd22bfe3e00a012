"""Step distillation on music: guidance and normaliser, noise levels, games, the paper's setting.

    python recipes/study_presto_s.py --latents latents/varied --work FOLDER [--only NAME ...]
        [--seed 0] [--out data_samples/logs/presto_s_study.json]

Every run distils the shipped study base with the switches of `STUDY` (w = 1, no normaliser, lr
4e-4) and those of its name, batch 8, for TURNS turns (a fifth of them the generator's) with the
last 30 % of them at a falling rate. It is judged, with the weights it ended with, on 256 prompts of
the split `valid`: agreement, KAD, recall and others with 95 % intervals, and differences, paired by
prompt, to the run it is compared with, of the same seed. Interrupted, the same command goes on.

Of the grid, what differs is w and the normaliser. Both change the size of the matching gradient,
and so what the GAN loss weighs beside it: nu_g is scaled with the gradient, which is measured
after PILOT_TURNS turns of `continuous`, on the same samples for all six (`pilot` in the record).
Adam makes the common size of both losses meaningless.

Written before the runs. Of those compared with `continuous` (p_gen = inf, w = 1, no normaliser):
normalised       equal within the intervals: it weighs samples and levels differently, no more
w 2              agreement or key 3 points higher, recall lower
w 4.5            more agreement still; KAD at least 1 worse, recall lower: music that drones
normalised, w 2; normalised, w 4.5
                 as without the normaliser, KAD nearer to `continuous`: it holds back the samples
                 that guidance has thrown farthest
paper            w = 4.5, normaliser, continuous levels, nu as printed; the learning rate is ours.
                 Three seeds of it and of `continuous`: agreement higher by 3 points, KAD worse
Fifteen steps of `continuous` are not better than eight and not worse (the paper's reviewers asked);
`chosen`, which knows four levels, gets worse there.

Of those compared with `chosen` (four levels of p_gen):
continuous       better at 1, 2 and 8 steps, equal at 4
all-inf          p_dmd, p_dsm, p_gan = inf: worse in KAD and agreement (paper, table 1, as we
                 understand it)
dmd-train        p_dmd = train alone makes up most of that
non-saturating   one answer and the non-saturating game: a little worse
dmd-gan          DMD2's setting (`BASELINES`; its grid, normaliser, game and AdamW; w = 1): like
                 all-inf
no-gan           matching alone: KAD worse (nothing holds the samples to real data), agreement equal
offline          no GAN, regression on PAIRS samples of the teacher (40 evaluations, no guidance)
                 instead: KAD worse, recall not worse than no-gan's
"""

from pathlib import Path
from typing import NamedTuple

from common import LOGS, STUDY_PROMPTS, Judge, new_parser, read_record, rounded, write_record

import torch

from presto_nb.dmd import TeacherPairs, dmd_gradient, teacher_pairs
from presto_nb.evidence.metrics import of_model
from presto_nb.material.core import load_tensors, new_rng, save_tensors
from presto_nb.material.latents import LatentWindows
from presto_nb.material.text import Condition
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_s import BASELINES, PrestoSConfig, noise_at
from presto_nb.presto_s_on_music import (
    PRESTO_S_RUN,
    STUDY,
    PrestoSStage,
    few_step_pipeline,
    presto_s_stage,
)
from presto_nb.training import fit

TURNS = 800
CLIPS = 256
PAIRS = 512
PILOT_TURNS = 100
PILOT_ROWS = 64
SHOWN = 'agreement', 'KAD', 'KAD log-mel statistics', 'FD', 'recall', 'key', 'lead', 'drums'
FOUR = dict(p_gen='few-4')
FOUR_STEPS = (4,)  # how seeds other than 0 are played


class Run(NamedTuple):
    "What differs from `STUDY`, which run it is compared with, and how it is played"

    switches: dict
    against: str
    steps: tuple = (4,)
    scaled: bool = False  # is nu_g scaled with the size of the matching gradient?


def of_grid(**switches):
    "A cell of guidance and normaliser"
    return Run(switches, 'continuous', scaled=True)


def discrete(**switches):
    "A run with four levels"
    return Run(FOUR | switches, 'chosen')


RUNS = {
    'continuous': Run({}, 'chosen', (4, 1, 2, 8, 15)),
    'chosen': Run(FOUR, 'continuous', (4, 1, 2, 8, 15)),
    'normalised': of_grid(normalise=True),
    'w 2': of_grid(w=2.0),
    'w 4.5': of_grid(w=4.5),
    'normalised, w 2': of_grid(normalise=True, w=2.0),
    'normalised, w 4.5': of_grid(normalise=True, w=4.5),
    'paper': Run(dict(normalise=True, w=4.5), 'continuous', (4, 15)),
    'dmd-gan': discrete(**BASELINES['dmd-gan']),
    'all-inf': discrete(p_dmd='inf', p_dsm='inf', p_gan='inf'),
    'dmd-train': discrete(p_dsm='inf', p_gan='inf'),
    'non-saturating': discrete(gan='ns'),
    'no-gan': discrete(**BASELINES['no-gan']),
    'offline': discrete(**BASELINES['offline']),
}
COMPARED = 'continuous', 'chosen'  # made first, since the others are compared with them


# --- runs ----------------------------------------------------------------------------------------


def pairs_of(base, data, path):  # the teacher; `LatentWindows`; a file
    "Noise and the teacher's samples for the captions of PAIRS windows, made once"
    batch = data.batch(range(PAIRS), new_rng('pairs'))
    cond = Condition.from_prompts(base.encoder, batch['captions'], batch['bpm'].tolist())
    noise = torch.randn(batch['x0'].shape, generator=new_rng('pairs noise'))
    if not path.is_file():
        save_tensors(path, dict(x0=teacher_pairs(base.denoiser, noise, cond, batch=8).x0))
    return TeacherPairs(noise, load_tensors(path)['x0'], cond, PAIRS * 40)


def windows(latents, base):
    "Windows of the length the base was trained at"
    return LatentWindows(latents, round(base.config.max_seconds * base.codec.frame_rate))


def stage_of(latents, base, switches, work, seed):
    "The stage of a run, with pairs where it copies"
    if not switches.nu_reg:
        return presto_s_stage(latents, base, switches, seed)
    data = windows(latents, base)
    return PrestoSStage(
        base.denoiser,
        data,
        base.encoder,
        switches,
        base.codec.frame_rate,
        seed,
        pairs=pairs_of(base, data, work / 'pairs.safetensors'),
        training=base.config.training_noise,
    )


def run_config(turns, seed):
    "How a run trains"
    return PRESTO_S_RUN.replace(
        steps=turns, seed=seed, precision='auto', compile=True, tensorboard=False
    )


def distilled(stage, turns, seed, folder):
    "Train a stage to its end; ends here when it was interrupted"
    trainer = fit(stage, run_config(turns, seed), folder)
    if trainer.stopped:
        raise SystemExit(130)
    stage.models['generator'].cpu()
    return trainer


@torch.no_grad()
def gradient_sizes(args, base, players):
    "Run of the grid -> root mean square of its matching gradient, on the same samples for all"
    rng = new_rng('pilot')
    batch = windows(args.latents, base).batch(range(PILOT_ROWS), rng)
    cond = Condition.from_prompts(base.encoder, batch['captions'], batch['bpm'].tolist())
    x0 = batch['x0']
    draw = lambda name: noise_at(name, base.config.training_noise).sample(PILOT_ROWS, rng)
    level = draw('inf')
    noise = [torch.randn(x0.shape, generator=rng) for _ in range(2)]
    x0_hat = players.generator(x0 + level.view(-1, 1, 1) * noise[0], level, cond)
    given = x0_hat, draw('train'), noise[1], players.real_score, players.fake_score, cond

    def size(run):
        s = PrestoSConfig(**STUDY | run.switches)
        null = None if s.w == 1 else cond.null()
        return dmd_gradient(*given, null, s.w, s.normalise).square().mean().sqrt().item()

    grid = {k: r for k, r in RUNS.items() if r.scaled or k == 'continuous'}
    return {k: size(r) for k, r in grid.items()}


def pilot(args, base, record):
    "The sizes of the gradients, measured once"
    if 'pilot' not in record:
        stage = presto_s_stage(args.latents, base, PrestoSConfig(**STUDY))
        distilled(stage, PILOT_TURNS, 0, args.work / 'pilot')
        record['pilot'] = gradient_sizes(args, base, stage.players)
        keep(args, record)
    return record['pilot']


def switches_of(name, sizes):
    "The switches of a run"
    switches = PrestoSConfig(**STUDY | RUNS[name].switches)
    if RUNS[name].scaled:
        switches = switches.replace(nu_g=switches.nu_g * sizes[name] / sizes['continuous'])
    return switches


# --- what is heard -------------------------------------------------------------------------------


def folder_of(name, seed):
    "The folder of a run"
    return f'{name.replace(", ", "-").replace(" ", "-")}-{seed}'


def row_name(name, steps, seed):
    "What a row of the record is called"
    return f'{name}, {steps} steps' + (f', seed {seed}' if seed else '')


class Study:
    "Runs made and judged once, and the rows of the record"

    def __init__(self, args, record):
        self.args = args
        self.record = record
        self.base = MusicPipeline.from_pretrained('base')
        self.judge = Judge(args.work / 'heard', CLIPS, STUDY_PROMPTS, SHOWN)
        self.sizes = pilot(args, self.base, record)

    def run(self, name):
        "Train a run, and add its rows"
        switches = switches_of(name, self.sizes)
        args = self.args
        stage = stage_of(args.latents, self.base, switches, args.work, args.seed)
        folder = args.work / folder_of(name, args.seed)
        minutes = distilled(stage, TURNS, args.seed, folder).minutes
        pipe = few_step_pipeline(self.base, stage.models['generator'])
        counts = RUNS[name].steps if args.seed == 0 else FOUR_STEPS
        for steps in counts:
            self.add(name, pipe, switches, steps, minutes)

    def add(self, name, pipe, switches, steps, minutes):
        "One row"
        heard = self.hear(name, pipe, switches, steps)
        row = dict(scores=self.judge.scores(heard), switches=switches.to_dict())
        against = RUNS[name].against
        if row_name(against, steps, self.args.seed) in self.record['rows']:
            other = self.hear(against, None, switches_of(against, self.sizes), steps)
            row |= dict(against=against, difference=self.judge.difference(heard, other))
        key = row_name(name, steps, self.args.seed)
        self.record['rows'][key] = row | dict(minutes=round(minutes, 1))
        keep(self.args, self.record)
        print(key, rounded(row['scores']), flush=True)

    def hear(self, name, pipe, switches, steps):
        "Clips of a run, made once"
        made = dict(kind=name, seed=self.args.seed, switches=str(switches.to_dict()))
        maker = pipe and of_model(pipe, steps=steps)
        return self.judge.hear(f'{folder_of(name, self.args.seed)}-{steps}', maker, **made)


def keep(args, record):
    "Write the record"
    command = 'python recipes/study_presto_s.py --latents latents/varied --work FOLDER'
    write_record(args.out, record, command + ' --seed SEED')


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--latents', required=True)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--only', nargs='+', choices=list(RUNS), default=list(RUNS))
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--out', type=Path, default=LOGS / 'presto_s_study.json')
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    record = read_record(args.out, turns=TURNS, clips=CLIPS, rows={})
    study = Study(args, record)
    for name in args.only:
        study.run(name)


if __name__ == '__main__':
    main()
