"""Which noise levels, which game, continuous or discrete, on music.

    python recipes/study_presto_s.py --latents latents/full --work FOLDER [--only NAME ...] [--out
        data_samples/logs/presto_s_study.json]

Every run distils the shipped study base with the switches of `STUDY` (w = 1, no normaliser, lr
4e-4), batch 8, seed 0, for TURNS turns (a fifth of them the generator's) with the last 30 % of
them at a falling rate, and is judged, with the weights it ended with, on 256 prompts of the split
`valid` with four steps (and 1, 2, 8 for the comparison of levels): agreement, KAD, recall with 95
% intervals, and paired differences to `chosen`.
Written before the runs:

all-inf          p_dmd, p_dsm, p_gan = inf is worse than `chosen` in KAD and agreement (paper,
                 table 1, as we understand it)
dmd-train        p_dmd = train alone makes up most of that
chosen           p_dmd, p_dsm, p_gan = train, least squares on the map, four levels
non-saturating   one answer and the non-saturating game: a little worse than `chosen`
continuous       p_gen = inf: better than four levels at 1, 2 and 8 steps, equal at 4. (Trials with
                 other switches make the opposite likely at this budget.)
dmd-gan          (the row in the record: without normaliser and AdamW, whole grid.)
                 DMD2's grid of 1,000 inference levels for all three losses, non-saturating: like
                 all-inf, worse than `chosen` in KAD
no-gan           matching alone: KAD worse than `chosen` (nothing holds the samples to real data),
                 agreement equal
offline          no GAN, regression on PAIRS samples of the teacher (40 evaluations, no guidance)
                 instead: KAD worse than `chosen`, recall not worse than no-gan's
"""

import argparse
import datetime
import json
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, new_rng, load_tensors, save_tensors
from presto_nb.evidence.metrics import (
    Evaluator,
    held_out_prompts,
    of_model,
    of_real,
    scores,
    with_intervals,
)
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_s import (
    BASELINES,
    PRESTO_S_RUN,
    STUDY,
    PrestoSConfig,
    PrestoSStage,
    TeacherPairs,
    few_step_pipeline,
    presto_s_stage,
    teacher_pairs,
)
from presto_nb.material.text import Condition
from presto_nb.material.latents import LatentWindows
from presto_nb.training import fit

TURNS, CLIPS, PAIRS, SHOWN = (
    800,
    256,
    512,
    ('agreement', 'KAD', 'KAD log-mel statistics', 'FD', 'recall', 'key', 'lead', 'drums'),
)
FOUR, LOGS = dict(p_gen='few-4'), Path(__file__).resolve().parent.parent / 'data_samples' / 'logs'
RUNS = {
    'chosen': FOUR,
    'continuous': {},
    'all-inf': FOUR | dict(p_dmd='inf', p_dsm='inf', p_gan='inf'),
    'dmd-train': FOUR | dict(p_dsm='inf', p_gan='inf'),
    'non-saturating': FOUR | dict(gan='ns'),
}
RUNS |= {k: FOUR | BASELINES[k] for k in ('dmd-gan', 'no-gan', 'offline')}


def pairs_of(base, data, path):  # the teacher; `LatentWindows`; a file
    "Noise and the teacher's samples for the captions of PAIRS windows, made once"
    batch = data.batch(range(PAIRS), new_rng('pairs'))
    cond = Condition.from_prompts(base.encoder, batch['captions'], batch['bpm'].tolist())
    noise = torch.randn(batch['x0'].shape, generator=new_rng('pairs noise'))
    if not path.is_file():
        save_tensors(path, dict(x0=teacher_pairs(base.denoiser, noise, cond, batch=8).x0))
    return TeacherPairs(noise, load_tensors(path)['x0'], cond, PAIRS * 40)


def stage_of(latents, base, switches, work):
    "The stage of a run, with pairs where it copies"
    if not switches.nu_reg:
        return presto_s_stage(latents, base, switches)
    data = LatentWindows(latents, round(base.config.max_seconds * base.codec.frame_rate))
    return PrestoSStage(
        base.denoiser,
        data,
        base.encoder,
        switches,
        base.codec.frame_rate,
        pairs=pairs_of(base, data, work / 'pairs.safetensors'),
    )


class Judge:
    "Hears models on the prompts of the split valid and writes a record of rows"

    def __init__(self, work, out, **about):
        self.out, self.ev, self.known = out, Evaluator(work / 'heard', CLIPS), {}
        self.ev.prompts = held_out_prompts(CLIPS, 'validation', split='valid')
        self.ev.reference = self.ev.add(
            'reference',
            of_real(),
            dict(kind='real clips of other arrangements, split valid'),
            held_out_prompts(CLIPS, 'validation reference', split='valid'),
        )
        self.record = (
            json.loads(out.read_text()) if out.is_file() else about | dict(clips=CLIPS, rows={})
        )

    def of(self, heard, i):  # every difference asks for the same halves
        key = heard.name, i.numpy().tobytes()
        if key not in self.known:
            self.known[key] = {
                k: v
                for k, v in scores(heard, self.ev.real, self.ev.reference, i).items()
                if k in SHOWN
            }
        return self.known[key]

    def hear(self, key, pipe, switches, steps=4):
        return self.ev.add(
            key.replace(', ', '-').replace(' ', '-'),
            of_model(pipe, steps=steps),
            dict(kind=key, switches=json.dumps(switches.to_dict())),
        )

    def add(self, key, heard, against, **row):  # against: what differences are taken to -> `Heard`
        row |= dict(
            scores=with_intervals(lambda i: self.of(heard, i), CLIPS),
            date=datetime.date.today().isoformat(),
        )
        for what, own in against.items():
            row[what] = with_intervals(
                lambda i: {k: v - self.of(own, i)[k] for k, v in self.of(heard, i).items()}, CLIPS
            )
        self.record['rows'][key] = row
        with atomic_path(self.out) as tmp:
            tmp.write_text(json.dumps(self.record, indent=1) + '\n')
        print(key, {k: [round(x, 3) for x in v] for k, v in row['scores'].items()}, flush=True)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--latents', required=True)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--only', nargs='+', choices=list(RUNS), default=list(RUNS))
    p.add_argument('--out', type=Path, default=LOGS / 'presto_s_study.json')
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    base = MusicPipeline.from_pretrained('base')
    judge, heard = Judge(args.work, args.out, turns=TURNS), {}
    judge.record['command'] = (
        'python recipes/study_presto_s.py --latents latents/full --work FOLDER'
    )
    for name in dict.fromkeys(['chosen', *args.only]):  # the others are compared with it; made once
        switches = PrestoSConfig(**STUDY | RUNS[name])
        stage = stage_of(args.latents, base, switches, args.work)
        run = fit(stage, PRESTO_S_RUN.replace(steps=TURNS), args.work / name)
        if run.stopped:
            return
        few = few_step_pipeline(base, stage.models['generator'].cpu())
        for steps in (4, 1, 2, 8) if name in ('chosen', 'continuous') else (4,):
            key = f'{name}, {steps} steps'
            heard[key] = h = judge.hear(key, few, switches, steps)
            own = heard.get(f'chosen, {steps} steps')
            if key in judge.record['rows'] and name not in args.only:
                continue
            judge.add(
                key,
                h,
                {} if own is h else dict(difference=own),
                switches=switches.to_dict(),
                minutes=round(run.minutes, 1),
            )


if __name__ == '__main__':
    main()
