"""Labs and the listening page are closed: nothing is answered or started for another user, a page elsewhere or a name that is not this machine's"""
import http.client, json, os, re, signal, subprocess, sys, threading, urllib.parse
from contextlib import contextmanager
from pathlib import Path
import pytest, torch
from types import SimpleNamespace
from presto_nb import blind_test, frames, widgets
from presto_nb.audio import Audio
from presto_nb.blind_test import BlindTest, clip_name, listen_server, make_test
from presto_nb.core import PrestoError
from presto_nb.frames import Gate
from presto_nb.widgets import free_port

def ask(port, path='/', method='GET', body=None, **headers): # -> (status, headers, text); _ stands for - in names of headers
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        c.request(method, path, body, {k.replace('_', '-'): v for k, v in headers.items()})
        r = c.getresponse()
        return r.status, r.headers, r.read().decode(errors='replace')
    finally: c.close()

def enter(port, path): # the printed address, as a browser goes through it -> (cookie, where it goes on to)
    status, headers, text = ask(port, path)
    assert status == 200 and 'HttpOnly' in headers['Set-Cookie'] and 'SameSite=Strict' in headers['Set-Cookie']
    return headers['Set-Cookie'].split(';')[0], re.search(r'url=([^"]+)"', text)[1]

STRANGERS = {'another user': (dict(), 403), 'a wrong token': (dict(Cookie='presto-{port}=guess'), 403), 'no cookie of ours': (dict(Cookie='a=b; presto-1=x'), 403),
    'a rebound name': (dict(Host='evil.example:{port}', Cookie='{cookie}'), 421), 'a host without port': (dict(Host='127.0.0.1', Cookie='{cookie}'), 421), 'another port': (dict(Host='127.0.0.1:1', Cookie='{cookie}'), 421),
    'a page elsewhere': (dict(Sec_Fetch_Site='cross-site', Cookie='{cookie}'), 403), 'a page of another port': (dict(Sec_Fetch_Site='same-site', Cookie='{cookie}'), 403),
    'a foreign origin': (dict(Origin='http://evil.example', Cookie='{cookie}'), 403), 'no origin at all': (dict(Origin='null', Cookie='{cookie}'), 403)}

def refused_everywhere(port, cookie, targets):
    for name, (headers, status) in STRANGERS.items():
        headers = {k: v.format(port=port, cookie=cookie) for k, v in headers.items()}
        for method, path, more in targets:
            got = ask(port, path, method, **headers | more)
            assert got[0] == status and 'Set-Cookie' not in got[1] and len(got[2]) < 300, (name, method, path, got)

# ---- the gate itself

def test_the_gate_without_a_token():
    gate = Gate(80)
    visit = lambda **h: gate.check('GET', '/?token=', {'Host': 'localhost:80'} | {k.replace('_', '-'): v for k, v in h.items()})
    assert visit() is None and visit(Sec_Fetch_Site='none') is None and visit(Sec_Fetch_Site='same-origin') is None
    assert visit(Origin='http://localhost:80', Sec_Fetch_Site='cross-site') is None         # a socket, as one browser names it
    assert visit(Sec_Fetch_Site='cross-site')[0] == 403 and visit(Origin='http://evil.example')[0] == 403 and visit(Host='evil.example')[0] == 421

@pytest.mark.parametrize('target,onward', [('/?token=t', '/'), ('/?a=1&token=t&b=2', '/?a=1&b=2'), ('//evil.example/?token=t', '/'), ('/\\evil.example?token=t', '/evil.example'), ('/x?token=t&q=%22%3E%3Cscript%3E', '/x?q=%22%3E%3Cscript%3E')])
def test_the_token_leaves_the_address_and_nobody_is_sent_elsewhere(target, onward):
    status, headers, text = Gate(80, 't').check('GET', target, {'Host': '127.0.0.1:80', 'Sec-Fetch-Site': 'cross-site'})
    assert status == 200 and f'url={onward.replace("&", "&amp;")}"' in text and '<script>' not in text

def test_an_address_that_is_none(test):
    with listening(test) as port:
        for path in ('//[', '/?token=%ff%fe'): assert ask(port, path)[0] in (400, 403)
        c = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
        c.putrequest('GET', '/?token=secret', skip_host=True)
        c.putheader('host', f'127.0.0.1:{port}')                  # names of headers may be written in small letters
        c.endheaders()
        assert c.getresponse().status == 200

def test_tokens_differ(): assert len({frames.new_token() for _ in range(100)}) == 100 and len(frames.new_token()) >= 32

def test_the_browser_gets_a_file_that_only_its_user_can_read(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(frames.webbrowser, 'open', opened.append)
    monkeypatch.setattr(blind_test.ThreadingHTTPServer, 'serve_forever', lambda self: opened.append(Path(urllib.parse.urlsplit(opened[0]).path).read_text()))
    monkeypatch.setattr(blind_test, 'new_token', lambda: 'secret')
    blind_test.serve_test(SimpleNamespace(folder=tmp_path))
    assert opened[0].startswith('file:') and 'secret' not in opened[0] and re.search(r'url=http://127\.0\.0\.1:\d+/\?token=secret"', opened[1])
    assert not Path(urllib.parse.urlsplit(opened[0]).path).exists()

# ---- the listening page

def tone(hz): return lambda prompts, first: [Audio(.2*torch.sin(hz*torch.arange(22050)/7000), 44100)]

@pytest.fixture
def test(tmp_path):
    prompts = [SimpleNamespace(caption=c) for c in ('a reel', 'a jig', 'a march', 'a waltz', 'a polka', 'an air')]
    return make_test(tmp_path/'test', prompts, dict(original=tone(440), base=tone(550)), seconds=.5)

@contextmanager
def listening(test, token='secret'):
    with listen_server(test, token=token) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try: yield server.server_port
        finally: server.shutdown(); thread.join()

def ratings(test, listener='ann', rating=50):
    i, order = test.left(listener)[0]
    return json.dumps(dict(listener=listener, ratings={clip_name(test.plan, i, s): [rating, .5] for s in order}))

def test_the_listening_page_is_closed(test):
    with listening(test) as port:
        cookie, onward = enter(port, '/?token=secret')
        clip = next(iter(test.clips))
        json_ = dict(Content_Type='application/json')
        refused_everywhere(port, cookie, [('GET', '/', {}), ('GET', '/?listener=ann', {}), ('GET', f'/clip/{clip}', {}), ('GET', '/style.css', {}), ('POST', '/rate', json_), ('HEAD', '/', {}), ('GET', '/none', {})])
        assert not list(test.folder.glob('ratings-*'))
        assert onward == '/' and '6 screens' in ask(port, onward, Cookie=cookie, Sec_Fetch_Site='same-origin')[2]
        assert ask(port, '/rate', 'POST', ratings(test), Cookie=cookie, **json_)[0] == 204
        assert ask(port, '/rate?token=secret', 'POST', ratings(test), **json_)[0] == 204 and len(test.of('ann')) == 4

def test_the_listening_page_without_a_token(test):
    with listening(test, token='') as port:
        assert ask(port)[0] == 200 and ask(port, Sec_Fetch_Site='cross-site')[0] == 403 and ask(port, Host='evil.example')[0] == 421

@pytest.mark.parametrize('rating', [10**400, -10**400, 10**12, 1e400])
def test_a_rating_beyond_any_number(test, rating):
    with listening(test, token='') as port:
        assert ask(port, '/rate', 'POST', ratings(test, rating=rating).replace('Infinity', '1e400'), Content_Type='application/json')[0] == 400
    assert not list(test.folder.glob('ratings-*'))

CUT = {'emptied': lambda s: '', 'only its head': lambda s: s.splitlines(True)[0], 'half a line': lambda s: s[:-4], 'a last figure less': lambda s: s[:-2], 'half a screen': lambda s: ''.join(s.splitlines(True)[:-1]),
       'another place': lambda s: s.replace(',1,', ',2,'), 'another model': lambda s: s.replace('base', 'case'), 'a rating of 10^400': lambda s: s.replace(',50,', f',{10**400},'), 'never heard': lambda s: s.replace(',0.5', ',nan'),
       'not text': lambda s: s.replace('ann', '\udcff')}
@pytest.mark.parametrize('cut', CUT.values(), ids=CUT)
def test_ratings_that_are_not_whole(test, cut):
    "One sentence, on the page too, and the file stays as it is"
    test.add('ann', json.loads(ratings(test))['ratings'])
    file = test.file('ann')
    file.write_bytes(damaged := cut(file.read_bytes().decode()).encode(errors='surrogateescape'))
    with pytest.raises(PrestoError) as e: BlindTest(test.folder).left('ann')
    assert 'ratings-ann.csv' in str(e.value) or "ann's rating" in str(e.value)
    with pytest.raises(PrestoError): BlindTest(test.folder).ratings()
    with listening(test, token='') as port: assert ask(port, '/?listener=ann')[0] == 500 and ask(port, '/rate', 'POST', json.dumps(dict(listener='ann', ratings=dict.fromkeys(list(test.clips)[:2], [1, .5]))), Content_Type='application/json')[0] == 500
    assert file.read_bytes() == damaged

@pytest.mark.parametrize('change', [dict(prompts=[['a']]*6), dict(systems=[{}, 'a']), dict(seconds='6'), dict(seconds=1e300), dict(seed=[1]), dict(prompts='a reel'), dict(unknown=1), dict(seed=3), dict(prompts=list('abcdef'))])
def test_a_plan_that_is_none(test, change):
    path = test.folder/'plan.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PrestoError): BlindTest(test.folder)

# ---- Voila

@contextmanager
def lab(*more):
    "A lab in a process of its own: the line in which it says its address, and its port"
    port = free_port()
    words = [sys.executable, '-c', 'import sys; from presto_nb.cli import main; sys.exit(main())', 'lab', 'noise', '--no-browser', '--port', str(port), *more]
    run = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    try:
        line = run.stdout.readline()
        assert widgets.wait_for(run, port)
        yield line, port, run.pid
    finally: os.killpg(run.pid, signal.SIGTERM); run.wait(20)

def kernels(pid): # of the command -> processes of its Voila's children that run a kernel
    lines = [l.split(None, 2) for l in subprocess.run(['ps', '-eo', 'ppid,pid,args'], capture_output=True, text=True).stdout.splitlines()]
    voila = {p for parent, p, _ in lines if parent == str(pid)}
    return [args for parent, _, args in lines if parent in voila and 'ipykernel' in args]

@pytest.mark.timeout(180)
def test_labs_are_closed():
    pytest.importorskip('voila')
    with lab() as (line, port, pid):
        path = re.search(rf'http://127\.0\.0\.1:{port}(/\?token=\S+) \(this machine only', line)[1]
        token = path.split('=')[1]
        assert token not in subprocess.run(['ps', '-eo', 'args'], capture_output=True, text=True).stdout      # no other user reads it there
        cookie, onward = enter(port, path)
        upgrade = dict(Upgrade='websocket', Connection='Upgrade', Sec_WebSocket_Key='dGhlIHNhbXBsZSBub25jZQ==', Sec_WebSocket_Version='13')
        kernel = '/api/kernels/00000000-0000-0000-0000-000000000000'
        refused_everywhere(port, cookie, [('GET', '/', {}), ('GET', '/voila/render/noise.ipynb', {}), ('GET', '/voila/static/main.js', {}), ('GET', kernel, {}), ('GET', f'{kernel}/channels', upgrade),
                                          ('POST', f'/voila/api/shutdown/{kernel[13:]}', {}), ('GET', '/login', {}), ('GET', '/none', {})])
        assert not kernels(pid)
        status, _, text = ask(port, onward, Cookie=cookie, Sec_Fetch_Site='same-origin')
        assert status == 200 and 'Four noise distributions' in text and kernels(pid)

@pytest.mark.timeout(180)
def test_a_lab_without_a_token():
    pytest.importorskip('voila')
    with lab('--no-token') as (line, port, pid):
        assert f'http://127.0.0.1:{port}/ (this machine only' in line
        for headers in (dict(Sec_Fetch_Site='cross-site'), dict(Origin='http://evil.example'), dict(Host=f'evil.example:{port}')): assert ask(port, **headers)[0] in (403, 421)
        assert not kernels(pid)

def test_no_token_is_said_in_a_sentence(capsys):
    from presto_nb.cli import main
    assert main(['lab', '--help']) == 0
    assert 'any program on this machine may open the page' in ' '.join(capsys.readouterr().out.split())
