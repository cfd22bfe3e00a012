"""The long training survives what happens to long trainings: recipes/campaign.py"""

import json
import signal
import subprocess
import sys
import time

import pytest

import campaign

COUNT = '''
import json, signal, sys, time
from pathlib import Path
out, end = Path(sys.argv[1]), int(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
state = out/'count'
n = int(state.read_text()) if state.is_file() else 0
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
while n < end and not asked:
    n += 1
    time.sleep(.02)
    (out/'count.tmp').write_text(str(n))
    (out/'count.tmp').replace(state)
if n == end:
    (out/'model').mkdir(exist_ok=True)
    (out/'model'/'config.json').write_text('{}')
'''

ENCODE = '''
import sys
from pathlib import Path
p = Path(sys.argv[1])
p.mkdir(exist_ok=True)
(p/'latents.jsonl').touch()
'''


def counting(folder, data, steps):
    "Every stage counts to `steps`"
    out = {k: [sys.executable, '-c', COUNT, folder / k, n] for k, n in steps.items()}
    return out | dict(encode=[sys.executable, '-c', ENCODE, folder / 'latents'])


WORK = '''
import sys
from pathlib import Path
tests = Path(sys.argv[1]).parent
sys.path[:0] = [str(tests), str(tests.parent / 'recipes')]
import test_campaign as t
t.campaign.commands = t.counting
t.campaign.JUDGED = ()
sys.exit(t.campaign.main(['work', '--folder', sys.argv[2], '--steps', sys.argv[3]]))
'''


def worker(folder, steps=10):
    "The worker's process, with stages that count to `steps`"
    return subprocess.Popen([sys.executable, '-c', WORK, __file__, str(folder), str(steps)])


def counts(folder):
    "How far each stage is"
    return {p.parent.name: int(p.read_text()) for p in folder.glob('*/count')}


def wait_for(condition, seconds=60):
    "Until something is so"
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_all_stages_in_order_though_it_is_killed(tmp_path):
    for _ in range(2):
        w = worker(tmp_path)
        before = sum(counts(tmp_path).values())
        wait_for(lambda: sum(counts(tmp_path).values()) > before + 5)
        w.kill()
        w.wait()
        # a stage that outlives its worker holds the lock
        wait_for(lambda: not campaign.running(tmp_path))
    assert worker(tmp_path).wait(60) == 0
    assert counts(tmp_path) == {k: 10 for k in campaign.STEPS}
    assert json.loads((tmp_path / 'status.json').read_text())['state'] == 'done'


def test_a_second_one_does_nothing_and_a_stopped_one_says_so(tmp_path, capsys):
    w = worker(tmp_path, 10_000)  # so that the first stage is on its way all the time
    wait_for(lambda: counts(tmp_path))
    assert worker(tmp_path).wait(60) == 0 and w.poll() is None
    campaign.main(['start', '--folder', str(tmp_path)])
    assert 'running already; nothing was changed' in capsys.readouterr().out
    campaign.main(['stop', '--folder', str(tmp_path)])
    assert w.wait(60) == 0
    assert json.loads((tmp_path / 'status.json').read_text())['state'] == 'stopped'
    campaign.main(['status', '--folder', str(tmp_path)])
    assert 'not running; stage codec: stopped' in capsys.readouterr().out


def test_what_fails_is_told_and_not_tried_for_ever(tmp_path, monkeypatch, capsys):
    fails = dict.fromkeys(campaign.ORDER, [sys.executable, '-c', 'import sys; sys.exit(7)'])
    monkeypatch.setattr(campaign, 'commands', lambda *a: fails)
    monkeypatch.setattr(campaign, 'lowest_priority', lambda: None)
    with campaign.locked(tmp_path) as lock, pytest.raises(SystemExit):
        campaign.Worker(tmp_path, tmp_path, campaign.STEPS, lock).stages()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    state = json.loads((tmp_path / 'status.json').read_text())['state']
    assert 'failed with exit status 7' in state


def test_nothing_is_started_without_data(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, 'freeze', lambda folder, renew: ('python', tmp_path))
    with pytest.raises(SystemExit, match='has no metadata.jsonl'):
        campaign.main(['start', '--folder', str(tmp_path), '--data', str(tmp_path / 'nothing')])


def value(command, name):
    "What a command gives an argument"
    return command[command.index(name) + 1]


def test_the_gpu_plan_goes_on_from_weights(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(campaign.subprocess, 'run', lambda words, check: told.append(words))
    words = ['gpu', '--folder', tmp_path / 'out', '--data', tmp_path, '--codec', tmp_path / 'c']
    words += ['--init', tmp_path / 'run', '--minutes', '10']
    campaign.main([str(w) for w in words])
    base, s, layers, ls = told
    assert value(base, '--init') == str(tmp_path / 'run')
    assert [float(value(c, '--minutes')) for c in told] == [5, 2, 1, 2]
    assert value(ls, '--start') == value(layers, '--out') + '/model'
    assert {value(c, '--base') for c in (s, layers, ls)} == {value(base, '--out') + '/model'}
