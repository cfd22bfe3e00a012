"The notebooks: in step with the library, clean, with checks and outputs, small; three floors"

import ast
import contextlib
import io
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'presto_nb'
BOOKS = sorted(p for p in (ROOT / 'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
IDS = [b.relative_to(ROOT / 'nbs').as_posix() for b in BOOKS]
FLOORS = '', 'material', 'evidence', 'labs', 'tools'


def floor(book):
    "The folder of a notebook under nbs/"
    return book.parent.relative_to(ROOT / 'nbs').as_posix().removeprefix('.')


def module(book):
    "The module a chapter becomes, without `presto_nb.`"
    return '.'.join(filter(None, (floor(book), book.stem[3:])))


CHAPTERS = [b for b in BOOKS if re.match(r'\d\d_', b.name) and floor(b) in FLOORS]
NUMBER = {module(b): int(b.stem[:2]) for b in CHAPTERS}
PLAIN = [b for b in BOOKS if floor(b) == '' and b not in CHAPTERS]


def cells_of(book):
    "The cells of a notebook"
    return json.loads(book.read_text(encoding='utf-8'))['cells']


def code_cells(book):
    "Those with code"
    return [c for c in cells_of(book) if c['cell_type'] == 'code']


def sources(book):
    "Their texts"
    return [''.join(c['source']) for c in code_cells(book)]


def exported(src):
    "Does a cell become part of the library?"
    return re.search(r'^#\|\s*export', src, re.M)


def hidden(src):
    "Does the page leave a cell out?"
    return re.search(r'^#\|\s*hide\b', src, re.M)


# in step and clean


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    "The notebooks and the library in a folder of their own, so that checking changes nothing"
    folder = tmp_path_factory.mktemp('copy')
    ignore = shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', 'assets')
    for name in ('nbs', 'presto_nb'):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / 'pyproject.toml', folder)
    return folder


def nbdev(module, command, folder):
    "Run one of nbdev's commands in a folder; they do nothing where IN_TEST is set"
    pytest.importorskip('nbdev')
    env = {k: v for k, v in os.environ.items() if k != 'IN_TEST'} | dict(PYTHONPATH=str(folder))
    code = f'from nbdev.{module} import {command} as f; f()'
    r = subprocess.run(
        [sys.executable, '-c', code],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert r.returncode == 0, r.stderr[-3000:]


def texts_under(top):
    "Path -> bytes of the notebooks and modules under a folder"
    skipped = {'assets', '.ipynb_checkpoints'}
    files = [p for p in top.rglob('*') if p.suffix in ('.py', '.ipynb')]
    files = [p for p in files if not skipped & set(p.parts)]
    return {p.relative_to(top).as_posix(): p.read_bytes() for p in files}


def changed(folder, copy):
    "Files that differ between the repository and the copy"
    a = texts_under(ROOT / folder)
    b = texts_under(copy / folder)
    return sorted(n for n in a.keys() | b.keys() if a.get(n) != b.get(n))


def test_notebooks_are_clean(copy):
    nbdev('clean', 'nbdev_clean', copy)
    assert not changed('nbs', copy), 'run nbdev-clean'


def test_library_is_in_step(copy):
    for p in (copy / 'presto_nb').rglob('*.py'):
        if p.name not in ('__init__.py', '_docstrings.py'):
            p.unlink()  # so that a module without its notebook shows
    nbdev('doclinks', 'nbdev_export', copy)
    assert not changed('presto_nb', copy), 'run nbdev-export'


# the form of a notebook


@pytest.mark.parametrize('book', BOOKS, ids=IDS)
def test_outputs(book):
    cells = code_cells(book)
    kinds = [o['output_type'] for c in cells for o in c.get('outputs', [])]
    assert 'error' not in kinds, 'a stored output is an error'
    if book.name != 'index.ipynb' and floor(book) != 'solutions':
        assert kinds, 'nothing to see: store the outputs'


CHECK = re.compile(r'\btest_\w+\(|\bassert\b|expect_fail|ExceptionExpected')


@pytest.mark.parametrize('book', BOOKS, ids=IDS)
def test_every_exported_definition_is_followed_by_a_check(book):
    src = sources(book)
    for i, s in enumerate(src):
        if exported(s) and re.search(r'^(def|class) ', s, re.M):
            assert any(CHECK.search(t) for t in src[i + 1 : i + 4]), s[:200]


@pytest.mark.parametrize('book', CHAPTERS, ids=lambda b: b.name)
def test_form(book):
    "Title and subtitle first, one module of the same name, nothing writes the library when run"
    first = ''.join(cells_of(book)[0]['source'])
    src = sources(book)
    assert re.match(r'# .+\n+> .+', first)
    assert f'#| default_exp {module(book)}' in '\n'.join(src).splitlines()
    assert not [s for s in src if 'nbdev_export' in s]


@pytest.mark.parametrize('book', PLAIN, ids=lambda b: b.name)
def test_a_notebook_without_a_number_exports_nothing(book):
    assert re.match(r'# .+\n+> .+', ''.join(cells_of(book)[0]['source']))
    assert not any(exported(s) or 'default_exp' in s for s in sources(book))


def is_gpu_guard(node):
    "`if torch.cuda.is_available():`"
    return isinstance(node, ast.If) and ast.unparse(node.test) == 'torch.cuda.is_available()'


@pytest.mark.parametrize('book', BOOKS, ids=IDS)
def test_a_learner_can_run_it(book):
    "In JupyterLab, without nbdev and without a GPU: nothing stops for want of either"
    for s in sources(book):
        assert not re.search(r'^(import|from) nbdev', s, re.M)
        if re.match(r'#\| gpu', s):
            for node in ast.parse(s).body:
                imported = isinstance(node, (ast.Import, ast.ImportFrom))
                assert imported or is_gpu_guard(node), s[:200]


def test_the_hundred_lines():
    "presto_in_100_lines: about a hundred lines of method, and nothing of the library"
    cells = sources(ROOT / 'nbs/presto_in_100_lines.ipynb')
    method = [s for s in cells if not s.startswith(('# picture', '# check'))]
    lines = [line.strip() for s in method for line in s.splitlines()]
    lines = [line for line in lines if line and not line.startswith('#')]
    assert 80 <= len(lines) <= 120, len(lines)
    ours = r'presto_nb|default_exp|^#\|\s*export'
    assert not any(re.search(ours, s, re.M) for s in cells)
    assert sum('assert' in s for s in cells if s.startswith('# check')) >= 5


# the three floors

METHOD = {b.stem[3:] for b in CHAPTERS if floor(b) == ''}
FORMULAS = {'edm', 'sampling', 'dit', 'skipping', 'dmd', 'discriminator', 'variance'}
FORMULAS |= {'layer_drop'}
BELOW = {'material': (), '': ('material',), 'evidence': ('material', '')}
BELOW |= {'labs': ('material', ''), 'tools': ('material', '', 'evidence', 'labs')}


def imports(book):
    "The modules of the package that the exported cells of a notebook import, at any depth"
    code = '\n'.join(s for s in sources(book) if exported(s))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('presto_nb'):
            name = node.module.removeprefix('presto_nb').removeprefix('.')
            inside = ['.'.join(filter(None, (name, a.name))) for a in node.names]
            yield from [m for m in inside if m in NUMBER] or [name]


@pytest.mark.parametrize('book', CHAPTERS, ids=lambda b: b.name)
def test_the_floors(book):
    "core <- material <- the method <- evidence, labs <- tools; inside a floor lower numbers only"
    here = module(book)
    for m in set(imports(book)) - {here, ''}:
        assert m in NUMBER, f'{here} imports {m}, which no notebook writes'
        its = m.rpartition('.')[0]
        same = its == floor(book) and NUMBER[m] < NUMBER[here]
        assert same or its in BELOW[floor(book)], f'{here} imports {m}'


@pytest.mark.parametrize('name', sorted(FORMULAS))
def test_formulas_need_little(name):
    "A formula module imports torch, core and lower formula modules"
    (book,) = [b for b in CHAPTERS if module(b) == name]
    assert set(imports(book)) - {'', name} <= FORMULAS | {'material.core'}


# the exercises


def asked(book):
    "The checks that a chapter asks a reader to pass"
    cells = [s for s in sources(book) if 'presto_nb.tools.checks import' in s]
    return sorted(set(re.findall(r'^check_\w+(?=\()', '\n'.join(cells), re.M)))


@pytest.mark.parametrize('book', [b for b in CHAPTERS if asked(b)], ids=lambda b: b.name)
def test_exercises_are_solved(book):
    "A check's cell runs unsolved; the solutions hold a right answer and a wrong one"
    solved = '\n'.join(sources(ROOT / 'nbs/solutions' / book.name))
    for name in asked(book):
        calls = rf'^{name}\('
        (cell,) = [c for c in code_cells(book) if re.search(calls, ''.join(c['source']), re.M)]
        printed = ''.join(cell['outputs'][0]['text'])
        assert printed.startswith('not yet: '), f'{name}: store what the unsolved exercise prints'
        assert re.search(rf'accepts\(\s*{name},', solved), f'{name}: no right answer'
        assert re.search(rf'rejects\(\s*{name},', solved), f'{name}: no wrong answer'


def test_every_check_is_an_exercise():
    from presto_nb.tools import checks

    used = {n for b in CHAPTERS for n in asked(b)}
    assert used == {n for n in checks.__all__ if n.startswith('check_')}


# the form of the code

WIDTH = 100
ALLOWED_WIDE = dict(library=0, cells=0, solutions=0, recipes=0, tests=0)
ALLOWED_SHARED = dict(library=0, cells=0, solutions=0, recipes=0, tests=0)
MOST_NODES = dict(median=72, nine_in_ten=150)  # the median is to become 45
MOST_NAMES = 600  # to become 400


def visible(book):
    "The code that the page shows"
    return [s for s in sources(book) if not hidden(s)]


def texts(group):
    "(name, source) of what a group of files shows"
    if group in ('cells', 'solutions'):
        books = [b for b in BOOKS if (floor(b) == 'solutions') == (group == 'solutions')]
        return [(b.relative_to(ROOT / 'nbs').as_posix(), s) for b in books for s in visible(b)]
    folder = PACKAGE if group == 'library' else ROOT / group
    files = sorted(p for p in folder.rglob('*.py') if p.name != '_modidx.py')
    return [(p.relative_to(folder).as_posix(), p.read_text(encoding='utf-8')) for p in files]


def semicolons(src):
    "The numbers of lines with a semicolon between statements"
    with contextlib.suppress(tokenize.TokenError, IndentationError, SyntaxError):
        for t in tokenize.generate_tokens(io.StringIO(src).readline):
            if t.type == tokenize.OP and t.string == ';':
                yield t.start[0]


def bodies_beside(src):
    "The numbers of lines with a statement after the colon of another; three dots are no statement"
    with contextlib.suppress(SyntaxError):
        for node in ast.walk(ast.parse(src)):
            if isinstance(node, (ast.stmt, ast.excepthandler)):
                inner = [n for n in getattr(node, 'body', ()) if ast.unparse(n) != '...']
                yield from {n.lineno for n in inner} & {node.lineno}


def shared_lines(src):
    "The numbers of lines with several statements"
    return {*semicolons(src), *bodies_beside(src)}


def wide_lines(src):
    "The numbers of lines that are too long; what nbdev writes (subtitle, `__all__`) is left out"
    src = re.sub(r'\A""".*', '', src)
    lines = re.sub(r'^__all__ = \[.*?\]$', '', src, flags=re.M | re.S).splitlines()
    return {i for i, line in enumerate(lines, 1) if len(line) > WIDTH}


def count_by_file(group, find):
    "Name of a file -> how many of its lines are found"
    found = {}
    for name, src in texts(group):
        found[name] = found.get(name, 0) + len(find(src))
    return {name: n for name, n in sorted(found.items(), key=lambda x: -x[1]) if n}


@pytest.mark.parametrize('group', ALLOWED_WIDE)
def test_width(group):
    "No line of code is longer than 100 characters"
    found = count_by_file(group, wide_lines)
    assert sum(found.values()) <= ALLOWED_WIDE[group], found


@pytest.mark.parametrize('group', ALLOWED_SHARED)
def test_one_statement_a_line(group):
    "No semicolon, and nothing after the colon of an `if`, a loop or a function"
    found = count_by_file(group, shared_lines)
    assert sum(found.values()) <= ALLOWED_SHARED[group], found


def statements(function):
    "How many statements a function holds, its docstring and itself left out"
    inner = [n for n in ast.walk(function) if isinstance(n, ast.stmt) and n is not function]
    doc = ast.get_docstring(function) is not None
    return len(inner) - doc


def functions():
    "(statements, nodes of the syntax tree, name) of every function of the library"
    for path in PACKAGE.rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                nodes = sum(1 for _ in ast.walk(node))
                yield statements(node), nodes, f'{path.name}:{node.name}'


def nine_in_ten(sizes):  # sorted
    "What nine in ten stay at or under"
    return sizes[len(sizes) * 9 // 10]


def test_functions_are_short():
    "Median at most 6 statements, nine in ten at most 12, none over 30"
    sizes = sorted(functions())
    count = [s for s, _, _ in sizes]
    assert statistics.median(count) <= 6
    assert nine_in_ten(count) <= 12
    assert count[-1] <= 30, sizes[-1]


def test_functions_are_not_dense():
    "The nodes of a function's syntax tree: what a short function can hide"
    sizes = sorted(nodes for _, nodes, _ in functions())
    assert statistics.median(sizes) <= MOST_NODES['median']
    assert nine_in_ten(sizes) <= MOST_NODES['nine_in_ten']


def public_names(path):
    "Those of a module's `__all__`"
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == '__all__':
            return ast.literal_eval(node.value)
    return []


def test_few_public_names():
    "What no reader or user needs begins with an underscore"
    names = {p.relative_to(PACKAGE).as_posix(): public_names(p) for p in PACKAGE.rglob('*.py')}
    count = {name: len(n) for name, n in sorted(names.items(), key=lambda x: -len(x[1])) if n}
    assert sum(count.values()) <= MOST_NAMES, count


# what may be in the repository


def tracked():
    "Files of the repository; all but hidden and built ones where there is no git"
    command = ['git', 'ls-files', '-co', '--exclude-standard']
    r = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    names = r.stdout.splitlines() if r.returncode == 0 else []
    names = names or [p.relative_to(ROOT).as_posix() for p in ROOT.rglob('*')]
    built = {'build', 'dist', '__pycache__'}
    paths = [n for n in map(Path, names) if not built & set(n.parts)]
    paths = [n for n in paths if not any(part.startswith('.venv') for part in n.parts)]
    return [ROOT / n for n in paths if (ROOT / n).is_file()]


def test_sizes():
    total = sum(b.stat().st_size for b in BOOKS)
    assert total < 6.0e6, f'notebooks are {total / 1e6:.1f} MB'
    mb = sum(f.stat().st_size for f in tracked()) / 1e6
    assert mb < 110, f'tracked files are {mb:.0f} MB'


PICKLES = {'.pt', '.pth', '.pkl', '.pickle', '.ckpt', '.bin', '.npy', '.joblib'}


def test_no_pickles():
    assert not [f for f in tracked() if f.suffix in PICKLES]


TEXT = {'.py', '.ipynb', '.md', '.toml', '.ini', '.txt', '.json', '.jsonl', '.csv', '.cff', '.in'}
TEXT |= {'.yml', '.yaml', ''}
PATHS = re.compile(r'(?<![\w.])/(?:root|home/\w+|work|Users/\w+)/[\w.]')


def test_no_machine_paths():
    assert PATHS.search('see ' + '/ro' + 'ot/venvs')
    assert not PATHS.search('the /work of a day; a/home/x')
    texts = [f for f in tracked() if f.suffix in TEXT and f.stat().st_size < 20e6]
    for f in texts:
        found = f.name != 'LICENSE' and PATHS.search(f.read_text(errors='ignore'))
        assert not found, f'{f.relative_to(ROOT)}: {found[0]}'


def test_lint():
    "ruff; its F821 finds exported functions that use a notebook's globals"
    pytest.importorskip('ruff')
    command = [sys.executable, '-m', 'ruff', 'check', '--no-cache', '.']
    r = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert r.returncode == 0, r.stdout[-3000:]
