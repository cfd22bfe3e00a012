"Every module and every exported symbol in a fresh process, and how light the package is"

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'presto_nb'
MODULES = sorted(
    '.'.join(p.relative_to(PACKAGE).with_suffix('').parts)
    for p in PACKAGE.rglob('*.py')
    if not p.stem.startswith('_')
)


def fresh(code, *args):
    "Run code in a new interpreter outside the repository; what it printed"
    r = subprocess.run(
        [sys.executable, '-c', code, *args],
        capture_output=True,
        text=True,
        timeout=240,
        cwd='/',
        env=os.environ | dict(PYTHONPATH=str(ROOT)),
    )
    assert r.returncode == 0, r.stderr[-3000:]
    return r.stdout


OPTIONAL = ('transformers', 'diffusers', 'audiocraft', 'music21', 'symusic', 'tensorboard', 'nbdev')


def test_there_are_modules():
    assert {'edm', *MUSIC} <= set(MODULES)


@pytest.mark.parametrize('module', MODULES)
def test_every_exported_symbol(module):
    "The module alone has every name of its `__all__`, and loads no optional package"
    code = '''
import importlib, sys
m = importlib.import_module(f"presto_nb.{sys.argv[1]}")
missing = [n for n in m.__all__ if not hasattr(m, n)]
assert m.__all__ and not missing, missing
import json
print(json.dumps(sorted(sys.modules)))
'''
    loaded = json.loads(fresh(code, module))
    early = [h for h in OPTIONAL if h in loaded]
    assert not early, 'optional packages are imported where they are used'


MUSIC = 'material.core', 'material.audio', 'material.codec', 'material.text'
MUSIC += 'edm', 'sampling', 'dit', 'pipeline'
HEAVY = (
    'torch',
    'torchaudio',
    'matplotlib',
    'transformers',
    'diffusers',
    'audiocraft',
    'music21',
    'scipy',
    'numpy',
)


def test_the_package_alone_is_light():
    code = 'import sys, json, presto_nb; print(json.dumps(sorted(sys.modules)))'
    loaded = json.loads(fresh(code))
    assert not [h for h in HEAVY if h in loaded]


def test_import_time_beyond_torch():
    "1.5 s or less for `presto_nb` and the modules that make music; the best of three"
    code = '''
import time, torch
t = time.perf_counter()
import presto_nb, importlib, sys
for m in sys.argv[1:]:
    importlib.import_module(f"presto_nb.{m}")
print(time.perf_counter() - t)
'''
    package = min(float(fresh(code)) for _ in range(3))
    assert package <= 1.5, package
    music = min(float(fresh(code, *MUSIC)) for _ in range(3))
    assert music <= 1.5, music
