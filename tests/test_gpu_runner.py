"run_gpu_cells.py, with a GPU acted out and nbdev absent"

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRETEND = """
import sys, runpy, torch
sys.modules['nbdev'] = None
acted = dict(is_available=True, get_device_name='acted', synchronize=None)
acted |= dict(reset_peak_memory_stats=None, max_memory_allocated=0)
for name, value in acted.items():
    setattr(torch.cuda, name, lambda *a, _v=value: _v)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""
CELLS = [
    '#| default_exp material.core',
    '#| gpu\\nx = stable_hash(1)\\nimport torch',
    '#| gpu\\nassert x == stable_hash(1)',
    '#| gpu\\nassert x == 0',
    'never_run',
]


def project(tmp_path):
    "A project of one notebook with two gpu cells that pass and one that fails"
    cells = [
        dict(cell_type='code', source=s.replace('\\n', '\n'), metadata={}, outputs=[])
        for s in CELLS
    ]
    (tmp_path / 'tests').mkdir()
    (tmp_path / 'nbs/material').mkdir(parents=True)
    shutil.copy(ROOT / 'tests/run_gpu_cells.py', tmp_path / 'tests')
    shutil.copytree(
        ROOT / 'presto_nb',
        tmp_path / 'presto_nb',
        ignore=shutil.ignore_patterns('assets', '__pycache__'),
    )
    (tmp_path / 'nbs/material/00_core.ipynb').write_text(
        json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5))
    )
    return tmp_path / 'tests/run_gpu_cells.py'


def test_record(tmp_path):
    r = subprocess.run(
        [sys.executable, '-c', PRETEND, project(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    record = json.loads((tmp_path / 'data_samples/logs/gpu_cells.json').read_text())
    assert r.returncode == 1 and (record['passed'], record['failed'], record['device']) == (
        2,
        1,
        'acted',
    ), r.stdout + r.stderr
    assert [c['passed'] for c in record['cells']] == [True, True, False]
    assert record['cells'][2]['error'] == 'AssertionError: '
    assert record['versions']['torch']


def test_without_a_gpu(tmp_path):
    r = subprocess.run(
        [sys.executable, project(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={'CUDA_VISIBLE_DEVICES': '', 'PATH': ''},
    )
    assert (
        r.returncode == 0
        and 'no GPU here: 3 gpu cells of 1 notebooks' in r.stdout
        and not (tmp_path / 'data_samples').exists()
    ), r.stderr
