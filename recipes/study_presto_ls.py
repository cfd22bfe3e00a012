"""The order of layer and step distillation.

    python recipes/study_presto_ls.py --latents latents/full --work FOLDER --s-work FOLDER [--only
        NAME ...] [--out data_samples/logs/presto_ls_study.json]

Every run is 800 turns of batch 8 with the switches of `STUDY` and four levels (as `chosen` of
study_presto_s.py, whose folder is --s-work and which is the Presto-S here), seed 0, drops (3, 2,
2, 0, 0). The runs with a layer stage
have 800 steps of batch 16 of it before. Judged on 256 prompts of the split `valid` with four
steps: 95 % intervals, paired differences to `presto-s` and to `presto-ls`. The logs of the turns
are kept beside the record.
Written before the runs:

presto-ls        against presto-s: KAD within intervals, agreement at most 5 points lower; recall
                 higher (the paper's claim, as we understand it; a longer run here did not show it)
jointly          the generator begins as the base, which never learned to skip: worse KAD than
                 presto-ls, and the discriminator more often right about real pieces (the signature
                 in the paper)
step-then-layer  the generator begins as the Presto-S of this study and goes on for as many turns:
                 the same signature; it had twice the turns, so equal scores would already speak
                 against it
layered-scores   real and fake score are the layer-distilled model as well, all blocks running:
                 scores as presto-ls, but a larger and more variable matching gradient
ase              the layer stage is early exit: worse KAD than presto-ls at equal operations
continuous       presto-ls with p_gen = inf: equal at four steps; with rho 1000 (more low levels)
                 and rho 2 (more high ones) instead of 7 the same network is a little worse in KAD,
                 since most of its training levels lie as rho 7 puts them
"""

import argparse
import os
import shutil

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
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
from presto_nb.presto_ls import presto_ls_stage, skipping
from presto_nb.presto_s import PRESTO_S_RUN, STUDY, PrestoSConfig, few_step_pipeline, presto_s_stage
from presto_nb.training import averaged_state, fit
from study_presto_s import FOUR, LOGS, TURNS, Judge

LS = LAYER_BASELINES['ls']['drops']
RUNS = {  # what the generator begins as, what the scores are made of, switches
    'presto-ls': ('layers', 'base', FOUR),
    'jointly': ('base', 'base', FOUR),
    'step-then-layer': ('presto-s', 'base', FOUR),
    'layered-scores': ('layers', 'layers', FOUR),
    'ase': ('layers-ase', 'base', FOUR),
    'continuous': ('layers', 'base', {}),
}


def layers(latents, base, variant, out):
    "The layer stage"
    switches = PrestoLConfig(**LAYER_BASELINES[variant] | dict(drops=LS))
    stage = presto_l_stage(latents, base, switches)
    run = fit(stage, PRESTO_L_RUN.replace(steps=800), out)
    network = stage.models['network'].cpu()
    network.load_state_dict(averaged_state(run, 'network'))
    return layer_pipeline(base, network, switches, out.name)


def few_steps(stage, pipe, out):
    "A run of the step stage, and the pipeline it made"
    run = fit(stage, PRESTO_S_RUN.replace(steps=TURNS), out)
    if run.stopped:
        raise SystemExit(130)
    return few_step_pipeline(pipe, stage.models['generator'].cpu()), run.minutes


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    for name in ('latents', 'work', 's-work'):
        p.add_argument(f'--{name}', type=Path, required=True)
    p.add_argument('--only', nargs='+', choices=list(RUNS), default=list(RUNS))
    p.add_argument('--out', type=Path, default=LOGS / 'presto_ls_study.json')
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    four = PrestoSConfig(**STUDY | FOUR)
    base = MusicPipeline.from_pretrained('base')
    models = {
        'base': base,
        'presto-s': few_steps(
            presto_s_stage(args.latents, base, four), base, args.s_work / 'chosen'
        )[0],
    }
    judge = Judge(args.work, args.out, turns=TURNS, drops=LS)
    judge.record['command'] = (
        'python recipes/study_presto_ls.py --latents latents/full --work FOLDER --s-work FOLDER'
    )
    logs = args.out.parent / 'presto_ls_study'
    logs.mkdir(exist_ok=True)
    shutil.copyfile(args.s_work / 'chosen' / 'log.csv', logs / 'presto-s.csv')
    heard = {'presto-s': judge.hear('presto-s', models['presto-s'], four)}
    judge.add('presto-s', heard['presto-s'], {}, switches=four.to_dict())
    for name in dict.fromkeys(['presto-ls', *args.only]):
        start, watch, changed = RUNS[name]
        switches = PrestoSConfig(**STUDY | changed)
        for m in {start, watch} - set(models):
            models[m] = layers(
                args.latents, base, 'ase' if m == 'layers-ase' else 'ls', args.work / m
            )
        begin = skipping(models[start], LS)
        few, minutes = few_steps(
            presto_ls_stage(args.latents, models[watch], begin, switches), begin, args.work / name
        )
        heard[name] = judge.hear(name, few, switches)
        against = {f'less {k}': heard[k] for k in ('presto-s', 'presto-ls') if k != name}
        shutil.copyfile(args.work / name / 'log.csv', logs / f'{name}.csv')
        for rho in (2.0, 1000.0) if name == 'continuous' else ():
            judge.add(
                f'continuous, rho {rho:g}',
                judge.ev.add(
                    f'continuous-rho-{rho:g}', of_model(few, steps=4, rho=rho), dict(rho=rho)
                ),
                {'less continuous': heard[name]},
            )
        if name in args.only:
            judge.add(
                name,
                heard[name],
                against,
                start=start,
                watch=watch,
                switches=switches.to_dict(),
                minutes=round(minutes, 1),
            )


if __name__ == '__main__':
    main()
