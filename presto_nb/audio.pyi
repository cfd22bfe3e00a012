# Made from audio.py by docs/make_stubs.py; change the notebook, export, then run that command again.
"""Sound as a tensor: files, loudness, spectrograms, and three numbers a machine can hear"""
__all__ = ['MAX_CHANNELS', 'MIN_RATE', 'MAX_RATE', 'FORMATS', 'MP3_RATES', 'DB', 'PREVIEW_SECONDS', 'LEAD_IN', 'PITCHES', 'KEY_PROFILES', 'Audio', 'sound_seconds', 'stft', 'istft', 'mel_bank', 'log_mel', 'onset_strength', 'onset_times', 'onset_rate', 'chroma', 'key_scores', 'estimate_key']
import base64, html, io, math, mmap, re, struct, warnings, zlib
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
import numpy as np, torch, torch.nn.functional as F
from torch import Tensor
from fastcore.basics import patch
from .core import PrestoError, atomic_path, import_torchaudio, plain
MAX_CHANNELS, MIN_RATE, MAX_RATE = (8, 8000, 192000)

def _checked(samples: Tensor, sample_rate: int, what: str='audio') -> Tensor:
    """Refuse what is not a sound: no samples, too many channels, values that are not finite, odd rates."""
    ...
_HALF_RANGE = {torch.int8: 2 ** 7, torch.int16: 2 ** 15, torch.int32: 2 ** 31, torch.uint8: 2 ** 7, torch.uint16: 2 ** 15, torch.uint32: 2 ** 31}

def _as_floats(samples) -> Tensor:
    """Samples in [-1,1]; the whole numbers that sound files hold are scaled, silence is 0"""
    ...

class Audio:
    """A sound: samples, their rate, and a caption."""

    def __init__(self, samples, sample_rate: int, caption: str=''):
        ...

    @property
    def seconds(self) -> float:
        """Length in seconds"""
        ...

    def __repr__(self):
        ...

    def new(self, samples, sample_rate: int=None):
        """The same caption with other samples."""
        ...

    def mono(self) -> Audio:
        """The mean of the channels."""
        ...

    def clip(self, start: float=0.0, seconds: float=None) -> Audio:
        """The piece that begins at `start`."""
        ...

    def resample(self, sample_rate: int) -> Audio:
        """The same sound at another rate, by windowed sinc interpolation."""
        ...

    def encode(self, format: str='wav', level: float=None) -> bytes:
        """This sound as the bytes of a sound file."""
        ...

    def save(self, path) -> Path:
        """Write a sound file; the format follows the suffix, and the file appears whole or not at all."""
        ...

    @classmethod
    def load(cls, path, start: float=0.0, seconds: float=None, sample_rate: int=None, mono: bool=False, caption: str='') -> Audio:
        """Read a sound file, or a piece of one."""
        ...

    def loudness(self) -> float:
        """Integrated loudness by ITU-R BS.1770, of the channels' mean."""
        ...

    def normalise(self, lufs: float=-18.0, peak: float=0.99) -> Audio:
        """The same sound at a given loudness; silence stays silence."""
        ...

    def plot(self, ax=None, floor: float=-80.0):
        """Draw the log-mel spectrogram in decibels."""
        ...

    def preview(self) -> bytes:
        """A small mp3 of the first seconds, one or two channels."""
        ...

    def _repr_html_(self) -> str:
        """Caption, player and small spectrogram."""
        ...
FORMATS = dict(wav=('WAV', 'PCM_16'), flac=('FLAC', 'PCM_16'), ogg=('OGG', 'VORBIS'), mp3=('MP3', 'MPEG_LAYER_III'))
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)

class _Pieces(io.RawIOBase):
    """Stretches of bytes, read as one file"""

    def __init__(self, *pieces):
        ...

    def readable(self):
        """It can be read"""
        ...

    def seekable(self):
        """It can be read from any place"""
        ...

    def tell(self):
        """The place of the next byte"""
        ...

    def seek(self, offset, whence=0):
        """Go to a place"""
        ...

    def readinto(self, buffer):
        """Fill a buffer with what comes next"""
        ...

def _cut(path):
    ...

def _damaged(path, at):
    ...
_MIRRORED = bytes((int(f'{i:08b}'[::-1], 2) for i in range(256)))

def _ogg_checksum(page: bytes) -> int:
    """Ogg's CRC of a page; zlib computes the same from the other end"""
    ...

def _ogg_pages(path, data: bytes):
    """The pages of an Ogg file; a missing stretch or a wrong checksum is a `PrestoError`"""
    ...

def _ogg_links(path, data: bytes) -> list:
    """The streams that follow each other in an Ogg file"""
    ...
_KBPS = {(True, 1): range(32, 449, 32), (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384), (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320), (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256), (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)}
_KBPS[False, 3] = _KBPS[False, 2]

def _mp3_header(data: bytes, at: int) -> int:
    """The four bytes with which a frame begins"""
    ...

def _mp3_size(h: int) -> int:
    """The length of a frame with this header"""
    ...

def _tag_size(data: bytes, at: int) -> int:
    """The length of a tag among the frames"""
    ...
_ONE_KIND = 4294839296

def _next_frame(data: bytes, at: int, kind: int=None) -> int:
    """Where the next frame begins that another one, or the end, follows"""
    ...

def _mp3_frames(path, data: bytes) -> tuple:
    """The stretches of an mp3 that are frames; bytes among them that are none are a `PrestoError`"""
    ...

def _side_size(h: int) -> int:
    """What lies between the header and the sound, in layer 3"""
    ...

def _mp3_said(data: bytes, at: int) -> int | None:
    """How many frames the first one says there are; 0 when it does not say"""
    ...

def _crc16_table() -> np.ndarray:
    """What each trailing byte adds to LAME's checksum"""
    ...

def _crc16(data: bytes, rows: int=1024) -> int:
    """LAME's checksum, of many stretches at a time; then each is carried over those behind it"""
    ...

def _mp3_agrees(data: bytes, first: int, to: int) -> tuple:
    """Do the encoder's checksums agree, where there are some? mp3gain changes frames, and says so"""
    ...

def _mp3_info(h: int, frames: int) -> bytes:
    """A first frame that says how many follow"""
    ...

def _mp3_source(path, data: bytes):
    """An mp3 that says its own length"""
    ...

def _crc_table(bits: int, poly: int) -> list:
    """What each leading byte adds to a checksum"""
    ...

def _crc(data: bytes, bits: int, poly: int) -> int:
    """The checksum of FLAC's frames"""
    ...

def _flac_number(frame: bytes, fixed: int) -> int | None:
    """The sample after a frame's last; `fixed` is the block size when all are equal"""
    ...

def _flac_samples(data, fixed: int, said: int=0) -> int | None:
    """How many samples the frames of a FLAC file hold, by what its last one says"""
    ...

def _same_md5(source, depth: int, wanted: bytes) -> bool:
    """Do the samples have the checksum that stands in front of a FLAC file?"""
    ...

def _flac_source(path):
    """A FLAC file whose length in front is right"""
    ...
_CHUNKED = {b'RIFF': (12, 4, '<I', 0), b'RF64': (12, 4, '<I', 0), b'FORM': (12, 4, '>I', 0), b'caff': (8, 4, '>q', 0), b'riff': (40, 16, '<q', 24)}

def _data_length(f, magic: bytes, size: int) -> tuple | None:
    """Where a file says how long its samples are"""
    ...

def _is_chunk(rest: bytes, form: str, left: int) -> bool:
    """Do the bytes after the samples begin another chunk, or mean nothing?"""
    ...

def _sample_source(path, magic: bytes):
    """A file of plain samples whose length in front is right"""
    ...

def _unreadable(path):
    ...

def _sources(path: Path) -> list:
    """The streams of a sound file, each with its right length in front"""
    ...

@contextmanager
def _opened(path):
    """The streams of a sound file, open; what is no sound is a `PrestoError`"""
    ...

def sound_seconds(path) -> float:
    """How long a sound file lasts, without reading its samples"""
    ...

def _read(path, start: float, seconds: float | None) -> tuple:
    """Decode a piece of a sound file."""
    ...

def stft(samples: Tensor, n_fft: int=2048, hop: int=512) -> Tensor:
    """Short-time Fourier transform with a Hann window, centred and zero-padded."""
    ...

def istft(X: Tensor, n_fft: int=2048, hop: int=512, length: int=None) -> Tensor:
    """The inverse of `stft`."""
    ...
DB = 20 / math.log(10)

def mel_bank(sample_rate: int, n_fft: int, n_mels: int) -> Tensor:
    """Triangular mel filters (Slaney's scale, height 1)."""
    ...

def log_mel(samples: Tensor, sample_rate: int, n_fft: int=2048, hop: int=512, n_mels: int=128) -> Tensor:
    """Log-mel spectrogram; 0 is about a full-scale sine."""
    ...

def _hz_ticks(sample_rate: int, n_fft: int=2048, n_mels: int=128) -> tuple:
    """Where round frequencies lie among the mel bands."""
    ...
PREVIEW_SECONDS = 20.0
LEAD_IN = 2048 / 22050

def onset_strength(audio: Audio, hop: int=256) -> tuple:
    """Spectral flux: the mean growth over mel bands, in decibels."""
    ...

def onset_times(audio: Audio, delta: float=1.5) -> Tensor:
    """Moments of onset: local maxima of the flux, at least 50 ms apart, above the mean of 0.4 s around plus `delta`."""
    ...

def onset_rate(audio: Audio) -> float:
    """Onsets per second, by spectral flux."""
    ...
PITCHES = 'C C# D Eb E F F# G Ab A Bb B'.split()
KEY_PROFILES = dict(major=(16.8, 0.86, 12.95, 1.41, 13.49, 11.93, 1.25, 20.28, 1.8, 8.04, 0.62, 10.57), minor=(18.16, 0.69, 12.99, 13.34, 1.07, 11.15, 1.38, 21.07, 7.49, 1.53, 0.92, 10.21))

def chroma(audio: Audio, low: float=60.0, high: float=2000.0) -> Tensor:
    """Strength of each pitch class over the whole sound."""
    ...

def key_scores(c: Tensor) -> dict:
    """Correlation of a chroma with the profile of every key."""
    ...

def estimate_key(audio: Audio) -> str:
    """The key whose profile fits the chroma best."""
    ...
