"""Run the `#| gpu` cells of all notebooks.

    python tests/run_gpu_cells.py [--out FILE] [--only PREFIX]

They run with nothing but torch and the library: each notebook's cells share one namespace that
begins with the notebook's exported module. A line per cell is printed; the record goes to
data_samples/logs/gpu_cells.json. Without a GPU it says so and exits 0; a failed cell exits 1.
"""

import argparse
import datetime
import importlib
import json
import os
import platform
import re
import sys
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
os.environ.setdefault('MPLBACKEND', 'agg')
os.environ.setdefault('IN_TEST', '1')

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = 'torch', 'torchaudio', 'numpy', 'fastcore', 'accelerate', 'nbdev'


def code_cells(path):
    "[(cell number, source)] of a notebook; plain JSON, so that nbdev is not needed"
    cells = enumerate(json.loads(path.read_text())['cells'])
    return [(i, ''.join(c['source'])) for i, c in cells if c['cell_type'] == 'code']


def module_of(path):
    "The name of a notebook's module, or None"
    for _, source in code_cells(path):
        if found := re.search(r'^#\|\s*default_exp\s+([\w.]+)', source, re.M):
            return found[1]


def gpu_cells(path):
    "[(cell number, source)] of the cells that need a GPU"
    return [(i, s) for i, s in code_cells(path) if re.search(r'^#\|\s*gpu\b', s, re.M)]


def own_names(module):
    "What a notebook's cells may use: all of its module"
    names = vars(importlib.import_module(f'presto_nb.{module}'))
    return {k: v for k, v in names.items() if not k.startswith('__')}


def run_cell(path, i, source, names):
    "The error of a cell, or nothing"
    import torch

    try:
        if len(names) == 1 and (module := module_of(path)):
            names |= own_names(module)
        exec(compile(source, f'{path.name}[{i}]', 'exec'), names)
        torch.cuda.synchronize()
    except Exception as e:
        traceback.print_exc()
        return dict(error=f'{type(e).__name__}: {e}'[:500])
    return {}


def timed_cell(path, i, source, names):
    "A cell's row of the record"
    import torch

    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    start = time.time()
    error = run_cell(path, i, source, names)
    row = dict(
        notebook=path.name,
        cell=i,
        passed=not error,
        seconds=round(time.time() - start, 2),
        peak_mib=round(torch.cuda.max_memory_allocated() / 2**20),
        **error,
    )
    how = 'FAIL' if error else 'pass'
    print(f"{how} {path.name} cell {i}: {row['seconds']} s, {row['peak_mib']} MiB", flush=True)
    return row


def run_notebook(path):
    "Run a notebook's gpu cells in one namespace; a row for each"
    names = {'__name__': '__main__'}
    return [timed_cell(path, i, source, names) for i, source in gpu_cells(path)]


def version_of(package):
    "Or None where it is not installed"
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def versions():
    "Of everything that may matter"
    import presto_nb

    own = dict(python=platform.python_version(), presto_nb=presto_nb.__version__)
    return own | {name: version_of(name) for name in PACKAGES}


def make_record(cells, seconds):
    "What is written down"
    import torch

    bad = sum(not c['passed'] for c in cells)
    return dict(
        command='python tests/run_gpu_cells.py',
        date=datetime.date.today().isoformat(),
        device=torch.cuda.get_device_name(),
        cuda=torch.version.cuda,
        versions=versions(),
        passed=len(cells) - bad,
        failed=bad,
        seconds=round(seconds, 1),
        cells=cells,
    )


def write(path, record):
    "The old file or the new one"
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_suffix('.tmp')
    tmp.write_text(json.dumps(record, indent=1) + '\n')
    os.replace(tmp, path)


def books_with_cells(prefix):
    "Notebooks that have cells for a GPU"
    books = sorted((ROOT / 'nbs').rglob(f'{prefix}*.ipynb'))
    return [b for b in books if '.ipynb_checkpoints' not in b.parts and gpu_cells(b)]


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--out', type=Path, default=ROOT / 'data_samples/logs/gpu_cells.json')
    p.add_argument('--only', default='', help='notebooks whose name begins so')
    args = p.parse_args(argv)
    sys.path.insert(0, str(ROOT))
    books = books_with_cells(args.only)
    import torch

    if not torch.cuda.is_available():
        count = sum(len(gpu_cells(b)) for b in books)
        print(f'no GPU here: {count} gpu cells of {len(books)} notebooks were not run')
        return 0
    start = time.time()
    cells = [c for b in books for c in run_notebook(b)]
    record = make_record(cells, time.time() - start)
    write(args.out, record)
    print(
        f"{record['device']}: {record['passed']} passed, {record['failed']} failed "
        f"in {record['seconds']} s; record in {args.out}"
    )
    return 1 if record['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
