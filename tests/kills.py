"""Kills a tiny run of each stage before its file operations, one at a time, and gives it again.

    python tests/kills.py --most 24 --seed 0

A forked child ends without warning before the k-th file operation under its folder (a file made
or opened for writing, renamed or removed, a folder made or removed, weights written). The same
command follows in another child. What lies there then must be what an undisturbed run leaves: the
same files, bit by bit, but for clocks. The record is data_samples/logs/kills.json.
"""

import argparse
import builtins
import csv
import io
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.update(IN_TEST='1', OMP_NUM_THREADS='1', HF_HUB_OFFLINE='1', MPLBACKEND='agg')
sys.modules['torch.utils.tensorboard'] = None  # its files are named by the clock
os.cpu_count = lambda: 1  # clips are made in this process, whose operations are counted
import matplotlib.figure  # noqa: F401  (loaded once, before the forks)
import numpy as np
import safetensors.torch
import soundfile as sf
import torch

import presto_nb.codec_training as codec_training
import presto_nb.presto_l as presto_l
import presto_nb.presto_ls  # noqa: F401
import presto_nb.presto_s_on_music as presto_s_on_music
import presto_nb.training as training
from presto_nb.tools.cli import main
from presto_nb.material.codec import encode_folder
from presto_nb.material.core import atomic_path
from presto_nb.pipeline import MusicPipeline
from presto_nb.material.tunes import build_dataset
from tiny_model import random_pipeline

LOG = Path(__file__).parents[1] / 'data_samples' / 'logs' / 'kills.json'
KILLED = 9
MOST = dict(evaluate=4)  # kills of a stage that takes long
RATE = 44100


# ---- file operations


def counted(under, kill_at, seen):
    "Count file operations under a folder; end the process before that of a number"
    under = str(under)

    def look(name, *paths):
        if not any(
            isinstance(p, (str, Path)) and str(Path(p).absolute()).startswith(under) for p in paths
        ):
            return
        if len(seen) == kill_at:
            os._exit(KILLED)
        seen.append(name)

    def wrap(owner, name, paths):
        plain = getattr(owner, name)

        def call(*args, **kwargs):
            if 'dir_fd' in kwargs and kwargs['dir_fd'] is not None:
                look(name, under)  # of a folder that is removed
            else:
                look(name, *paths(args, kwargs))
            return plain(*args, **kwargs)

        setattr(owner, name, call)

    for name in ('replace', 'rename'):
        wrap(os, name, lambda a, k: a[:2])
    for name in ('unlink', 'remove', 'mkdir', 'rmdir', 'chmod'):
        wrap(os, name, lambda a, k: a[:1])
    wrap(os, 'open', lambda a, k: a[:1] if a[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR) else ())
    wrap(safetensors.torch, 'save_file', lambda a, k: a[1:2])

    def writes(a, k):
        return a[:1] if set('wax+') & set((a[1:2] or (k.get('mode', 'r'),))[0]) else ()

    wrap(builtins, 'open', writes)
    io.open = builtins.open


def in_child(folder, do, kill_at=None) -> tuple:
    "(exit status, file operations) of something done in a process of its own, in that folder"
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        with os.fdopen(read) as f:
            said = f.read()
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status, json.loads(said) if said else []
    os.close(read)
    status = 1
    seen = []
    try:
        os.chdir(folder)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        if 'KILLS_LOUD' not in os.environ:
            os.dup2(nowhere, 2)
        counted(folder, kill_at, seen)
        do()
        status = 0
    finally:
        os.write(write, json.dumps(seen).encode())
        os._exit(status)


# ---- stages


def tones(folder, n=3):
    folder.mkdir()
    rows = ['file,caption,split']
    for i in range(n):
        t = np.arange(round(0.6 * RATE)) / RATE
        sf.write(folder / f'{i}.wav', 0.3 * np.sin(6.2832 * (220 + 60 * i) * t), RATE)
        rows.append(f'{i}.wav,a slow waltz,{"valid" if i == n - 1 else "train"}')
    (folder / 'captions.csv').write_text('\n'.join(rows), encoding='utf-8')


def command(*words):
    def do():
        assert main([str(w) for w in words]) == 0

    return do


def stages(store) -> dict:
    "What is run, by name"
    pipe = random_pipeline(max_seconds=0.4)
    pipe.save_pretrained(store / 'model')
    pipe = MusicPipeline.from_pretrained(store / 'model', device='cpu')
    tones(store / 'sounds')
    encode_folder(pipe.codec, store / 'sounds', store / 'latents')
    build_dataset('tiny', store / 'warm', limit=1)  # what it needs is loaded once, before the forks
    short = ['--steps', 2, '--batch-size', 2, '--out', 'run']
    model = store / 'model'
    data = ['--data', store / 'latents']
    few = ['--base', model, *data, *short]
    layers = [*few, '--drops', '1,1,0,0,0']
    assert (
        in_child(store, command('train', 'presto-l', *layers[:-4], '--out', 'l', *layers[-2:]))[0]
        == 0
    )
    own = ['--data', store / 'sounds']
    return {
        'data build': command('data', 'build', '--tier', 'tiny', '--limit', 3, '--out', 'run'),
        'data encode': lambda: encode_folder(pipe.codec, store / 'sounds', 'run', per_shard=1),
        'train codec': command(
            'train',
            'codec',
            *own,
            *short,
            '--preset',
            'tiny',
            '--precision',
            'no',
            '--seconds',
            0.1,
        ),
        'train base': command('train', 'base', *own, '--init', model, *short),
        'train presto-l': command('train', 'presto-l', *layers),
        'train presto-s': command('train', 'presto-s', *few),
        'train presto-ls': command('train', 'presto-ls', *few, '--start', store / 'l' / 'model'),
        'generate': command(
            'generate', 'a', 'b', '--model', model, '--seconds', 0.3, '--out', 'run'
        ),
        'evaluate': command('evaluate', model, '--n', 16, '--seconds', 0.5, '--out', 'run'),
    }


def often():
    "A checkpoint and a row of the log with every step"
    for module, name in (
        (codec_training, 'CODEC_RUN'),
        (training, 'FINE_RUN'),
        (presto_l, 'PRESTO_L_RUN'),
        (presto_s_on_music, 'PRESTO_S_RUN'),
    ):
        usual = getattr(module, name).replace(
            save_every=1, log_every=1, warmup_steps=1, prefetch=False
        )
        setattr(module, name, usual)


# ---- comparison


def without_clock(path, data):
    "A file's bytes, without what a clock said"
    if path.name == 'log.csv':
        rows = list(csv.DictReader(data.decode().splitlines()))
        return json.dumps([{k: v for k, v in r.items() if k != 'minutes'} for r in rows]).encode()
    if path.name == 'state.json':
        state = json.loads(data)
        state.pop('hash', None)
        state['tree']['dict'] = [x for x in state['tree']['dict'] if x[0] != 'minutes']
        return json.dumps(state).encode()
    if path.name == 'README.md':
        return re.sub(rb'[\d.]+ minutes|minutes: [\d.]+', b'', data)
    return data


def contents(folder) -> dict:
    "Everything that lies in a folder"
    return {
        p.relative_to(folder).as_posix(): without_clock(p, p.read_bytes()) if p.is_file() else None
        for p in Path(folder).rglob('*')
    }


def differences(whole, found) -> list:
    "What is missing, left behind, or other"
    out = [f'{k} is missing' for k in whole if k not in found]
    out += [f'{k} is left' for k in found if k not in whole]
    return out + [f'{k} differs' for k in whole if k in found and whole[k] != found[k]]


def one_stage(work, do, most, chance) -> dict:
    "Kill a stage before its operations"
    for name in ('first', 'second'):
        (work / name).mkdir()
        status, operations = in_child(work / name, do)
        assert status == 0, 'the undisturbed run failed'
    whole = contents(work / 'first')
    clocks = differences(whole, contents(work / 'second'))
    assert not clocks, clocks
    numbers = range(len(operations))
    if len(operations) > most:
        numbers = sorted(chance.sample(numbers, most))
    bad = []
    for k in numbers:
        at = work / 'killed'
        at.mkdir()
        killed = in_child(at, do, kill_at=k)[0]
        left = sorted(contents(at))
        for path in at.rglob('.*'):  # the command is given again an hour later
            os.utime(path, (time.time() - 3600,) * 2)
        again = in_child(at, do)[0]
        found = differences(whole, contents(at))
        if killed != KILLED or again != 0 or found:
            bad.append(
                dict(
                    k=k,
                    operation=operations[k],
                    killed=killed,
                    again=again,
                    found=found[:6],
                    left=left[:20],
                )
            )
            print(bad[-1], flush=True)
        shutil.rmtree(at)
    kinds = {o: operations.count(o) for o in sorted(set(operations))}
    return dict(
        operations=len(operations),
        kinds=kinds,
        killed=len(numbers),
        unequal=len(bad),
        examples=bad[:10],
    )


def run(most, seed, only):
    often()
    found = {}
    with tempfile.TemporaryDirectory() as d:
        store = Path(d) / 'store'
        store.mkdir()
        for name, do in stages(store).items():
            if only and name not in only:
                continue
            work = Path(d) / name.replace(' ', '-')
            work.mkdir()
            began = time.perf_counter()
            found[name] = one_stage(work, do, MOST.get(name, most), random.Random(f'{seed} {name}'))
            took = round(time.perf_counter() - began, 1)
            print(name, {k: v for k, v in found[name].items() if k != 'examples'}, took, flush=True)
            shutil.rmtree(work)
    return found


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument(
        '--most', type=int, default=24, help='kills of a stage; those of longer ones are drawn'
    )
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--only', nargs='+', help='some stages; then nothing is recorded')
    args = p.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    found = run(args.most, args.seed, args.only)
    record = dict(
        what='runs killed before a file operation and given again: what differs from a whole one',
        command=f'python tests/kills.py --most {args.most} --seed {args.seed}',
        sampled='every operation of a stage, or so many drawn by the seed',
        kills=sum(x['killed'] for x in found.values()),
        unequal=sum(x['unequal'] for x in found.values()),
        seconds=round(time.perf_counter() - began),
        stages=found,
    )
    if not args.only:
        with atomic_path(LOG) as f:
            f.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
    print(json.dumps({k: v for k, v in record.items() if k != 'stages'}, indent=1))
    sys.exit(bool(record['unequal']))
