"The notebooks: in step with the library, clean, with checks and outputs, small; and what may not be in the repository"

import ast, json, os, re, shutil, subprocess, sys
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
BOOKS = sorted(p for p in (ROOT / 'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
IDS = [b.relative_to(ROOT / 'nbs').as_posix() for b in BOOKS]


def code_cells(path):
    return [c for c in json.loads(path.read_text())['cells'] if c['cell_type'] == 'code']


def sources(path):
    return [''.join(c['source']) for c in code_cells(path)]


def exported(src):
    return re.search(r'^#\|\s*(export|exporti|exports)\b', src, re.M)


def tracked():
    "Files of the repository; all but hidden and built ones where there is no git"
    r = subprocess.run(
        ['git', 'ls-files', '-co', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True
    )
    names = (
        r.stdout.splitlines()
        if r.returncode == 0 and r.stdout
        else [p.relative_to(ROOT).as_posix() for p in ROOT.rglob('*')]
    )
    return [
        ROOT / n
        for n in names
        if (ROOT / n).is_file()
        and not any(
            p in ('build', 'dist', '__pycache__') or p.startswith('.venv') for p in Path(n).parts
        )
    ]


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "The notebooks and the library in a folder of their own, so that checking changes nothing"
    d = tmp_path_factory.mktemp('copy')
    ignore = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', 'assets')
    for n in ('nbs', 'presto_nb'):
        shutil.copytree(ROOT / n, d / n, ignore=ignore)
    shutil.copy(ROOT / 'pyproject.toml', d)
    return d


def nbdev(command, folder):
    pytest.importorskip('nbdev')
    env = {
        k: v for k, v in os.environ.items() if k != 'IN_TEST'
    }  # in which nbdev's commands do nothing
    env |= dict(PYTHONPATH=str(folder))
    r = subprocess.run(
        [sys.executable, '-c', f'from nbdev.{command[0]} import {command[1]} as f; f()'],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert r.returncode == 0, r.stderr[-3000:]


def changed(folder, copy):
    "Files under `folder` that differ between the repository and the copy"

    def files(top):
        return {
            p.relative_to(top).as_posix(): p.read_bytes()
            for p in (top / folder).rglob('*')
            if p.suffix in ('.py', '.ipynb')
            and 'assets' not in p.parts
            and '.ipynb_checkpoints' not in p.parts
        }

    a, b = files(ROOT), files(copy)
    return sorted(n for n in a.keys() | b.keys() if a.get(n) != b.get(n))


def test_notebooks_are_clean(copy):
    nbdev(('clean', 'nbdev_clean'), copy)
    assert not changed('nbs', copy), 'run nbdev-clean'


def test_library_is_in_step(copy):
    for p in (copy / 'presto_nb').glob('*.py'):
        if p.name != '__init__.py':
            p.unlink()  # so that a module without its notebook shows
    nbdev(('doclinks', 'nbdev_export'), copy)
    assert not changed('presto_nb', copy), 'run nbdev-export'


@pytest.mark.parametrize('book', BOOKS, ids=IDS)
def test_outputs(book):
    cells = code_cells(book)
    assert not [o for c in cells for o in c.get('outputs', []) if o['output_type'] == 'error'], (
        'a stored output is an error'
    )
    if book.name != 'index.ipynb' and 'solutions' not in book.parts:
        assert any(c.get('outputs') for c in cells), 'nothing to see: store the outputs'


CHECK = re.compile(r'\btest_\w+\(|\bassert\b|expect_fail|ExceptionExpected')


@pytest.mark.parametrize('book', BOOKS, ids=IDS)
def test_every_exported_definition_is_followed_by_a_check(book):
    src = sources(book)
    bare = [
        s.splitlines()[:3]
        for i, s in enumerate(src)
        if exported(s)
        and re.search(r'^(def|class) ', s, re.M)
        and not any(CHECK.search(t) for t in src[i + 1 : i + 4])
    ]
    assert not bare, f'no check in the three cells below: {bare}'


@pytest.mark.parametrize(
    'book',
    [b for b in BOOKS if re.match(r'\d\d_', b.name) and b.parent.name == 'nbs'],
    ids=lambda b: b.name,
)
def test_form(book):
    "Title and subtitle first, one module a notebook of the same name, imports only from lower numbers, nothing writes the library when cells are run"
    first, src = ''.join(json.loads(book.read_text())['cells'][0]['source']), sources(book)
    assert re.match(r'# .+\n+> .+', first) and book.stem[3:] in [
        m[1] for s in src if (m := re.search(r'^#\|\s*default_exp (\w+)', s, re.M))
    ]
    assert not [s for s in src if 'nbdev_export' in s]
    number = {b.stem[3:]: int(b.stem[:2]) for b in BOOKS if re.match(r'\d\d_', b.name)}
    used = {
        m for s in src if exported(s) for m in re.findall(r'(?:from|import) presto_nb\.(\w+)', s)
    }
    assert not [
        m for m in used - {book.stem[3:]} if m in number and number[m] >= int(book.stem[:2])
    ], 'a notebook imports only from lower numbers'


@pytest.mark.parametrize('book', BOOKS, ids=IDS)
def test_a_learner_can_run_it(book):
    "In JupyterLab, without nbdev and without a GPU: run all cells, and nothing stops for want of either"
    for s in sources(book):
        assert not re.search(r'^(import|from) nbdev', s, re.M)
        if re.match(r'#\| gpu', s):
            assert all(
                l.startswith(('#|', 'import ', 'from ', 'if torch.cuda.is_available():', '    '))
                or not l.strip()
                for l in s.splitlines()
            ), s[:200]


def test_the_hundred_lines():
    "presto_in_100_lines: about a hundred lines of method, beside pictures and checks, and nothing of the library"
    cells = sources(ROOT / 'nbs/presto_in_100_lines.ipynb')
    lines = [
        l
        for s in cells
        if not s.startswith(('# picture', '# check'))
        for l in s.splitlines()
        if l.strip() and not l.strip().startswith('#')
    ]
    assert 80 <= len(lines) <= 115 and max(map(len, lines)) <= 140, len(lines)
    assert (
        not any(re.search(r'presto_nb|default_exp|^#\|\s*export', s, re.M) for s in cells)
        and sum('assert' in s for s in cells if s.startswith('# check')) >= 5
    )


@pytest.mark.parametrize(
    'book',
    [b for b in BOOKS if not re.match(r'\d\d_', b.name) and b.parent.name == 'nbs'],
    ids=lambda b: b.name,
)
def test_a_notebook_without_a_number_exports_nothing(book):
    assert re.match(
        r'# .+\n+> .+', ''.join(json.loads(book.read_text())['cells'][0]['source'])
    ) and not any(exported(s) or 'default_exp' in s for s in sources(book))


CHAPTERS = [b for b in BOOKS if re.match(r'\d\d_', b.name) and b.parent.name == 'nbs']


def asked(book):
    return sorted(
        set(
            re.findall(
                r'^check_\w+(?=\()',
                '\n'.join(s for s in sources(book) if 'presto_nb.checks import' in s),
                re.M,
            )
        )
    )


@pytest.mark.parametrize('book', [b for b in CHAPTERS if asked(b)], ids=lambda b: b.name)
def test_exercises_are_solved(book):
    "Every check of a chapter: its cell runs unsolved and says 'not yet'; the solutions hold a right answer and a wrong one that is refused"
    cells = {
        n: c
        for c in code_cells(book)
        for n in asked(book)
        if re.search(rf'^{n}\(', ''.join(c['source']), re.M)
    }
    assert set(cells) == set(asked(book))
    for n, c in cells.items():
        assert ''.join(c['outputs'][0]['text']).startswith('not yet: '), (
            f'{n}: store what the unsolved exercise prints'
        )
    solved = '\n'.join(sources(ROOT / 'nbs' / 'solutions' / book.name))
    assert not [
        n for n in asked(book) if not (f'accepts({n}, ' in solved and f'rejects({n}, ' in solved)
    ]


def test_every_check_is_an_exercise():
    from presto_nb import checks

    used = {n for b in CHAPTERS for n in asked(b)}
    assert used == {n for n in checks.__all__ if n.startswith('check_')}


def functions(path):
    for n in ast.walk(ast.parse(path.read_text())):
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield n.name, n.end_lineno - n.body[0].lineno + 1


def test_functions_are_short():
    "Bodies: median at most 6 lines, nine in ten under 20, none over 45"
    sizes = sorted(
        (n, f'{p.name}:{name}')
        for p in (ROOT / 'presto_nb').glob('*.py')
        for name, n in functions(p)
    )
    assert sizes[len(sizes) // 2][0] <= 6 and sizes[len(sizes) * 9 // 10][0] < 20, (
        sizes[len(sizes) // 2],
        sizes[len(sizes) * 9 // 10],
    )
    assert sizes[-1][0] <= 45, [s for s in sizes if s[0] > 45]


def test_sizes():
    total = sum(b.stat().st_size for b in BOOKS)
    assert total < 6e6, f'notebooks are {total / 1e6:.1f} MB'
    files = tracked()
    mb = sum(f.stat().st_size for f in files) / 1e6
    assert mb < 90, f'tracked files are {mb:.0f} MB'


def test_no_pickles():
    assert not [
        f
        for f in tracked()
        if f.suffix in ('.pt', '.pth', '.pkl', '.pickle', '.ckpt', '.bin', '.npy', '.joblib')
    ]


TEXT = {
    '.py',
    '.ipynb',
    '.md',
    '.toml',
    '.ini',
    '.txt',
    '.json',
    '.jsonl',
    '.csv',
    '.cff',
    '.in',
    '.yml',
    '.yaml',
    '',
}
PATHS = re.compile(r'(?<![\w.])/(?:root|home/\w+|work|Users/\w+)/[\w.]')


def test_no_machine_paths():
    found = {
        f.relative_to(ROOT).as_posix(): m[0]
        for f in tracked()
        if f.suffix in TEXT
        and f.stat().st_size < 20e6
        and f.name != 'LICENSE'
        and (m := PATHS.search(f.read_text(errors='ignore')))
    }
    assert not found, found
    assert PATHS.search('see ' + '/ro' + 'ot/venvs') and not PATHS.search(
        'the /work of a day; a/home/x'
    )


def test_lint():
    "ruff over library, notebooks and tests; its F821 finds exported functions that use a notebook's globals"
    pytest.importorskip('ruff')
    r = subprocess.run(
        [sys.executable, '-m', 'ruff', 'check', '--no-cache', '.'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert r.returncode == 0, r.stdout[-3000:]
