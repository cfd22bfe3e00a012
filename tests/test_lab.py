"""The variance lab as a page: Voila answers on loopback; in a Chromium, where there is one with node's playwright-core, a slider moves, the figure changes and the sound plays"""
import json, os, re, shutil, signal, subprocess, sys, time, urllib.request
from contextlib import contextmanager
from pathlib import Path
import pytest
from presto_nb.cli import main
from presto_nb.widgets import free_port, lab_notebook

HERE, CHROMIUM = Path(__file__).parent, shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')

@contextmanager
def served(*words, say):
    "A server in a process of its own, and the line in which it says where it listens"
    run = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        lines = iter(run.stdout.readline, '')
        yield next(line for line in lines if re.search(say, line))
    finally: os.killpg(run.pid, signal.SIGTERM); run.wait(20)

def fetch(address, tries=60):
    for _ in range(tries):
        try: return urllib.request.urlopen(address, timeout=60).read().decode()
        except OSError: time.sleep(.5)
    raise AssertionError(f'{address} does not answer')

LAB = '-c', 'import sys; from presto_nb.cli import main; sys.exit(main())', 'lab', 'variance', '--no-browser', '--port'

def test_page_answers_on_loopback():
    pytest.importorskip('voila'); port = free_port()
    with served(*LAB, str(port), say='the lab variance') as line:
        assert f'http://127.0.0.1:{port}/' in line
        page = fetch(f'http://127.0.0.1:{port}/'); assert 'The variance lab' in page and 'application/vnd.jupyter.widget-view+json' in page

def test_refusals(capsys):
    for words, sentence in ((['lab', 'variances'], "no lab 'variances'; there are variance, noise, steps"), (['lab', '--port', '0'], 'the port is 0'), (['lab', '--port', 'x'], 'invalid int')):
        assert main(words) == 2 and sentence in capsys.readouterr().err

def browse(address, kind, tmp_path):
    if not CHROMIUM or not shutil.which('node'): pytest.skip('no Chromium and node here')
    script = tmp_path/'lab_browser.mjs'; script.write_text((HERE/'lab_browser.mjs').read_text())
    modules = os.environ.get('NODE_PATH', '').split(os.pathsep)[0]
    if modules and Path(modules).is_dir(): (tmp_path/'node_modules').symlink_to(modules)
    if not (tmp_path/'node_modules'/'playwright-core').is_dir(): pytest.skip('no playwright-core; name its node_modules in NODE_PATH')
    r = subprocess.run(['node', script, address, CHROMIUM, kind], capture_output=True, text=True, cwd=tmp_path, timeout=200)
    assert r.returncode == 0, r.stderr[-2000:]
    seen = json.loads(r.stdout.splitlines()[-1]); print(seen)
    assert seen['moved'] and seen['redrawn'] and not seen['errors']
    assert len(seen['sounds']) == 2 and all(abs(s - 3) < .2 for s in seen['sounds']) and seen['played'] > .2

@pytest.mark.timeout(240)
def test_in_a_browser_through_voila(tmp_path):
    port = free_port()
    with served(*LAB, str(port), say='the lab variance'): browse(f'http://127.0.0.1:{port}/', 'voila', tmp_path)

@pytest.mark.timeout(240)
def test_in_a_browser_through_jupyterlab(tmp_path):
    pytest.importorskip('jupyterlab'); port = free_port()
    (tmp_path/'lab.ipynb').write_text(json.dumps(dict(lab_notebook('variance'), cells=lab_notebook('variance')['cells'][1:])))
    words = '-m', 'jupyterlab', '--no-browser', f'--port={port}', '--ServerApp.ip=127.0.0.1', '--IdentityProvider.token=', f'--ServerApp.root_dir={tmp_path}', *(['--allow-root'] if os.geteuid() == 0 else [])
    with served(*words, say=f'127.0.0.1:{port}'): browse(f'http://127.0.0.1:{port}/lab/tree/lab.ipynb?reset', 'jupyterlab', tmp_path)
