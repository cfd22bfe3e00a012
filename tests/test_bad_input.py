"""Bad input through the real command line

One line on stderr that names the value and what is allowed, status 1 or 2, and no file left.
"""

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
import numpy as np
import pytest
import soundfile as sf
import torch
from presto_nb.tools.cli import main
from presto_nb.material.core import load_tensors, save_tensors, write_hashes
from tiny_model import random_pipeline

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope='session')
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp('model') / 'tiny'
    random_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope='session')
def few(tmp_path_factory):  # a generator
    folder = tmp_path_factory.mktemp('few') / 'tiny'
    random_pipeline(step='pingpong', guidance='none', guidance_scale=1.0).save_pretrained(folder)
    return folder


@pytest.fixture
def model(saved, tmp_path_factory):  # a copy that a test may damage
    return shutil.copytree(saved, tmp_path_factory.mktemp('copy') / 'm')


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob('*') if not p.is_dir())


@pytest.fixture
def refused(tmp_path, capfd, monkeypatch):
    "Call with the words of a command and what its one line must say"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setenv('IN_TEST', '1')

    def call(argv, *says, status=(1, 2)):
        before = files(tmp_path)
        capfd.readouterr()
        got = main([str(a) for a in argv])
        out, err = capfd.readouterr()
        assert got in status, (got, out, err)
        assert (
            err.count('\n') == 1
            and err.endswith('\n')
            and err.startswith('presto-nb')
            and 'Traceback' not in err
            and len(err) < 700
        ), err
        for s in says:
            assert s in err, (s, err)
        assert files(tmp_path) == before, set(files(tmp_path)) - set(before)
        assert out == '', out

    return call


# ---- what a person may type

PROMPTS = {
    'empty': ('', 'no words'),
    'blank': (' \n\t', 'no words'),
    'long': ('la ' * 3334, '10,001 characters; at most 1,000'),
}


@pytest.mark.parametrize('prompt,says', PROMPTS.values(), ids=PROMPTS)
def test_prompt(refused, saved, prompt, says):
    refused(['generate', prompt, '--model', saved, '--out', 'x.wav'], says)


NUMBERS = (
    [
        ('--seconds', v, 'seconds is', '0.1 to 120')
        for v in ('0', '-1', 'nan', 'inf', '120.5', '999')
    ]
    + [
        ('--seconds', 'six', '--seconds', "'six'"),
        ('--seconds', '-inf', '--seconds', 'expected one argument'),
    ]
    + [('--steps', v, 'steps is', '1 to 1000') for v in ('0', '-3', '1000000')]
    + [('--steps', '1.5', '--steps', "'1.5'")]
    + [('--guidance', v, 'guidance_scale is', '0 to 50') for v in ('-1', 'nan', '1e9')]
    + [('--rho', v, 'rho is', '1 to 1000') for v in ('0', '-7', 'nan', 'inf')]
    + [('--bpm', v, 'tempo', '20 to 400') for v in ('0', '-100', 'nan', '5000')]
    + [('--seed', '-1', 'seed is -1'), ('--seed', 'x', "'x'"), ('--seed', str(2**80), 'seed is')]
)


@pytest.mark.parametrize(
    'option,value,says,more',
    [(*n, '')[:4] for n in NUMBERS],
    ids=[f'{n[0]} {n[1]}' for n in NUMBERS],
)
def test_number(refused, saved, option, value, says, more):
    refused(['generate', 'a reel', '--model', saved, option, value, '--out', 'x.wav'], says, more)


@pytest.mark.parametrize('stage', ['presto-s', 'presto-l', 'presto-ls'])
def test_a_distilled_teacher(refused, few, stage):
    refused(
        [
            'train',
            stage,
            '--data',
            'latents',
            '--base',
            few,
            '--out',
            'run',
            *(['--start', few] if stage == 'presto-ls' else []),
        ],
        'a distilled model; distil the one it was made from',
        few.name,
    )


def test_a_sound_to_begin_from(refused, saved, tmp_path):
    "A file that is none, parts that are none, and parts of nothing"
    sf.write(tmp_path / 'mine.wav', 0.1 * np.sin(np.arange(2 * 44100) * 0.05), 44100)
    sf.write(tmp_path / 'short.wav', np.zeros(2000), 44100)
    (tmp_path / 'text.wav').write_text('la la')
    for words, says in (
        (['--keep', '0:1'], '--keep is given without --init'),
        (['--init-sigma', '3'], '--init-sigma is given without --init'),
        (['--init', 'none.wav'], 'none.wav is not a file'),
        (['--init', '.'], 'is not a file'),
        (['--init', 'text.wav'], 'text.wav cannot be read as sound'),
        (['--init', 'short.wav'], 'init_audio lasts 0.045 s'),
        *(
            (['--init', 'mine.wav', '--init-sigma', v], 'init_sigma is')
            for v in ('0', 'nan', '1e9')
        ),
        *(
            (['--init', 'mine.wav', f'--keep={v}'], f'--keep is {v!r}')
            for v in ('', 'all', '1', '0-1', '0:1:2', 'a:b', '0:1,', '0:1;1:2')
        ),
        *(
            (['--init', 'mine.wav', f'--keep={v}'], 'each part must lie within 0 to 2 s')
            for v in ('1:0', '-1:1', '0:3', '1.5:1.55', 'nan:1', '0:inf', '0:1,3:4')
        ),
    ):
        refused(
            [
                'generate',
                'a reel',
                '--model',
                saved,
                '--seconds',
                '3',
                '--steps',
                '1',
                '--out',
                'x.wav',
                *words,
            ],
            says,
        )


FEW = [
    ('--guidance', '3', 'guidance_scale is 3; guidance is distilled into the model tiny'),
    ('--guidance', '0', 'cannot be set'),
    ('--steps', '0', 'steps is 0'),
    ('--rho', '0', 'rho is 0'),
]


@pytest.mark.parametrize('option,value,says', FEW, ids=[' '.join(n[:2]) for n in FEW])
def test_number_for_a_generator(refused, few, option, value, says):
    refused(['generate', 'a reel', '--model', few, option, value, '--out', 'x.wav'], says)
    refused(
        ['evaluate', few, '--n', '16', '--seconds', '1', option, value, '--out', 'judged'], says
    )


@pytest.mark.parametrize(
    'name', ['nosuch', '', '../../x', '/', 'a/b/c', 'new\nline', 'x' * 5000, 'codec']
)
def test_unknown_model(refused, name):
    refused(
        ['generate', 'a reel', '--model', name, '--out', 'x.wav'], 'there is no model', 'known are'
    )


def test_hub_without_network(refused):
    refused(
        ['generate', 'a reel', '--model', 'nobody-here/no-such-model', '--out', 'x.wav'],
        'nobody-here/no-such-model',
        'hub',
    )


@pytest.mark.parametrize('device', ['piano', 'cuda:77'])
def test_device(refused, saved, device):
    refused(
        [
            'generate',
            'a reel',
            '--model',
            saved,
            '--seconds',
            '1',
            '--device',
            device,
            '--out',
            'x.wav',
        ],
        repr(device),
        'cpu does',
    )


def test_where_to(refused, saved, tmp_path):
    refused(['generate', 'a reel', '--model', saved, '--out', 'x.txt'], "'x.txt'", '.flac')
    refused(['generate', 'a reel', 'a jig', '--model', saved, '--out', 'x.wav'], '2 prompts')
    (tmp_path / 'file').write_text('')
    refused(
        ['generate', 'a reel', '--model', saved, '--seconds', '1', '--out', 'file/x.wav'],
        'cannot use the folder file',
    )


@pytest.mark.parametrize(
    'argv',
    [
        ['sing'],
        ['generate'],
        ['generate', 'x', '--louder'],
        ['data'],
        ['data', 'bake'],
        ['train', 'drummer'],
        ['setup', 'world'],
        ['setup'],
    ],
    ids=' '.join,
)
def test_words_of_the_command(refused, argv):
    refused(argv)


def program(*words, cwd):
    "`presto-nb` in a fresh process"
    env = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
        HF_HUB_OFFLINE='1',
    )
    code = 'import sys; from presto_nb.tools.cli import main; sys.exit(main())'
    return subprocess.run(
        [sys.executable, '-c', code, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
    )


def test_one_line_in_a_fresh_process(saved, tmp_path):
    "stderr holds nothing else, no warning of a library either"
    for words, says in (
        (['generate', 'a reel', '--seconds', '-1', '--model', saved], 'seconds is -1'),
        (['generate', 'x', '--model', 'owner/none'], 'hub'),
    ):
        r = program(*words, cwd=tmp_path)
        assert (
            r.returncode == 2 and r.stderr.count('\n') == 1 and says in r.stderr and r.stdout == ''
        ), (r.returncode, r.stderr)
    assert files(tmp_path) == []


# ---- what may lie in a model's folder


def edit(**changes):
    def f(m):
        c = json.loads((m / 'config.json').read_text())
        (m / 'config.json').write_text(
            json.dumps({k: v(c[k]) if callable(v) else v for k, v in (c | changes).items()})
        )

    return f


def tensors(change):
    return lambda m: save_tensors(
        m / 'model.safetensors',
        {k: change(v) for k, v in load_tensors(m / 'model.safetensors').items()},
    )


def replaced(name, data):
    return lambda m: (m / name).write_bytes(data)


DAMAGE = {
    'weights truncated': (
        lambda m: os.truncate(m / 'model.safetensors', 2000),
        'not a readable safetensors file',
    ),
    'weights empty': (replaced('model.safetensors', b''), 'not a readable safetensors file'),
    'weights a pickle': (
        lambda m: torch.save({'a': torch.ones(2)}, m / 'model.safetensors'),
        'not a readable safetensors file',
    ),
    'weights missing': (lambda m: (m / 'model.safetensors').unlink(), 'no weights file'),
    'weights of other shapes': (tensors(lambda v: v[..., :1].clone()), 'the model needs'),
    'weights of fewer blocks': (edit(dit=lambda d: d | dict(depth=2)), 'does not know'),
    'weights not finite': (tensors(lambda v: v * math.nan), 'not finite'),
    'weights of zeros': (tensors(lambda v: v * 0), 'when it was saved'),
    'weights changed': (tensors(lambda v: v + 0.3), 'when it was saved'),
    'config not JSON': (replaced('config.json', b'{"name": '), 'not readable JSON'),
    'config binary': (replaced('config.json', bytes(range(256))), 'not readable JSON'),
    'config a list': (replaced('config.json', b'[]'), 'not a JSON object'),
    'config with a path': (edit(codec='../../x'), 'does not know codec'),
    'config with a number as text': (edit(sigma_max='80'), "sigma_max is '80'"),
    'config of nonsense': (edit(max_seconds=-6), 'max_seconds is -6'),
    'config of an unknown step': (edit(step='rk45'), "step is 'rk45'; it must be one of euler"),
    'config of a generator with guidance': (
        edit(step='pingpong'),
        "guidance is 'cfg'; with the step pingpong it must be none",
    ),
    'config of a generator with a guidance scale': (
        edit(step='pingpong', guidance='none'),
        'guidance_scale is 3.0; without guidance it must be 1',
    ),
    'config of a placement that is none': (
        edit(to_min='yes'),
        "to_min is 'yes'; it must be true or false",
    ),
    'config whose dit is none': (edit(dit=None), "dit is None"),
    'config of a huge network': (edit(dit=lambda d: d | dict(heads=0)), 'heads'),
    'another codec': (
        lambda m: tensors_of(m / 'codec', lambda k, v: v * 1.1 if k == 'enc_line.weight' else v),
        'trained with the codec',
    ),
    'another text encoder': (
        lambda m: tensors_of(m / 'text', lambda k, v: v * 1.1 if k == 'summary' else v),
        'trained with the text',
    ),
    'codec truncated': (
        lambda m: os.truncate(m / 'codec' / 'model.safetensors', 999),
        'not a readable safetensors file',
    ),
    'codec config': (replaced('codec/config.json', b'{"channels": -4}'), 'channels is -4'),
    'text vocabulary missing': (lambda m: (m / 'text' / 'vocab.txt').unlink(), 'vocab.txt'),
}


def tensors_of(folder, change):
    save_tensors(
        folder / 'model.safetensors',
        {k: change(k, v) for k, v in load_tensors(folder / 'model.safetensors').items()},
    )
    write_hashes(folder, ['config.json', 'model.safetensors'])


@pytest.mark.parametrize('damage,says', DAMAGE.values(), ids=DAMAGE)
def test_damaged_model(refused, model, damage, says):
    damage(model)
    refused(['generate', 'a reel', '--model', model, '--seconds', '1', '--out', 'x.wav'], says)


# ---- what may lie in a folder of sounds


def sound(seconds=1.0, rate=44100, channels=1):  # a chord, [n, channels]
    t = np.arange(round(seconds * rate)) / rate
    return np.stack([0.2 * np.sin(6.2832 * f * t) for f in np.linspace(220, 660, channels)], 1)


def data_folder(tmp_path, rows, **sounds):  # captions.csv and wav files
    d = tmp_path / 'data'
    d.mkdir()
    (d / 'captions.csv').write_text('file,caption\n' + ''.join(f'{r}\n' for r in rows))
    for name, (x, rate) in sounds.items():
        sf.write(d / f'{name}.wav', x, rate, subtype='FLOAT')
    return d


BAD_SOUNDS = {
    'not sound': lambda p: p.write_bytes(b'I am not a sound file at all' * 50),
    'empty file': lambda p: p.write_bytes(b''),
    'truncated': lambda p: os.truncate(p, 30_000),
    'header alone': lambda p: os.truncate(p, 60),
    'missing': lambda p: p.unlink(),
    'NaN': lambda p: sf.write(
        p, np.where(np.arange(44100) == 999, np.nan, sound()[:, 0]), 44100, subtype='FLOAT'
    ),
    'infinite': lambda p: sf.write(
        p, np.where(np.arange(44100) == 999, np.inf, sound()[:, 0]), 44100, subtype='FLOAT'
    ),
    'nine channels': lambda p: sf.write(p, sound(channels=9), 44100),
    '4 kHz': lambda p: sf.write(p, sound(rate=4000), 4000),
}


@pytest.mark.parametrize('damage', BAD_SOUNDS.values(), ids=BAD_SOUNDS)
def test_bad_sound(refused, saved, tmp_path, damage):
    d = data_folder(
        tmp_path,
        ['good.wav,a chord', 'bad.wav,a chord'],
        good=(sound(), 44100),
        bad=(sound(), 44100),
    )
    damage(d / 'bad.wav')
    refused(
        ['data', 'encode', '--data', d, '--codec', saved / 'codec', '--out', 'latents'], 'bad.wav'
    )


@pytest.mark.parametrize('name', ['../secret.wav', '/etc/passwd', 'sub/../../secret.wav'])
def test_a_path_that_leaves_the_folder(refused, saved, tmp_path, name):
    d = data_folder(tmp_path, [f'{name},a chord'])
    sf.write(tmp_path / 'secret.wav', sound(), 44100)
    refused(
        ['data', 'encode', '--data', d, '--codec', saved / 'codec', '--out', 'latents'],
        'leaves the folder',
    )


BAD_FOLDERS = {
    'missing': lambda d: shutil.rmtree(d),
    'empty': lambda d: [p.unlink() for p in d.iterdir()],
    'no rows': lambda d: (d / 'captions.csv').write_text('file,caption\n'),
    'no columns': lambda d: (d / 'captions.csv').write_text('song;words\na.wav;b\n'),
    'binary': lambda d: (d / 'captions.csv').write_bytes(bytes(range(256))),
}


@pytest.mark.parametrize('damage', BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_bad_data_folder(refused, saved, tmp_path, damage):
    d = data_folder(tmp_path, ['good.wav,a chord'], good=(sound(), 44100))
    damage(d)
    refused(
        ['data', 'encode', '--data', d, '--codec', saved / 'codec', '--out', 'latents'],
        'text'
        if 'captions.csv' in files(d) and b'\xff' in (d / 'captions.csv').read_bytes()
        else str(d),
    )


def test_odd_but_allowed_sounds(saved, tmp_path, monkeypatch):
    "Silence, 1 to 8 channels and 8 to 192 kHz become finite latents of the right length"
    monkeypatch.setenv('IN_TEST', '1')
    kinds = dict(
        silence=(np.zeros((44100, 1)), 44100),
        one=(sound(), 44100),
        two=(sound(rate=48000, channels=2), 48000),
        eight=(sound(channels=8), 44100),
        low=(sound(rate=8000), 8000),
        high=(sound(rate=192_000), 192_000),
    )
    d = data_folder(tmp_path, [f'{k}.wav,a chord' for k in kinds], **kinds)
    assert (
        main(
            [
                'data',
                'encode',
                '--data',
                str(d),
                '--codec',
                str(saved / 'codec'),
                '--out',
                str(tmp_path / 'latents'),
            ]
        )
        == 0
    )
    made = {
        k: v
        for p in (tmp_path / 'latents').glob('*.safetensors')
        for k, v in load_tensors(p).items()
    }
    assert len(made) == len(kinds) and all(
        v.isfinite().all() and v.shape == (22, 16) for v in made.values()
    ), {k: v.shape for k, v in made.items()}


# ---- training


def test_training_words(refused, tmp_path):
    refused(['train', 'base', '--latents', 'nowhere', '--out', 'run'], 'nowhere')
    refused(['train', 'codec', '--data', 'nowhere', '--out', 'run'], 'nowhere')
    for kind in ('base', 'codec'):
        for option, value, says in (
            ('--preset', 'giant', "'giant'"),
            ('--steps', '0', 'steps is 0'),
            ('--steps', '-3', 'steps is -3'),
            ('--minutes', 'nan', 'minutes is nan'),
            ('--minutes', '-1', 'minutes is -1'),
            ('--batch-size', '0', '--batch-size is 0'),
            ('--precision', 'fp4', "'fp4'"),
        ):
            refused(['train', kind, '--data', 'nowhere', '--out', 'run', option, value], says)


def test_weights_to_begin_with(refused, saved, tmp_path, tmp_path_factory):
    "Neither a missing file nor a pickle nor foreign weights start a codec's training"
    d = data_folder(tmp_path, ['good.wav,a chord'], good=(sound(4.0), 44100))
    other = tmp_path_factory.mktemp('other')
    torch.save({'a': torch.ones(2)}, other / 'pickle.safetensors')
    save_tensors(other / 'foreign.safetensors', dict(w=torch.ones(2)))
    for name, says in (
        ('missing.safetensors', 'no weights file'),
        ('pickle.safetensors', 'not a readable safetensors file'),
        ('foreign.safetensors', 'foreign'),
    ):
        refused(
            [
                'train',
                'codec',
                '--data',
                d,
                '--out',
                'run',
                '--preset',
                'tiny',
                '--steps',
                '1',
                '--batch-size',
                '1',
                '--init',
                other / name,
            ],
            says,
        )


# ---- a machine that lacks something


def test_missing_extras(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'symusic', None)
    refused(
        ['data', 'build', '--tier', 'tiny', '--out', 'tiny'],
        'symusic',
        "pip install 'presto_nb[data]'",
    )
    refused(['data', 'build', '--tier', 'giant', '--out', 'tiny'], "'giant'", 'tiny')


def test_missing_audiocraft(refused, tmp_path, monkeypatch):
    import importlib.machinery as mach

    for k in [k for k in sys.modules if k.split('.')[0] == 'audiocraft']:
        monkeypatch.delitem(sys.modules, k)
    find = mach.PathFinder.find_spec
    monkeypatch.setattr(
        mach.PathFinder,
        'find_spec',
        classmethod(
            lambda cls, name, *a, **kw: (
                None if name.split('.')[0] == 'audiocraft' else find(name, *a, **kw)
            )
        ),
    )
    d = data_folder(tmp_path, ['good.wav,a chord'], good=(sound(4.0), 44100))
    refused(
        ['train', 'codec', '--data', d, '--out', 'run', '--preset', 'tiny', '--steps', '1'],
        'audiocraft',
        'presto-nb setup audiocraft',
    )


@pytest.fixture
def full_disk(tmp_path, monkeypatch):
    "A folder on a disk of 64 kB; where none can be mounted, longer files there fail"
    d = tmp_path / 'disk'
    d.mkdir()
    mounted = (
        os.name == 'posix'
        and subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', d], capture_output=True
        ).returncode
        == 0
        if shutil.which('mount')
        else False
    )
    if not mounted:
        write = Path.write_bytes

        def no_space(self, data):
            if len(data) > 65536 and d in Path(self).resolve().parents:
                write(self, data[:65536])
                raise OSError(28, 'No space left on device', str(self))
            return write(self, data)

        monkeypatch.setattr(Path, 'write_bytes', no_space)
    yield d
    if mounted:
        subprocess.run(['umount', d], check=True)


def test_full_disk(refused, saved, full_disk, tmp_path):
    for name in ('x.wav', 'x.flac'):
        refused(
            [
                'generate',
                'a reel',
                '--model',
                saved,
                '--seconds',
                '2',
                '--steps',
                '1',
                '--out',
                full_disk / name,
            ],
            'No space left on device',
            name,
        )
    refused(
        [
            'generate',
            'a reel',
            '--model',
            saved,
            '--seconds',
            '2',
            '--steps',
            '1',
            '--out',
            full_disk / 'new folder',
        ],
        'No space left on device',
    )
    assert list(full_disk.iterdir()) == []
    if os.path.ismount(full_disk):
        r = program(
            'generate',
            'a reel',
            '--model',
            saved,
            '--seconds',
            2,
            '--steps',
            1,
            '--out',
            full_disk / 'x.wav',
            cwd=tmp_path,
        )
        assert (
            r.returncode in (1, 2)
            and r.stderr.count('\n') == 1
            and 'No space left on device' in r.stderr
            and list(full_disk.iterdir()) == []
        ), r.stderr


def test_full_disk_in_encoding_and_saving(refused, saved, full_disk, tmp_path):
    if not os.path.ismount(full_disk):
        pytest.skip('no disk can be mounted here')
    d = data_folder(tmp_path, ['a.wav,a chord'], a=(sound(120.0), 44100))
    refused(
        ['data', 'encode', '--data', d, '--codec', saved / 'codec', '--out', full_disk / 'latents'],
        'No space left on device',
    )
    from presto_nb.pipeline import MusicPipeline

    with pytest.raises(Exception, match='No space left'):
        MusicPipeline.from_pretrained(saved, device='cpu').save_pretrained(full_disk / 'model')
    assert not (full_disk / 'model').exists()


@pytest.mark.skipif(
    not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write everywhere'
)
def test_no_rights(refused, saved, tmp_path):
    (tmp_path / 'locked').mkdir(mode=0o500)
    refused(
        [
            'generate',
            'a reel',
            '--model',
            saved,
            '--seconds',
            '1',
            '--steps',
            '1',
            '--out',
            'locked/x.wav',
        ],
        'Permission denied',
    )
