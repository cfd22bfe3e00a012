"""The long training of one model family, in the background, for days: codec to Presto-LS.

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

For what: one core that nobody needs, a fixed number of steps for each stage, a network and a codec
of its own. `gpu` gives base, S and LS of the same network a few minutes on a GPU, from data and
codec that are there (gpu_day.py calls it). To train the released models, of the preset `laptop`
with the shipped codec, within a time budget that you give, use train_all.py instead.
"""

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

from common import PRESTO_NB, ROOT, new_parser, write_json

CACHE = Path('~/.cache/presto_nb').expanduser()
JUDGE_HOURS = 3.0
DROPS_L = '6,5,3,2,0'  # of 12 blocks, noisiest fifth first
DROPS_LS = '5,4,3,0,0'
JUDGED = 'base', 'l', 's', 'ls'
STEPS = dict(codec=24000, base=36000, l=4000, s=14000, layers=2000, ls=10000)
ORDER = 'codec', 'encode', 'base', 'l', 's', 'layers', 'ls'
FILES = 'presto_nb', 'recipes', 'pyproject.toml', 'README.md', 'LICENSE', 'THIRD_PARTY.md'
FILES += ('constraints.txt',)
EXTRAS = '.[data,eval,audiocraft-deps]'
LOGGED = 'height', 'advance', 'kl', 'window', 'mel', 'adversarial', 'critic_right'


# --- what is run -----------------------------------------------------------------------------


def made(folder, stage):
    "Has a stage ended?"
    if stage == 'encode':
        return (folder / 'latents' / 'latents.jsonl').is_file()
    return (folder / stage / 'model' / 'config.json').is_file()


def recipe(name, *words):
    "A recipe beside this one, as a command"
    return [sys.executable, ROOT / 'recipes' / name, *words]


def train_words(method, *words):
    "A command that trains a method"
    return [*PRESTO_NB, 'train', method, *words]


def base_words(folder):
    "What the base's recipe needs to know"
    return ['--data', folder / 'latents', '--codec', folder / 'codec' / 'model']


def layer_words(latents, kind, drops):
    "A layer stage of a kind"
    return train_words('presto-l', *latents, '--variant', kind, '--drops', drops)


def training(folder, data):
    "Stage -> the command that trains it, without its end"
    latents = ['--data', folder / 'latents', '--base', folder / 'base' / 'model']
    few = [*latents, '--batch-size', 8]
    start = ['--start', folder / 'layers' / 'model']
    return dict(
        codec=recipe('train_codec.py', '--data', data),
        base=recipe('laptop_base.py', *base_words(folder)),
        l=layer_words(latents, 'presto-l', DROPS_L),
        s=train_words('presto-s', *few),
        layers=layer_words(latents, 'ls', DROPS_LS),
        ls=train_words('presto-ls', *few, *start),
    )


def encode_words(folder, data):
    "The command that makes latents of the clips"
    codec = ['--codec', folder / 'codec' / 'model']
    return [*PRESTO_NB, 'data', 'encode', '--data', data, *codec, '--out', folder / 'latents']


def commands(folder, data, steps):
    "Stage -> the command that trains it, or goes on"
    found = dict(encode=encode_words(folder, data))
    for stage, words in training(folder, data).items():
        found[stage] = [*words, '--out', folder / stage, '--steps', steps[stage]]
    return found


def judgement(folder, stage):
    "The command that adds a row to the curve"
    words = ['--out', folder / stage, '--judge', folder / 'curve.csv']
    return recipe('laptop_base.py', *base_words(folder), *words)


# --- the frozen copy ---------------------------------------------------------------------------


def copy_code(code):
    "The code of the last commit, in place of what was there"
    new = code.with_name('code.new')
    new.mkdir(parents=True, exist_ok=True)
    words = ['git', 'archive', 'HEAD', *FILES]
    archive = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE)
    if archive.returncode:
        raise SystemExit('git archive failed; a campaign is started from a checkout.')
    subprocess.run(['tar', 'x', '-C', new], input=archive.stdout, check=True)
    if code.is_dir():
        subprocess.run(['rm', '-r', code], check=True)
    new.rename(code)


def make_environment(env, code):
    "Packages, and what pip cannot resolve; the package itself is taken from the copy"
    python = env / 'bin' / 'python'
    pip = [python, '-m', 'pip']
    subprocess.run([sys.executable, '-m', 'venv', env], check=True)
    install = [*pip, 'install', '-q', '-c', 'constraints.txt', EXTRAS]
    subprocess.run(install, cwd=code, check=True)
    for what in ('audiocraft', 'eval'):
        subprocess.run([python, *PRESTO_NB[1:], 'setup', what], cwd=code, check=True)
    subprocess.run([*pip, 'uninstall', '-q', '-y', 'presto_nb'], check=True)
    (env / 'ready').touch()


def freeze(folder, renew=False):
    "Code of the last commit, and an environment of its own"
    code = folder / 'code'
    env = folder / 'venv'
    if renew or not code.is_dir():
        copy_code(code)
    if not (env / 'ready').is_file():
        make_environment(env, code)
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
        self.folder = folder
        self.commands = commands(folder, data, steps)
        self.lock = lock
        self.child = None
        self.stopping = False
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
        state = dict(stage=stage, worker=os.getpid(), child=child) | more
        write_json(self.folder / 'status.json', state)

    def fail(self, stage, what):
        "Say what went wrong, and end"
        self.tell(stage, state=f'{what}; see {self.folder / "log.txt"}')
        raise SystemExit(1)

    def wait(self, seconds):
        "The exit status of the training, or None when it was asked to end after so many seconds"
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.terminate()
            self.child.wait()
            return None
        finally:
            self.child = None

    def run(self, words, stage, seconds=None):
        "A command, at most so long; True when it ended by itself"
        words = [str(w) for w in words]
        with open(self.folder / 'log.txt', 'a', encoding='utf-8') as log:
            given = dict(stdout=log, stderr=log, pass_fds=[self.lock.fileno()])
            self.child = subprocess.Popen(words, **given)
            self.tell(stage, state='running')
            if self.stopping:
                self.child.terminate()
            code = self.wait(seconds)
        if code and not self.stopping:
            self.fail(stage, f'failed with exit status {code}')
        return code is not None and not self.stopping

    def stage(self, stage):
        "Train a stage to its end, judged on the way"
        hours = JUDGE_HOURS * 3600 if stage == 'base' else None
        while not made(self.folder, stage) and not self.stopping:
            ended = self.run(self.commands[stage], stage, hours)
            if ended and not made(self.folder, stage):
                self.fail(stage, 'ended without a model')
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


def start_worker(args, python, code):
    "The worker as a process of its own, which outlives this one"
    env = os.environ | dict(PYTHONPATH=str(code), OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE')
    words = [python, code / 'recipes' / 'campaign.py', 'work', '--folder', args.folder]
    words += ['--data', args.data, *(['--steps', args.steps] if args.steps else [])]
    with open(args.folder / 'log.txt', 'a', encoding='utf-8') as log:
        return subprocess.Popen(
            [str(w) for w in words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            cwd=args.folder,
            start_new_session=True,
        )


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
    worker = start_worker(args, python, code)
    print(f'started, process {worker.pid}; python recipes/campaign.py status')


def last_row(path):
    "The last whole row of a log"
    if not path.is_file():
        return {}
    with open(path, newline='', encoding='utf-8') as f:
        rows = [r for r in csv.DictReader(f) if None not in r.values()]
    return rows[-1] if rows else {}


def tell_stage(folder, stage):
    "A line on a stage: step, hours, losses"
    row = last_row(folder / stage / 'log.csv')
    if not row:
        return
    shown = {k: v for k, v in row.items() if v and ('loss' in k or k in LOGGED)}
    done = 'made ' if made(folder, stage) else ''
    hours = float(row['minutes']) / 60
    print(
        f"{stage:7} {done}step {row['step']}, {hours:.2f} h  ",
        '  '.join(f'{k} {v}' for k, v in shown.items()),
    )


def status(args):
    "Where it is"
    how = 'running' if running(args.folder) else 'not running'
    state = {}
    with contextlib.suppress(OSError, ValueError):
        state = json.loads((args.folder / 'status.json').read_text(encoding='utf-8'))
    stage = state.get('stage', 'none')
    print(f"{how}; stage {stage}: {state.get('state', 'not begun')}")
    for stage in ORDER:
        tell_stage(args.folder, stage)
    curve = args.folder / 'curve.csv'
    if curve.is_file():
        print(curve.read_text(encoding='utf-8').rstrip())


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


def gpu_size(args, share):
    "How long a stage is: a share of the minutes, or steps"
    return ['--steps', args.steps] if args.steps else ['--minutes', f'{share * args.minutes:.4g}']


def gpu_base(args, latents):
    "The command that trains the base"
    words = [*latents, '--codec', args.codec, '--network', args.network]
    words += ['--init', args.init] if args.init else []
    words += ['--batch-size', args.batch_size, *gpu_size(args, 0.5)]
    words += ['--plain'] if args.steps else []
    return recipe('laptop_base.py', *words)


def gpu_plan(args):
    "Stage -> the command that trains it"
    latents = ['--data', args.data]
    base = ['--base', args.folder / 'base' / 'model']
    few = [*latents, *base, '--batch-size', args.batch_size // 2]
    start = ['--start', args.folder / 'layers' / 'model']
    return dict(
        base=gpu_base(args, latents),
        s=train_words('presto-s', *few, *gpu_size(args, 0.2)),
        layers=[*layer_words(few, 'ls', args.drops), *gpu_size(args, 0.1)],
        ls=train_words('presto-ls', *few, *start, *gpu_size(args, 0.2)),
    )


def gpu(args):
    "Base, Presto-S and Presto-LS within --minutes, each from the newest weights there are"
    for stage, words in gpu_plan(args).items():
        if not made(args.folder, stage):
            print(stage, flush=True)
            words = [str(w) for w in [*words, '--out', args.folder / stage]]
            subprocess.run(words, check=True)


def add_gpu(verbs):
    "The arguments of `gpu`"
    v = verbs.add_parser('gpu', help=gpu.__doc__)
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


def arguments(argv=None):
    p = new_parser(__doc__)
    verbs = p.add_subparsers(dest='what', required=True)
    for verb, f in dict(start=start, status=status, stop=stop, work=work).items():
        v = verbs.add_parser(verb, help=f.__doc__)
        v.set_defaults(call=f)
        v.add_argument('--folder', type=Path, default=CACHE / 'campaign')
        if verb in ('start', 'work'):
            v.add_argument('--data', type=Path, default=CACHE / 'varied', help='rendered clips')
            v.add_argument('--steps', type=int, help='of every stage (for trying the chain)')
        if verb == 'start':
            v.add_argument('--renew', action='store_true', help='copy the last commit again')
    add_gpu(verbs)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    for k in ('folder', 'data', 'codec', 'init'):
        if getattr(args, k, None):
            setattr(args, k, getattr(args, k).expanduser().resolve())
    return args.call(args)


if __name__ == '__main__':
    sys.exit(main())
