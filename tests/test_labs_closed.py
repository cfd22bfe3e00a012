"""Labs and the listening page are closed

Nothing is answered or started for another user, a page elsewhere or a name that is not this
machine's.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from presto_nb.labs import blind_test
from presto_nb.labs import frames
from presto_nb.labs import gallery
from presto_nb.material.audio import Audio
from presto_nb.labs.blind_test import BlindTest, clip_name, listen_server, make_test
from presto_nb.material.core import PrestoError
from presto_nb.labs.frames import Gate
from presto_nb.labs.gallery import free_port


def header_names(headers):
    "Keyword arguments as headers: _ stands for -"
    return {k.replace('_', '-'): v for k, v in headers.items()}


def ask(port, path='/', method='GET', body=None, **headers):
    "The answer's status, headers and text"
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        connection.request(method, path, body, header_names(headers))
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode(errors='replace')
    finally:
        connection.close()


def status(port, path='/', method='GET', body=None, **headers):
    "The answer's status alone"
    return ask(port, path, method, body, **headers)[0]


def enter(port, path):
    "Go through the printed address as a browser does: the cookie, and where it goes on to"
    code, headers, text = ask(port, path)
    assert code == 200
    assert 'HttpOnly' in headers['Set-Cookie'] and 'SameSite=Strict' in headers['Set-Cookie']
    return headers['Set-Cookie'].split(';')[0], re.search(r'url=([^"]+)"', text)[1]


STRANGERS = {
    'another user': (dict(), 403),
    'a wrong token': (dict(Cookie='presto-{port}=guess'), 403),
    'no cookie of ours': (dict(Cookie='a=b; presto-1=x'), 403),
    'a rebound name': (dict(Host='evil.example:{port}', Cookie='{cookie}'), 421),
    'a host without port': (dict(Host='127.0.0.1', Cookie='{cookie}'), 421),
    'another port': (dict(Host='127.0.0.1:1', Cookie='{cookie}'), 421),
    'a page elsewhere': (dict(Sec_Fetch_Site='cross-site', Cookie='{cookie}'), 403),
    'a page of another port': (dict(Sec_Fetch_Site='same-site', Cookie='{cookie}'), 403),
    'a foreign origin': (dict(Origin='http://evil.example', Cookie='{cookie}'), 403),
    'no origin at all': (dict(Origin='null', Cookie='{cookie}'), 403),
}


def refused_everywhere(port, cookie, targets):
    "No stranger gets an answer, a cookie or more than a sentence"
    for name, (stranger, expected) in STRANGERS.items():
        stranger = {k: v.format(port=port, cookie=cookie) for k, v in stranger.items()}
        for method, path, more in targets:
            code, headers, text = ask(port, path, method, **stranger | more)
            case = (name, method, path, code, headers, text)
            assert code == expected, case
            assert 'Set-Cookie' not in headers and len(text) < 300, case


# ---- the gate itself


def test_the_gate_without_a_token():
    gate = Gate(80)

    def visit(**headers):
        headers = {'Host': 'localhost:80'} | header_names(headers)
        return gate.check('GET', '/?token=', headers)

    assert visit() is None
    assert visit(Sec_Fetch_Site='none') is None
    assert visit(Sec_Fetch_Site='same-origin') is None
    # a socket, as one browser names it
    assert visit(Origin='http://localhost:80', Sec_Fetch_Site='cross-site') is None
    assert visit(Sec_Fetch_Site='cross-site')[0] == 403
    assert visit(Origin='http://evil.example')[0] == 403
    assert visit(Host='evil.example')[0] == 421


ADDRESSES = [
    ('/?token=t', '/'),
    ('/?a=1&token=t&b=2', '/?a=1&b=2'),
    ('//evil.example/?token=t', '/'),
    ('/\\evil.example?token=t', '/evil.example'),
    ('/x?token=t&q=%22%3E%3Cscript%3E', '/x?q=%22%3E%3Cscript%3E'),
]


@pytest.mark.parametrize('target,onward', ADDRESSES)
def test_the_token_leaves_the_address_and_nobody_is_sent_elsewhere(target, onward):
    headers = {'Host': '127.0.0.1:80', 'Sec-Fetch-Site': 'cross-site'}
    code, _, text = Gate(80, 't').check('GET', target, headers)
    assert code == 200
    assert f'url={onward.replace("&", "&amp;")}"' in text
    assert '<script>' not in text


def test_an_address_that_is_none(test):
    with listening(test) as port:
        for path in ('//[', '/?token=%ff%fe'):
            assert status(port, path) in (400, 403)
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
        connection.putrequest('GET', '/?token=secret', skip_host=True)
        connection.putheader('host', f'127.0.0.1:{port}')  # names may be in small letters
        connection.endheaders()
        assert connection.getresponse().status == 200


def test_tokens_differ():
    assert len({frames.new_token() for _ in range(100)}) == 100
    assert len(frames.new_token()) >= 32


def test_the_browser_gets_a_file_that_only_its_user_can_read(tmp_path, monkeypatch):
    opened = []

    def page():
        return Path(urllib.parse.urlsplit(opened[0]).path)

    def serve(server):
        opened.append(page().read_text())

    monkeypatch.setattr(frames.webbrowser, 'open', opened.append)
    monkeypatch.setattr(blind_test.ThreadingHTTPServer, 'serve_forever', serve)
    monkeypatch.setattr(blind_test, 'new_token', lambda: 'secret')
    blind_test.serve_test(SimpleNamespace(folder=tmp_path))
    assert opened[0].startswith('file:') and 'secret' not in opened[0]
    assert re.search(r'url=http://127\.0\.0\.1:\d+/\?token=secret"', opened[1])
    assert not page().exists()


# ---- the listening page


def tone(hz):
    "A system that answers every prompt with one tone"

    def generate(prompts, first):
        return [Audio(0.2 * torch.sin(hz * torch.arange(22050) / 7000), 44100)]

    return generate


@pytest.fixture
def test(tmp_path):
    captions = ['a reel', 'a jig', 'a march', 'a waltz', 'a polka', 'an air']
    prompts = [SimpleNamespace(caption=c) for c in captions]
    systems = dict(original=tone(440), base=tone(550))
    return make_test(tmp_path / 'test', prompts, systems, seconds=0.5)


@contextmanager
def listening(test, token='secret'):
    with listen_server(test, token=token) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def ratings(test, listener='ann', rating=50):
    i, order = test.left(listener)[0]
    rated = {clip_name(test.plan, i, system): [rating, 0.5] for system in order}
    return json.dumps(dict(listener=listener, ratings=rated))


JSON = dict(Content_Type='application/json')


def test_the_listening_page_is_closed(test):
    with listening(test) as port:
        cookie, onward = enter(port, '/?token=secret')
        clip = next(iter(test.clips))
        targets = [
            ('GET', '/', {}),
            ('GET', '/?listener=ann', {}),
            ('GET', f'/clip/{clip}', {}),
            ('GET', '/style.css', {}),
            ('POST', '/rate', JSON),
            ('HEAD', '/', {}),
            ('GET', '/none', {}),
        ]
        refused_everywhere(port, cookie, targets)
        assert not list(test.folder.glob('ratings-*'))
        assert onward == '/'
        text = ask(port, onward, Cookie=cookie, Sec_Fetch_Site='same-origin')[2]
        assert '6 screens' in text
        assert status(port, '/rate', 'POST', ratings(test), Cookie=cookie, **JSON) == 204
        assert status(port, '/rate?token=secret', 'POST', ratings(test), **JSON) == 204
        assert len(test.of('ann')) == 4


def test_the_listening_page_without_a_token(test):
    with listening(test, token='') as port:
        assert status(port) == 200
        assert status(port, Sec_Fetch_Site='cross-site') == 403
        assert status(port, Host='evil.example') == 421


@pytest.mark.parametrize('rating', [10**400, -(10**400), 10**12, 1e400])
def test_a_rating_beyond_any_number(test, rating):
    with listening(test, token='') as port:
        body = ratings(test, rating=rating).replace('Infinity', '1e400')
        assert status(port, '/rate', 'POST', body, **JSON) == 400
    assert not list(test.folder.glob('ratings-*'))


CUT = {
    'emptied': lambda s: '',
    'only its head': lambda s: s.splitlines(True)[0],
    'half a line': lambda s: s[:-4],
    'a last figure less': lambda s: s[:-2],
    'half a screen': lambda s: ''.join(s.splitlines(True)[:-1]),
    'another place': lambda s: s.replace(',1,', ',2,'),
    'another model': lambda s: s.replace('base', 'case'),
    'a rating of 10^400': lambda s: s.replace(',50,', f',{10**400},'),
    'never heard': lambda s: s.replace(',0.5', ',nan'),
    'not text': lambda s: s.replace('ann', '\udcff'),
}


@pytest.mark.parametrize('cut', CUT.values(), ids=CUT)
def test_ratings_that_are_not_whole(test, cut):
    "One sentence, on the page too, and the file stays as it is"
    test.add('ann', json.loads(ratings(test))['ratings'])
    file = test.file('ann')
    damaged = cut(file.read_bytes().decode()).encode(errors='surrogateescape')
    file.write_bytes(damaged)
    with pytest.raises(PrestoError) as e:
        BlindTest(test.folder).left('ann')
    assert 'ratings-ann.csv' in str(e.value) or "ann's rating" in str(e.value)
    with pytest.raises(PrestoError):
        BlindTest(test.folder).ratings()
    with listening(test, token='') as port:
        assert status(port, '/?listener=ann') == 500
        rated = dict.fromkeys(list(test.clips)[:2], [1, 0.5])
        body = json.dumps(dict(listener='ann', ratings=rated))
        assert status(port, '/rate', 'POST', body, **JSON) == 500
    assert file.read_bytes() == damaged


BAD_PLANS = [
    dict(prompts=[['a']] * 6),
    dict(systems=[{}, 'a']),
    dict(seconds='6'),
    dict(seconds=1e300),
    dict(seed=[1]),
    dict(prompts='a reel'),
    dict(unknown=1),
    dict(seed=3),
    dict(prompts=list('abcdef')),
]


@pytest.mark.parametrize('change', BAD_PLANS)
def test_a_plan_that_is_none(test, change):
    path = test.folder / 'plan.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PrestoError):
        BlindTest(test.folder)


# ---- Voila


CODE = 'import sys; from presto_nb.tools.cli import main; sys.exit(main())'


@contextmanager
def lab(*more):
    "A lab in a process of its own: the line in which it says its address, its port and its pid"
    port = free_port()
    words = ['lab', 'noise', '--no-browser', '--port', str(port), *more]
    process = subprocess.Popen(
        [sys.executable, '-c', CODE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        line = process.stdout.readline()
        assert gallery.wait_for(process, port)
        yield line, port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def processes(columns):
    "What ps says of every process of this machine"
    return subprocess.run(['ps', '-eo', columns], capture_output=True, text=True).stdout


def kernels(pid):
    "The kernels that Voila, a child of the command, has started"
    rows = [line.split(None, 2) for line in processes('ppid,pid,args').splitlines()]
    voila = {p for parent, p, _ in rows if parent == str(pid)}
    return [args for parent, _, args in rows if parent in voila and 'ipykernel' in args]


@pytest.mark.timeout(180)
def test_labs_are_closed():
    pytest.importorskip('voila')
    with lab() as (line, port, pid):
        path = re.search(rf'http://127\.0\.0\.1:{port}(/\?token=\S+) \(this machine only', line)[1]
        token = path.split('=')[1]
        assert token not in processes('args')  # no other user reads it there
        cookie, onward = enter(port, path)
        upgrade = dict(
            Upgrade='websocket',
            Connection='Upgrade',
            Sec_WebSocket_Key='dGhlIHNhbXBsZSBub25jZQ==',
            Sec_WebSocket_Version='13',
        )
        kernel = '/api/kernels/00000000-0000-0000-0000-000000000000'
        targets = [
            ('GET', '/', {}),
            ('GET', '/voila/render/noise.ipynb', {}),
            ('GET', '/voila/static/main.js', {}),
            ('GET', kernel, {}),
            ('GET', f'{kernel}/channels', upgrade),
            ('POST', f'/voila/api/shutdown/{kernel[13:]}', {}),
            ('GET', '/login', {}),
            ('GET', '/none', {}),
        ]
        refused_everywhere(port, cookie, targets)
        assert not kernels(pid)
        code, _, text = ask(port, onward, Cookie=cookie, Sec_Fetch_Site='same-origin')
        assert code == 200 and 'Four noise distributions' in text
        assert kernels(pid)


@pytest.mark.timeout(180)
def test_a_lab_without_a_token():
    pytest.importorskip('voila')
    with lab('--no-token') as (line, port, pid):
        assert f'http://127.0.0.1:{port}/ (this machine only' in line
        strangers = [
            dict(Sec_Fetch_Site='cross-site'),
            dict(Origin='http://evil.example'),
            dict(Host=f'evil.example:{port}'),
        ]
        for headers in strangers:
            assert status(port, **headers) in (403, 421)
        assert not kernels(pid)


def test_no_token_is_said_in_a_sentence(capsys):
    from presto_nb.tools.cli import main

    assert main(['lab', '--help']) == 0
    out = ' '.join(capsys.readouterr().out.split())
    assert 'any program on this machine may open the page' in out
