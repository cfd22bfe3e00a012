"""The released models within a time budget, on a GPU or on CPU cores: python recipes/train_all.py --work FOLDER --minutes 120 [--stage decoder,base,l,s,ls] [--preset laptop] [--tier varied] [--init-from FOLDER]

Renders and encodes what is not there; then the codec's decoder and the base model, each from what the other does not touch, then the three distillations. On a GPU the stages of one phase run beside each other. A stage that is left out is taken from --work or --init-from, the folders of earlier calls, or else from what is shipped; a stage that is trained begins with the weights in --init-from, if there are any. Interrupted at any moment, the same command goes on.
"""

import argparse, os, subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
import torch
from presto_nb.dit import DROPS
from presto_nb.edm import WIDE

PHASES = (
    (0.58, ('decoder', 'base')),
    (0.42, ('l', 's', 'ls')),
)  # share of --minutes, and stages that need nothing of each other
STAGES = sum((stages for _, stages in PHASES), ())
HERE = Path(__file__).resolve().parent
PRESTO_NB = [
    sys.executable,
    '-c',
    'import sys; from presto_nb.tools.cli import main; sys.exit(main(sys.argv[1:]))',
]


def of(folder, stage):  # folder of a call of this recipe; stage
    "A stage's model there, if it was finished"
    return (
        folder / stage / 'model'
        if folder and (folder / stage / 'model' / 'config.json').is_file()
        else None
    )


def data_commands(w, tier):  # folder; name of a tier
    "What makes the latents that are not there"
    if not (w / 'data' / 'metadata.jsonl').is_file():
        yield ['data', 'build', '--tier', tier, '--out', w / 'data']
    if not (w / 'latents' / 'latents.jsonl').is_file():
        yield ['data', 'encode', '--data', w / 'data', '--out', w / 'latents']


def stage_commands(
    args, stage, minutes, cuda
):  # of the command line; one of STAGES; its time; on a GPU?
    "What is run for a stage, each made when the one before has ended"
    w, latents = args.work, ['--data', args.work / 'latents']
    size = lambda share=1.0: (
        (['--steps', args.steps] if args.steps else ['--minutes', f'{share * minutes:.4g}'])
        + ['--seed', args.seed]
    )
    begun = of(args.init_from, stage)
    base = ['--base', of(w, 'base') or of(args.init_from, 'base') or 'base']
    rows, bf16 = ['--batch-size', 64] * cuda, ['--precision', 'bf16'] * cuda
    layers = lambda kind, share=1.0: [
        '--variant',
        kind,
        '--drops',
        ','.join(map(str, DROPS[args.preset]['ls' if kind == 'ls' else 'l'])),
        *rows,
        *bf16,
        *size(share),
    ]
    if stage == 'decoder':
        yield [
            sys.executable,
            HERE / 'train_codec.py',
            '--part',
            'decoder',
            '--after',
            0.02,
            '--lr',
            5e-4,
            '--data',
            w / 'data',
            '--out',
            w / stage,
            *size(),
            *(['--rows', 16, '--batch-size', 16, '--filters', 16, '--clips', 1500] if cuda else []),
        ]
    if stage == 'base':
        wide = ['--P-mean', args.P_mean, '--P-std', args.P_std, '--lr', args.lr]
        yield [
            *PRESTO_NB,
            'train',
            'base',
            *latents,
            '--out',
            w / stage,
            *(['--init', begun] if begun else ['--preset', args.preset]),
            *wide,
            '--batch-size',
            128 if cuda else 32,
            '--precision',
            'bf16',
            *['--compile'] * cuda,
            *size(),
        ]
    if stage == 'l':
        yield [
            *PRESTO_NB,
            'train',
            'presto-l',
            *latents,
            '--out',
            w / stage,
            *base,
            *layers('presto-l'),
        ]
    if stage == 's':
        yield [
            *PRESTO_NB,
            'train',
            'presto-s',
            *latents,
            '--out',
            w / stage,
            *base,
            '--variant',
            args.variant,
            *rows,
            *size(),
        ]
    if stage == 'ls':
        yield [
            *PRESTO_NB,
            'train',
            'presto-l',
            *latents,
            '--out',
            w / 'ls-layers',
            *base,
            *layers('ls', 0.3),
        ]
        yield [
            *PRESTO_NB,
            'train',
            'presto-ls',
            *latents,
            '--out',
            w / stage,
            *base,
            '--start',
            w / 'ls-layers' / 'model',
            '--variant',
            args.variant,
            *rows,
            *size(0.7),
        ]


def run(command, log=None, **env):  # words; file for what it says
    "Run a command, or raise `CalledProcessError`"
    words = [str(x) for x in command]
    print(*(w for w in words if w not in PRESTO_NB), flush=True)
    with open(log, 'a') if log else nullcontext() as f:
        subprocess.run(words, check=True, env=os.environ | env, stdout=f, stderr=f)


def lane(args, stage, minutes, cuda):  # as `stage_commands`
    "Run a stage; returns what went wrong"
    try:
        for c in stage_commands(args, stage, minutes, cuda):
            run(
                c,
                args.work / f'{stage}.log' if cuda else None,
                **(dict(NVIDIA_TF32_OVERRIDE='1') if cuda else dict(OMP_WAIT_POLICY='PASSIVE')),
            )
    except subprocess.CalledProcessError as e:
        return f'{stage}: exit status {e.returncode}; {"see " + str(args.work / f"{stage}.log") if cuda else ""}'


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--work', type=Path, required=True)
    p.add_argument(
        '--minutes',
        type=float,
        default=120.0,
        help='for training, rendering and encoding not counted',
    )
    p.add_argument('--stage', default=','.join(STAGES), help='some of ' + ', '.join(STAGES))
    p.add_argument('--preset', default='laptop')
    p.add_argument('--tier', default='varied')
    p.add_argument('--init-from', type=Path)
    p.add_argument('--variant', default='discrete', help='switches of the two step distillations')
    p.add_argument('--lr', type=float, default=2e-3, help='of the base model')
    p.add_argument(
        '--P-mean',
        type=float,
        default=WIDE[0],
        help='of the base model\'s noise levels: wide, for a model of few evaluations begins at sigma 80',
    )
    p.add_argument('--P-std', type=float, default=WIDE[1])
    p.add_argument('--seed', type=int, default=0)
    p.add_argument(
        '--steps', type=int, help='of every stage, instead of minutes (for trying the chain)'
    )
    args = p.parse_args(argv)
    asked, cuda = args.stage.split(','), torch.cuda.is_available()
    if unknown := [k for k in asked if k not in STAGES]:
        p.error(f"--stage has {unknown[0]!r}; allowed are {', '.join(STAGES)}")
    args.work.mkdir(parents=True, exist_ok=True)
    for c in data_commands(args.work, args.tier):
        run([*PRESTO_NB, *c])
    phases = [(share, [k for k in stages if k in asked]) for share, stages in PHASES]
    whole = sum(share for share, stages in phases if stages)
    for share, stages in phases:
        minutes = args.minutes * share / whole
        with ThreadPoolExecutor(len(STAGES) if cuda else 1) as pool:
            wrong = [
                e
                for e in pool.map(
                    lambda k: lane(args, k, minutes if cuda else minutes / len(stages), cuda),
                    stages,
                )
                if e
            ]
        if wrong:
            print(*wrong, sep='\n', file=sys.stderr)
            return 1


if __name__ == '__main__':
    sys.exit(main())
