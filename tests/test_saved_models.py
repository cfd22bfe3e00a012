"""Saved models: nothing of anybody else's is lost, and what is damaged is refused

What is whole loads anywhere.
"""

import json
import multiprocessing
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch

from presto_nb.material.core import HASHES, PrestoError, assets, check_hashes, folder_lock
from presto_nb.material.model_folders import MODEL_FILES, MODELS, RELEASED, SAVING, find_model
from presto_nb.pipeline import MusicPipeline
from presto_nb.material.text import SmallTextEncoder
from tiny_model import random_pipeline


def load(folder):
    return MusicPipeline.from_pretrained(folder, device='cpu')


def files(folder):
    "Every file's name and bytes"
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in Path(folder).rglob('*')
        if p.is_file()
    }


def texts(folder, names):
    return {name: (folder / name).read_text() for name in names}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(scope='module')
def pipe():
    return random_pipeline()


@pytest.fixture(scope='module')
def saved(pipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp('saved') / 'm'
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture
def model(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / 'm')


# ---- what is somebody else's


RUN = {
    'config.json': '{"steps": 10, "batch_size": 4, "accumulate": 1}',
    'log.csv': 'step,loss\n1,2\n',
    'checkpoint/state.json': '{}',
    'latents/latents.jsonl': '',
}
FOREIGN = {
    'a run': RUN,
    'a run that has just begun': {'config.json': '{"steps": 10, "accumulate": 1}'},
    'a project': {'config.json': '{"name": "site"}', 'main.py': 'x', '.git/HEAD': 'ref'},
    'a letter': {'letter.txt': 'dear'},
    'weights of another program': {'model.safetensors': 'x'},
    'a hidden file': {'.env': 'KEY=1'},
    'a broken config': {'config.json': '{'},
    'a config that is a list': {'config.json': '[]'},
    'an empty folder inside': {'sub/.keep': ''},
}


@pytest.mark.parametrize('content', FOREIGN.values(), ids=FOREIGN)
def test_a_folder_that_is_no_model_is_refused(pipe, tmp_path, content):
    for name, text in content.items():
        (tmp_path / 'f' / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / 'f' / name).write_text(text)
    before = files(tmp_path)
    with pytest.raises(PrestoError, match='exists and is not a model'):
        pipe.save_pretrained(tmp_path / 'f')
    assert files(tmp_path) == before


def test_what_else_lies_in_a_model_stays(pipe, model):
    others = {
        '.git/HEAD': 'ref: main',
        'notes.txt': 'mine',
        'codec/notes.txt': 'mine too',
        'LICENSE': 'MIT',
        'onnx/model.onnx': 'x',
    }
    for name, text in others.items():
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text(text)
    pipe.save_pretrained(model)
    assert texts(model, others) == others
    assert set(files(model)) == {*others, *MODEL_FILES}
    pipe.save_pretrained(model, parts=False)
    assert texts(model, others) == others
    assert set(files(model)) == {*others, HASHES, 'config.json', 'model.safetensors', 'README.md'}


def test_a_name_with_a_dot(pipe, tmp_path):
    (tmp_path / '.v1.old').mkdir()
    (tmp_path / '.v1.old' / 'thesis.txt').write_text('three years')
    for _ in range(2):
        pipe.save_pretrained(tmp_path / 'v1.0')
    assert (tmp_path / '.v1.old' / 'thesis.txt').read_text() == 'three years'
    assert sorted(os.listdir(tmp_path)) == ['.v1.old', 'v1.0']


def test_two_saves_at_once(pipe, model):
    before = files(model)
    with folder_lock(model), pytest.raises(PrestoError, match='is being filled by another process'):
        pipe.save_pretrained(model)
    assert files(model) == before


def killed_save(pipe, folder, moves):
    """Save in a process that dies before its next file operation

    So many files get to their places, those of the temporary folder first.
    """
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    replace = os.replace
    left = iter(range(moves))
    os.replace = lambda *paths: replace(*paths) if next(left, None) is not None else os._exit(9)
    pipe.save_pretrained(folder)
    os._exit(0)


WRITTEN = 11  # files that are written before the first takes its place


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
@pytest.mark.parametrize('moves', range(0, 2 * WRITTEN, 3))
@pytest.mark.parametrize('fresh', [True, False])
def test_a_save_that_was_killed(pipe, tmp_path, moves, fresh):
    "What is left is refused or whole, and the next save makes it whole and leaves nothing else"
    other = random_pipeline(seed=1)
    folder = tmp_path / 'm'
    if not fresh:
        pipe.save_pretrained(folder)
    assert killed_save(other, folder, moves) == 9
    try:
        config = load(folder).config
    except PrestoError:
        pass
    else:
        assert config.check == (pipe if moves <= WRITTEN else other).fingerprint()
    other.save_pretrained(folder)
    assert set(files(folder)) == set(MODEL_FILES)
    assert not (folder / SAVING).exists()
    assert load(folder).config.check == other.fingerprint()


def test_the_umask_is_kept(pipe, tmp_path):
    before = os.umask(0o027)
    try:
        pipe.save_pretrained(tmp_path / 'm')
    finally:
        os.umask(before)
    assert mode(tmp_path / 'm') == 0o750
    assert mode(tmp_path / 'm' / 'codec') == 0o750
    assert mode(tmp_path / 'm' / 'model.safetensors') == 0o640


def test_a_save_that_fails_leaves_nothing(tmp_path):
    bad = random_pipeline()
    for p in bad.denoiser.parameters():
        p.data *= float('nan')
    with pytest.raises(PrestoError, match='damaged'):
        bad.save_pretrained(tmp_path / 'm')
    with pytest.raises(PrestoError, match='cannot write'):
        bad.save_pretrained(str(tmp_path / 'a\0b'))
    (tmp_path / 'file').write_text('x')
    with pytest.raises(PrestoError, match='exists and is not a model'):
        bad.save_pretrained(tmp_path / 'file')
    assert os.listdir(tmp_path) == ['file']


# ---- what is damaged


WEIGHTS = ['model.safetensors', 'codec/model.safetensors', 'text/model.safetensors']


@pytest.mark.parametrize('name', WEIGHTS)
@pytest.mark.parametrize('at', [0.3, 0.6, 0.95])
def test_zeros_in_the_weights(model, name, at):
    with open(model / name, 'r+b') as f:
        f.seek(int(at * (model / name).stat().st_size))
        f.write(bytes(64))
    with pytest.raises(PrestoError):
        load(model)


LETTERS = {
    'config.json': ('"rho": 7.0', '"rho": 5.0'),
    'codec/config.json': ('44100', '44101'),
    'text/vocab.txt': ('waltz', 'waltx'),
}


@pytest.mark.parametrize('name', LETTERS)
def test_one_letter_is_another(model, name):
    text = (model / name).read_text()
    (model / name).write_text(text.replace(*LETTERS[name]))
    with pytest.raises(PrestoError, match='is not what it was when it was saved'):
        load(model)


def test_a_model_without_hashes_loads(model):
    for file in model.rglob(HASHES):
        file.unlink()
    assert load(model).config.name == 'tiny'


@pytest.mark.parametrize('name', [*MODELS, *RELEASED, 'codec', 'text'])
def test_shipped_models_carry_their_hashes(name):
    assert 'model.safetensors' in json.loads((assets() / name / HASHES).read_text())
    check_hashes(assets() / name)


BAD_CONFIGS = {
    'a depth of 1e8': (
        dict(dit=dict(depth=10**8)),
        "the network's depth is 100000000; it must be a number from 1 to 1000",
    ),
    'a width of 1e12': (dict(dit=dict(width=10**12)), "the network's width is 1000000000000"),
    'a width that does not fit': (dict(dit=dict(width=999_936, heads=2)), 'the model needs'),
    'a hidden width below zero': (
        dict(dit=dict(mlp_ratio=-1.0)),
        "the network's mlp_ratio is -1.0",
    ),
    'a depth as text': (dict(dit=dict(depth='8')), "depth is '8'; it must be a whole number"),
    'a depth that is half': (dict(dit=dict(depth=2.5)), 'depth is 2.5; it must be a whole number'),
    'a depth that is true': (
        dict(dit=dict(depth=True)),
        'depth is True; it must be a whole number',
    ),
    'a list for a network': (dict(dit=[1, 2]), 'dit is (1, 2); it must be an object'),
    'a name that is a list': (dict(name=['a']), "name is ('a',); it must be text"),
    'a name with escape codes': (dict(name='\x1b[2J'), "the config's name is '\\x1b[2J'"),
    'a name of two lines': (
        dict(name='a\nlicense: mit'),
        "the config's name is 'a\\nlicense: mit'",
    ),
    'a name with NUL': (dict(name='a\0b'), "the config's name is"),
    'steps beyond any number': (dict(steps=10**30), 'steps is 1000'),
    'nested drops': (dict(drops=[[1], 2]), "the config's drops is"),
    'drops of text': (dict(drops=['1']), "the config's drops is"),
    'a fingerprint of text': (dict(check=['a']), "the config's check is"),
    'a hash that is none': (dict(codec_sha256='\x1b[31m'), "the config's codec_sha256 is"),
    'a shift of text': (dict(shift='1'), "shift is '1'; it must be a whole number"),
    'levels the wrong way': (dict(sigma_min=1.0, sigma_max=1.0), "the config's sigma_min is 1"),
    'not a number': (dict(rho=float('nan')), 'rho is nan; it must be a number'),
    'an unknown word': (dict(speed=3), 'does not know speed'),
}


@pytest.mark.parametrize('change,says', BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_config_that_no_model_has(model, change, says):
    config = json.loads((model / 'config.json').read_text())
    network = change.get('dit', {})
    if isinstance(network, dict):
        network = config['dit'] | network
    (model / 'config.json').write_text(json.dumps(config | change | dict(dit=network)))
    with pytest.raises(PrestoError) as e:
        load(model)
    assert says in str(e.value)
    assert '\n' not in str(e.value) and '\x1b' not in str(e.value)


BAD_PARTS = [
    ('codec', dict(dec_blocks=10**8), 'at most 1,000'),
    ('codec', dict(enc_width=10**6), 'the model needs'),
    ('codec', dict(n_fft='2048'), "n_fft is '2048'"),
    ('codec', dict(channels=[16]), 'channels is (16,)'),
    ('text', dict(layers=10**8), '1 to 1,000'),
    ('text', dict(width=10**6, heads=1), 'the model needs'),
    ('text', dict(knows=[1]), 'knows is (1,)'),
    ('text', dict(heads=0), 'heads is 0'),
]


@pytest.mark.parametrize('part,change,says', BAD_PARTS)
def test_a_part_that_no_model_has(model, part, change, says):
    path = model / part / 'config.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(PrestoError) as e:
        load(model)
    assert says in str(e.value)


def test_a_config_nested_without_end(model):
    (model / 'config.json').write_text('{"dit": ' + '[' * 200_000)
    with pytest.raises(PrestoError, match='not readable JSON'):
        load(model)


def test_hashes_of_nonsense(model):
    nonsense = ['[]', '{', '{"model.safetensors": 3}']
    nonsense += ['{"../../x": "0"}', '{"a\\u0000b": "0"}', '{"": ""}']
    for text in nonsense:
        (model / HASHES).write_text(text)
        with pytest.raises(PrestoError):
            load(model)


# ---- what a name means


def test_names_of_models(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', str(tmp_path))
    runs = tmp_path / 'runs'
    (runs / 'done').mkdir(parents=True)
    shutil.copytree(model, runs / 'done' / 'model')
    (runs / 'stopped').mkdir()
    for name in ('config.json', 'log.csv'):
        for run in ('stopped', 'done'):
            (runs / run / name).write_text(RUN[name])
    assert find_model('runs/done') == Path('runs/done/model')
    assert find_model('~/m') == tmp_path / 'm'
    says = 'runs/stopped is a training that has not ended and has no model yet; '
    says += 'the same command goes on'
    with pytest.raises(PrestoError, match=says):
        find_model('runs/stopped')
    with pytest.raises(PrestoError, match="there is no model 'runs/nope'"):
        find_model('runs/nope')


def test_saving_at_home(pipe, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    pipe.save_pretrained('~/mine')
    assert (tmp_path / 'mine' / 'config.json').is_file()


# ---- the same music anywhere


def play(pipe):
    "At the top of the module, so that another process finds it"
    pieces = pipe.generate('a slow reel on the piano', seconds=0.3, seed=3, progress=False)
    return pieces[0].samples.numpy()


def test_a_pipeline_goes_to_another_process(saved):
    pipe = load(saved)
    with multiprocessing.get_context('spawn').Pool(1) as pool:
        assert np.array_equal(pool.apply(play, (pipe,)), play(pipe))


def test_another_default_dtype(saved):
    here = play(load(saved))
    torch.set_default_dtype(torch.float64)
    try:
        pipe = load(saved)
        assert np.array_equal(play(pipe), here)
        streamed = list(pipe.stream('a slow reel on the piano', seconds=3.0, seed=3))
        assert torch.get_default_dtype() == torch.float64
        assert streamed[0].samples.dtype == torch.float32
        assert {p.dtype for m in pipe.modules for p in m.parameters()} == {torch.float32}
    finally:
        torch.set_default_dtype(torch.float32)


def test_numbers_of_numpy_and_torch(pipe):
    plain = pipe.request('a reel', 1.0, 4, 3.0, 7.0, 5)
    numbers = [np.float32(1), np.int64(4), torch.tensor(3.0), np.float64(7), torch.tensor(5)]
    assert pipe.request('a reel', *numbers) == plain


def test_pieces_come_one_by_one(pipe):
    prompts = ['a reel', 'a jig', 'a march']
    settings = dict(seconds=0.3, steps=2, seed=1, progress=False)
    pieces = pipe.pieces(prompts, **settings)
    first = next(pieces)
    assert first.caption == 'a reel' and pipe.timings['decode'] > 0
    rest = [audio.samples for audio in pieces]
    together = pipe.generate(prompts, **settings)
    assert all(a.equal(b.samples) for a, b in zip([first.samples, *rest], together))
    assert len(together) == 3


def test_words_that_are_not_read():
    pipe = random_pipeline(encoder=SmallTextEncoder.from_pretrained())
    pipe.generate('a brisk reel ' * 42 + 'on the fiddle', seconds=0.3, steps=2, progress=False)
    assert pipe.notes == ["the prompt is too long: its last 2 words are not read ('the fiddle')"]


# ---- cards


def test_a_card_that_is_published(pipe, tmp_path):
    "No path of the machine, and a licence that is one word"
    pipe = random_pipeline()
    pipe.record = dict(
        command="presto-nb train base --data '/media/anna/My Music' --out=/srv/secret/run",
        data='`--data x`',
    )
    pipe.save_pretrained(tmp_path / 'm')
    text = (tmp_path / 'm' / 'README.md').read_text()
    assert "--data 'My Music' --out=run" in text
    assert 'anna' not in text and 'secret' not in text
    pipe.record['license'] = 'mit\nlibrary_name: other'
    with pytest.raises(PrestoError, match='the licence is'):
        pipe.save_pretrained(tmp_path / 'm')
    assert (tmp_path / 'm' / 'README.md').read_text() == text


# ---- parts alone


@pytest.mark.parametrize('part', ['codec', 'encoder'])
def test_a_part_is_not_saved_over_something_else(pipe, tmp_path, part):
    save = getattr(pipe, part).save
    others = [
        ('config.json', '{"name": "site"}'),
        ('model.safetensors', 'x'),
        ('config.json', '['),
    ]
    for name, text in others:
        folder = tmp_path / f'{name}{len(text)}'
        folder.mkdir()
        (folder / name).write_text(text)
        with pytest.raises(PrestoError, match='of something else; give a new folder'):
            save(folder)
        assert {k: v.decode() for k, v in files(folder).items()} == {name: text}
    save(tmp_path / 'own')
    (tmp_path / 'own' / 'notes.txt').write_text('mine')
    save(tmp_path / 'own')
    assert (tmp_path / 'own' / 'notes.txt').read_text() == 'mine'
    check_hashes(tmp_path / 'own')
