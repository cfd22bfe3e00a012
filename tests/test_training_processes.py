"""What no cell can test of the training loop: sudden death, a polite stop, two processes"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from presto_nb.material.core import load_tensors
from presto_nb.material.runs import load_checkpoint, read_log

TOY = str(Path(__file__).parent / 'training_toy.py')
ENV = os.environ | dict(OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE', IN_TEST='1')


def run(*args, launch=(), **env):
    return subprocess.run(
        [sys.executable, *launch, TOY, *map(str, args)],
        env=ENV | env,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_killed_at_any_moment_ends_with_the_same_bits(tmp_path):
    whole = run('whole', tmp_path / 'whole')
    killed = run('killed', tmp_path / 'killed')
    assert whole.returncode == killed.returncode == 0, whole.stderr + killed.stderr + killed.stdout
    kills = int(re.search(r'kills (\d+)', killed.stdout)[1])
    assert kills >= 3 and 'Error' not in killed.stdout, killed.stdout
    for name in ('weights', 'ema'):
        a, b = (load_tensors(tmp_path / d / f'{name}.safetensors') for d in ('whole', 'killed'))
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    a, b = (read_log(tmp_path / d / 'log.csv') for d in ('whole', 'killed'))
    a.pop('minutes')
    b.pop('minutes')
    assert str(a) == str(b)  # the log too: no row lost, none twice
    assert sorted(p.name for p in (tmp_path / 'killed' / 'checkpoint').iterdir()) == [
        'state.json',
        'step-00000100.safetensors',
    ]
    assert not list((tmp_path / 'killed').glob('.*'))  # what a killed run half-wrote is swept up


@pytest.mark.skipif(sys.platform == 'win32', reason='no SIGTERM there')
@pytest.mark.parametrize('sig', [signal.SIGTERM, signal.SIGINT])
def test_a_polite_stop_saves(tmp_path, sig):
    p = subprocess.Popen([sys.executable, TOY, 'long', str(tmp_path)], env=ENV)
    end = time.time() + 60
    while not (tmp_path / 'log.csv').is_file() and time.time() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    p.send_signal(sig)
    assert p.wait(30) == 0
    step = load_checkpoint(tmp_path / 'checkpoint')['step']
    assert step >= read_log(tmp_path / 'log.csv')['step'][-1] > 0
    assert not (tmp_path / 'ema.safetensors').exists()  # the run has not ended


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def test_two_processes_follow_one_with_twice_their_batch(tmp_path):
    # `--cpu` starts one process only; with ACCELERATE_USE_CPU `--multi_gpu` starts several there
    words = (
        '--multi_gpu --num_processes 2 --num_machines 1 --mixed_precision no --dynamo_backend no'
    )
    launch = ['-m', 'accelerate.commands.launch', *words.split()]
    launch += ['--main_process_port', str(free_port())]
    one = run('plain', tmp_path / 'one')
    two = run('plain', tmp_path / 'two', launch=launch, ACCELERATE_USE_CPU='true')
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    assert 'processes 1' in one.stdout and 'processes 2' in two.stdout
    a, b = (read_log(tmp_path / d / 'log.csv') for d in ('one', 'two'))
    assert a['step'] == b['step'] and len(a['step']) == 150 and a['loss'][-1] < a['loss'][0] / 4
    assert max(abs(x - y) / x for x, y in zip(a['loss'], b['loss'])) < 1e-2
    a, b = (load_tensors(tmp_path / d / 'weights.safetensors') for d in ('one', 'two'))
    assert all(torch.allclose(a[k], b[k], rtol=1e-3, atol=1e-4) for k in a)
