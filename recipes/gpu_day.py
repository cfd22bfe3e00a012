"""A quarter of an hour on a GPU that reaches no network: what it needs, and what is run there.

    python recipes/gpu_day.py pack [--weights RUN]   here: fills wheelhouse/, and says what to do
    python recipes/gpu_day.py run --minutes 11 --out FOLDER                there: one command

`pack` fetches wheels for Python 3.12 that such a machine may lack, copies the tunes of music21, and
takes the newest averaged weights of the long training as `start`. `run` installs them, renders and
encodes the tier `varied`, and goes on with base, Presto-S and Presto-LS (recipes/campaign.py gpu);
each model's folder comes to --out as it is ready. Nothing of it needs a GPU to be tried:
`run --steps 2 --tier tiny --network tiny`.
"""

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
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


def pack(args):
    "What travels: wheels, tunes, weights"
    shutil.rmtree(HOUSE, ignore_errors=True)
    HOUSE.mkdir()
    run_words(
        sys.executable,
        '-m',
        'pip',
        'download',
        '-q',
        '--no-deps',
        '--only-binary=:all:',
        '--python-version',
        '3.12',
        '--platform',
        'manylinux2014_x86_64',
        '--platform',
        'manylinux_2_28_x86_64',
        '-d',
        HOUSE,
        *WHEELS,
    )
    tunes = Path(importlib.util.find_spec('music21').origin).parent / 'corpus'
    for book in BOOKS:
        shutil.copytree(tunes / book, HOUSE / 'tunes' / 'music21' / 'corpus' / book)
    (HOUSE / 'tunes' / 'music21' / '__init__.py').touch()
    if args.weights:
        from presto_nb.material.core import save_tensors
        from presto_nb.training import run_weights

        save_tensors(HOUSE / 'start.safetensors', run_weights(args.weights))
    size = sum(f.stat().st_size for f in HOUSE.rglob('*') if f.is_file()) / 2**20
    print(
        f'{HOUSE}: {size:.1f} MB. Models need not travel: move presto_nb/assets/presto-* and '
        'laptop-* away for the call. There: python recipes/gpu_day.py run --out FOLDER'
    )


def run(args):
    "Install, render, encode, train"
    wheels = sorted(HOUSE.glob('*.whl'))
    if wheels and not args.steps:
        run_words(sys.executable, '-m', 'pip', 'install', '-q', '--no-index', '--no-deps', *wheels)
    work, env = args.work, dict(os.environ)
    paths = [ROOT, HOUSE / 'tunes', *os.environ.get('PYTHONPATH', '').split(os.pathsep)]
    env['PYTHONPATH'] = os.pathsep.join(str(p) for p in paths if str(p))
    presto = [
        sys.executable,
        '-c',
        'import sys; from presto_nb.tools.cli import main; sys.exit(main(sys.argv[1:]))',
    ]
    codec = args.codec or ROOT / 'presto_nb' / 'assets' / 'codec'
    if not (work / 'data' / 'metadata.jsonl').is_file():
        run_words(*presto, 'data', 'build', '--tier', args.tier, '--out', work / 'data', env=env)
    run_words(
        *presto,
        'data',
        'encode',
        '--data',
        work / 'data',
        '--out',
        work / 'latents',
        '--codec',
        codec,
        env=env,
    )
    start = HOUSE / 'start.safetensors'
    more = ['--init', start] if start.is_file() else []
    more += ['--steps', args.steps, '--drops', '2,2,1,0,0'] if args.steps else []
    run_words(
        sys.executable,
        ROOT / 'recipes' / 'campaign.py',
        'gpu',
        '--folder',
        work / 'models',
        '--data',
        work / 'latents',
        '--codec',
        codec,
        '--minutes',
        args.minutes,
        '--network',
        args.network,
        '--batch-size',
        args.batch_size,
        *more,
        env=env,
    )
    for stage in ('base', 's', 'ls'):  # eight files may come back: two of each model
        (args.out / stage).mkdir(parents=True, exist_ok=True)
        for name in ('config.json', 'model.safetensors'):
            shutil.copy(work / 'models' / stage / 'model' / name, args.out / stage / name)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    verbs = p.add_subparsers(dest='what', required=True)
    v = verbs.add_parser('pack', help=pack.__doc__)
    v.add_argument('--weights', type=Path, help='a run or a file; the long training\'s base')
    v.set_defaults(call=pack)
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
    args = p.parse_args(argv)
    if args.what == 'pack' and not args.weights and (CAMPAIGN / 'base' / 'checkpoint').is_dir():
        args.weights = CAMPAIGN / 'base'
    args.call(args)


if __name__ == '__main__':
    main()
