# Made from codec.py by docs/make_stubs.py; change the notebook, export, then run that command again.
"""A small variational autoencoder on spectrogram frames. Heights are learned, phases are integrated from learned frequencies, so steady notes stay steady"""
__all__ = ['LATENT_STD', 'CODEC_TINY', 'FLOOR', 'ENCODER', 'Codec', 'Normalised', 'frames_of', 'overlap_add', 'samples_of', 'expected_turns', 'advance', 'nearest_peak', 'integrate', 'phases_of', 'ConvNeXt', 'SpectralVAEConfig', 'checked_audio', 'float32', 'SpectralVAE', 'linear_start', 'kl_loss', 'height_loss', 'advance_loss', 'window_loss', 'vae_losses', 'fit_scale', 'encode_blocks', 'codec_sha256', 'encode_folder', 'audiocraft', 'EncodecCodec', 'random_encodec', 'mel_distance', 'si_sdr']
import importlib, importlib.machinery, importlib.util, io, itertools, json, math, os, sys, types
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable
import torch, torch.nn as nn, torch.nn.functional as F
from fastcore.basics import patch
from torch import Tensor
from .core import assets, atomic_path, build_module, check_folder, check_hashes, Config, folder_lock, generator, HASHES, import_torchaudio, load_json, load_json_lines, load_tensors, need, plain, PrestoError, progress, remove_leftovers, save_tensors, sha256, stable_hash, write_hashes
from .audio import Audio, estimate_key, log_mel, onset_rate
LATENT_STD = 0.5

@runtime_checkable
class Codec(Protocol):
    """What every codec can do"""
    sample_rate: int
    hop: int
    channels: int
    frame_rate: float
    scale: tuple

    def encode(self, audio: Tensor) -> Tensor:
        """Latents of a sound"""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """The sound of latents"""
        ...

class Normalised(nn.Module):
    """Base of codecs: statistics of the latents as buffers, so that they travel with the weights"""
    sample_rate: int
    hop: int
    mean: Tensor
    std: Tensor

    def __init__(self, channels: int):
        ...

    @property
    def channels(self):
        """Numbers in a latent frame"""
        ...

    @property
    def frame_rate(self):
        """Latent frames a second"""
        ...

    @property
    def scale(self):
        """Mean and standard deviation of raw latents, each [channels]"""
        ...

    def normalise(self, raw: Tensor):
        """Raw latents to mean 0 and standard deviation LATENT_STD"""
        ...

    def denormalise(self, latents: Tensor):
        """The inverse of `normalise`"""
        ...

    def _set_scale(self, mean: Tensor, std: Tensor):
        ...

def _hann(n_fft: int, device: str):
    ...

def frames_of(samples: Tensor, n_fft: int=2048, hop: int=512) -> Tensor:
    """Short-time Fourier transform with one frame per hop"""
    ...

def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """The sum of frames, each at its place"""
    ...

def _overlapped(n_fft: int, hop: int, t: int, device: str):
    ...

def samples_of(X: Tensor, hop: int=512) -> Tensor:
    """The inverse of `frames_of`"""
    ...

def expected_turns(bins: int, device=None) -> Tensor:
    """pi k/2, folded to [0, 2 pi)"""
    ...

def advance(X: Tensor) -> Tensor:
    """How far phases advance from frame to frame beyond what their bin expects"""
    ...

def nearest_peak(height: Tensor) -> Tensor:
    """The nearest local maximum; ties go down"""
    ...

def _jitter(bins: int, device: str, frames=512):
    ...

def integrate(mean_advance: Tensor, jitter: float=1.0, first: int=0, start: Tensor=None) -> Tensor:
    """Phases from advances: a running sum, jittered where the advance is uncertain"""
    ...

def phases_of(height: Tensor, total: Tensor) -> Tensor:
    """Phases as summed up at the peaks of the heights, locked around them"""
    ...

class ConvNeXt(nn.Module):
    """Depthwise convolution over time, then a two-layer network at every frame, added to the input"""

    def __init__(self, width: int, expand: int=3, kernel: int=7):
        ...

    def forward(self, x: Tensor) -> Tensor:
        """Mixes neighbouring frames, then each frame's channels, beside a bypass"""
        ...

@dataclass(frozen=True)
class SpectralVAEConfig(Config):
    """Sizes of a `SpectralVAE`"""
    sample_rate: int = 44100
    n_fft: int = 2048
    stride: int = 4
    channels: int = 64
    enc_width: int = 192
    enc_blocks: int = 2
    mid_width: int = 256
    mid_blocks: int = 2
    dec_width: int = 280
    dec_blocks: int = 3
    out_width: int = 256
    out_blocks: int = 2

    def __post_init__(self):
        ...

    @property
    def bins(self):
        """Frequencies of a spectrum"""
        ...

    @property
    def hop(self):
        """Samples of a latent frame"""
        ...
CODEC_TINY = SpectralVAEConfig(n_fft=256, stride=2, channels=8, enc_width=32, enc_blocks=1, mid_width=32, mid_blocks=1, dec_width=48, dec_blocks=1, out_width=32, out_blocks=1)
FLOOR = 0.0001

def checked_audio(audio: Tensor, hop: int) -> Tensor:
    """Refuse what a codec cannot encode, and fill the last frame"""
    ...

def float32(device):
    """Inside this block there is no autocast: spectra stay float32"""
    ...

class SpectralVAE(Normalised):
    """Variational autoencoder on STFT frames: log heights and phase advances in and out"""

    def __init__(self, config: SpectralVAEConfig=SpectralVAEConfig()):
        ...

    def spectrum(self, audio: Tensor):
        """What the encoder sees and the decoder must give"""
        ...

    def moments(self, height: Tensor, adv: Tensor):
        """The Gaussian that the encoder makes of a spectrum"""
        ...

    def heads(self, raw: Tensor):
        """The decoder's network, in real numbers"""
        ...

    def predict(self, raw: Tensor):
        """The decoder's spectrum"""
        ...

    def synthesise(self, height: Tensor, adv: Tensor, jitter: float=1.0, total: Tensor=None):
        """The inverse-STFT head: heights as given, phases summed up; gradients flow to the heights"""
        ...

    def encode(self, audio: Tensor) -> Tensor:
        """Normalised latents: the mean, no noise"""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Audio from normalised latents"""
        ...

    def save(self, folder):
        """Write config and weights (float16)"""
        ...

    @classmethod
    def from_pretrained(cls, folder=None) -> SpectralVAE:
        """Read a codec's folder"""
        ...

def linear_start(vae, audio, seed: int=0):
    """Begin as principal component analysis of log heights"""
    ...

def kl_loss(mean: Tensor, logvar: Tensor) -> Tensor:
    """Divergence of N(mean, exp(logvar)) from the standard normal"""
    ...

def height_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Mean distance of log heights; a bin counts by the loudest of the nine around it"""
    ...

def advance_loss(pred: Tensor, target: Tensor, height: Tensor) -> Tensor:
    """Squared distance of advances, so that the best prediction is their mean"""
    ...

def window_loss(y: Tensor, x: Tensor, n_fft: int) -> Tensor:
    """Distance of two sounds in one window: square roots of heights, and their logarithms"""
    ...

def vae_losses(vae, audio: Tensor, noise: Tensor, windows: tuple=()) -> tuple:
    """All terms of the training loss, unweighted"""
    ...

def fit_scale(codec, sounds):
    """Set the codec's statistics so that latents of `sounds` have mean 0 and standard deviation 0.5 per channel"""
    ...

def encode_blocks(codec, audio: Tensor, block: int=512, context: int=16) -> Tensor:
    """Encode long audio in overlapping blocks, without seams"""
    ...
ENCODER = ('enc_in', 'enc', 'enc_line', 'join', 'mid', 'moments_out')

def codec_sha256(codec, encoder=False) -> str:
    """Hash of a codec's weights and statistics, as they are saved"""
    ...

def _read_ahead(clips, sample_rate: int, n: int=4, seconds: float=600.0):
    """The sounds in order, mono, read in threads before they are asked for"""
    ...

def _write_lines(path, lines: list):
    ...

def _write_shard(codec, wanted: dict, out, name: str):
    """Encode some clips into one shard"""
    ...

def _words(c) -> dict:
    """What may change without encoding again"""
    ...

def _holds(shard, lines) -> bool:
    """Are a shard's latents those of its lines?"""
    ...

def _encoded(out, hashes: dict) -> dict:
    """What a folder's shards hold; one that is damaged, or was not finished, is deleted"""
    ...

def _called(clips, get_id) -> dict:
    """The clips by what they are called; two of one name are a `PrestoError`"""
    ...

def _claim_latents(out, record: dict):
    """Refuse a folder of something else, and say what an unfinished one is for"""
    ...

def _check_same(out, lines: dict, wanted: dict, codec):
    """Refuse to go on in a folder with latents of other sounds than those"""
    ...

def _usual_id(c) -> str:
    """What a clip is called: by its dataset, or its path in its folder"""
    ...

def _stem(c) -> str:
    """What an earlier version called a clip"""
    ...

def encode_folder(codec, data_dir, out, per_shard: int=256, get_id=None) -> dict:
    """Encode every clip of a data folder; interrupted, or with more clips, the same call goes on"""
    ...

def _encode_rest(codec, wanted: dict, out, per_shard: int):
    """Encode clips into new shards"""
    ...

def _finish(out, wanted: dict, record: dict) -> dict:
    """Write the index of all shards, and what the folder is a record of"""
    ...

def _stand_in(name: str):
    ...

def _xformers():
    """What audiocraft takes from xformers at import"""
    ...

@contextmanager
def _stand_ins():
    """Inside this block packages that audiocraft wants and that are absent seem to be there"""
    ...

def _prepare_audiocraft():
    """Put audiocraft and audiocraft.models in place as bare packages: their own start-up imports every model"""
    ...

def audiocraft(name: str):
    """Import a part of audiocraft, lightly; `presto-nb setup audiocraft` if it is missing"""
    ...

class EncodecCodec(Normalised):
    """audiocraft's EnCodec, used for its continuous latents"""

    def __init__(self, model):
        ...

    def encode(self, audio: Tensor) -> Tensor:
        """Normalised latents, not quantised"""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Audio from latents, past the quantiser"""
        ...

    @classmethod
    def from_pretrained(cls, name='facebook/encodec_32khz'):
        """Published weights; their licence is printed"""
        ...

def random_encodec(sample_rate: int=16000, dimension: int=16, filters: int=4, ratios: tuple=(8, 5, 4)) -> EncodecCodec:
    """A small untrained EnCodec, built offline"""
    ...

def mel_distance(y: Tensor, x: Tensor, sample_rate: int=44100, floor: float=-60.0) -> float:
    """Mean distance of log-mel spectrograms in decibels"""
    ...

def si_sdr(y: Tensor, x: Tensor) -> float:
    """Scale-invariant signal-to-distortion ratio"""
    ...
