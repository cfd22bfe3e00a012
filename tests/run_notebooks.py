"""Run every notebook, and compare the text that it stores with the text that it gives.

    python tests/run_notebooks.py [NOTEBOOK ...] [--workers 2] [--texts fail|tell|off]

Each notebook runs once, in a fresh process, as `nbdev-test` runs it: with IN_TEST set, cells marked
gpu, slow, notest or `eval: false` left out. An error fails. So does a stored text output (printed,
or the plain or Markdown form of a result) that the cell no longer gives. Times, sizes of memory,
dates, addresses and temporary paths are masked, and images, HTML and stderr are not compared. A
cell whose text may differ says `#| varies`, and a hidden one need not store what it prints. Numbers
may differ from machine to machine, so on others than Linux on x86 differences are told and do not
fail, unless --texts says otherwise.
"""

import argparse
import difflib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT / 'nbs'
SKIPPED = re.compile(r'^#\|\s*((notest|slow|gpu)\b|eval:\s*false)', re.M)
VARIES = re.compile(r'^#\|\s*varies\b', re.M)
HIDDEN = re.compile(r'^#\|\s*hide\b', re.M)
LIMIT = 600  # seconds of a cell
STRICT = platform.system() == 'Linux' and platform.machine() == 'x86_64'
LONGEST = (  # which run first; the others by the size of their files
    'evidence/61_metrics.ipynb',
    'evidence/60_listen.ipynb',
    '13_training.ipynb',
    '14_pipeline.ipynb',
    '20_toy.ipynb',
    '31_layer_drop.ipynb',
)
ENV = dict(IN_TEST='1', OMP_NUM_THREADS='1', OMP_WAIT_POLICY='PASSIVE', HF_HUB_OFFLINE='1')


# --- what is compared --------------------------------------------------------------------------

UNITS = r'ns|us|µs|ms|s|sec|secs|seconds?|min|mins|minutes?|h|hours?'
SIZES = r'[kKMGT]?i?B|bytes'
NUMBER = r'[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?'
MASKS = [
    (r'\x1b\[[0-9;]*m', ''),  # colours
    (r'(?m)^.*(?:\d%\|| ?it/s|s/it).*$', ''),  # progress bars
    (r'\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?', 'DATE'),
    (r'<[\w.]+(?: object)? at 0x[0-9a-fA-F]+>', ''),  # what says nothing, below a figure
    (r'\b0x[0-9a-fA-F]+', 'ADDRESS'),
    (r'\b(?:Posix|Windows)Path\(', 'Path('),
    (rf'{NUMBER} (?:times real time|\w*(?:FLOP|B|it)/s)', 'SPEED'),
    (r'(?:/tmp|/var/folders)/[^\s\'",)]*', 'PATH'),
    (rf'(?<![\w.]){NUMBER} ?(?:{UNITS})\b', 'TIME'),
    (rf'(?<![\w.]){NUMBER} ?(?:{SIZES})\b', 'SIZE'),
    (rf'(?<![\w.])(\w*_(?:ms|s)|\w*seconds|\w*minutes)(["\']?\s*[:=]\s*){NUMBER}', r'\1\2TIME'),
]


def masked(text):
    "A text without what differs from run to run"
    for pattern, replacement in MASKS:
        text = re.sub(pattern, replacement, text)
    lines = [re.sub(r'\s+', ' ', line).strip() for line in text.splitlines()]
    return '\n'.join(line for line in lines if line)


def joined(text):
    "A notebook stores a text or its lines"
    return text if isinstance(text, str) else ''.join(text)


def result_text(data):
    "The text of a result: Markdown, or the plain form where it is the only one"
    if 'text/markdown' in data:
        return joined(data['text/markdown'])
    return joined(data['text/plain']) if set(data) == {'text/plain'} else ''


def texts_of(outputs):
    "What a cell prints, then its results, each masked"
    printed = [joined(o['text']) for o in outputs if o.get('name') == 'stdout']
    results = [result_text(o['data']) for o in outputs if 'data' in o]
    texts = [masked(''.join(printed)), *map(masked, results)]
    return [t for t in texts if t and not re.fullmatch(r'<Figure size .*>', t)]


def difference(stored, now):
    "The lines that differ, or nothing"
    old = '\n'.join(texts_of(stored)).splitlines()
    new = '\n'.join(texts_of(now)).splitlines()
    lines = difflib.unified_diff(old, new, 'stored', 'now', lineterm='', n=0)
    return [line[:200] for line in lines if not line.startswith(('---', '+++', '@@'))]


# --- one notebook, in a process of its own -----------------------------------------------------


def plain_outputs(outputs):
    "As JSON has them"
    return json.loads(json.dumps([dict(o) for o in outputs], default=dict))


def is_skipped(cell):
    "Is a cell no code, or not for tests?"
    return cell.cell_type != 'code' or bool(SKIPPED.search(cell.source))


def execute(book):
    "The error, or nothing; outputs of each cell that ran, by number"
    from execnb.shell import CaptureShell
    from fastcore.nbio import read_nb

    nb = read_nb(book)
    for cell in nb.cells:
        cell.outputs = []
    sys.path.insert(0, str(ROOT))
    shell = CaptureShell(book)
    os.chdir(book.parent)
    error = ''
    try:
        shell.run_all(nb, exc_stop=True, preproc=is_skipped, cell_timeout=LIMIT)
    except Exception as e:
        error = shell.prettytb(fname=book) or f'{type(e).__name__}: {e}'
    return error, {i: plain_outputs(c.get('outputs', [])) for i, c in enumerate(nb.cells)}


def compared_cells(book):
    "Number and stored outputs of each cell that is compared"
    for i, cell in enumerate(json.loads(book.read_text(encoding='utf-8'))['cells']):
        source = joined(cell['source'])
        if cell['cell_type'] != 'code' or SKIPPED.search(source) or VARIES.search(source):
            continue
        if cell.get('outputs') or not HIDDEN.search(source):
            yield i, cell


def run_one(book, report):
    "Run a notebook and write down how it went"
    start = time.time()
    stored = list(compared_cells(book))
    error, outputs = execute(book)
    differences = {}
    for i, cell in stored if not error else ():
        lines = difference(cell.get('outputs', []), outputs[i])
        if lines:
            differences[f"cell {i}, {cell.get('id', '')}"] = lines
    found = dict(error=error, differences=differences, seconds=time.time() - start)
    report.write_text(json.dumps(found), encoding='utf-8')


# --- all of them -------------------------------------------------------------------------------


def all_books():
    "Every notebook, the longest first"
    books = [b for b in NBS.rglob('*.ipynb') if '.ipynb_checkpoints' not in b.parts]
    rank = {name: i for i, name in enumerate(LONGEST)}
    return sorted(books, key=lambda b: (rank.get(name_of(b), len(rank)), -b.stat().st_size))


def name_of(book):
    "Its path under nbs/"
    return book.relative_to(NBS).as_posix()


def in_fresh_process(book):
    "How a notebook went"
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / 'report.json'
        words = [sys.executable, __file__, '--one', str(book), str(report)]
        done = subprocess.run(
            words, env=os.environ | ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        if report.is_file():
            return json.loads(report.read_text(encoding='utf-8'))
    error = f'ended with exit status {done.returncode}\n{done.stderr[-3000:]}'
    return dict(error=error, differences={}, seconds=0.0)


def tell(book, found):
    "How a notebook went, in words"
    how = 'FAILED' if found['error'] else 'differs' if found['differences'] else 'ok'
    print(f"{how:8}{name_of(book)}  {found['seconds']:.0f} s", flush=True)
    if found['error']:
        print(found['error'], flush=True)
    for cell, lines in found['differences'].items():
        print(f'  {cell}', *(f'    {line}' for line in lines[:20]), sep='\n', flush=True)


def run_all(books, workers):
    "Notebook -> how it went, told on the way"
    found = {}

    def run(book):
        found[book] = in_fresh_process(book)
        tell(book, found[book])

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(run, books))
    return found


def arguments(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('books', nargs='*', type=Path)
    p.add_argument('--workers', type=int, default=2)
    p.add_argument('--texts', choices=['fail', 'tell', 'off'], default='fail' if STRICT else 'tell')
    p.add_argument('--one', nargs=2, type=Path, help=argparse.SUPPRESS)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    if args.one:
        return run_one(*args.one)
    books = [b.resolve() for b in args.books] or all_books()
    found = run_all(books, args.workers)
    failed = [name_of(b) for b, r in found.items() if r['error']]
    differ = [name_of(b) for b, r in found.items() if r['differences'] and args.texts != 'off']
    if failed:
        print('these notebooks failed:', *failed, sep='\n  ')
    if differ:
        print('these store another text than they give; store it again:', *differ, sep='\n  ')
    if failed or (differ and args.texts == 'fail'):
        return 1
    print(f'{len(books)} notebooks passed')


if __name__ == '__main__':
    sys.exit(main())
