"""The labs as pages

Voila answers on loopback. In a Chromium, where there is one with node's playwright-core, a slider
moves, the figure changes and the sound plays, and a blind listening test is taken by keys alone.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from presto_nb.tools.cli import main
from presto_nb.labs.gallery import free_port, lab_notebook

HERE = Path(__file__).parent
CHROMIUM = (
    shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
)


@contextmanager
def served(*words, say):
    "A server in a process of its own, and the line in which it says where it listens"
    run = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        lines = iter(run.stdout.readline, '')
        yield next(line for line in lines if re.search(say, line))
    finally:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait(20)


def fetch(
    address,  # as printed, with its token
    more='',  # what comes after the address once the token has left it
    tries=60,
):
    "The page at an address"
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def get(url):
        return visitor.open(url, timeout=60).read().decode()

    for _ in range(tries):
        try:
            onward = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', get(address))[1]
        except OSError:
            time.sleep(0.5)
        else:
            return get(urllib.parse.urljoin(address, onward) + more)
    raise AssertionError(f'{address} does not answer')


def wait_for(address, tries=120):
    "Until somebody listens there: a server tells its address before it does"
    where = urllib.parse.urlsplit(address)
    for _ in range(tries):
        try:
            return socket.create_connection((where.hostname, where.port), timeout=10).close()
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f'nobody listens at {address}')


def printed(line):
    "The address in a line"
    return re.search(r'http://127[.]0[.]0[.]1:[0-9]+/[?]token=[\w-]+', line)[0]


LAB = (
    '-c',
    'import sys; from presto_nb.tools.cli import main; sys.exit(main())',
    'lab',
    'variance',
    '--no-browser',
    '--port',
)


def test_page_answers_on_loopback():
    pytest.importorskip('voila')
    port = free_port()
    with served(*LAB, str(port), say='the lab variance') as line:
        assert f'http://127.0.0.1:{port}/' in line
        page = fetch(printed(line))
        assert 'cdn.' not in page
        assert 'The variance lab' in page
        assert 'application/vnd.jupyter.widget-view+json' in page


OWN = 'lab', 'listen', '--data', str(HERE.parent / 'data_samples' / 'clips')


def test_refusals(capsys, tmp_path):
    out = '--out', str(tmp_path / 'test')
    for words, sentence in (
        (
            [*OWN, *out, '--prompts', '3', '--models', 'presto-ls'],
            'there are 3 prompts; 6 to 10000',
        ),
        ([*OWN, *out, '--prompts', '99'], '99 prompts were asked for'),
        ([*OWN, *out, '--models', 'presto-x'], "no model 'presto-x'"),
        (
            [*OWN, *out, '--prompts', '6', '--models', 'presto-ls', 'presto-ls'],
            "two systems presto-ls",
        ),
        ([*OWN, *out, '--prompts', '6', '--seed', '-1', '--models', 'presto-ls'], 'seed is -1'),
        (
            ['lab', 'variances'],
            "no lab 'variances'; there are variance, noise, plane, steps, listen",
        ),
        (['lab', '--port', '0'], 'the port is 0'),
        (['lab', 'noise', '--prompts', '3'], '--prompts goes with lab listen'),
        (['lab', '--port', 'x'], 'invalid int'),
    ):
        assert main(words) == 2 and sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def in_chromium(script, tmp_path, *words):
    "What a script prints last, as JSON"
    if not CHROMIUM or not shutil.which('node'):
        pytest.skip('no Chromium and node here')
    (tmp_path / script).write_text((HERE / script).read_text())
    modules = os.environ.get('NODE_PATH', '').split(os.pathsep)[0]
    if modules and Path(modules).is_dir():
        (tmp_path / 'node_modules').symlink_to(modules)
    if not (tmp_path / 'node_modules' / 'playwright-core').is_dir():
        pytest.skip('no playwright-core; name its node_modules in NODE_PATH')
    wait_for(words[0])
    r = subprocess.run(
        ['node', tmp_path / script, words[0], CHROMIUM, *words[1:]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=200,
    )
    assert r.returncode == 0, r.stderr[-2000:]
    return json.loads(r.stdout.splitlines()[-1])


def browse(address, kind, tmp_path):
    seen = in_chromium('lab_browser.mjs', tmp_path, address, kind)
    print(seen)
    assert seen['moved'] and seen['redrawn'] and not seen['errors']
    assert len(seen['sounds']) == 2
    assert all(abs(s - 3) < 0.2 for s in seen['sounds'])
    assert seen['played'] > 0.2


@pytest.mark.timeout(240)
def test_in_a_browser_through_voila(tmp_path):
    port = free_port()
    with served(*LAB, str(port), say='the lab variance') as line:
        browse(printed(line), 'voila', tmp_path)


@pytest.mark.timeout(240)
def test_in_a_browser_through_jupyterlab(tmp_path):
    pytest.importorskip('jupyterlab')
    port = free_port()
    (tmp_path / 'lab.ipynb').write_text(
        json.dumps(dict(lab_notebook('variance'), cells=lab_notebook('variance')['cells'][1:]))
    )
    words = (
        '-m',
        'jupyterlab',
        '--no-browser',
        f'--port={port}',
        '--ServerApp.ip=127.0.0.1',
        '--IdentityProvider.token=',
        f'--ServerApp.root_dir={tmp_path}',
        *(['--allow-root'] if os.geteuid() == 0 else []),
    )
    with served(*words, say=f'127.0.0.1:{port}'):
        browse(f'http://127.0.0.1:{port}/lab/tree/lab.ipynb?reset', 'jupyterlab', tmp_path)


TEST = """
import sys, torch
from types import SimpleNamespace
from presto_nb.material.audio import Audio
from presto_nb.labs.blind_test import make_test, serve_test
tone = lambda hz: lambda prompts, first: [Audio(.2*torch.sin(hz*torch.arange(22050)/7000), 44100)]
captions = 'a reel', 'a jig', 'a march', 'a waltz', 'a polka', 'an <air> & "more"'
prompts = [SimpleNamespace(caption=c) for c in captions]
makers = {'original': tone(440), 'base': tone(550), 'presto-ls': tone(660)}
serve_test(make_test(sys.argv[1], prompts, makers, seconds=.5), browser=False)
"""


@pytest.mark.timeout(240)
def test_listening_in_a_browser(tmp_path):
    """By keys alone

    Nothing can be answered before all was heard, the page does not say whose a clip is, a closed
    page goes on, and the file has what was said."""
    from presto_nb.labs.blind_test import BlindTest, screens

    with served('-c', TEST, str(tmp_path / 'test'), say='the listening test') as line:
        seen = in_chromium('listen_browser.mjs', tmp_path, printed(line))
    assert seen['screens'] == 6 and seen['early'] and not seen['errors'] and not seen['foreign']
    assert not [m for m in ('original', 'base', 'presto') if m in seen['seen'].lower()]
    assert all(m in seen['result'] for m in ('original', 'base', 'presto-ls'))
    test = BlindTest(tmp_path / 'test')
    rows = test.of('ann')
    assert [r['rating'] for r in rows] == seen['sliders']
    assert len(rows) == 18
    assert all(0.45 <= r['seconds'] < 5 for r in rows)
    assert (
        seen['result'].count('<td>69.0 [') == 3
    )  # rated by place alone: all means are equal, as the places are balanced
    assert [(r['prompt'], r['model']) for r in rows] == [
        (test.plan.prompts[i], m) for i, order in screens(test.plan, 'ann') for m in order
    ]


@pytest.mark.timeout(240)
def test_the_command_that_makes_a_listening_test(tmp_path):
    "With recordings of our own: clips as long and as loud as the recording, and the first page"
    from presto_nb.material.audio import Audio
    from presto_nb.labs.blind_test import BlindTest, clip_name

    with served(
        '-c',
        'import sys; from presto_nb.tools.cli import main; sys.exit(main())',
        *OWN,
        '--prompts',
        '6',
        '--models',
        'presto-ls',
        '--out',
        str(tmp_path / 'test'),
        '--no-browser',
        say='the listening test',
    ) as line:
        assert '6 screens' in fetch(printed(line))
    test = BlindTest(tmp_path / 'test')
    assert test.plan.systems == ('original', 'presto-ls')
    assert {p.name for p in (tmp_path / 'test' / 'clips').iterdir()} == test.clips
    for i in range(6):
        a, b = (Audio.load(test.clip(clip_name(test.plan, i, m))) for m in test.plan.systems)
        assert a.samples.shape == b.samples.shape and abs(a.loudness() - b.loudness()) < 0.1


def test_a_killed_listening_test_goes_on(tmp_path):
    from presto_nb.labs.blind_test import BlindTest, clip_name

    def open_it(say):
        return served('-c', TEST, str(tmp_path / 'test'), say=say)

    with open_it('the listening test') as line:
        address = printed(line)
        test = BlindTest(tmp_path / 'test')
        (i, order), *rest = test.left('ann')
        said = json.dumps(
            dict(
                listener='ann',
                ratings={clip_name(test.plan, i, m): [10 * k, 0.5] for k, m in enumerate(order)},
            )
        ).encode()
        assert (
            urllib.request.urlopen(
                urllib.request.Request(
                    address.replace('/?', '/rate?'), said, {'Content-Type': 'application/json'}
                )
            ).status
            == 204
        )
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / 'test' / 'clips').iterdir()}
    with open_it('the listening test') as line:
        assert 'Screen 2 of 6' in fetch(printed(line), '?listener=ann')
    assert BlindTest(tmp_path / 'test').left('ann') == rest
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / 'test' / 'clips').iterdir()}
