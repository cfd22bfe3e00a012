"""Runs: they go on only as they were begun, and nothing of anybody else's is lost"""

import json
import math
import os
import shutil
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from presto_nb.tools.cli import main
from presto_nb.material.codec import CODEC_TINY, SpectralVAE, encode_folder
from presto_nb.codec_training import ClipWindows, CodecStage
from presto_nb.material.core import PrestoError, load_tensors, save_tensors
from presto_nb.evidence.metrics import Evaluator
from presto_nb.material.latents import read_latents
from presto_nb.material.runs import load_checkpoint
from presto_nb.pipeline import MusicPipeline, PipelineConfig
from presto_nb.material.tunes import load_folder
from presto_nb.material.text import TextConfig
from presto_nb.training import TrainConfig, fit
from tiny_model import random_pipeline
from training_toy import CONFIG, Toy

NO_CRITIC = not find_spec('audiocraft')
ADVERSARY = pytest.mark.skipif(NO_CRITIC, reason='needs presto-nb setup audiocraft')


def tone(path, hz=220.0, seconds=0.6):
    path.parent.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(seconds * 44100)) / 44100
    sf.write(path, 0.3 * np.sin(6.2832 * hz * t), 44100)


def sounds(folder, first=220, n=5):
    "Tones with captions, the last held out"
    rows = ['file,caption,split']
    for i in range(n):
        tone(folder / f'{i}.wav', first + 40 * i)
        rows.append(f'{i}.wav,a slow waltz,{"valid" if i == n - 1 else "train"}')
    (folder / 'captions.csv').write_text('\n'.join(rows), encoding='utf-8')
    return folder


def files(folder):
    "Every file's name and bytes"
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in Path(folder).rglob('*')
        if p.is_file()
    }


def model(seed):
    "A tiny model; those of other seeds have the same codec"
    pipe = random_pipeline(seed=seed, max_seconds=0.4)
    pipe.codec = random_pipeline().codec
    return pipe


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv('IN_TEST', '1')


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    "A model, another of the same shape, sounds and two folders of latents"
    at = tmp_path_factory.mktemp('store')
    pipe = model(0)
    pipe.save_pretrained(at / 'model')
    model(1).save_pretrained(at / 'other')
    encode_folder(pipe.codec, sounds(at / 'sounds'), at / 'latents')
    encode_folder(pipe.codec, sounds(at / 'more', 300), at / 'latents2')
    return at


@pytest.fixture
def here(store, tmp_path, monkeypatch):
    "A folder of one's own with copies of the store"
    for path in store.iterdir():
        shutil.copytree(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


SHORT = ['--steps', '2', '--batch-size', '2']
BASE = ['train', 'base', '--data', 'latents', '--init', 'model', '--out', 'run', *SHORT]
LAYERS = ['train', 'presto-l', '--data', 'latents', '--base', 'model', '--out', 'run', *SHORT]
LAYERS += ['--drops', '1,1,0,0,0']
FEW = ['train', 'presto-s', '--data', 'latents', '--base', 'model', '--out', 'run', *SHORT]
STARTED = [*FEW, '--start', 'other']
CODEC = ['train', 'codec', '--data', 'sounds', '--preset', 'tiny', '--out', 'run', *SHORT]
CODEC += ['--precision', 'no', '--seconds', '0.1']


@pytest.fixture
def refused(capsys):
    "Calls a command that must say one sentence, and change no file"

    def call(words, says, folder='run'):
        before = files(folder)
        capsys.readouterr()
        assert main(words) == 2
        err = capsys.readouterr().err
        assert err.count('\n') == 1 and says in err, err
        assert files(folder) == before

    return call


# ---- a run goes on only as it was begun


def replace_model(here):
    shutil.rmtree(here / 'model')
    shutil.copytree(here / 'other', here / 'model')


def replace_start(here):
    shutil.rmtree(here / 'other')
    model(2).save_pretrained(here / 'other')


def replace_latents(here):
    shutil.rmtree(here / 'latents')
    shutil.copytree(here / 'latents2', here / 'latents')


WEIGHTS = 'not what the run in run was begun with'
CHANGES = {
    'base, other weights': (BASE, replace_model, [], f'goes on from or distils: {WEIGHTS}'),
    'base, other data': (BASE, replace_latents, [], f'the data: {WEIGHTS}'),
    'base, other window': (BASE, None, ['--seconds', '0.2'], 'frames is 4, but the run in run has'),
    'base, other noise': (BASE, None, ['--P-mean', '-1'], 'noise is LogNormal(P_mean=-1.0'),
    'base, other precision': (BASE, None, ['--precision', 'bf16'], 'precision is bf16, but'),
    'base, other model': (BASE, None, ['--init', 'other'], "was begun with init 'model'"),
    'base, other rate': (BASE, None, ['--lr', '1e-5'], 'the learning rate of'),
    'layers, other weights': (LAYERS, replace_model, [], f'goes on from or distils: {WEIGHTS}'),
    'layers, other drops': (LAYERS, None, ['--drops', '1,0,0,0,0'], 'was begun with drops'),
    'layers, other switches': (LAYERS, None, ['--variant', 'base'], 'was begun with'),
    'few, other weights': (FEW, replace_model, [], f'goes on from or distils: {WEIGHTS}'),
    'few, other data': (FEW, replace_latents, [], f'the data: {WEIGHTS}'),
    'few, a start': (FEW, None, ['--start', 'other'], 'was begun with start None'),
    'few, other start': (STARTED, replace_start, [], f'generator begins as: {WEIGHTS}'),
}


@pytest.mark.parametrize('words,change,more,says', CHANGES.values(), ids=CHANGES)
def test_a_run_begun_otherwise(here, refused, words, change, more, says):
    assert main(words) == 0
    if change:
        change(here)
    refused([*words, '--steps', '4', *more], says)


def test_a_start_left_out(here, refused):
    assert main(STARTED) == 0
    refused([*FEW, '--steps', '4'], "was begun with start 'other', not None")


@ADVERSARY
@pytest.mark.parametrize(
    'more,says',
    [
        (['--data', 'more'], f'the data: {WEIGHTS}'),
        (['--seconds', '0.2'], 'samples is'),
        (['--precision', 'bf16'], 'precision is bf16'),
        (['--init', 'model/codec'], f'the weights to begin with: {WEIGHTS}'),
    ],
)
def test_a_codec_begun_otherwise(here, refused, more, says):
    assert main(CODEC) == 0
    refused([*CODEC, '--steps', '4', *more], says)


def test_weights_to_begin_with_that_changed(tmp_path):
    "Also where `fit` is called without the command"
    fit(Toy(), CONFIG.replace(steps=2, quiet=True), tmp_path / 'first')
    start = tmp_path / 'first' / 'ema.safetensors'
    more = CONFIG.replace(steps=4, quiet=True)
    fit(Toy(), more.replace(steps=2), tmp_path / 'run', init_from=start)
    save_tensors(start, {k: v + 1 for k, v in load_tensors(start).items()})
    with pytest.raises(PrestoError, match='the weights to begin with: not what'):
        fit(Toy(), more, tmp_path / 'run', init_from=start)
    with pytest.raises(PrestoError, match='the weights to begin with: not what'):
        fit(Toy(), more, tmp_path / 'run')


def test_sounds_of_a_codec_that_changed(tmp_path):
    "The sounds themselves are compared, not their names or lengths"
    clips = load_folder(sounds(tmp_path / 'sounds'))
    first = ClipWindows(clips, 0.1).fingerprint
    assert ClipWindows(load_folder(tmp_path / 'sounds'), 0.1).fingerprint == first
    tone(tmp_path / 'sounds' / '3.wav', 999)
    assert ClipWindows(clips, 0.1).fingerprint != first
    heard = [c.audio() for c in clips]
    assert ClipWindows(heard, 0.1).fingerprint == ClipWindows(heard, 0.1).fingerprint != first


def test_a_codec_stage_says_what_it_is(tmp_path):
    data = ClipWindows(load_folder(sounds(tmp_path / 'sounds')), 0.1)
    stage = CodecStage(SpectralVAE(CODEC_TINY), data)
    said = stage.switches()
    assert said['adversary'] is None and said['samples'] == data.samples
    only = CodecStage(SpectralVAE(CODEC_TINY), data, decoder=True).switches()
    assert only['trained'] != said['trained'] and only['weights']['kl'] == 0


@pytest.mark.parametrize('words', [BASE, LAYERS, STARTED], ids=['base', 'layers', 'few'])
def test_a_run_of_an_earlier_version_goes_on(here, words):
    "Without the switches that are compared today"
    assert main(words) == 0
    path = here / 'run' / 'checkpoint' / 'state.json'
    state = json.loads(path.read_text(encoding='utf-8'))
    state['tree']['dict'] = [x for x in state['tree']['dict'] if x[0] != 'switches']
    del state['sha256'], state['hash']
    path.write_text(json.dumps(state), encoding='utf-8')
    assert main([*words, '--steps', '4']) == 0
    assert load_checkpoint(here / 'run' / 'checkpoint')['step'] == 4


# ---- other people's folders

KINDS = {
    'a run of a model': (BASE, 'network', [FEW]),
    'a run of few steps': (FEW, 'generator', [BASE, LAYERS]),
}


@pytest.mark.parametrize('first,model,others', KINDS.values(), ids=KINDS)
def test_a_run_of_another_kind(here, refused, first, model, others):
    assert main(first) == 0
    says = 'run holds a training of '
    for words in others:
        refused(words, says)
        refused([*words, '--data', 'sounds'], says)
    if not NO_CRITIC:
        refused(CODEC, says)


@ADVERSARY
def test_a_run_of_a_codec_is_no_other(here, refused):
    assert main(CODEC) == 0
    for words in (BASE, LAYERS, FEW, [*BASE, '--data', 'sounds']):
        refused(words, 'run holds a training of codec, discriminator, not of ')


def test_layers_where_a_base_was_trained(here, refused):
    assert main(BASE) == 0
    refused(LAYERS, "was begun with base None, not 'model'")


def test_a_folder_in_use(here, refused):
    from presto_nb.material.core import folder_lock

    assert main(BASE) == 0
    with folder_lock('run'):
        before = files('run')
        for words in (BASE, [*BASE, '--data', 'sounds']):
            assert main(words) == 2
        assert files('run') == before


def project(at):
    for name in ('.git/HEAD', 'main.py', 'model/weights.bin', 'checkpoint/step-1.safetensors'):
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_text('mine', encoding='utf-8')


def configured(at):
    project(at)
    (at / 'config.json').write_text('{"name": "site"}', encoding='utf-8')


def hidden(at):
    at.mkdir()
    (at / '.env').write_text('KEY=1', encoding='utf-8')


def letter(at):
    at.mkdir()
    (at / 'log.csv').write_text('step,loss\n1,2\n', encoding='utf-8')


def pages(at):
    at.mkdir()
    for name in ('index.html', 'comparison.png', 'model.wav', 'scorecard.md'):
        (at / name).write_text('mine', encoding='utf-8')
    tone(at / 'base.wav')


def built(at):
    tone(at / 'clips' / 'a.flac')
    line = json.dumps(dict(id='a', file='clips/a.flac', captions=['x'], split='train'))
    (at / 'metadata.jsonl').write_text(line + '\n', encoding='utf-8')
    (at / 'record.json').write_text('{"tier": "tiny"}', encoding='utf-8')


def recorded(at):
    "Own sound, one of it called record"
    sounds(at)
    tone(at / 'record.wav')
    (at / 'record.json').write_text('{"caption": "a waltz"}', encoding='utf-8')
    (at / 'captions.csv').unlink()
    for i in range(5):
        (at / f'{i}.json').write_text('{"caption": "a waltz"}', encoding='utf-8')


def copied(name):
    return lambda at: shutil.copytree(at.parent / name, at)


def a_run(at):
    assert main([*BASE[:-5], str(at), *SHORT]) == 0


def a_codec_run(at):
    fit(
        CodecStage(SpectralVAE(CODEC_TINY), ClipWindows(load_folder(at.parent / 'sounds'), 0.1)),
        CONFIG.replace(steps=1, quiet=True),
        at,
    )


def save_model(at):
    model(0).save_pretrained(at)


def save_codec(at):
    SpectralVAE(CODEC_TINY).save(at)


def save_text(at):
    model(0).encoder.save(at)


ENCODE = ['data', 'encode', '--data', 'more', '--codec', 'model/codec', '--out', 'run']
BUILD = ['data', 'build', '--tier', 'tiny', '--limit', '1', '--out', 'run']
JUDGE = ['evaluate', 'model', '--n', '16', '--seconds', '0.5', '--out', 'run']
PLAY = ['compare', 'a reel', '--models', 'model', '--seconds', '0.3', '--out', 'run']

TRIES = {  # what lies there, what comes by mistake, whether it is refused
    'a run over a project': (project, BASE, True),
    'a run over a project with a config': (configured, BASE, True),
    'a run over a hidden file': (hidden, BASE, True),
    'a run over a log': (letter, FEW, True),
    'a run over a dataset': (built, BASE, True),
    'a run over sounds': (sounds, BASE, True),
    'a run over its own data': (copied('latents'), [*BASE, '--data', 'run'], True),
    'a run over its own sounds': (sounds, [*BASE, '--data', 'run'], True),
    'a run over its own model': (copied('model'), [*BASE, '--init', 'run'], True),
    'a run over a model': (copied('model'), LAYERS, True),
    'a run over a codec': (copied('model/codec'), FEW, True),
    'a run over another run': (a_run, [*LAYERS, '--data', 'sounds'], True),
    'a run over a run of a codec': (a_codec_run, [*BASE, '--data', 'sounds'], True),
    'a codec over a run': (a_run, CODEC, True),
    'a codec over a dataset': (built, [*CODEC, '--data', 'sounds'], True),
    'latents over a dataset': (built, ENCODE, True),
    'latents over other latents': (copied('latents'), ENCODE, True),
    'latents over a model': (copied('model'), ENCODE, True),
    'latents over their own sounds': (sounds, [*ENCODE, '--data', 'run'], False),
    'latents over a sound called record': (recorded, [*ENCODE, '--data', 'run'], True),
    'latents over a run': (a_run, ENCODE, True),
    'a dataset over sounds': (sounds, BUILD, True),
    'a dataset over a project': (configured, BUILD, True),
    'a dataset over latents': (copied('latents'), BUILD, True),
    'a model over a run': (a_run, save_model, True),
    'a model over a project': (project, save_model, True),
    'a model over latents': (copied('latents'), save_model, True),
    'a codec saved over a run': (a_run, save_codec, True),
    'a codec saved over a model': (copied('model'), save_codec, True),
    'a text encoder over a project': (configured, save_text, True),
    'an evaluation over a page': (pages, JUDGE, True),
    'an evaluation over a run': (a_run, JUDGE, True),
    'an evaluation over a model': (copied('model'), JUDGE, True),
    'a comparison over a page': (pages, PLAY, True),
    'a comparison over a sound': (lambda at: tone(at / 'model.wav'), PLAY, True),
}


@pytest.mark.parametrize('make,mistake,wrong', TRIES.values(), ids=TRIES)
def test_nothing_is_lost(here, capsys, make, mistake, wrong):
    "Where it is refused no file comes or goes; where it is not, those that were there stay"
    make(here / 'run')
    before = files('run')
    capsys.readouterr()
    if callable(mistake):
        with pytest.raises(PrestoError):
            mistake(here / 'run')
    else:
        status = main(mistake)
        err = capsys.readouterr().err
        assert status == (2 if wrong else 0) and err.count('\n') == wrong, err
    after = files('run')
    assert {k: after.get(k) for k in before} == before
    assert not wrong or after == before


# ---- what a killed process left


def test_leftovers_go_with_the_same_command(here):
    assert main([*BASE, '--data', 'sounds']) == 0

    def names():
        return {k for k in files('run') if not k.startswith('tensorboard')}

    whole = names()
    left = ('.switches-a1b2c3d4.json', '.config-a1b2c3d4.json', '.log-a_b2c3d4.csv', '.tmpAb12Cd')
    left += ('checkpoint/.state-a1b2c3d4.json', 'latents/.latents-0000-a1b2c3d4.safetensors')
    left += ('latents/.sounds-a1b2c3d4.json', 'model/.saving/model.safetensors')
    for name in left:
        (here / 'run' / name).parent.mkdir(exist_ok=True)
        (here / 'run' / name).write_bytes(bytes(100))
    assert main([*BASE, '--data', 'sounds']) == 0
    assert names() == whole and not (here / 'run' / 'model' / '.saving').exists()


def test_an_earlier_checkpoint_goes(tmp_path):
    "A process was killed when the new one was whole and the old one not yet removed"
    config = CONFIG.replace(steps=2, quiet=True)
    fit(Toy(), config, tmp_path)
    old = tmp_path / 'checkpoint' / 'step-00000001.safetensors'
    save_tensors(old, dict(x=torch.zeros(1)))
    fit(Toy(), config, tmp_path)
    assert not old.exists() and load_checkpoint(tmp_path / 'checkpoint')['step'] == 2


@pytest.mark.parametrize('kind', ['codec', 'text encoder', 'generate'])
def test_leftovers_of_a_part_and_a_piece(here, kind):
    at = here / 'part'
    names = ['.config-a1b2c3d4.json', '.sha256-a1b2c3d4.json', '.model-a1b2c3d4.safetensors']
    if kind == 'generate':
        names = ['.a-reel-0-a1b2c3d4.png', '.a-reel-0-a1b2c3d5.wav']
    at.mkdir()
    for name in names:
        (at / name).touch()
        os.utime(at / name, (1, 1))
    young = at / '.a-reel-0-a1b2c3d6.wav'  # which another process may be writing
    young.touch()
    words = ['generate', 'a reel', '--model', 'model', '--seconds', '0.3', '--out', 'part']
    make = dict(codec=lambda: model(0).codec.save(at), generate=lambda: main(words))
    make.get(kind, lambda: model(0).encoder.save(at))()
    assert {p.name for p in at.glob('.*')} == {young.name}


def test_what_only_looks_like_a_leftover_stays(here):
    assert main(BASE) == 0
    for name in ('.notes-of-mine.txt', '.switches-mine.json', '.gitignore'):
        (here / 'run' / name).write_text('mine', encoding='utf-8')
    assert main([*BASE, '--steps', '3']) == 0
    assert {'.notes-of-mine.txt', '.switches-mine.json', '.gitignore'} <= set(files('run'))


# ---- full disks, damaged data, memory


@pytest.mark.skipif(not find_spec('tensorboard'), reason='needs tensorboard')
@pytest.mark.parametrize('after', [0, 1, 5])
def test_tensorboard_on_a_full_disk(tmp_path, monkeypatch, capsys, after):
    "One line, and the run goes on: nothing of it is a traceback"
    from tensorboard.summary.writer import record_writer

    plain = record_writer.RecordWriter.write
    left = [after]

    def full(self, data):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, 'No space left on device')
        return plain(self, data)

    seen = []  # what Python would print of a thread that fails
    monkeypatch.setattr(threading, 'excepthook', seen.append)
    monkeypatch.setattr(record_writer.RecordWriter, 'write', full)
    config = CONFIG.replace(steps=30, tensorboard=True, quiet=True, save_every=30)
    assert fit(Toy(), config, tmp_path / 'run').step == 30
    err = capsys.readouterr().err
    assert err.count('TensorBoard cannot write') == err.count('\n') == 1, err
    assert seen == [] and threading.excepthook == seen.append


def test_a_clip_held_out_that_is_no_number(here, capsys):
    "The clip is named, after the model has been saved"
    shard = here / 'latents' / 'latents-0000.safetensors'
    tensors = load_tensors(shard)
    tensors['4.wav'][:] = math.nan
    save_tensors(shard, tensors)
    (here / 'latents' / 'sha256.json').unlink()
    assert main(BASE) == 0
    out = capsys.readouterr().out
    assert 'the loss on the held-out clip 4.wav is no number' in out and 'nan' not in out
    assert (here / 'run' / 'model' / 'config.json').is_file()


@pytest.mark.skipif(not Path('/proc/self/maps').exists(), reason='needs Linux')
def test_a_resumed_run_maps_no_checkpoint(tmp_path):
    "The next save removes the file, which no system but Unix allows while it is mapped"
    fit(Toy(), CONFIG.replace(steps=3, quiet=True), tmp_path)
    seen = []

    def look(trainer):
        maps = Path('/proc/self/maps').read_text(encoding='utf-8')
        seen.append(str(tmp_path) in maps)

    fit(Toy(), CONFIG.replace(steps=6, quiet=True), tmp_path, callbacks=[look])
    assert seen == [False] * 3


# ---- damaged records


def change_number(record):
    record[0][1] = 7


def change_model_name(record):
    dict(record)['models']['dict'][0][0] = 3


CHECKPOINTS = {
    'another number': (change_number, 'state.json is not what was saved'),
    'a model without a name': (change_model_name, 'holds a training of 3, scale'),
}


@pytest.mark.parametrize('change,says', CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_checkpoint_whose_record_was_changed(tmp_path, change, says):
    config = CONFIG.replace(steps=2, quiet=True)
    fit(Toy(), config, tmp_path)
    path = tmp_path / 'checkpoint' / 'state.json'
    state = json.loads(path.read_text(encoding='utf-8'))
    change(state['tree']['dict'])
    path.write_text(json.dumps(state), encoding='utf-8')
    with pytest.raises(PrestoError, match=says):
        fit(Toy(), config, tmp_path)


def test_names_without_end(here):
    path = here / 'model' / 'sha256.json'
    path.write_text(json.dumps({'x' * 100_000: ''}), encoding='utf-8')
    with pytest.raises(PrestoError, match='which was there') as e:
        MusicPipeline.from_pretrained('model', device='cpu')
    assert len(str(e.value)) < 1000
    with pytest.raises(PrestoError, match='does not know xxx') as e:
        PipelineConfig.from_dict({'x' * 100_000: 1})
    assert len(str(e.value)) < 1000


@pytest.mark.parametrize('damage', [b'', b'{}', b'[1]', b'{"rows": [], "ears": 3}', None])
def test_what_was_heard_is_whole(tmp_path, damage):
    "A block that was stored is heard again when it is damaged"
    ev = Evaluator(tmp_path, 16, seconds=0.5)
    stem = tmp_path / 'x' / 'heard' / '0000-2'
    ev.keep(stem, dict(tempogram=torch.rand(2, 400)), [dict(bpm=math.nan)] * 2)
    assert ev.is_heard(stem)
    path = stem.with_suffix('.json' if damage is not None else '.safetensors')
    path.write_bytes(path.read_bytes()[:-1] + b'x' if damage is None else damage)
    assert not ev.is_heard(stem)


# ---- encoding into the data


def test_encoding_into_the_data_twice(here):
    words = ['data', 'encode', '--data', 'more', '--codec', 'model/codec', '--out', 'more']
    before = files('more')
    for _ in range(2):
        assert main(words) == 0
        after = files('more')
        assert {k: after[k] for k in before} == before
        assert len(load_folder('more')) == len(read_latents('more')[0]) == 5


# ---- numbers of numpy and torch


CONFIGS = {PipelineConfig: {}, TextConfig: dict(pieces=30), TrainConfig: {}}


@pytest.mark.parametrize('kind,more', CONFIGS.items(), ids=[k.__name__ for k in CONFIGS])
@pytest.mark.parametrize('number', [np.float64, np.int64, torch.tensor])
def test_numbers_of_numpy_and_torch(kind, more, number):
    usual = kind(**more)
    kinds = dict(float64=float, int64=int).get(getattr(number, '__name__', ''), (int,))
    values = {k: v for k, v in usual.to_dict().items() if type(v) in np.atleast_1d(kinds)}
    config = kind(**more | {k: number(v) for k, v in values.items()})
    assert values and config == usual and json.dumps(config.to_dict())
