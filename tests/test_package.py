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

from presto_nb.pipeline import RELEASED

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


def median(v):
    "The middle one"
    return sorted(v)[len(v) // 2]


def hundred(v):
    return f'{100 * v:.0f}'


def tenth(v):
    return f'{v:.1f}'


def hundredth(v):
    return f'{v:.2f}'


def span(v, f, unit=''):
    "A score and its interval"
    return f'{f(v[0])}{unit} [{f(v[1])}, {f(v[2])}]'


def signed(v):
    "A difference and its interval"
    return '{:+.2f} [{:+.2f}, {:+.2f}]'.format(*v)


def triple(scores):
    "Agreement, KAD and recall"
    agreement = span(scores['agreement'], hundred, ' %')
    return f"{agreement}, {span(scores['KAD'], tenth)}, {span(scores['recall'], hundredth)}"


def two_distances(scores):
    "KAD by both embedders"
    return f"{span(scores['KAD'], tenth)} and {span(scores['KAD log-mel statistics'], tenth)}"


def own(k, f, unit=''):
    "The base's score, that of real clips, and that of real clips through the codec"
    judged = by_name(log('evaluate_base'))
    real, codec = (f(judged[name][k][0]) + unit for name in ('real', 'codec'))
    return f"{span(judged['base'][k], f, unit)} (real clips {real}, through the codec {codec}"


def words_of_the_base():
    judged = log('evaluate_base')
    for k in ('lead', 'accompaniment', 'drums', 'key', 'tempo_tolerant'):
        yield own(k, hundred, ' %') + f", chance {hundred(judged['chance'][k])} %)"
    yield own('KAD', tenth) + ')'
    yield own('onsets a second', tenth) + ')'
    yield f"on {judged['sets'][0]['clips']} held-out prompts"
    yield f"{log('base')['minutes']:.1f} minutes"


def words_of_the_parts():
    data = log('folk_gm')
    parts = log('bench_parts')
    bench = log('bench_base')
    times = log('tests')
    notebooks = times['notebooks_seconds']
    tests = times['pytest_seconds']
    yield f"{data['clips']:,}, {data['hours']:.1f} h"
    yield f"{parts['rendering_times_real_time']} times"
    yield f"{bench['decode_times_real_time']:.0f} times"
    yield f"{bench['median_ms'] / 1000:.1f} s (text"
    yield f"{parts['import_seconds_beyond_torch']} s |"
    yield f"{log('codec')['minutes']:.1f} minutes"
    yield f'{notebooks + tests} s (notebooks {notebooks} s, pytest {tests} s)'


def words_of_the_toy():
    teacher = log('toy_teacher')
    toy = log('toy_presto_s')
    runs = [r for n, r in toy['runs'].items() if n.startswith('gen inf')]
    floors = [median(r['mmd']['4']) / toy['floor'] for r in runs]
    yield f"| {median(teacher['shipped']['mmd']) / teacher['floor']:.1f} | toy_teacher"
    yield f'| {min(floors):.0f} to {max(floors):.0f} floors'


def words_of_few_steps():
    few = by_name(log('evaluate_presto_s'))
    run = log('presto_s')
    cycles = [r['ratio_no_grad'] for r in log('bench_cycle')['rows']]
    agreement = {k: span(few[k]['agreement'], hundred, ' %') for k in ('presto-s', 'base')}
    yield f'| {min(cycles):.2f} to {max(cycles):.2f} | bench_cycle'
    yield f"{run['minutes']} minutes on one core, {run['generator_updates']} updates"
    yield f"{agreement['presto-s']} (base, 80 evaluations: {agreement['base']})"
    yield f"{two_distances(few['presto-s'])} (base {two_distances(few['base'])})"


def words_of_layers():
    drops = log('bench_drops')['rows']
    lab = log('bench_lab')
    shares = [r['cpu_of_counted'] for r in drops]
    first = f"(the first {lab['first_press_ms']:.0f} ms)"
    yield f'{min(shares):.2f} to {max(shares):.2f} | bench_drops'
    yield f"{lab['tick_ms']:.0f} ms, {lab['press_ms']:.0f} ms {first}"
    yield f"{log('presto_l')['minutes']} minutes on one core | presto_l"
    for r in drops:
        if 0.27 <= r['blocks_skipped'] < 0.28:
            yield f"{100 * r['cpu_saving']:.1f} % ({r['model']})"
    cheap = log('presto_l_study')['rows']['presto-l']
    for d in ('difference', 'difference to ase'):
        agreement = span(cheap[d]['agreement'], hundred, ' points')
        yield f"{agreement}, {span(cheap[d]['KAD'], tenth)}"


def words_of_the_four():
    four = by_name(log('evaluate_four'))
    for name in ('base', 'presto-l', 'presto-s', 'presto-ls'):
        yield f'{name} {triple(four[name])}'
    orders = log('presto_ls_study')['rows']
    names = 'step-then-layer', 'layered-scores', 'ase', 'jointly'
    yield '; '.join(signed(orders[k]['less presto-ls']['KAD']) for k in names)


def words_of_rejection():
    best = log('rejection')['rows']
    parts = []
    for i in (0, -1):
        both = [span(best[i]['scores'][k], hundred, ' %') for k in ('agreement', 'key')]
        parts.append(' and '.join(both))
    yield ', '.join(parts)


def words_of_the_fast_ones():
    fast = log('bench_four')
    ten = {}
    for m in ('base', 'presto-ls'):
        rows = fast['rows']['openvino'][m]['result']
        ten[m] = next(r['median_ms'] for r in rows if r['seconds'] == 10)
    times = f"{ten['base'] / ten['presto-ls']:.1f} times"
    yield f"base {ten['base'] / 1000:.2f} s, presto-ls {ten['presto-ls'] / 1000:.3f} s: {times}"
    ratios = {m: fast['saved'][m]['presto-ls']['result']['ratio'] for m in ('eager', 'openvino')}
    yield ', '.join(f'{ratio:.2f} ({m})' for m, ratio in ratios.items())


def words_of_long_pieces():
    long = log('long')['presto-ls']
    half = long['time']['32 s']
    first = f"(first sound of a stream after {half['first_sound_ms'] / 1000:.2f} s)"
    yield f"{half['all_ms'] / 1000:.2f} s {first}"
    yield span(long['blended']['flux_at_joins'], hundredth)


def words_of_own_audio():
    tuned = log('own_audio')['loss']
    names = 'chorales held out', 'Folk-GM, valid'
    pairs = [(tuned[k]['before'][0], tuned[k]['after'][0]) for k in names]
    yield '; '.join(f'{before:.3f} to {after:.3f}' for before, after in pairs)


def words_of_the_released():
    laptop = by_name(log('evaluate_laptop'))
    codec = log('evaluate_codec')['scores']
    for k in RELEASED:
        yield f'{k} {triple(laptop[k])}'
        yield f"{k} {log(k.replace('-', '_'))['minutes']:.1f}"
    for k in ('lead', 'accompaniment', 'drums', 'key'):
        yield span(laptop['laptop-base'][k], hundred, ' %')
    yield f"{span(codec['before']['KAD'], tenth)}, {span(codec['shipped']['KAD'], tenth)}"


def words_of_the_paper_size():
    big = {(r['model'], r['mode']): r['median_ms'] for r in log('bench_paper_gpu')['rows']}
    base = big['base', 'eager']
    ls = big['ls', 'eager']
    yield f'{base / 1000:.2f} s, {ls / 1000:.3f} s: {base / ls:.0f} times'


def words_of_the_comparison():
    path = ROOT / 'data_samples/comparison/comparison.json'
    for r in json.loads(path.read_text())['rows']:
        yield f"{r['model']} {r['total_ms'] / 1000:.2f} s"


WORDS = [f for name, f in list(globals().items()) if name.startswith('words_of_')]


def test_measured_numbers_in_the_readme_are_those_of_the_records():
    readme = (ROOT / 'README.md').read_text()
    table = re.search(r'## Measured\n(.*?)\n## ', readme, re.S)[1]
    for words_of in WORDS:
        for words in words_of():
            assert words in table, words
