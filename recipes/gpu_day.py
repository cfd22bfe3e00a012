"""A quarter of an hour on a GPU that reaches no network: what it needs, and what is run there.

    python recipes/gpu_day.py pack [--weights RUN]   here: fills wheelhouse/, and says what to do
    python recipes/gpu_day.py run --minutes 11 --out FOLDER                there: one command

`pack` fetches wheels for Python 3.12 that such a machine may lack, copies the tunes of music21, and
takes the newest averaged weights of the long training as `start`. `run` installs them, renders and
encodes the tier `varied`, and goes on with base, Presto-S and Presto-LS (recipes/campaign.py gpu);
each model's folder comes to --out as it is ready. Nothing of it needs a GPU to be tried:
`run --steps 2 --tier tiny --network tiny`.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from common import PRESTO_NB, ROOT, new_parser

HOUSE = ROOT / 'wheelhouse'
WHEELS = (
    'fastcore',
    'soundfile',
    'cffi',
    'pycparser',
    'pyloudnorm',
    'symusic>=0.5.8,<0.6',
    'ipywidgets>=8.1,<9',
    'widgetsnbextension',
    'jupyterlab-widgets',
    'comm',
    'traitlets',
    'ipython',
    'decorator',
    'jedi',
    'parso',
    'prompt-toolkit',
    'wcwidth',
    'stack-data',
    'executing',
    'asttokens',
    'pure-eval',
    'matplotlib-inline',
    'pexpect',
    'ptyprocess',
)
BOOKS = 'ryansMammoth', 'oneills1850', 'airdsAirs', 'miscFolk'
CAMPAIGN = Path('~/.cache/presto_nb/campaign').expanduser()


def run_words(*words, **more):
    "Run a command, told beforehand"
    print('+', *words, flush=True)
    subprocess.run([str(w) for w in words], check=True, **more)


def fetch_wheels():
    "Wheels that the other machine may lack"
    which = ['--no-deps', '--only-binary=:all:', '--python-version', '3.12']
    for platform in ('manylinux2014_x86_64', 'manylinux_2_28_x86_64'):
        which += ['--platform', platform]
    run_words(sys.executable, '-m', 'pip', 'download', '-q', *which, '-d', HOUSE, *WHEELS)


def copy_tunes():
    "The books of music21 that are used"
    tunes = Path(importlib.util.find_spec('music21').origin).parent / 'corpus'
    for book in BOOKS:
        shutil.copytree(tunes / book, HOUSE / 'tunes' / 'music21' / 'corpus' / book)
    (HOUSE / 'tunes' / 'music21' / '__init__.py').touch()


def pack(args):
    "What travels: wheels, tunes, weights"
    shutil.rmtree(HOUSE, ignore_errors=True)
    HOUSE.mkdir()
    fetch_wheels()
    copy_tunes()
    if args.weights:
        from presto_nb.material.core import save_tensors
        from presto_nb.material.runs import run_weights

        save_tensors(HOUSE / 'start.safetensors', run_weights(args.weights))
    size = sum(f.stat().st_size for f in HOUSE.rglob('*') if f.is_file()) / 2**20
    print(
        f'{HOUSE}: {size:.1f} MB. Models need not travel: move presto_nb/assets/presto-* and '
        'laptop-* away for the call. There: python recipes/gpu_day.py run --out FOLDER'
    )


def install(args):
    "The wheels that came along"
    wheels = sorted(HOUSE.glob('*.whl'))
    if wheels and not args.steps:
        run_words(sys.executable, '-m', 'pip', 'install', '-q', '--no-index', '--no-deps', *wheels)


def environment():
    "Where the package and the tunes are found"
    paths = [ROOT, HOUSE / 'tunes', *os.environ.get('PYTHONPATH', '').split(os.pathsep)]
    return os.environ | dict(PYTHONPATH=os.pathsep.join(str(p) for p in paths if str(p)))


def make_latents(args, codec, env):
    "Render where nothing is there, and encode"
    data = ['data', 'build', '--tier', args.tier, '--out', args.work / 'data']
    if not (args.work / 'data' / 'metadata.jsonl').is_file():
        run_words(*PRESTO_NB, *data, env=env)
    places = ['--data', args.work / 'data', '--out', args.work / 'latents', '--codec', codec]
    run_words(*PRESTO_NB, 'data', 'encode', *places, env=env)


def train(args, codec, env):
    "Base, Presto-S and Presto-LS"
    places = ['--folder', args.work / 'models', '--data', args.work / 'latents', '--codec', codec]
    size = ['--minutes', args.minutes, '--network', args.network, '--batch-size', args.batch_size]
    start = HOUSE / 'start.safetensors'
    more = ['--init', start] if start.is_file() else []
    more += ['--steps', args.steps, '--drops', '2,2,1,0,0'] if args.steps else []
    campaign = ROOT / 'recipes' / 'campaign.py'
    run_words(sys.executable, campaign, 'gpu', *places, *size, *more, env=env)


def bring_back(args):
    "Eight files may come back: two of each model"
    for stage in ('base', 's', 'ls'):
        (args.out / stage).mkdir(parents=True, exist_ok=True)
        for name in ('config.json', 'model.safetensors'):
            made = args.work / 'models' / stage / 'model' / name
            shutil.copy(made, args.out / stage / name)


def run(args):
    "Install, render, encode, train"
    install(args)
    env = environment()
    codec = args.codec or ROOT / 'presto_nb' / 'assets' / 'codec'
    make_latents(args, codec, env)
    train(args, codec, env)
    bring_back(args)


def add_run(verbs):
    "The arguments of `run`"
    v = verbs.add_parser('run', help=run.__doc__)
    v.add_argument('--out', type=Path, required=True, help='where the models come to')
    v.add_argument('--work', type=Path, default=Path('gpu-work'), help='data, latents, checkpoints')
    v.add_argument('--minutes', type=float, default=9.0, help='of training')
    v.add_argument('--codec', type=Path, help='the shipped one unless given')
    v.add_argument('--tier', default='varied')
    v.add_argument('--network', default='laptop')
    v.add_argument('--batch-size', type=int, default=128)
    v.add_argument('--steps', type=int, help='of every stage (for trying the chain)')
    v.set_defaults(call=run)


def main(argv=None):
    p = new_parser(__doc__)
    verbs = p.add_subparsers(dest='what', required=True)
    v = verbs.add_parser('pack', help=pack.__doc__)
    v.add_argument('--weights', type=Path, help='a run or a file; the long training\'s base')
    v.set_defaults(call=pack)
    add_run(verbs)
    args = p.parse_args(argv)
    if args.what == 'pack' and not args.weights and (CAMPAIGN / 'base' / 'checkpoint').is_dir():
        args.weights = CAMPAIGN / 'base'
    args.call(args)


if __name__ == '__main__':
    main()
