"""The long training, in the background: codec, base, Presto-L, Presto-S, Presto-LS.

    python recipes/campaign.py start      begin, or go on where it was
    python recipes/campaign.py status     stage, step, losses, hours; cheap
    python recipes/campaign.py stop       save and end
    python recipes/campaign.py gpu --data LATENTS --codec FOLDER --init WEIGHTS --folder OUT
                                          base, S, LS within 12 minutes of one GPU

It runs from a frozen copy of code and packages in its folder (~/.cache/presto_nb/campaign, or
`--folder`), so the checkout may change meanwhile; `start --renew` copies the code of the last
commit again, between stages. One core, lowest priority. It may be killed at any moment: `start`
goes on, equal to the bit. `start` when it runs already says so and changes nothing.

Every three hours of training the newest averaged weights answer 64 validation prompts; curve.csv
keeps pulse, tempo, key and agreement. Data and latents of the tier `varied` are made if missing.
"""

import argparse
import contextlib
import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path('~/.cache/presto_nb').expanduser()
JUDGE_HOURS = 3.0
DROPS_L, DROPS_LS = '6,5,3,2,0', '5,4,3,0,0'  # of 12 blocks, noisiest fifth first
JUDGED = 'base', 'l', 's', 'ls'
STEPS = dict(codec=24000, base=36000, l=4000, s=14000, layers=2000, ls=10000)
ORDER = 'codec', 'encode', 'base', 'l', 's', 'layers', 'ls'
PRESTO = [
    sys.executable,
    '-c',
    'import sys; from presto_nb.tools.cli import main; sys.exit(main(sys.argv[1:]))',
]
FILES = (
    'presto_nb',
    'recipes',
    'pyproject.toml',
    'README.md',
    'LICENSE',
    'THIRD_PARTY.md',
    'constraints.txt',
)


# --- what is run -----------------------------------------------------------------------------


def made(folder, stage):
    "Has a stage ended?"
    if stage == 'encode':
        return (folder / 'latents' / 'latents.jsonl').is_file()
    return (folder / stage / 'model' / 'config.json').is_file()


def commands(folder, data, steps):
    "Stage -> the command that trains it, or goes on"
    recipe = lambda name: [sys.executable, ROOT / 'recipes' / name]
    latents = ['--data', folder / 'latents', '--base', folder / 'base' / 'model']
    presto_l = [*PRESTO, 'train', 'presto-l', *latents]
    few = [*latents, '--batch-size', 8]
    out = {k: ['--out', folder / k, '--steps', n] for k, n in steps.items()}
    return dict(
        codec=[*recipe('train_codec.py'), '--data', data, *out['codec']],
        encode=[
            *PRESTO,
            'data',
            'encode',
            '--data',
            data,
            '--codec',
            folder / 'codec' / 'model',
            '--out',
            folder / 'latents',
        ],
        base=[*recipe('laptop_base.py'), *base_words(folder), *out['base']],
        l=[*presto_l, '--variant', 'presto-l', '--drops', DROPS_L, *out['l']],
        s=[*PRESTO, 'train', 'presto-s', *few, *out['s']],
        layers=[*presto_l, '--variant', 'ls', '--drops', DROPS_LS, *out['layers']],
        ls=[
            *PRESTO,
            'train',
            'presto-ls',
            *few,
            '--start',
            folder / 'layers' / 'model',
            *out['ls'],
        ],
    )


def base_words(folder):
    "What the base's recipe needs to know"
    return ['--data', folder / 'latents', '--codec', folder / 'codec' / 'model']


def judgement(folder, stage):
    "The command that adds a row to the curve"
    return [
        sys.executable,
        ROOT / 'recipes' / 'laptop_base.py',
        *base_words(folder),
        '--out',
        folder / stage,
        '--judge',
        folder / 'curve.csv',
    ]


# --- the frozen copy ---------------------------------------------------------------------------


def freeze(folder, renew=False):
    "Code of the last commit, and an environment of its own"
    code, env = folder / 'code', folder / 'venv'
    if renew or not code.is_dir():
        new = folder / 'code.new'
        new.mkdir(parents=True, exist_ok=True)
        words = ['git', 'archive', 'HEAD', *FILES]
        archive = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE)
        if archive.returncode:
            raise SystemExit('git archive failed; a campaign is started from a checkout.')
        subprocess.run(['tar', 'x', '-C', new], input=archive.stdout, check=True)
        if code.is_dir():
            subprocess.run(['rm', '-r', code], check=True)
        new.rename(code)
    if not (env / 'ready').is_file():
        python = env / 'bin' / 'python'
        subprocess.run([sys.executable, '-m', 'venv', env], check=True)
        subprocess.run(
            [
                python,
                '-m',
                'pip',
                'install',
                '-q',
                '-c',
                'constraints.txt',
                '.[data,eval,audiocraft-deps]',
            ],
            cwd=code,
            check=True,
        )
        for what in ('audiocraft', 'eval'):
            subprocess.run([python, *PRESTO[1:], 'setup', what], cwd=code, check=True)
        subprocess.run([python, '-m', 'pip', 'uninstall', '-q', '-y', 'presto_nb'], check=True)
        (env / 'ready').touch()
    return env / 'bin' / 'python', code


# --- the worker --------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(folder):
    "The campaign's lock, as long as the worker or its training lives; None if another holds it"
    with open(folder / 'lock', 'a') as f:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield f


def write_json(path, value):
    "At every moment the old file or the new one"
    tmp = path.with_suffix('.tmp')
    tmp.write_text(json.dumps(value, indent=1) + '\n', encoding='utf-8')
    tmp.replace(path)


def lowest_priority():
    "For this process and what it starts; its own session too, where the kernel groups by session"
    os.nice(19)
    if os.getsid(0) != os.getpid():
        return  # the session is somebody else's, a shell's for example
    with contextlib.suppress(OSError):
        Path('/proc/self/autogroup').write_text('19')


class Worker:
    "Runs the stages one after another, and judges them on the way"

    def __init__(self, folder, data, steps, lock):
        self.folder, self.commands, self.lock = folder, commands(folder, data, steps), lock
        self.child, self.stopping = None, False
        for s in (signal.SIGTERM, signal.SIGINT):
            signal.signal(s, self.stop)

    def stop(self, *signal_and_frame):
        "Ask the training to save and end"
        self.stopping = True
        if self.child:
            self.child.terminate()

    def tell(self, stage, **more):
        "What `status` reads"
        child = self.child.pid if self.child else None
        told = dict(stage=stage, worker=os.getpid(), child=child) | more
        write_json(self.folder / 'status.json', told)

    def run(self, words, stage, seconds=None):
        "A command, at most so long; True when it ended by itself"
        with open(self.folder / 'log.txt', 'a', encoding='utf-8') as log:
            self.child = subprocess.Popen(
                [str(w) for w in words], stdout=log, stderr=log, pass_fds=[self.lock.fileno()]
            )
            self.tell(stage, state='running')
            if self.stopping:
                self.child.terminate()
            try:
                code = self.child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.child.terminate()
                self.child.wait()
                return False
            finally:
                self.child = None
        if code and not self.stopping:
            self.tell(stage, state=f'failed with exit status {code}; see {self.folder / "log.txt"}')
            raise SystemExit(1)
        return not self.stopping

    def stage(self, stage):
        "Train a stage to its end, judged on the way"
        hours = JUDGE_HOURS * 3600 if stage == 'base' else None
        while not made(self.folder, stage) and not self.stopping:
            ended = self.run(self.commands[stage], stage, hours)
            if ended and not made(self.folder, stage):
                self.tell(stage, state=f'ended without a model; see {self.folder / "log.txt"}')
                raise SystemExit(1)
            if stage in JUDGED and not self.stopping:
                self.run(judgement(self.folder, stage), stage)

    def stages(self):
        "All that is still to be done"
        for stage in ORDER:
            self.stage(stage)
            if self.stopping:
                return self.tell(stage, state='stopped')
        self.tell(ORDER[-1], state='done')


def work(args):
    "The worker's process"
    lowest_priority()
    with locked(args.folder) as lock:
        if lock:
            steps = STEPS if args.steps is None else dict.fromkeys(STEPS, args.steps)
            Worker(args.folder, args.data, steps, lock).stages()


# --- what a person calls -----------------------------------------------------------------------


def running(folder):
    "Does a worker or a training hold the lock?"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as lock:
        return lock is None


def start(args):
    "Begin, or go on"
    if running(args.folder):
        print('it is running already; nothing was changed')
        return status(args)
    python, code = freeze(args.folder, args.renew)
    if not (args.data / 'metadata.jsonl').is_file():
        raise SystemExit(
            f'{args.data} has no metadata.jsonl; make it with: '
            f'presto-nb data build --tier varied --out {args.data}'
        )
    env = os.environ | dict(PYTHONPATH=str(code), OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE')
    words = [python, code / 'recipes' / 'campaign.py', 'work', '--folder', args.folder]
    words += ['--data', args.data, *(['--steps', args.steps] if args.steps else [])]
    with open(args.folder / 'log.txt', 'a', encoding='utf-8') as log:
        worker = subprocess.Popen(
            [str(w) for w in words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            cwd=args.folder,
            start_new_session=True,
        )
    print(f'started, process {worker.pid}; python recipes/campaign.py status')


def last_row(path):
    "The last whole row of a log"
    if not path.is_file():
        return {}
    with open(path, newline='', encoding='utf-8') as f:
        rows = [r for r in csv.DictReader(f) if None not in r.values()]
    return rows[-1] if rows else {}


def status(args):
    "Where it is"
    alive = running(args.folder)
    state = {}
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((args.folder / 'status.json').read_text(encoding='utf-8'))
    stage, what = state.get('stage', 'none'), state.get('state', 'not begun')
    print(f"{'running' if alive else 'not running'}; stage {stage}: {what}")
    for stage in ORDER:
        row = last_row(args.folder / stage / 'log.csv')
        if row:
            shown = {k: v for k, v in row.items() if v and ('loss' in k or k in LOGGED)}
            done, hours = 'made ' if made(args.folder, stage) else '', float(row['minutes']) / 60
            print(
                f"{stage:7} {done}step {row['step']}, {hours:.2f} h  ",
                '  '.join(f'{k} {v}' for k, v in shown.items()),
            )
    curve = args.folder / 'curve.csv'
    if curve.is_file():
        print(curve.read_text(encoding='utf-8').rstrip())


LOGGED = 'height', 'advance', 'kl', 'window', 'mel', 'adversarial', 'critic_right'


def stop(args, patience=300.0):
    "Save and end"
    if not running(args.folder):
        return print('it is not running')
    state = json.loads((args.folder / 'status.json').read_text(encoding='utf-8'))
    for pid in (state['worker'], state['child']):
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + patience
    while running(args.folder):
        if time.monotonic() > end:
            raise SystemExit(
                f'it has not ended within {patience:g} s; see {args.folder / "log.txt"}'
            )
        time.sleep(1)
    print('stopped')


def gpu(args):
    "Base, Presto-S and Presto-LS within --minutes, each from the newest weights there are"
    recipe, out = [sys.executable, ROOT / 'recipes' / 'laptop_base.py'], args.folder

    def size(share):
        return (
            ['--steps', args.steps] if args.steps else ['--minutes', f'{share * args.minutes:.4g}']
        )

    latents, base = ['--data', args.data], ['--base', out / 'base' / 'model']
    begin = ['--init', args.init] if args.init else []
    few = [*latents, *base, '--batch-size', args.batch_size // 2]
    plan = dict(
        base=[
            *recipe,
            *latents,
            '--codec',
            args.codec,
            '--network',
            args.network,
            *begin,
            '--batch-size',
            args.batch_size,
            *size(0.5),
            *(['--plain'] if args.steps else []),
        ],
        s=[*PRESTO, 'train', 'presto-s', *few, *size(0.2)],
        layers=[
            *PRESTO,
            'train',
            'presto-l',
            *few,
            '--variant',
            'ls',
            '--drops',
            args.drops,
            *size(0.1),
        ],
        ls=[*PRESTO, 'train', 'presto-ls', *few, '--start', out / 'layers' / 'model', *size(0.2)],
    )
    for stage, words in plan.items():
        if not made(out, stage):
            print(stage, flush=True)
            subprocess.run([str(w) for w in [*words, '--out', out / stage]], check=True)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    verbs = p.add_subparsers(dest='what', required=True)
    add = lambda verb, f: verbs.add_parser(verb, help=f.__doc__)
    for verb, f in dict(start=start, status=status, stop=stop, work=work).items():
        v = add(verb, f)
        v.set_defaults(call=f)
        v.add_argument('--folder', type=Path, default=CACHE / 'campaign')
        if verb in ('start', 'work'):
            v.add_argument('--data', type=Path, default=CACHE / 'varied', help='rendered clips')
            v.add_argument('--steps', type=int, help='of every stage (for trying the chain)')
        if verb == 'start':
            v.add_argument('--renew', action='store_true', help='copy the last commit again')
    v = add('gpu', gpu)
    v.set_defaults(call=gpu)
    v.add_argument('--folder', type=Path, required=True, help='where the models go')
    v.add_argument('--data', type=Path, required=True, help='latents')
    v.add_argument('--codec', type=Path, required=True)
    v.add_argument('--init', type=Path, help='run or weights the base begins with')
    v.add_argument('--minutes', type=float, default=12.0)
    v.add_argument('--batch-size', type=int, default=128)
    v.add_argument('--network', default='laptop')
    v.add_argument('--drops', default=DROPS_LS)
    v.add_argument('--steps', type=int, help='of every stage (for trying the chain)')
    args = p.parse_args(argv)
    for k in ('folder', 'data', 'codec', 'init'):
        if getattr(args, k, None):
            setattr(args, k, getattr(args, k).expanduser().resolve())
    return args.call(args)


if __name__ == '__main__':
    sys.exit(main())
