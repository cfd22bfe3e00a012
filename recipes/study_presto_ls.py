"""The order of layer and step distillation.

    python recipes/study_presto_ls.py --latents latents/varied --work FOLDER --s-work FOLDER
        [--only NAME ...] [--out data_samples/logs/presto_ls_study.json]

Every run is 800 turns of batch 8 with the switches of `STUDY` and four levels (as `chosen` of
study_presto_s.py, whose folder is --s-work and which is the Presto-S here), seed 0, drops (3, 2,
2, 0, 0). The runs with a layer stage have 800 steps of batch 16 of it before. Judged on 256 prompts
of the split `valid` with four steps: 95 % intervals, paired differences to `presto-s` and to
`presto-ls`. The logs of the turns are kept beside the record.
Written before the runs:

presto-ls        against presto-s: KAD within intervals, agreement at most 5 points lower; recall
                 higher (the paper's claim, as we understand it; a longer run here did not show it)
jointly          the generator begins as the base, which never learned to skip: worse KAD than
                 presto-ls, and the discriminator more often right about real pieces (the signature
                 in the paper)
step-then-layer  the generator begins as the Presto-S of this study and goes on for as many turns:
                 the same signature; it had twice the turns, so equal scores would already speak
                 against it
layered-scores   real and fake score are the layer-distilled model as well, asked as it was trained,
                 blocks skipped and budget told: scores as presto-ls, but a larger and more variable
                 matching gradient
ase              the layer stage is early exit: worse KAD than presto-ls at equal operations
continuous       presto-ls with p_gen = inf: equal at four steps; with rho 1000 (more low levels)
                 and rho 2 (more high ones) instead of 7 the same network is a little worse in KAD,
                 since most of its training levels lie as rho 7 puts them
"""

import shutil
from pathlib import Path

from common import LOGS, STUDY_PROMPTS, Judge, new_parser, read_record, rounded, write_record
from study_presto_s import CLIPS, FOUR, SHOWN, TURNS, distilled

import torch

from presto_nb.evidence.metrics import of_model
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_l import (
    LAYER_BASELINES,
    PRESTO_L_RUN,
    PrestoLConfig,
    layer_pipeline,
    presto_l_stage,
)
from presto_nb.material.runs import averaged_state
from presto_nb.presto_ls import presto_ls_stage, skipping
from presto_nb.presto_s import PrestoSConfig
from presto_nb.presto_s_on_music import STUDY, few_step_pipeline, presto_s_stage
from presto_nb.training import fit

LS = LAYER_BASELINES['ls']['drops']
LAYER_STEPS = 800
RUNS = {  # what the generator begins as, what the scores are made of, switches
    'presto-ls': ('layers', 'base', FOUR),
    'layered-scores': ('layers', 'layers', FOUR),
    'jointly': ('base', 'base', FOUR),
    'step-then-layer': ('presto-s', 'base', FOUR),
    'ase': ('layers-ase', 'base', FOUR),
    'continuous': ('layers', 'base', {}),
}
COMPARED = 'presto-s', 'presto-ls'
RHOS = 2.0, 1000.0


def layers(args, base, name):
    "The layer stage: layers, or layers-ase for early exit"
    variant = 'ase' if name == 'layers-ase' else 'ls'
    switches = PrestoLConfig(**LAYER_BASELINES[variant] | dict(drops=LS))
    stage = presto_l_stage(args.latents, base, switches)
    config = PRESTO_L_RUN.replace(
        steps=LAYER_STEPS, precision='auto', compile=True, tensorboard=False
    )
    trainer = fit(stage, config, args.work / name)
    if trainer.stopped:
        raise SystemExit(130)
    network = stage.models['network'].cpu()
    network.load_state_dict(averaged_state(trainer, 'network'))
    return layer_pipeline(base, network, switches, name)


class Study:
    "Runs made and judged once, and the rows of the record"

    def __init__(self, args):
        self.args = args
        self.judge = Judge(args.work / 'heard', CLIPS, STUDY_PROMPTS, SHOWN)
        self.record = read_record(args.out, turns=TURNS, drops=LS, clips=CLIPS, rows={})
        self.models = dict(base=MusicPipeline.from_pretrained('base'))
        self.heard = {}
        self.logs = args.out.parent / 'presto_ls_study'
        self.logs.mkdir(exist_ok=True)

    def model(self, name):
        "A model that a run begins with, made when it is first asked for"
        if name not in self.models:
            self.models[name] = layers(self.args, self.models['base'], name)
        return self.models[name]

    def presto_s(self):
        "The run `chosen` of study_presto_s.py, judged here as well"
        base = self.models['base']
        switches = PrestoSConfig(**STUDY | FOUR)
        stage = presto_s_stage(self.args.latents, base, switches)
        pipe, minutes = self.few_steps(stage, base, self.args.s_work / 'chosen-0')
        self.models['presto-s'] = pipe
        self.keep_log('presto-s', self.args.s_work / 'chosen-0')
        self.add('presto-s', of_model(pipe, steps=4), switches=switches.to_dict(), minutes=minutes)

    def run(self, name):
        "Train a run, and add its rows"
        start, watch, changed = RUNS[name]
        switches = PrestoSConfig(**STUDY | changed)
        begin = skipping(self.model(start), LS)
        stage = presto_ls_stage(self.args.latents, self.model(watch), begin, switches)
        pipe, minutes = self.few_steps(stage, begin, self.args.work / name)
        self.keep_log(name, self.args.work / name)
        about = dict(start=start, watch=watch, switches=switches.to_dict(), minutes=minutes)
        self.add(name, of_model(pipe, steps=4), **about)
        for rho in RHOS if name == 'continuous' else ():
            self.add(f'continuous, rho {rho:g}', of_model(pipe, steps=4, rho=rho), rho=rho)

    def few_steps(self, stage, begin, folder):
        "A run of the step stage: the pipeline it made, and its minutes"
        trainer = distilled(stage, TURNS, 0, folder)
        return few_step_pipeline(begin, stage.models['generator']), round(trainer.minutes, 1)

    def keep_log(self, name, folder):
        "The log of the turns, beside the record"
        shutil.copyfile(folder / 'log.csv', self.logs / f'{name}.csv')

    def add(self, name, maker, **about):
        "Hear a run, and add its row"
        folder = name.replace(', ', '-').replace(' ', '-')
        heard = self.judge.hear(folder, maker, kind=name, about=str(about))
        self.heard[name] = heard
        against = [k for k in COMPARED if k in self.heard and k != name]
        if 'rho' in about:
            against = ['continuous']
        row = dict(scores=self.judge.scores(heard), **about)
        row |= {f'less {k}': self.judge.difference(heard, self.heard[k]) for k in against}
        self.record['rows'][name] = row
        command = 'python recipes/study_presto_ls.py --latents latents/varied --work FOLDER'
        write_record(self.args.out, self.record, command + ' --s-work FOLDER', seed=0)
        print(name, rounded(row['scores']), flush=True)


def main(argv=None):
    p = new_parser(__doc__)
    for name in ('latents', 'work', 's-work'):
        p.add_argument(f'--{name}', type=Path, required=True)
    p.add_argument('--only', nargs='+', choices=list(RUNS), default=list(RUNS))
    p.add_argument('--out', type=Path, default=LOGS / 'presto_ls_study.json')
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    study = Study(args)
    study.presto_s()
    for name in dict.fromkeys(['presto-ls', *args.only]):
        study.run(name)


if __name__ == '__main__':
    main()
