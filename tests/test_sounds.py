"Sound files as other programs write them: what is whole is read whole, what is not is refused"

import io
import struct
import numpy as np
import pytest
import soundfile as sf
import torch
from presto_nb.material.audio import (
    Audio,
    _crc16,
    _flac_samples,
    _mp3_header,
    _mp3_size,
    sound_seconds,
)
from presto_nb.material.core import PrestoError

RATE = 44100
SECONDS = 3


def chirp(seconds=SECONDS, rate=RATE):
    "Noise that comes and goes over a rising tone: its bit rate varies"
    t = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(t))
    return 0.3 * np.sin(400 * t * (1 + t / 9)) + 0.1 * noise * (np.sin(2 * t) < 0)


def written(format, seconds=SECONDS, rate=RATE, **kwargs):
    "The bytes of a sound file"
    out = io.BytesIO()
    x = chirp(seconds, rate)
    with sf.SoundFile(out, 'w', rate, 1, format=format, **kwargs) as f:
        for i in range(0, len(x), 1 << 16):
            f.write(x[i : i + (1 << 16)])
    return out.getvalue()


def mp3(seconds=SECONDS, mode='CONSTANT', rate=RATE):
    return written('MP3', seconds, rate, bitrate_mode=mode, compression_level=0.5)


def without_first(data):
    "An mp3 without the frame that says its length"
    return data[_mp3_size(_mp3_header(data, 0)) :]


def patched(data, at, form, value):
    new = struct.pack(form, value)
    return data[:at] + new + data[at + len(new) :]


@pytest.fixture
def load(tmp_path):
    "Read bytes as a file of that name: samples in one channel"

    def read(data, name):
        (tmp_path / name).write_bytes(data)
        found = Audio.load(tmp_path / name)
        assert found.samples.shape[-1] == round(sound_seconds(tmp_path / name) * found.sample_rate)
        return found.samples[0].numpy()

    return read


@pytest.fixture
def refused(load):
    def call(data, name, says):
        with pytest.raises(PrestoError, match=says):
            load(data, name)

    return call


def same(found, length=SECONDS * RATE):
    return len(found) == length and np.abs(found - chirp(length / RATE)).max() < 1e-4


# ---- mp3


@pytest.mark.parametrize('rate', [44100, 48000, 22050, 8000])
@pytest.mark.parametrize('mode', ['CONSTANT', 'VARIABLE', 'AVERAGE'])
def test_mp3_without_a_length(load, mode, rate):
    "All frames are read, at any bit rate, and they are the music"
    data = mp3(12, mode, rate)
    whole = load(data, 'a.mp3')
    bare = load(without_first(data), 'b.mp3')
    late = len(bare) - len(whole)  # the padding that only the header names
    assert len(whole) == 12 * rate and 0 < late < 4000
    shifts = [np.abs(bare[s : s + len(whole)] - whole)[4000:].mean() for s in range(late + 1)]
    assert min(shifts) < 1e-3


def id3(text=b'Info', more=b''):
    "A tag in front of an mp3, with letters that are no header"
    body = b'TXXX' + len(text).to_bytes(4, 'big') + b'\0\0' + text + bytes(12) + more
    n = len(body)
    return b'ID3\4\0\0' + bytes((n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127)) + body


@pytest.mark.parametrize(
    'front',
    [id3(), id3(b'Xing' + b'\xff' * 40), id3(more=mp3(0.2)), id3() + id3()],
    ids=['Info', 'Xing', 'a sound in the tag', 'two tags'],
)
def test_mp3_with_a_tag(load, front):
    assert len(load(front + mp3(), 'a.mp3')) == SECONDS * RATE
    assert len(load(front + without_first(mp3(12, 'VARIABLE')), 'b.mp3')) > 12 * RATE


def test_mp3_with_tags_behind_and_between(load):
    data = mp3()
    ape = b'APETAGEX' + struct.pack('<IIII', 2000, 64, 0, 0) + bytes(8 + 1968) + bytes(32)
    assert len(load(data + b'TAG' + bytes(125), 'a.mp3')) == SECONDS * RATE
    assert len(load(without_first(data) + b'TAG' + bytes(125), 'b.mp3')) > SECONDS * RATE
    assert len(load(data + ape, 'c.mp3')) == SECONDS * RATE
    assert len(load(data + id3() + without_first(data), 'd.mp3')) > 2 * SECONDS * RATE - 3000
    assert len(load(data + data, 'e.mp3')) > 2 * SECONDS * RATE - 3000


def test_mp3_whose_header_is_off(load):
    data = mp3(mode='VARIABLE')
    at = data.find(b'Xing') + 8
    (said,) = struct.unpack_from('>I', data, at)
    assert len(load(patched(data, at, '>I', said - 40), 'a.mp3')) > SECONDS * RATE - 1152
    assert len(load(patched(data, at, '>I', said + 1), 'b.mp3')) > SECONDS * RATE - 1152
    assert len(load(patched(data, at - 4, '>I', 0), 'c.mp3')) > SECONDS * RATE - 1152


@pytest.mark.parametrize('mode', ['CONSTANT', 'VARIABLE'])
@pytest.mark.parametrize('header', [True, False])
def test_mp3_that_is_not_whole(refused, mode, header):
    data = mp3(6, mode)
    data = data if header else without_first(data)
    middle = len(data) // 2
    refused(data[:middle] + bytes(4096) + data[middle + 4096 :], 'zeros.mp3', 'damaged')
    refused(data[:middle] + data[middle + 5000 :], 'gap.mp3', 'damaged')
    refused(data[:-100], 'cut.mp3', 'cut off')


def test_mp3_whose_checksum_is_another(load, refused):
    "A damaged frame is told by LAME's checksum; mp3gain changes frames on purpose and says so"
    data = mp3(6)
    at = len(data) // 2
    while not _mp3_header(data, at):
        at += 1
    changed = data[: at + 60] + bytes([data[at + 60] ^ 1]) + data[at + 61 :]
    refused(changed, 'a.mp3', 'its checksum is another')
    refused(data[:60] + b'x' + data[61:], 'b.mp3', 'its checksum is another')
    item = struct.pack('<II', 4, 0) + b'MP3GAIN_MINMAX\0' + b'1,99'
    tag = struct.pack('<IIII', 2000, len(item) + 32, 1, 0) + bytes(8)
    assert len(load(changed + b'APETAGEX' + tag + item + b'APETAGEX' + tag, 'c.mp3')) == 6 * RATE


@pytest.mark.parametrize('n', [1, 175, 1023, 1024, 99999])
def test_checksum_of_lame(n):
    "As a byte at a time gives it"
    data = np.random.default_rng(n).integers(0, 256, n, np.uint8).tobytes()
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    assert _crc16(data) == crc and _crc16(b'123456789') == 0xBB3D


def test_mp3_cut_between_frames(refused):
    data = mp3(6)
    at = 0
    while at < len(data) // 2:
        at += _mp3_size(_mp3_header(data, at))
    refused(data[:at], 'cut.mp3', 'cut off')
    refused(b'', 'empty.mp3', 'cannot be read')
    refused(b'not a sound' * 999, 'text.mp3', 'cannot be read')


def test_mp3_without_its_last_frame(refused):
    "The encoder's checksum tells that it is missing, or damaged beyond recognition"
    data = mp3(2)
    starts = [0]
    while starts[-1] < len(data):
        starts.append(starts[-1] + _mp3_size(_mp3_header(data, starts[-1])))
    last = starts[-2]
    refused(data[:last], 'short.mp3', 'cut off')
    refused(data[:last] + bytes(4) + data[last + 4 :], 'hole.mp3', 'cut off')


# ---- ogg


def ogg(seconds=12, **kwargs):
    return written('OGG', seconds, **kwargs)


def pages(data):
    return [b'OggS' + p for p in data.split(b'OggS')[1:]]


@pytest.mark.parametrize('kind', [dict(subtype='VORBIS'), dict(subtype='OPUS', rate=48000)])
def test_ogg_streams_in_a_chain(load, kind):
    data = ogg(**kind)
    rate = kind.get('rate', RATE)
    one = load(data, 'a.ogg')
    three = load(data * 3, 'b.ogg')
    assert len(one) == 12 * rate and np.array_equal(np.tile(one, 3), three)


def test_ogg_chain_read_in_the_middle(load, tmp_path):
    (tmp_path / 'b.ogg').write_bytes(ogg() * 2)
    whole = Audio.load(tmp_path / 'b.ogg').samples
    piece = Audio.load(tmp_path / 'b.ogg', start=11.0, seconds=2.0).samples
    assert torch.allclose(piece, whole[:, 11 * RATE : 13 * RATE], atol=1e-4)
    assert Audio.load(tmp_path / 'b.ogg', start=13.0).samples.shape[-1] == 11 * RATE


def test_ogg_chain_of_two_rates(refused):
    refused(ogg() + written('OGG', 2, 22050), 'a.ogg', 'changes its rate')


def test_ogg_that_is_not_whole(refused):
    data = ogg()
    found = pages(data)
    assert len(found) > 5
    middle = len(data) // 2
    refused(data[:-9], 'last page.ogg', 'cut off')
    refused(data[: data.rfind(b'OggS') + 40], 'last pages header.ogg', 'cut off')
    refused(b''.join(found[:-1]), 'no last page.ogg', 'cut off')
    refused(b''.join(found[:3] + found[4:]), 'a page less.ogg', 'damaged')
    refused(data[:middle] + bytes(999) + data[middle + 999 :], 'zeros.ogg', 'damaged')
    refused(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], 'a bit.ogg', 'damaged')
    refused(b''.join(found[:-1]) + data, 'chain whose first is cut.ogg', 'cut off')


# ---- a length in front that is a dummy, or off


def test_wav_lengths(load):
    data = written('WAV', subtype='PCM_16')
    assert data[36:40] == b'data'
    for n in (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x80000000, 1000, len(data), len(data) - 8):
        assert same(load(patched(data, 40, '<I', n), 'a.wav')), n
        assert same(load(patched(data, 4, '<I', n), 'b.wav')), n
        assert same(load(patched(patched(data, 40, '<I', n), 4, '<I', n), 'c.wav')), n


def test_wav_with_chunks_behind(load):
    data = written('WAV', subtype='PCM_16')
    for behind in (
        b'LIST' + struct.pack('<I', 4) + b'INFO',
        bytes(100),
        b'TAG' + bytes(125),
        b'\0',
    ):
        assert same(load(data + behind, 'a.wav'))


def test_wav_that_is_not_whole(refused):
    for subtype in ('PCM_16', 'FLOAT', 'PCM_24', 'ULAW'):
        data = written('WAV', subtype=subtype)
        for part in (0.1, 0.5, 0.99):
            refused(data[: int(part * len(data))], 'a.wav', 'cut off')
        refused(data[:-9], 'a.wav', 'cut off')


@pytest.mark.parametrize(
    'format,mark,skip,form',
    [
        ('AIFF', b'SSND', 4, '>I'),
        ('CAF', b'data', 4, '>q'),
        ('W64', b'data', 16, '<q'),
        ('RF64', b'ds64', 16, '<q'),
    ],
)
def test_other_lengths(load, refused, format, mark, skip, form):
    data = written(format, subtype='PCM_16')
    at = data.find(mark) + skip
    for n in (0, 1000, 0xFFFFFFFF if form[1] == 'I' else -1):
        if format == 'W64' and n == 1000:
            continue  # what follows may be another chunk there
        assert same(load(patched(data, at, form, n), 'a.wav')), n
    refused(data[: len(data) // 2], 'b.wav', 'cut off')


def test_au_lengths(load, refused):
    data = written('AU', subtype='PCM_16')
    for n in (0, 1000, 0xFFFFFFFF):
        assert same(load(patched(data, 8, '>I', n), 'a.wav')), n
    refused(data[: len(data) // 2], 'b.wav', 'cut off')


@pytest.mark.parametrize('subtype', ['PCM_16', 'PCM_24', 'PCM_S8'])
def test_flac_lengths(load, refused, subtype):
    data = written('FLAC', subtype=subtype)
    packed = int.from_bytes(data[18:26], 'big')
    whole = load(data, 'a.flac')
    for n in (0, 1000, packed & 2**36 - 1, 10 * RATE):
        new = (packed >> 36 << 36 | n).to_bytes(8, 'big')
        assert np.array_equal(load(data[:18] + new + data[26:], 'b.flac'), whole), n
    middle = len(data) // 2
    refused(data[:middle], 'cut.flac', 'cut off|cannot be read')
    refused(data[:middle] + bytes(999) + data[middle + 999 :], 'zeros.flac', 'cannot be read')


def test_flac_of_a_pipe_that_is_cut(refused):
    data = written('FLAC')
    packed = int.from_bytes(data[18:26], 'big') >> 36 << 36
    refused(
        (data[:18] + packed.to_bytes(8, 'big') + data[26:])[:-50],
        'a.flac',
        'cut off|cannot be read',
    )


def test_flac_cut_between_frames(refused):
    "The length in front, and its checksum of the samples, tell"
    data = written('FLAC')
    at = len(data)
    while _flac_samples(data[:at], 4096) in (None, SECONDS * RATE):
        at = data.rfind(b'\xff\xf8', 0, at)
    refused(data[:at], 'cut.flac', 'cut off')


@pytest.mark.parametrize('channels', [1, 2])
@pytest.mark.parametrize('sounding', [0, 11025, 22050])
def test_flac_that_ends_in_silence(load, sounding, channels):
    "A frame of equal samples takes a dozen bytes"
    x = np.zeros((2 * RATE, channels))
    x[:sounding] = chirp()[:sounding, None]
    out = io.BytesIO()
    sf.write(out, x, RATE, format='FLAC')
    assert len(load(out.getvalue(), 'a.flac')) == 2 * RATE


# ---- arrays


@pytest.mark.parametrize(
    'kind,low,middle,high',
    [
        ('int16', -(2**15), 0, 2**14),
        ('int32', -(2**31), 0, 2**30),
        ('int8', -128, 0, 64),
        ('uint8', 0, 128, 192),
        ('uint16', 0, 2**15, 3 * 2**14),
        ('>i2', -(2**15), 0, 2**14),
    ],
)
def test_whole_numbers(kind, low, middle, high):
    x = np.array([low, middle, high], kind)
    assert Audio(x, RATE).samples.tolist() == [[-1, 0, 0.5]]
    x.flags.writeable = False
    assert Audio(x[::-1], RATE).samples.tolist() == [[0.5, 0, -1]]
    if kind[0] != '>':
        assert Audio(
            torch.tensor([low, middle, high], dtype=getattr(torch, kind)), RATE
        ).samples.tolist() == [[-1, 0, 0.5]]


def test_whole_numbers_of_no_sound():
    assert Audio([0, 1, -1], RATE).samples.tolist() == [[0, 1, -1]]
    for bad, says in (
        (np.array([0, 30000]), 'int64 up to 30000'),
        (np.array([True]), 'bool'),
        (np.array([1j]), 'complex'),
        ('la', 'no array of numbers'),
        ([None], 'no array of numbers'),
        (np.array(['a']), 'no array of numbers'),
    ):
        with pytest.raises(PrestoError, match=says):
            Audio(bad, RATE)


def test_a_saved_sound_of_whole_numbers(tmp_path):
    x = (chirp(1) * 32767).round().astype(np.int16)
    Audio(x, RATE).save(tmp_path / 'a.wav')
    assert np.array_equal(sf.read(tmp_path / 'a.wav', dtype='int16')[0], x)


@pytest.mark.parametrize('number', [np.float32, np.int64, torch.tensor])
def test_numbers_of_numpy_and_torch(tmp_path, number):
    Audio(chirp(), number(RATE)).save(tmp_path / 'a.wav')
    a = Audio.load(
        tmp_path / 'a.wav', start=number(1), seconds=number(1), sample_rate=number(22050)
    )
    assert a.samples.shape == (1, 22050) and a.sample_rate == 22050
    assert a.clip(number(0), number(1)).seconds == 1
