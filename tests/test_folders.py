"Folders of sounds, captions and latents as people make them: nothing lost, nothing misread"

import ast
import gzip
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
import numpy as np
import pytest
import soundfile as sf
import torch
import presto_nb
from presto_nb.material import codec as codecs
from presto_nb.material import tunes
from presto_nb.tools.cli import main
from presto_nb.material.codec import CODEC_TINY, SpectralVAE, encode_folder
from presto_nb.material.core import PrestoError, atomic_path, check_hashes, folder_lock, load_json
from presto_nb.material.core import load_json_lines, load_tensors, stable_hash
from presto_nb.material.audio import Audio
from presto_nb.material.tunes import load_folder

RATE = 44100


@pytest.fixture(scope='module')
def codec():
    torch.manual_seed(0)
    return SpectralVAE(CODEC_TINY).eval()


@pytest.fixture
def codec_folder(codec, tmp_path_factory):
    return codec.save(tmp_path_factory.mktemp('codec') / 'c')


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / 'data'
    folder.mkdir()
    return folder


def sound(path, hz=440.0, seconds=0.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, 0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE), RATE)
    return path


def captions(folder, text, name='captions.csv'):
    (folder / name).write_bytes(text.encode())


def found(folder):
    return {
        c.path.relative_to(folder.resolve()).as_posix(): c.captions for c in load_folder(folder)
    }


def refused(folder, says):
    with pytest.raises(PrestoError, match=says) as e:
        load_folder(folder)
    assert '\n' not in str(e.value) and len(str(e.value)) < 400


def rows(latents):
    return {r['id']: r for r in load_json_lines(latents / 'latents.jsonl')}


# ---- captions.csv

TABLES = {
    'plain': 'file,caption\na.wav,A tune\nb.wav,Another\n',
    'semicolons': 'file;caption\na.wav;A tune\nb.wav;Another\n',
    'tabs': 'file\tcaption\na.wav\tA tune\nb.wav\tAnother\n',
    'blanks round names': ' file , caption \n a.wav , A tune \n b.wav,Another\n',
    'rows of commas': 'file,caption\n,,,\na.wav,A tune,,\n\n , \nb.wav,Another\n,\n',
    'from a spreadsheet': '\ufefffile;caption\r\na.wav;A tune\r\nb.wav;Another\r\n;\r\n',
    'old line ends': 'file,caption\ra.wav,A tune\rb.wav,Another\r',
    'quoted names': '"file","caption"\n"a.wav","A tune"\n"b.wav","Another"\n',
    'capitals': 'File,Caption\na.wav,A tune\nb.wav,Another\n',
    'paths of Windows': 'file,caption\n.\\a.wav,A tune\n./b.wav,Another\n',
    'more columns': 'note,caption,file\nx,A tune,a.wav\n,Another,b.wav\n',
}


@pytest.mark.parametrize('text', TABLES.values(), ids=TABLES)
def test_tables(data, text):
    sound(data / 'a.wav')
    sound(data / 'b.wav')
    captions(data, text)
    assert found(data) == {'a.wav': ['A tune'], 'b.wav': ['Another']}


CAPTIONS = {
    'a comma that is not quoted': (
        'file,caption\na.wav,A tune, in time, 1,000 times\n',
        'A tune, in time, 1,000 times',
    ),
    'before other columns': (
        'file,caption,bpm,split\na.wav,A tune, in time,120,train\n',
        'A tune, in time',
    ),
    'with blank columns': ('file,caption,bpm\na.wav,A tune, in time,\n', 'A tune, in time'),
    'a comma at the end of the row': ('file,caption,bpm\na.wav,A tune,120,\n', 'A tune'),
    'a comma among semicolons': (
        'file;caption\na.wav;A tune, in time; and more\n',
        'A tune, in time; and more',
    ),
    'the caption first': ('caption,file\nA tune, in time,a.wav\n', 'A tune, in time'),
    'quoted': ('file,caption\na.wav,"A ""blue"" tune, in time"\n', 'A "blue" tune, in time'),
    'quotes inside': ('file,caption\na.wav,A "blue" tune, 12" long\n', 'A "blue" tune, 12" long'),
    'quotes at its beginning': (
        'file,caption\na.wav,"A tune" played, fast\n',
        '"A tune" played, fast',
    ),
    'two lines': ('file,caption\na.wav,"A tune\nin time"\n', 'A tune\nin time'),
    'other letters': ('file,caption\na.wav,音楽 – ça\u2028va\n', '音楽 – ça\u2028va'),
}


@pytest.mark.parametrize('text,says', CAPTIONS.values(), ids=CAPTIONS)
def test_captions(data, text, says):
    sound(data / 'a.wav')
    captions(data, text)
    assert found(data) == {'a.wav': [says]}


@pytest.mark.parametrize(
    'text',
    [
        'file,caption\na.wav,"A tune\nb.wav,Another\n',
        'file,caption\na.wav,"A tune\nb.wav,"Another"\n',
        'file,caption\na.wav,"A tune',
        'file,caption\na.wav,"A tune\nb.wav,Another"\n',
        'caption,file\n"A tune,a.wav\n"Another",b.wav\n',
    ],
)
def test_a_quote_that_is_not_closed(data, text):
    sound(data / 'a.wav')
    sound(data / 'b.wav')
    captions(data, text)
    refused(data, 'line 2 of .*captions.csv opens a quote that is not closed')


def test_one_sound_by_two_names(data):
    sound(data / 'a.wav')
    captions(data, 'file,caption,bpm\na.wav,A tune,\n./a.wav,The same,120\n')
    (clip,) = load_folder(data)
    assert clip.captions == ['A tune', 'The same'] and clip.bpm == 120


@pytest.mark.parametrize('name', ['x' * 5000 + '.wav', 'a\0.wav', '', '/etc/passwd'])
def test_names_that_are_none(data, name):
    sound(data / 'a.wav')
    captions(data, f'file,caption\n{name},x\n')
    refused(data, 'not there|cannot be a path|leaves the folder|name of a file')


# ---- sidecars


def side(path, value):
    path.with_suffix('.json').write_bytes(
        value if isinstance(value, bytes) else json.dumps(value).encode()
    )


SIDECARS = {
    'null': (dict(caption=None), 'has no caption'),
    'a number': (dict(caption=5), 'is 5; a sentence'),
    'true': (dict(caption=True), 'is True; a sentence'),
    'an object': (dict(caption=dict(en='x')), 'a sentence, or a list'),
    'a list of numbers': (dict(captions=[1, 2]), 'a sentence, or a list'),
    'a list of lists': (dict(captions=[['x']]), 'a sentence, or a list'),
    'nothing': ({}, 'has no caption'),
    'a list': ([], 'not a JSON object'),
    'broken': (b'{"caption": ', 'not readable JSON'),
    'binary': (bytes(range(256)), 'not readable JSON'),
    'nested': (b'{"caption": ' + b'[' * 10**5, 'not readable JSON'),
    'a tempo of letters': (dict(caption='x', bpm='fast'), "bpm of .* is 'fast'"),
    'a tempo that is a list': (dict(caption='x', bpm=[1]), 'a number is needed'),
    'a huge tempo': (b'{"caption": "x", "bpm": 1' + b'0' * 400 + b'}', 'a number is needed'),
    'NaN': (b'{"caption": "x", "bpm": NaN}', '20 to 400'),
    'a split that is a list': (dict(caption='x', split=['train']), 'train, valid and test'),
}


@pytest.mark.parametrize('value,says', SIDECARS.values(), ids=SIDECARS)
def test_bad_sidecars(data, value, says):
    side(sound(data / 'a.wav'), value)
    refused(data, says)


GOOD_SIDECARS = {
    'a byte-order mark': b'\xef\xbb\xbf{"caption": "A tune"}',
    'null beside it': dict(captions=None, caption='A tune'),
    'null in the list': dict(captions=['A tune', None, ' ']),
    'tempo of numbers in letters': dict(caption='A tune', bpm='120'),
}


@pytest.mark.parametrize('value', GOOD_SIDECARS.values(), ids=GOOD_SIDECARS)
def test_good_sidecars(data, value):
    side(sound(data / 'a.wav'), value)
    assert found(data) == {'a.wav': ['A tune']}


def test_what_a_mac_leaves(data):
    side(sound(data / 'a.wav'), dict(caption='A tune'))
    for name in ('._a.wav', '__MACOSX/._a.wav', '.trash/b.wav', 'sub/._c.wav', '.hidden.wav'):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_bytes(b'\0\5\26\7')
    assert found(data) == {'a.wav': ['A tune']}


def test_a_sound_called_record(data):
    side(sound(data / 'record.wav'), dict(caption='An old record'))
    assert found(data) == {'record.wav': ['An old record']}


@pytest.mark.skipif(os.name == 'nt', reason='links need rights there')
def test_links_out_of_the_folder(data, tmp_path):
    sound(data / 'a.wav')
    (tmp_path / 'secret.json').write_text('{"caption": "a secret"}', encoding='utf-8')
    (data / 'a.json').symlink_to(tmp_path / 'secret.json')
    refused(data, 'leaves the folder')
    (data / 'a.json').unlink()
    side(data / 'a.wav', dict(caption='x'))
    (data / 'b.wav').symlink_to(sound(tmp_path / 'secret.wav'))
    (data / 'b.json').write_text('{"caption": "x"}', encoding='utf-8')
    refused(data, 'leaves the folder')


# ---- AudioFolder


def test_audiofolder(data):
    sound(data / 'a.wav')
    sound(data / 'b c.wav')
    captions(data, 'file_name,text\na.wav,A tune\nb c.wav,Another, too\n', 'metadata.csv')
    assert found(data) == {'a.wav': ['A tune'], 'b c.wav': ['Another, too']}


@pytest.mark.parametrize('column', ['caption', 'text', 'transcription'])
def test_audiofolder_of_lines(data, column):
    sound(data / 'a.wav')
    lines = [
        {'file_name': 'a.wav', column: 'A tune – ça', 'license': None},
        {'file_name': 'a.wav', column: 'The same'},
    ]
    (data / 'metadata.jsonl').write_bytes(
        '\n'.join(json.dumps(r, ensure_ascii=False) for r in lines).encode()
    )
    assert found(data) == {'a.wav': ['A tune – ça', 'The same']}


def test_audiofolder_of_splits(data):
    for name in ('train', 'validation', 'test'):
        sound(data / name / '01.wav')
        captions(data / name, f'file_name,caption\n01.wav,in {name}\n', 'metadata.csv')
    clips = load_folder(data)
    assert {c.split: c.captions for c in clips} == {
        'train': ['in train'],
        'valid': ['in validation'],
        'test': ['in test'],
    }
    shutil.rmtree(data / 'test')
    for name in ('train', 'validation'):
        (data / name / 'metadata.csv').unlink()
    captions(data, 'file_name,caption\ntrain/01.wav,x\nvalidation/01.wav,y\n', 'metadata.csv')
    assert {c.split: c.captions for c in load_folder(data)} == {'train': ['x'], 'valid': ['y']}


@pytest.mark.parametrize(
    'line,says',
    [
        ({'file_name': '../x.wav', 'text': 'x'}, 'leaves the folder'),
        ({'file_name': 'no.wav', 'text': 'x'}, 'not there'),
        ({'file_name': 'a.wav', 'label': 3}, 'file_name and caption'),
        ({'file_name': 'a.wav', 'text': 3}, 'a sentence'),
        ({'a': 1}, 'file and captions'),
    ],
)
def test_bad_audiofolder(data, line, says):
    sound(data / 'a.wav')
    (data / 'metadata.jsonl').write_text(json.dumps(line), encoding='utf-8')
    refused(data, says)


# ---- a dataset of tunes

FOLK = dict(file='clips/a.wav', id='a', captions=['A reel'], bpm=120, split='train', seconds=0.5)


def folk(folder, **changes):
    sound(folder / 'clips' / 'a.wav')
    row = {k: v for k, v in (FOLK | changes).items() if v is not ...}
    (folder / 'metadata.jsonl').write_text(json.dumps(row) + '\n', encoding='utf-8')


def test_a_folder_of_an_earlier_version(data):
    "Written by today's and yesterday's `data build`"
    folk(data)
    (clip,) = load_folder(data)
    assert (clip.captions, clip.bpm, clip.split, clip.seconds, clip.meta['id']) == (
        ['A reel'],
        120.0,
        'train',
        0.5,
        'a',
    )


@pytest.mark.parametrize(
    'changes,says',
    [
        (dict(captions=...), 'no caption'),
        (dict(captions=5), 'a sentence'),
        (dict(split=...), 'split'),
        (dict(split='x'), 'split'),
        (dict(split=[]), 'split'),
        (dict(seconds=...), 'seconds'),
        (dict(seconds='5'), 'seconds'),
        (dict(bpm='x'), 'bpm'),
        (dict(bpm=[1]), 'bpm'),
        (dict(file=5), 'the name of a file'),
        (dict(file='../a.wav'), 'leaves the folder'),
        (dict(file='clips/b.wav'), 'not there'),
        (dict(file='x' * 9999), 'not there|cannot be a path'),
    ],
)
def test_damaged_metadata(data, changes, says):
    folk(data, **changes)
    refused(data, says)


@pytest.mark.parametrize(
    'text,says',
    [
        (b'{"file": ', 'line 1 of'),
        (b'\xff\xfe', 'not readable text'),
        (b'[]\n', 'holds list'),
        (b'5', 'holds int'),
        (b'', 'holds no clips'),
        (b'[' * 10**5, 'line 1 of'),
    ],
)
def test_broken_metadata(data, text, says):
    folk(data)
    (data / 'metadata.jsonl').write_bytes(text)
    refused(data, says)


needs_tunes = pytest.mark.skipif(
    not all(map(tunes.importlib.util.find_spec, ('symusic', 'music21'))),
    reason='the tunes are not installed',
)


@pytest.fixture
def quick(monkeypatch):
    "Clips that are rendered at once"
    monkeypatch.setenv('IN_TEST', '1')
    monkeypatch.setattr(
        tunes,
        'render',
        lambda a, start, seconds: Audio(torch.full((1000,), 0.1), RATE),
    )


@needs_tunes
@pytest.mark.parametrize(
    'tier,limit,families', [('varied', 6, 2), ('varied', 5, 2), ('varied', 1, 1), ('tiny', 3, 3)]
)
def test_limit_counts_clips(data, quick, tier, limit, families):
    tunes.build_dataset(tier, data, limit=np.int64(limit))
    made = load_folder(data)
    assert len(made) == limit == load_json(data / 'record.json')['clips']
    assert len({c.meta['family'] for c in made}) == families
    assert sorted(p.name for p in data.iterdir()) == ['clips', 'metadata.jsonl', 'record.json']


@needs_tunes
def test_build_where_something_lies(data, quick):
    captions(data, 'file_name,text\n', 'metadata.csv')
    with pytest.raises(PrestoError, match='holds metadata.csv, which is none of a dataset'):
        tunes.build_dataset('tiny', data, limit=1)
    assert [p.name for p in data.iterdir()] == ['metadata.csv']


@needs_tunes
def test_build_after_a_kill(data, quick):
    tunes.build_dataset('tiny', data, limit=3)
    before = {p.name: p.read_bytes() for p in (data / 'clips').iterdir()}
    first, second, _ = sorted((data / 'clips').iterdir())
    first.write_bytes(first.read_bytes()[:50])
    (data / 'metadata.jsonl').unlink()
    for name in (
        f'clips/.{second.stem[:40]}-ab12cd34.flac',
        '.metadata-ab12cd34.jsonl',
        '.record-abcdefgh.json',
    ):
        (data / name).write_bytes(b'half')
    tunes.build_dataset('tiny', data, limit=3)
    assert {p.name: p.read_bytes() for p in (data / 'clips').iterdir()} == before
    assert sorted(p.name for p in data.iterdir()) == ['clips', 'metadata.jsonl', 'record.json']
    with folder_lock(data), pytest.raises(PrestoError, match='by another process'):
        tunes.build_dataset('tiny', data, limit=3)


@needs_tunes
@pytest.mark.parametrize(
    'damage',
    [
        b'',
        b'not gzip',
        gzip.compress(b'[]'),
        gzip.compress(b'[[1,2]]'),
        gzip.compress(b'{"a": 1}'),
        gzip.compress(b'[')[:-6],
    ],
)
def test_a_damaged_cache_of_tunes(tmp_path, monkeypatch, damage):
    row = tunes.tune_index()[0]
    monkeypatch.setenv('PRESTO_NB_CACHE', str(tmp_path))
    monkeypatch.setattr(tunes, 'tune_index', lambda: (row,))
    for _ in range(2):
        assert [t.id for t in tunes.read_tunes.__wrapped__()] == [row.id]
        (kept,) = tmp_path.iterdir()
        whole = kept.read_bytes()
        kept.write_bytes(damage)
    assert [t.id for t in tunes.read_tunes.__wrapped__()] == [row.id] and kept.read_bytes() == whole


# ---- latents


@pytest.fixture
def own(data):
    "Three sounds, two of one name"
    for i, name in enumerate(('a/01.wav', 'b/01.wav', 'c.wav')):
        side(
            sound(data / name, 300 + 50 * i), dict(caption=f'tune {i}', bpm=100 + i, split='train')
        )
    return data


def test_clips_are_called_by_their_path(codec, own, tmp_path):
    encode_folder(codec, own, tmp_path / 'latents')
    made = rows(tmp_path / 'latents')
    assert {k: r['captions'] for k, r in made.items()} == {
        'a/01.wav': ['tune 0'],
        'b/01.wav': ['tune 1'],
        'c.wav': ['tune 2'],
    }
    tensors = load_tensors(tmp_path / 'latents' / 'latents-0000.safetensors')
    assert set(tensors) == set(made) and not tensors['a/01.wav'].equal(tensors['b/01.wav'])
    check_hashes(tmp_path / 'latents')


def test_equal_names_are_refused(codec, own, tmp_path):
    with pytest.raises(PrestoError, match="would both be called '01'"):
        encode_folder(codec, own, tmp_path / 'latents', get_id=lambda c: c.path.stem)


def as_before(latents):
    "Turn a folder into what an earlier version wrote"
    (latents / 'sha256.json').unlink()
    for path in latents.glob('latents*.jsonl'):
        lines = [{k: v for k, v in r.items() if k != 'sound'} for r in load_json_lines(path)]
        path.write_text(''.join(json.dumps(r) + '\n' for r in lines), encoding='utf-8')
    record = {k: v for k, v in load_json(latents / 'record.json').items() if k != 'sounds'}
    (latents / 'record.json').write_text(json.dumps(record), encoding='utf-8')


def test_an_old_folder_keeps_its_names(codec, data, tmp_path):
    for name in ('x/one.wav', 'y/two.wav', 'z/three.wav'):
        side(sound(data / name), dict(caption=name))
    out = tmp_path / 'latents'
    encode_folder(codec, data, out, per_shard=2, get_id=lambda c: c.path.stem)
    as_before(out)
    before = {p.name: p.read_bytes() for p in out.glob('*.safetensors')}
    encode_folder(codec, data, out, per_shard=2)
    assert list(rows(out)) == ['one', 'two', 'three']
    assert {p.name: p.read_bytes() for p in out.glob('*.safetensors')} == before
    as_before(out)
    for p in (out / 'latents.jsonl', out / 'latents-0001.jsonl', out / 'latents-0001.safetensors'):
        p.unlink()  # interrupted
    encode_folder(codec, data, out, per_shard=2)
    assert list(rows(out)) == ['one', 'two', 'three']
    assert {p.name: p.read_bytes() for p in out.glob('*.safetensors')} == before


def test_new_captions_are_read_again(codec, own, tmp_path):
    out = tmp_path / 'latents'
    encode_folder(codec, own, out)
    before = (out / 'latents-0000.safetensors').stat().st_mtime_ns
    side(own / 'c.wav', dict(caption='音楽', bpm=77, split='test'))
    encode_folder(codec, own, out)
    assert {k: rows(out)['c.wav'][k] for k in ('captions', 'bpm', 'split')} == dict(
        captions=['音楽'], bpm=77, split='test'
    )
    assert (out / 'latents-0000.safetensors').stat().st_mtime_ns == before
    check_hashes(out)


def test_a_sound_that_was_replaced(codec, own, tmp_path):
    out = tmp_path / 'latents'
    encode_folder(codec, own, out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    sound(own / 'c.wav', 999)  # of equal length
    with pytest.raises(PrestoError, match='c.wav is not the sound whose latents are in'):
        encode_folder(codec, own, out)
    assert {p.name: p.read_bytes() for p in out.iterdir() if p.name != 'sha256.json'} == {
        k: v for k, v in before.items() if k != 'sha256.json'
    }


def test_one_sound_more(codec, own, tmp_path, monkeypatch):
    out = tmp_path / 'latents'
    read = []
    encode_folder(codec, own, out)
    side(sound(own / 'aa.wav', 500), dict(caption='one more'))
    plain = tunes.Clip.audio
    monkeypatch.setattr(
        tunes.Clip, 'audio', lambda self, *a: (read.append(self.path.name), plain(self, *a))[1]
    )
    encode_folder(codec, own, out)
    assert read == ['aa.wav'] and list(rows(out)) == ['a/01.wav', 'aa.wav', 'b/01.wav', 'c.wav']
    fresh = tmp_path / 'fresh'
    encode_folder(codec, own, fresh)
    both = [
        {k: v for p in f.glob('*.safetensors') for k, v in load_tensors(p).items()}
        for f in (out, fresh)
    ]
    assert all(both[0][k].equal(v) for k, v in both[1].items()) and len(both[0]) == 4


def test_another_folder_into_the_same(codec, own, tmp_path):
    out = tmp_path / 'latents'
    encode_folder(codec, own, out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    side(sound(tmp_path / 'other' / 'x.wav'), dict(caption='x'))
    (own / 'c.wav').unlink()
    for folder in (tmp_path / 'other', own):
        with pytest.raises(PrestoError, match='use an empty folder'):
            encode_folder(codec, folder, out)
        assert {p.name: p.read_bytes() for p in out.iterdir()} == before


@pytest.mark.parametrize(
    'name,text',
    [('record.json', '{"caption": "x"}'), ('latents.jsonl', ''), ('latents-0000.jsonl', 'x')],
)
def test_a_folder_of_something_else(codec, own, tmp_path, name, text):
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / name).write_text(text, encoding='utf-8')
    with pytest.raises(PrestoError, match='use an empty folder'):
        encode_folder(codec, own, tmp_path / 'out')
    assert [(p.name, p.read_text(encoding='utf-8')) for p in (tmp_path / 'out').iterdir()] == [
        (name, text)
    ]


def test_into_the_data_folder_itself(codec, own):
    encode_folder(codec, own, own)
    assert len(load_folder(own)) == 3 and len(rows(own)) == 3
    encode_folder(codec, own, own)
    assert len(rows(own)) == 3


def test_two_at_once(codec, own, tmp_path):
    done = []
    errors = []

    def run():
        try:
            done.append(encode_folder(codec, own, tmp_path / 'latents'))
        except PrestoError as e:
            errors.append(str(e))

    entered = threading.Event()
    go_on = threading.Event()
    plain = codecs._write_shard

    def slow(*args):
        entered.set()
        go_on.wait(20)
        return plain(*args)

    with pytest.MonkeyPatch.context() as m:
        m.setattr(codecs, '_write_shard', slow)
        first = threading.Thread(target=run)
        first.start()
        entered.wait(20)
        run()
        go_on.set()
        first.join()
    assert len(done) == 1 and len(errors) == 1 and 'by another process' in errors[0]
    assert len(rows(tmp_path / 'latents')) == 3 and not (tmp_path / 'latents' / '.lock').exists()


def test_a_lock_of_a_killed_process(data):
    "The lock goes with its process, whatever file is left"
    code = 'import os\nfrom presto_nb.material.core import folder_lock\n'
    code += f'with folder_lock({str(data)!r}): os._exit(9)'
    assert subprocess.run([sys.executable, '-c', code]).returncode == 9
    with folder_lock(data):
        pass
    assert list(data.iterdir()) == []


@pytest.mark.parametrize('at', range(12))
def test_killed_before_every_file(codec, own, tmp_path, monkeypatch, at):
    "Gone on, it ends as if it had never been stopped, and leaves nothing"

    class Killed(BaseException):
        pass

    whole = tmp_path / 'whole'
    out = tmp_path / 'latents'
    left = [at]
    encode_folder(codec, own, whole, per_shard=2)
    replace = os.replace

    def step(*args):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return replace(*args)

    with monkeypatch.context() as m:
        m.setattr(os, 'replace', step)
        m.setattr(
            Path, 'unlink', lambda self, missing_ok=False: None
        )  # a killed process tidies nothing
        try:
            encode_folder(codec, own, out, per_shard=2)
        except Killed:
            pass
    encode_folder(codec, own, out, per_shard=2)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {
        p.name: p.read_bytes() for p in whole.iterdir()
    }


@pytest.mark.parametrize('name', ['latents-0000.safetensors', 'latents-0000.jsonl'])
@pytest.mark.parametrize(
    'damage',
    [
        lambda b: b[: len(b) // 2],
        lambda b: b'',
        lambda b: b[:-200] + bytes(100) + b[-100:],
        lambda b: b'[]\n' + b,
    ],
)
def test_damaged_latents_are_made_again(codec, own, tmp_path, name, damage):
    out = tmp_path / 'latents'
    encode_folder(codec, own, out, per_shard=2)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    (out / name).write_bytes(damage(before[name]))
    encode_folder(codec, own, out, per_shard=2)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


LINES = {
    'broken': b'{"id": ',
    'a list': b'[]',
    'binary': bytes(range(256)),
    'no id': b'{"split": "train"}',
    'nested': b'[' * 10**5,
    'captions': b'{"id": "c.wav", "split": "train", "captions": 5, "bpm": 5}',
    'bpm': b'{"id": "c.wav", "split": "train", "captions": [], "bpm": "x"}',
    'gone': b'{"id": "d.wav", "split": "train", "captions": [], "bpm": null}',
    'bytes of the index': None,
}


@pytest.mark.parametrize('line', LINES.values(), ids=LINES)
def test_damaged_lines_of_latents(codec, own, tmp_path, line):
    from presto_nb.material.latents import read_latents

    out = tmp_path / 'latents'
    encode_folder(codec, own, out)
    assert set(read_latents(out)[1]) == {'a/01.wav', 'b/01.wav', 'c.wav'}
    if line is None:
        (out / 'latents.jsonl').write_bytes(
            (out / 'latents.jsonl').read_bytes().replace(b'tune', b'mood')
        )
    else:
        (out / 'sha256.json').unlink()
        (out / 'latents.jsonl').write_bytes(line)
    with pytest.raises(PrestoError) as e:
        read_latents(out)
    assert len(str(e.value)) < 500


def test_own_sound_before_training(codec, own, tmp_path, monkeypatch):
    "One sound more is one sound encoded; once a run has begun, its sounds stay"
    from types import SimpleNamespace
    from presto_nb.tools.cli import own_latents

    args = SimpleNamespace(data=str(own), out=str(tmp_path / 'run'))
    read = []
    own_latents(args, codec, 1)
    side(sound(own / 'aa.wav', 500), dict(caption='one more'))
    plain = tunes.Clip.audio
    monkeypatch.setattr(
        tunes.Clip, 'audio', lambda self, *a: (read.append(self.path.name), plain(self, *a))[1]
    )
    out = own_latents(args, codec, 1)
    assert read == ['aa.wav'] and len(rows(out)) == 4
    (tmp_path / 'run' / 'checkpoint').mkdir()
    side(sound(own / 'ab.wav', 600), dict(caption='too late'))
    with pytest.raises(PrestoError, match='was begun with sounds'):
        own_latents(args, codec, 1)


@pytest.mark.parametrize(
    'old,new',
    [
        ('"frames": ', '"frames": 1'),
        ('"id": "a', '"id": "x'),
        ('-0000.', '-0009.'),
        ('"id": ', '"name": '),
    ],
)
def test_lines_of_an_unfinished_folder(codec, own, tmp_path, old, new):
    "Without hashes, the shard itself tells whether its lines are right"
    out = tmp_path / 'latents'
    encode_folder(codec, own, out, per_shard=2)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    (out / 'sha256.json').unlink()
    first = out / 'latents-0000.jsonl'
    first.write_text(first.read_text(encoding='utf-8').replace(old, new), encoding='utf-8')
    encode_folder(codec, own, out, per_shard=2)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_encode_by_the_command(codec_folder, own, tmp_path, capfd, monkeypatch):
    "New captions are read, a replaced sound is refused in one line"
    monkeypatch.setenv('IN_TEST', '1')
    words = [
        'data',
        'encode',
        '--data',
        str(own),
        '--codec',
        str(codec_folder),
        '--out',
        str(tmp_path / 'latents'),
    ]
    assert main(words) == 0
    side(own / 'c.wav', dict(caption='new'))
    assert main(words) == 0 and rows(tmp_path / 'latents')['c.wav']['captions'] == ['new']
    sound(own / 'c.wav', 999)
    capfd.readouterr()
    assert main(words) == 2
    out, err = capfd.readouterr()
    assert out == '' and err.count('\n') == 1 and 'c.wav is not the sound' in err


# ---- core


def test_a_file_keeps_its_mode_and_its_link(tmp_path):
    if os.name == 'nt':
        pytest.skip('modes and links of Unix')
    (tmp_path / 'a.txt').touch(0o600)
    (tmp_path / 'a.txt').chmod(0o600)
    (tmp_path / 'link.txt').symlink_to('a.txt')
    with atomic_path(tmp_path / 'link.txt') as p:
        p.write_text('new', encoding='utf-8')
    assert (tmp_path / 'link.txt').is_symlink()
    assert (tmp_path / 'a.txt').read_text(encoding='utf-8') == 'new'
    assert (tmp_path / 'a.txt').stat().st_mode & 0o777 == 0o600


def test_numbers_of_numpy_and_torch(tmp_path):
    from presto_nb.material.codec import SpectralVAEConfig

    config = SpectralVAEConfig(channels=np.int64(8), n_fft=torch.tensor(256))
    config.save(tmp_path / 'c.json')
    assert (
        SpectralVAEConfig.load(tmp_path / 'c.json')
        == SpectralVAEConfig(channels=8, n_fft=256)
        == config
    )
    assert stable_hash('a', np.int64(3), torch.tensor(2), np.float32(0.5)) == stable_hash(
        'a', 3, 2, 0.5
    )
    with pytest.raises(TypeError, match='nothing that json can write'):
        stable_hash(object())


PACKAGE = Path(presto_nb.__file__).parent
TEXT_CALLS = {
    'open': 1,
    'read_text': 0,
    'write_text': 1,
}  # where an encoding may stand without its name


def bare_text_calls(source):
    "Lines that open text without an encoding"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, 'attr', '')
        owner = getattr(getattr(node.func, 'value', None), 'id', '')
        if name not in TEXT_CALLS or owner in ('os', 'Image', 'webbrowser', 'io', 'mmap'):
            continue
        modes = [
            a.value
            for a in [*node.args, *(k.value for k in node.keywords if k.arg == 'mode')]
            if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        binary = name == 'open' and any('b' in m and len(m) < 4 for m in modes)
        named = (
            any(k.arg in ('encoding', None) for k in node.keywords)
            or len(node.args) > TEXT_CALLS[name]
            and name != 'open'
        )
        if not binary and not named:
            yield f'line {node.lineno}: {ast.unparse(node)[:90]}'


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda p: p.stem)
def test_text_is_utf8(path):
    "Nothing is read or written in the machine's own code page"
    assert list(bare_text_calls(path.read_text(encoding='utf-8'))) == []


def test_text_is_utf8_when_it_runs(own, tmp_path):
    "Python's own warning, as an error"
    code = f'''
import warnings
warnings.filterwarnings('error', category=EncodingWarning, module=r'presto_nb\\.')
import torch
from presto_nb.material.codec import CODEC_TINY, SpectralVAE, encode_folder
from presto_nb.material.tunes import load_folder, tune_index
from presto_nb.material.core import Config
codec = SpectralVAE(CODEC_TINY)
codec.save({str(tmp_path / 'codec')!r})
codec = SpectralVAE.from_pretrained({str(tmp_path / 'codec')!r})
encode_folder(codec, {str(own)!r}, {str(tmp_path / 'latents')!r})
encode_folder(codec, {str(own)!r}, {str(tmp_path / 'latents')!r})
'''
    run = subprocess.run(
        [sys.executable, '-X', 'warn_default_encoding', '-c', code],
        capture_output=True,
        text=True,
        env=os.environ | dict(IN_TEST='1'),
    )
    assert run.returncode == 0, run.stderr[-2000:]
