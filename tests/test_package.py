"pyproject.toml, settings.ini, setup.py, README.md and the files around them agree"

import configparser
import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from presto_nb.material.model_folders import RELEASED

ROOT = Path(__file__).resolve().parent.parent


def tool(name):
    "A script of docs/"
    spec = importlib.util.spec_from_file_location(name, ROOT / 'docs' / f'{name}.py')
    mod = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mod)
    return mod


PYPROJECT = tomllib.loads((ROOT / 'pyproject.toml').read_text())
PROJECT = PYPROJECT['project']


def test_settings_ini_follows_pyproject():
    c = configparser.ConfigParser(interpolation=None)
    c.read(ROOT / 'settings.ini')
    assert dict(c['DEFAULT']) == tool('make_settings').fields()
    assert (ROOT / 'settings.ini').read_text() == tool('make_settings').text(), (
        'run python docs/make_settings.py'
    )


def test_the_instructor_quotes_the_comparison():
    "The times in INSTRUCTOR.md are those of the stored comparison"
    rows = json.loads((ROOT / 'data_samples/comparison/comparison.json').read_text())['rows']
    network = {r['model'].removeprefix('laptop-'): f"{r['network_ms']:.0f}" for r in rows}
    whole = {r['model'].removeprefix('laptop-'): f"{r['total_ms']:.0f}" for r in rows}
    words = (ROOT / 'INSTRUCTOR.md').read_text()
    for sentence in (
        f"the network goes from {network['base']} to {network['s']} ms, "
        f"the whole from {whole['base']} to {whole['s']} ms",
        f"the network takes {network['ls']} instead of {network['s']} ms, "
        f"the whole {whole['ls']} instead of {whole['s']} ms",
    ):
        assert sentence in words, sentence


def test_settings_ini_by_hand():
    "The same fields without the generator, so that a fault in it shows"
    c = configparser.ConfigParser(interpolation=None)
    c.read(ROOT / 'settings.ini')
    s = c['DEFAULT']
    n = PYPROJECT['tool']['nbdev']
    import presto_nb

    assert s['lib_name'] == PROJECT['name'] == 'presto_nb'
    assert s['version'] == presto_nb.__version__
    assert s['description'] == PROJECT['description']
    assert s['requirements'].split() == PROJECT['dependencies']
    assert s['min_python'] == PROJECT['requires-python'][2:]
    for k in ('repo', 'user', 'author', 'author_email', 'nbs_path', 'lib_path', 'tst_flags'):
        assert s[k] == n[k], k
    assert PROJECT['authors'] == [dict(name=n['author'], email=n['author_email'])]
    for extra, deps in PROJECT['optional-dependencies'].items():
        assert s[f'{extra}_requirements'].split() == deps, extra


def test_setup_py_gives_the_same_metadata():
    out = subprocess.run(
        [sys.executable, 'setup.py', '-q', '--name', '--version', '--description'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    import presto_nb

    assert out.stdout.splitlines() == [
        'presto_nb',
        presto_nb.__version__,
        PROJECT['description'],
    ], out.stdout + out.stderr


def test_extras():
    assert set(PROJECT['optional-dependencies']) == {
        'lab',
        'dev',
        'docs',
        'data',
        'eval',
        'clap',
        't5',
        'audiocraft-deps',
        'openvino',
    }
    everything = PROJECT['dependencies'] + [
        d for ds in PROJECT['optional-dependencies'].values() for d in ds
    ]
    assert not [d for d in everything if '==' in d], (
        'lower bounds only; exact versions are in constraints.txt'
    )
    assert not [
        d
        for d in PROJECT['dependencies']
        if re.match(r'(audiocraft|transformers|diffusers|music21|symusic)\b', d)
    ], 'the core stays light'


def test_constraints():
    lines = [
        line
        for line in (ROOT / 'constraints.txt').read_text().splitlines()
        if not line.startswith('#')
    ]
    assert lines == ['torch==2.13.0', 'torchaudio==2.11.0']


def test_citation_and_changelog_name_the_version():
    import presto_nb

    assert f'\nversion: {presto_nb.__version__}\n' in (ROOT / 'CITATION.cff').read_text()
    assert f'## {presto_nb.__version__}' in (ROOT / 'CHANGELOG.md').read_text()
    assert '2410.05167' in (ROOT / 'CITATION.cff').read_text()


def test_readme_follows_the_index_notebook():
    pytest.importorskip('nbdev')
    pytest.importorskip('nbconvert')
    assert (ROOT / 'README.md').read_text() == tool('make_readme').text(), (
        'run python docs/make_readme.py'
    )


def readme_command(name):
    return re.search(
        rf'<!-- {name} command -->\n+```\w*\n(.+)\n```', (ROOT / 'README.md').read_text()
    )[1]


def test_readme_commands():
    make = readme_command('music')
    test = readme_command('test')
    for cmd in (make, test):
        assert '\n' not in cmd and 'python3 -m venv' in cmd and 'pip install' in cmd
        assert subprocess.run(['bash', '-n', '-c', cmd]).returncode == 0
    assert 'presto-nb generate' in make and '--out' in make and 'tests/run_all.py' in test
    assert re.search(r'venv (\S+)', make)[1] != re.search(r'venv (\S+)', test)[1], (
        'each has its own environment'
    )


def test_readme_links_lead_somewhere():
    for link in re.findall(r'\]\(([^)#\s]+)\)', (ROOT / 'README.md').read_text()):
        if '://' not in link:
            assert (ROOT / link).exists(), link


def test_ci_runs_the_readmes_command():
    "The lines .ci/run takes out of README.md are the test command and nothing else"
    ci = (ROOT / '.ci/run').read_text()
    assert (ROOT / '.ci/run').stat().st_mode & 0o111
    line = next(line for line in ci.splitlines() if line.startswith('cmd='))
    out = subprocess.run(
        ['bash', '-c', line + '\nprintf %s "$cmd"'], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert out.strip() == readme_command('test')


# the numbers of the README


def log(name):
    "A record"
    return json.loads((ROOT / f'data_samples/logs/{name}.json').read_text())


def by_name(record):
    "Name of a set -> its scores"
    return {r['name']: r['scores'] for r in record['sets']}


def hundred(v):
    return f'{100 * v:.0f}'


def tenth(v):
    return f'{v:.1f}'


def span(v, f, unit=''):
    "A score and its interval"
    return f'{f(v[0])}{unit} [{f(v[1])}, {f(v[2])}]'


def words_of_the_data():
    data = log('folk_gm')
    yield f"{data['clips']:,} old tunes, {data['hours']:.1f} h in one arrangement"


def words_of_the_training():
    minutes = {k: log(k.replace('-', '_'))['minutes'] for k in RELEASED}
    yield ', '.join(f'{k} {v:.1f}' for k, v in minutes.items())


def words_of_the_comparison():
    path = ROOT / 'data_samples/comparison/comparison.json'
    seconds = {r['model']: r['total_ms'] / 1000 for r in json.loads(path.read_text())['rows']}
    times = seconds['laptop-base'] / seconds['laptop-ls']
    yield ', '.join(f'{k} {v:.2f} s' for k, v in seconds.items())
    yield f': the last {times:.0f} times faster than the first'


def words_of_the_scores():
    laptop = by_name(log('evaluate_laptop'))
    codec = log('evaluate_codec')['scores']['shipped']
    agreement = [f"{k} {span(laptop[k]['agreement'], hundred, ' %')}" for k in RELEASED]
    yield f"words of {log('evaluate_laptop')['sets'][1]['clips']:,} held-out prompts"
    yield '| ' + ', '.join(agreement) + ' |'
    yield '| ' + ', '.join(f"{k} {span(laptop[k]['KAD'], tenth)}" for k in RELEASED) + ' |'
    yield f"real clips through our codec {tenth(codec['KAD'][0])})"


def words_of_what_is_heard():
    base = by_name(log('evaluate_laptop'))['laptop-base']
    chance = log('evaluate_laptop')['chance']
    heard = {k: f"{span(base[k], hundred, ' %')} ({hundred(chance[k])} %)" for k in chance}
    names = 'lead', 'accompaniment', 'drums', 'key'
    yield '| ' + ', '.join(heard[k] for k in names) + ' |'
    yield f"| {heard['tempo_tolerant']} |"


def words_of_the_paper_size():
    big = {(r['model'], r['mode']): r['median_ms'] for r in log('bench_paper_gpu')['rows']}
    for mode, before, faster in (('eager', '', ' faster'), ('bf16', 'in bfloat16 ', '')):
        base = big['base', mode]
        ls = big['ls', mode]
        seconds = f'{base / 1000:.2f} s, {ls / 1000:.3f} s'
        yield f'{before}{seconds}: {base / ls:.0f} times{faster}'


WORDS = [f for name, f in list(globals().items()) if name.startswith('words_of_')]


def test_measured_numbers_in_the_readme_are_those_of_the_records():
    "Eight rows, each held by its record; all others are computed in nbs/results.ipynb"
    readme = (ROOT / 'README.md').read_text()
    table = re.search(r'## Measured\n(.*?)\n## ', readme, re.S)[1]
    rows = re.findall(r'^\|.*\|$', table, re.M)[2:]
    found = set()
    for words_of in WORDS:
        for words in words_of():
            held = {row for row in rows if words in row}
            assert held, words
            found |= held
    assert len(rows) == 8 and found == set(rows)
    assert '(nbs/results.ipynb)' in table


def test_the_ways_in_give_the_minutes_that_the_chapters_give():
    "Minutes of reading at the top of the README; the learner's add up to what is promised"
    readme = (ROOT / 'README.md').read_text()
    ways = readme.split('## Where do you begin?')[1].split('## Make music')[0]
    named = r'\]\((nbs/[\w/]+\.ipynb)\) \((\d+)\)'
    for path, minutes in re.findall(named, ways):
        cells = json.loads((ROOT / path).read_text(encoding='utf-8'))['cells'][:4]
        said = re.search(r'(\d+) to read', ''.join(''.join(c['source']) for c in cells))
        assert not said or said[1] == minutes, f'{path}: change nbs/index.ipynb too'
    learner = ways.split('**To teach it**')[0]
    total = sum(int(minutes) for _, minutes in re.findall(named, learner))
    assert 11.5 < total / 60 < 13
