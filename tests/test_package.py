"pyproject.toml, settings.ini, setup.py, README.md and the files around them agree"

import configparser, importlib.util, json, re, subprocess, sys, tomllib
from pathlib import Path
import pytest
from presto_nb.pipeline import RELEASED

ROOT = Path(__file__).resolve().parent.parent


def tool(name):
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
    ms = {
        r['model']: r
        for r in json.loads((ROOT / 'data_samples/comparison/comparison.json').read_text())['rows']
    }
    words = (ROOT / 'INSTRUCTOR.md').read_text()
    b, s, l = (ms[f'laptop-{k}'] for k in ('base', 's', 'ls'))
    for sentence in (
        f"the network goes from {b['network_ms']:.0f} to {s['network_ms']:.0f} ms, the whole from {b['total_ms']:.0f} to {s['total_ms']:.0f} ms",
        f"the network takes {l['network_ms']:.0f} instead of {s['network_ms']:.0f} ms, the whole {l['total_ms']:.0f} instead of {s['total_ms']:.0f} ms",
    ):
        assert sentence in words, sentence


def test_settings_ini_by_hand():
    "The same fields without the generator, so that a fault in it shows"
    c = configparser.ConfigParser(interpolation=None)
    c.read(ROOT / 'settings.ini')
    s, n = c['DEFAULT'], PYPROJECT['tool']['nbdev']
    import presto_nb

    assert (
        s['lib_name'] == PROJECT['name'] == 'presto_nb'
        and s['version'] == presto_nb.__version__
        and s['description'] == PROJECT['description']
    )
    assert (
        s['requirements'].split() == PROJECT['dependencies']
        and s['min_python'] == PROJECT['requires-python'][2:]
    )
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

    assert (
        f'\nversion: {presto_nb.__version__}\n' in (ROOT / 'CITATION.cff').read_text()
        and f'## {presto_nb.__version__}' in (ROOT / 'CHANGELOG.md').read_text()
    )
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
    make, test = readme_command('music'), readme_command('test')
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


def test_measured_numbers_in_the_readme_are_those_of_the_records():
    log = lambda name: json.loads((ROOT / f'data_samples/logs/{name}.json').read_text())
    times = log('tests')
    table = re.search(r'## Measured\n(.*?)\n## ', (ROOT / 'README.md').read_text(), re.S)[1]
    parts, bench, judged, codec, base = map(
        log, ('bench_parts', 'bench_base', 'evaluate_base', 'codec', 'base')
    )
    of = {r['name']: r['scores'] for r in judged['sets']}
    teacher, toy = log('toy_teacher'), log('toy_presto_s')
    median = lambda v: sorted(v)[len(v) // 2]
    floors = [
        median(r['mmd']['4']) / toy['floor']
        for n, r in toy['runs'].items()
        if n.startswith('gen inf')
    ]
    cycles = [r['ratio_no_grad'] for r in log('bench_cycle')['rows']]
    few, made = {r['name']: r['scores'] for r in log('evaluate_presto_s')['sets']}, log('presto_s')
    span = lambda v, f, unit='': f"{f(v[0])}{unit} [{f(v[1])}, {f(v[2])}]"
    hundred, tenth = (lambda v: f'{100 * v:.0f}'), (lambda v: f'{v:.1f}')
    both = lambda name: (
        f"{span(few[name]['KAD'], tenth)} and {span(few[name]['KAD log-mel statistics'], tenth)}"
    )
    own = lambda k, f: (
        f"{f(of['base'][k][0])} [{f(of['base'][k][1], '')}, {f(of['base'][k][2], '')}] (real clips {f(of['real'][k][0])}, through the codec {f(of['codec'][k][0])}"
    )
    percent, plain = (lambda v, unit=' %': f'{100 * v:.0f}{unit}'), (lambda v, unit='': f'{v:.1f}')
    shares = [
        own(k, percent) + f", chance {percent(judged['chance'][k])})"
        for k in ('lead', 'accompaniment', 'drums', 'key', 'tempo_tolerant')
    ]
    points = lambda v: f"{100 * v[0]:.0f} points [{100 * v[1]:.0f}, {100 * v[2]:.0f}]"
    drops, lab, cheap = (
        log('bench_drops')['rows'],
        log('bench_lab'),
        log('presto_l_study')['rows']['presto-l'],
    )
    four = {r['name']: r['scores'] for r in log('evaluate_four')['sets']}
    layers = [
        f"{min(r['cpu_of_counted'] for r in drops):.2f} to {max(r['cpu_of_counted'] for r in drops):.2f} | bench_drops",
        f"{lab['tick_ms']:.0f} ms, {lab['press_ms']:.0f} ms (the first {lab['first_press_ms']:.0f} ms)",
        f"{log('presto_l')['minutes']} minutes on one core | presto_l",
        *(
            f"{100 * r['cpu_saving']:.1f} % ({r['model']})"
            for r in drops
            if 0.27 <= r['blocks_skipped'] < 0.28
        ),
        *(
            f"{points(cheap[d]['agreement'])}, {span(cheap[d]['KAD'], tenth)}"
            for d in ('difference', 'difference to ase')
        ),
        *(
            f"{name} {span(four[name]['agreement'], hundred, ' %')}, {span(four[name]['KAD'], tenth)}, {span(four[name]['recall'], '{:.2f}'.format)}"
            for name in ('base', 'presto-l', 'presto-s', 'presto-ls')
        ),
    ]
    long, tuned, orders = (
        log('long')['presto-ls'],
        log('own_audio')['loss'],
        log('presto_ls_study')['rows'],
    )
    half = long['time']['32 s']
    fast = log('bench_four')
    ten = {
        m: next(r['median_ms'] for r in fast['rows']['openvino'][m]['result'] if r['seconds'] == 10)
        for m in ('base', 'presto-ls')
    }
    best = log('rejection')['rows']
    later = (
        ', '.join(
            ' and '.join(
                '{:.0f} % [{:.0f}, {:.0f}]'.format(*(100 * x for x in best[i]['scores'][k]))
                for k in ('agreement', 'key')
            )
            for i in (0, -1)
        ),
        f"base {ten['base'] / 1000:.2f} s, presto-ls {ten['presto-ls'] / 1000:.3f} s: {ten['base'] / ten['presto-ls']:.1f} times",
        ', '.join(
            f"{fast['saved'][m]['presto-ls']['result']['ratio']:.2f} ({m})"
            for m in ('eager', 'openvino')
        ),
        '; '.join(
            '{:+.2f} [{:+.2f}, {:+.2f}]'.format(*orders[k]['less presto-ls']['KAD'])
            for k in ('step-then-layer', 'layered-scores', 'ase', 'jointly')
        ),
        f"{half['all_ms'] / 1000:.2f} s (first sound of a stream after {half['first_sound_ms'] / 1000:.2f} s)",
        span(long['blended']['flux_at_joins'], '{:.2f}'.format),
        '; '.join(
            f"{tuned[k]['before'][0]:.3f} to {tuned[k]['after'][0]:.3f}"
            for k in ('chorales held out', 'Folk-GM, valid')
        ),
    )
    laptop, judged_codec = (
        {r['name']: r['scores'] for r in log('evaluate_laptop')['sets']},
        log('evaluate_codec')['scores'],
    )
    big = {(r['model'], r['mode']): r['median_ms'] for r in log('bench_paper_gpu')['rows']}
    times_of = json.loads((ROOT / 'data_samples/comparison/comparison.json').read_text())['rows']
    released = [
        *(
            f"{k} {span(laptop[k]['agreement'], hundred, ' %')}, {span(laptop[k]['KAD'], tenth)}, {span(laptop[k]['recall'], '{:.2f}'.format)}"
            for k in RELEASED
        ),
        *(
            span(laptop['laptop-base'][k], hundred, ' %')
            for k in ('lead', 'accompaniment', 'drums', 'key')
        ),
        f"{span(judged_codec['before']['KAD'], tenth)}, {span(judged_codec['shipped']['KAD'], tenth)}",
        f"{big['base', 'eager'] / 1000:.2f} s, {big['ls', 'eager'] / 1000:.3f} s: {big['base', 'eager'] / big['ls', 'eager']:.0f} times",
        *(f"{r['model']} {r['total_ms'] / 1000:.2f} s" for r in times_of),
        *(f"{k} {log(k.replace('-', '_'))['minutes']:.1f}" for k in RELEASED),
    ]
    for words in (
        *released,
        *layers,
        *later,
        f"{log('folk_gm')['clips']:,}, {log('folk_gm')['hours']:.1f} h",
        f"{parts['rendering_times_real_time']} times",
        f"{bench['decode_times_real_time']:.0f} times",
        f"{bench['median_ms'] / 1000:.1f} s (text",
        f"{parts['import_seconds_beyond_torch']} s |",
        f"{codec['minutes']:.1f} minutes",
        f"{base['minutes']:.1f} minutes",
        f"{times['notebooks_seconds'] + times['pytest_seconds']} s (notebooks {times['notebooks_seconds']} s, pytest {times['pytest_seconds']} s)",
        f"| {median(teacher['shipped']['mmd']) / teacher['floor']:.1f} | toy_teacher",
        f'| {min(floors):.0f} to {max(floors):.0f} floors',
        f'| {min(cycles):.2f} to {max(cycles):.2f} | bench_cycle',
        f"{made['minutes']} minutes on one core, {made['generator_updates']} updates",
        f"{span(few['presto-s']['agreement'], hundred, ' %')} (base, 80 evaluations: {span(few['base']['agreement'], hundred, ' %')})",
        f"{both('presto-s')} (base {both('base')})",
        *shares,
        own('KAD', plain) + ')',
        own('onsets a second', plain) + ')',
        f"on {judged['sets'][0]['clips']} held-out prompts",
    ):
        assert words in table, words
