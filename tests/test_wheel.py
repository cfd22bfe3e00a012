"A wheel built from the repository makes music in an empty folder"

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
import pytest

ROOT = Path(__file__).resolve().parent.parent
ASSETS = ROOT / 'presto_nb/assets'


def run(*cmd, **kw):
    r = subprocess.run(
        list(map(str, cmd)),
        capture_output=True,
        text=True,
        timeout=240,
        stdin=subprocess.DEVNULL,
        **kw,
    )
    assert r.returncode == 0, r.stdout[-2000:] + r.stderr[-3000:]
    return r.stdout


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    "Built with no network and no isolation, from a copy, so that no build folder stays behind"
    src = tmp_path_factory.mktemp('src') / 'p'
    out = tmp_path_factory.mktemp('dist')
    shutil.copytree(
        ROOT,
        src,
        ignore=shutil.ignore_patterns(
            *'.git .venv* nbs build dist *.egg-info __pycache__ data_samples .ci'.split(),
            'first_sound*',
        ),
    )
    run(
        sys.executable,
        *'-m pip wheel -q --no-deps --no-build-isolation --no-index -w'.split(),
        out,
        src,
    )
    return next(out.glob('presto_nb-*.whl'))


@pytest.fixture(scope='module')
def site(wheel, tmp_path_factory):
    d = tmp_path_factory.mktemp('site')
    run(
        sys.executable,
        *'-m pip install -q --no-deps --no-index --target'.split(),
        d,
        wheel,
    )
    return d


def test_the_wheel_holds_every_asset_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    want = {
        f'presto_nb/{p.relative_to(ROOT / "presto_nb").as_posix()}'
        for p in ASSETS.rglob('*')
        if p.is_file() and not p.name.startswith('.') and not p.name.endswith('.tmp')
    }
    assert want and want <= set(names), want - set(names)
    assert 'presto_nb/py.typed' in names  # type checkers read the package's own annotations
    assert {n.split('/')[0] for n in names if '.dist-info/' not in n} == {'presto_nb'}
    assert any(n.endswith('licenses/LICENSE') for n in names)
    assert any(n.endswith('licenses/THIRD_PARTY.md') for n in names)
    assert (
        'presto-nb = presto_nb.tools.cli:main'
        in zipfile.ZipFile(wheel)
        .read(next(n for n in names if n.endswith('entry_points.txt')))
        .decode()
    )


def test_music_from_an_empty_folder(site, tmp_path):
    "The installed package, not this checkout, writes a sound and its picture"
    env = os.environ | dict(
        PYTHONPATH=str(site), PRESTO_NB_CACHE=str(tmp_path / 'cache'), HOME=str(tmp_path)
    )
    (tmp_path / 'empty').mkdir()
    where = run(
        sys.executable,
        '-c',
        'import presto_nb; print(presto_nb.__file__)',
        cwd=tmp_path / 'empty',
        env=env,
    )
    assert Path(where.strip()).is_relative_to(site)
    out = run(
        sys.executable,
        site / 'bin' / 'presto-nb',
        'generate',
        'a fast reel in D major on the fiddle',
        *'--seconds 2 --steps 4 --out first_sound'.split(),
        cwd=tmp_path / 'empty',
        env=env,
    )
    made = {p.suffix: p for p in (tmp_path / 'empty').rglob('*') if p.is_file()}
    assert '.wav' in made and '.png' in made, (out, sorted(made))
    import soundfile as sf
    import numpy as np

    x, sr = sf.read(made['.wav'])
    assert sr == 44100
    assert abs(len(x) / sr - 2) < 0.2
    assert np.isfinite(x).all()
    assert np.abs(x).max() > 1e-3
