# Made from audio.py by docs/make_stubs.py; change the notebook, export, then run that command again.
"""Sound as a tensor: files, loudness, spectrograms, and three numbers a machine can hear"""
__all__ = ['MAX_CHANNELS', 'MIN_RATE', 'MAX_RATE', 'FORMATS', 'MP3_RATES', 'DB', 'PREVIEW_SECONDS', 'LEAD_IN', 'PITCHES', 'KEY_PROFILES', 'Audio', 'stft', 'istft', 'mel_bank', 'log_mel', 'onset_strength', 'onset_times', 'onset_rate', 'chroma', 'key_scores', 'estimate_key']
import base64, html, io, math, warnings
from functools import lru_cache
from pathlib import Path
import numpy as np, torch, torch.nn.functional as F
from torch import Tensor
from fastcore.basics import patch
from .core import PrestoError, atomic_path, import_torchaudio
MAX_CHANNELS, MIN_RATE, MAX_RATE = (8, 8000, 192000)

def _checked(samples: Tensor, sample_rate: int, what: str='audio') -> Tensor:
    """Refuse what is not a sound: no samples, too many channels, values that are not finite, odd rates."""
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

def _is_cut(path) -> bool:
    """Does the file end early? An ogg's last page is marked as such; an mp3's Xing header tells its length in bytes."""
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
