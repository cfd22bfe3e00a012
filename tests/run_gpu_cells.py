"""Run the `#| gpu` cells of all notebooks: python tests/run_gpu_cells.py [--out FILE] [--only PREFIX]

They run with nothing but torch and the library: each notebook's cells share one namespace that begins with the notebook's exported module.
A line per cell is printed; the record goes to data_samples/logs/gpu_cells.json. Without a GPU it says so and exits 0; a failed cell exits 1.
"""

import argparse, datetime, importlib, json, os, platform, re, sys, time, traceback

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
os.environ.setdefault('MPLBACKEND', 'agg')
os.environ.setdefault('IN_TEST', '1')
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def gpu_cells(path):
    "(module name or None, [(cell number, source)]) of a notebook; plain JSON, so that nbdev is not needed"
    cells = [
        (i, ''.join(c['source']))
        for i, c in enumerate(json.loads(path.read_text())['cells'])
        if c['cell_type'] == 'code'
    ]
    exp = next(
        (m[1] for _, s in cells if (m := re.search(r'^#\|\s*default_exp\s+([\w.]+)', s, re.M))), None
    )
    return exp, [(i, s) for i, s in cells if re.search(r'^#\|\s*gpu\b', s, re.M)]


def run_notebook(path):
    "Run a notebook's gpu cells in one namespace; a record for each"
    import torch

    exp, cells = gpu_cells(path)
    ns, out = {'__name__': '__main__'}, []
    for i, src in cells:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        start, error = time.time(), None
        try:
            if len(ns) == 1 and exp:
                ns |= {
                    k: v
                    for k, v in vars(importlib.import_module(f'presto_nb.{exp}')).items()
                    if not k.startswith('__')
                }
            exec(compile(src, f'{path.name}[{i}]', 'exec'), ns)
            torch.cuda.synchronize()
        except Exception as e:
            error = f'{type(e).__name__}: {e}'[:500]
            traceback.print_exc()
        out.append(
            dict(
                notebook=path.name,
                cell=i,
                passed=error is None,
                seconds=round(time.time() - start, 2),
                peak_mib=round(torch.cuda.max_memory_allocated() / 2**20),
                **(dict(error=error) if error else {}),
            )
        )
        print(
            f"{'pass' if error is None else 'FAIL'} {path.name} cell {i}: {out[-1]['seconds']} s, {out[-1]['peak_mib']} MiB",
            flush=True,
        )
    return out


def versions():
    from importlib.metadata import version, PackageNotFoundError

    def v(n):
        try:
            return version(n)
        except PackageNotFoundError:
            return None

    import presto_nb

    return dict(python=platform.python_version(), presto_nb=presto_nb.__version__) | {
        n: v(n) for n in ('torch', 'torchaudio', 'numpy', 'fastcore', 'accelerate', 'nbdev')
    }


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--out', type=Path, default=ROOT / 'data_samples/logs/gpu_cells.json')
    p.add_argument('--only', default='', help='notebooks whose name begins so')
    a = p.parse_args(argv)
    sys.path.insert(0, str(ROOT))
    books = [
        b
        for b in sorted((ROOT / 'nbs').rglob('*.ipynb'))
        if '.ipynb_checkpoints' not in b.parts and b.name.startswith(a.only) and gpu_cells(b)[1]
    ]
    import torch

    if not torch.cuda.is_available():
        print(
            f'no GPU here: {sum(len(gpu_cells(b)[1]) for b in books)} gpu cells of {len(books)} notebooks were not run'
        )
        return 0
    start = time.time()
    cells = [c for b in books for c in run_notebook(b)]
    bad = sum(not c['passed'] for c in cells)
    record = dict(
        command='python tests/run_gpu_cells.py',
        date=datetime.date.today().isoformat(),
        device=torch.cuda.get_device_name(),
        cuda=torch.version.cuda,
        versions=versions(),
        passed=len(cells) - bad,
        failed=bad,
        seconds=round(time.time() - start, 1),
        cells=cells,
    )
    a.out.parent.mkdir(parents=True, exist_ok=True)
    tmp = a.out.with_suffix('.tmp')
    tmp.write_text(json.dumps(record, indent=1) + '\n')
    os.replace(tmp, a.out)
    print(
        f"{record['device']}: {record['passed']} passed, {bad} failed in {record['seconds']} s; record in {a.out}"
    )
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
