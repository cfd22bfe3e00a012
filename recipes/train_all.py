"""The released models within a time budget, on a GPU or on CPU cores, in one call.

    python recipes/train_all.py --work FOLDER --minutes 120 [--stage decoder,base,l,s,ls]
        [--preset laptop] [--tier varied] [--init-from FOLDER]

Renders and encodes what is not there, then trains the codec's decoder and the base model, each from
what the other does not touch, then the three distillations. On a GPU the stages of one phase run
beside each other. A stage that is left out is taken from --work or --init-from, the folders of
earlier calls, or else from what is shipped. A stage that is trained begins with the weights in
--init-from, if there are any. Interrupted at any moment, the same command goes on.

For what: the models that ship (the preset `laptop`, the shipped codec), made again or further in
the minutes you have; it waits until they are there. For a network and a codec of its own that train
for days in the background on one core, and for `gpu_day.py`, use campaign.py.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from common import PRESTO_NB, new_parser  # first: it sets how torch waits

import torch

from presto_nb.skipping import DROPS
from presto_nb.edm import WIDE

PHASES = (  # share of --minutes, and stages that need nothing of each other
    (0.58, ('decoder', 'base')),
    (0.42, ('l', 's', 'ls')),
)
STAGES = sum((stages for _, stages in PHASES), ())
HERE = Path(__file__).resolve().parent


# --- commands ----------------------------------------------------------------------------------


def model_of(folder, stage):  # of a call of this recipe
    "A stage's model there, if it was finished"
    if folder and (folder / stage / 'model' / 'config.json').is_file():
        return folder / stage / 'model'


def data_commands(w, tier):  # folder; name of a tier
    "What makes the latents that are not there"
    if not (w / 'data' / 'metadata.jsonl').is_file():
        yield ['data', 'build', '--tier', tier, '--out', w / 'data']
    if not (w / 'latents' / 'latents.jsonl').is_file():
        yield ['data', 'encode', '--data', w / 'data', '--out', w / 'latents']


class Commands:
    "What is run for a stage, each command made when the one before has ended"

    def __init__(
        self,
        args,  # of the command line
        minutes,  # of the stage
        cuda,  # on a GPU?
    ):
        self.args = args
        self.work = args.work
        self.minutes = minutes
        self.cuda = cuda
        self.rows = ['--batch-size', 64] * cuda

    def size(self, share=1.0):
        "How long a training is"
        if self.args.steps:
            return ['--steps', self.args.steps, '--seed', self.args.seed]
        return ['--minutes', f'{share * self.minutes:.4g}', '--seed', self.args.seed]

    def train(self, method, out, *words):
        "A command that trains a method"
        latents = ['--data', self.work / 'latents']
        return [*PRESTO_NB, 'train', method, *latents, '--out', self.work / out, *words]

    def from_base(self):
        "The base of this call, of an earlier one, or the shipped one"
        own = model_of(self.work, 'base')
        return ['--base', own or model_of(self.args.init_from, 'base') or 'base']

    def layers(self, kind, out, share=1.0):
        "A layer stage"
        drops = DROPS[self.args.preset]['ls' if kind == 'ls' else 'l']
        words = ['--variant', kind, '--drops', ','.join(map(str, drops)), *self.rows]
        words += ['--precision', 'bf16'] * self.cuda
        return self.train('presto-l', out, *self.from_base(), *words, *self.size(share))

    def decoder_commands(self):
        "The codec, but for its encoder"
        how = ['--part', 'decoder', '--after', 0.02, '--lr', 5e-4]
        places = ['--data', self.work / 'data', '--out', self.work / 'decoder']
        more = ['--rows', 16, '--batch-size', 16, '--filters', 16, '--clips', 1500] * self.cuda
        yield [sys.executable, HERE / 'train_codec.py', *how, *places, *self.size(), *more]

    def base_commands(self):
        "The base model"
        earlier = model_of(self.args.init_from, 'base')
        words = ['--init', earlier] if earlier else ['--preset', self.args.preset]
        words += ['--P-mean', self.args.P_mean, '--P-std', self.args.P_std, '--lr', self.args.lr]
        words += ['--batch-size', 128 if self.cuda else 32, '--precision', 'bf16']
        words += ['--compile'] * self.cuda
        yield self.train('base', 'base', *words, *self.size())

    def l_commands(self):
        "Presto-L"
        yield self.layers('presto-l', 'l')

    def s_commands(self):
        "Presto-S"
        words = [*self.from_base(), '--variant', self.args.variant, *self.rows]
        yield self.train('presto-s', 's', *words, *self.size())

    def ls_commands(self):
        "Presto-LS: a layer stage, then the steps"
        yield self.layers('ls', 'ls-layers', 0.3)
        words = [*self.from_base(), '--start', self.work / 'ls-layers' / 'model']
        words += ['--variant', self.args.variant, *self.rows]
        yield self.train('presto-ls', 'ls', *words, *self.size(0.7))


# --- running them ------------------------------------------------------------------------------


def run(command, log=None, **env):  # words; file for what it says
    "Run a command, or raise `CalledProcessError`"
    words = [str(x) for x in command]
    print(*(w for w in words if w not in PRESTO_NB), flush=True)
    with open(log, 'a') if log else nullcontext() as f:
        subprocess.run(words, check=True, env=os.environ | env, stdout=f, stderr=f)


def run_stage(args, stage, minutes, cuda):  # as `Commands`
    "Run a stage; returns what went wrong"
    log = args.work / f'{stage}.log' if cuda else None
    env = dict(NVIDIA_TF32_OVERRIDE='1') if cuda else dict(OMP_WAIT_POLICY='PASSIVE')
    try:
        for command in getattr(Commands(args, minutes, cuda), f'{stage}_commands')():
            run(command, log, **env)
    except subprocess.CalledProcessError as e:
        return f'{stage}: exit status {e.returncode}; {f"see {log}" if cuda else ""}'


def run_phase(args, stages, minutes, cuda):
    "Stages beside each other on a GPU, one after another elsewhere; returns what went wrong"
    each = minutes if cuda else minutes / len(stages)
    with ThreadPoolExecutor(len(STAGES) if cuda else 1) as pool:
        ends = pool.map(lambda stage: run_stage(args, stage, each, cuda), stages)
        return [e for e in ends if e]


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--work', type=Path, required=True)
    budget = 'for training, rendering and encoding not counted'
    p.add_argument('--minutes', type=float, default=120.0, help=budget)
    p.add_argument('--stage', default=','.join(STAGES), help='some of ' + ', '.join(STAGES))
    p.add_argument('--preset', default='laptop')
    p.add_argument('--tier', default='varied')
    p.add_argument('--init-from', type=Path)
    p.add_argument('--variant', default='discrete', help='switches of the two step distillations')
    p.add_argument('--lr', type=float, default=2e-3, help='of the base model')
    wide = (
        "of the base model's noise levels: wide, for a model of few evaluations begins at sigma 80"
    )
    p.add_argument('--P-mean', type=float, default=WIDE[0], help=wide)
    p.add_argument('--P-std', type=float, default=WIDE[1])
    p.add_argument('--seed', type=int, default=0)
    steps = 'of every stage, instead of minutes (for trying the chain)'
    p.add_argument('--steps', type=int, help=steps)
    args = p.parse_args(argv)
    args.stage = args.stage.split(',')
    if unknown := [k for k in args.stage if k not in STAGES]:
        p.error(f"--stage has {unknown[0]!r}; allowed are {', '.join(STAGES)}")
    return args


def main(argv=None):
    args = arguments(argv)
    cuda = torch.cuda.is_available()
    args.work.mkdir(parents=True, exist_ok=True)
    for c in data_commands(args.work, args.tier):
        run([*PRESTO_NB, *c])
    asked = [(share, [k for k in stages if k in args.stage]) for share, stages in PHASES]
    phases = [(share, stages) for share, stages in asked if stages]
    whole = sum(share for share, _ in phases)
    for share, stages in phases:
        wrong = run_phase(args, stages, args.minutes * share / whole, cuda)
        if wrong:
            print(*wrong, sep='\n', file=sys.stderr)
            return 1


if __name__ == '__main__':
    sys.exit(main())
