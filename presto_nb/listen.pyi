# Made from listen.py by docs/make_stubs.py; change the notebook, export, then run that command again.
"""What a machine can hear in a clip: instruments, key, tempo, how busy it is; and how far each answer can be trusted"""
__all__ = ['MAGIC', 'RATE', 'N_FFT', 'HOP', 'BANDS', 'PATCH', 'TAGS', 'BPMS', 'TEMPO_PRIOR', 'PULSE_ERROR', 'STEPS', 'EIGHTH', 'STRETCHES', 'HEADS', 'musicnn_folder', 'read_checkpoint', 'area_mel_bank', 'musicnn_mel', 'musicnn_patches', 'ConvBlock', 'MusiCNN', 'load_tensorflow', 'tempogram', 'likely_tempo', 'estimate_tempo', 'pulse_at', 'pulse', 'scale_of', 'key_class', 'tune_chroma', 'eighth_chroma', 'whitened', 'Match', 'TuneFinder', 'Probes', 'fit_probes', 'Heard', 'Listener']
import importlib.util, math, re, struct
from dataclasses import dataclass
from pathlib import Path
import numpy as np, torch, torch.nn.functional as F
from torch import Tensor, nn
from fastcore.basics import patch
from .core import PrestoError, assets, load_state, load_tensors
from .audio import Audio, estimate_key, onset_rate, onset_strength, stft
from .scores import ACCOMPANIMENTS, LEADS, PITCH_CLASSES, TICKS, Tune, harmonise
from .text import check_bpm

def musicnn_folder() -> Path:
    """The folder of the installed musicnn wheel; the package itself is never imported, since it would ask for TensorFlow"""
    ...

def _varint(b: bytes, i: int) -> tuple:
    """A whole number of seven bits a byte"""
    ...

def _fields(b: bytes) -> dict:
    """The fields of a protocol buffer message"""
    ...

def _block(b: bytes, at: bytes):
    """The entries of one block of a LevelDB table"""
    ...
MAGIC = 15800726617472432983
_FLOAT = 1

def _entries(index: bytes):
    """Every tensor a checkpoint's index names"""
    ...

def read_checkpoint(folder) -> dict:
    """The float tensors of a TensorFlow checkpoint, without TensorFlow"""
    ...
RATE, N_FFT, HOP, BANDS, PATCH = (16000, 512, 256, 96, 187)

def _mel_hz(n: int) -> Tensor:
    """Frequencies equally far apart on Slaney's mel scale: linear to 1 kHz, then logarithmic, 27 steps to a factor of 6.4"""
    ...

def area_mel_bank() -> Tensor:
    """Triangular mel filters of equal area"""
    ...

def musicnn_mel(samples: Tensor) -> Tensor:
    """The spectrogram musicnn was trained on"""
    ...

def musicnn_patches(audio: Audio, hop: int=94) -> Tensor:
    """What musicnn sees of a sound, at the sound's own loudness"""
    ...

class ConvBlock(nn.Module):
    """Convolution along time, ReLU, batch norm, maximum over frequency"""

    def __init__(self, frames: int, height: int, filters: int):
        ...

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, ReLU, norm, and the largest over the bands"""
        ...
TAGS = dict(MTT='guitar,classical,slow,techno,strings,drums,electronic,rock,fast,piano,ambient,beat,violin,vocal,synth,female,indian,opera,male,singing,vocals,no vocals,harpsichord,loud,quiet,flute,woman,male vocal,no vocal,pop,soft,sitar,solo,man,classic,choir,voice,new age,dance,male voice,female vocal,beats,harp,cello,no voice,weird,country,metal,female voice,choral'.split(','), MSD='rock,pop,alternative,indie,electronic,female vocalists,dance,00s,alternative rock,jazz,beautiful,metal,chillout,male vocalists,classic rock,soul,indie rock,mellow,electronica,80s,folk,90s,chill,instrumental,punk,oldies,blues,hard rock,ambient,acoustic,experimental,female vocalist,guitar,hip-hop,70s,party,country,easy listening,sexy,catchy,funk,electro,heavy metal,progressive rock,60s,rnb,indie pop,sad,house,happy'.split(','))

class MusiCNN(nn.Module):
    """musicnn (Pons and Serra, 2019): a mel patch -> 50 tags and an embedding of 200 numbers"""

    def __init__(self, tags: list=TAGS['MTT']):
        ...

    def pool(self, patches: Tensor) -> Tensor:
        """The maximum and the mean over time of all channels"""
        ...

    def head(self, pooled: Tensor) -> tuple:
        """Tags and embedding of pooled features"""
        ...

    def forward(self, patches: Tensor) -> tuple:
        """Tags and embedding of patches; raises `PrestoError` for another shape"""
        ...

    @classmethod
    def from_pretrained(cls, name: str='MTT') -> MusiCNN:
        """The network with the weights of the installed wheel, ready to listen"""
        ...
_KINDS = {nn.Conv2d: ('conv2d', dict(kernel='weight', bias='bias')), nn.Linear: ('dense', dict(kernel='weight', bias='bias'))}
_NORM = ('batch_normalization', dict(gamma='weight', beta='bias', moving_mean='running_mean', moving_variance='running_var'))

def load_tensorflow(net: nn.Module, weights: dict) -> nn.Module:
    """Give every layer the weights of its TensorFlow twin"""
    ...
BPMS = torch.logspace(math.log10(40), math.log10(240), 400)

def _sharpened(flux: Tensor, fps: float) -> Tensor:
    """Onset strength, blurred by a frame (nobody plays like a clock), above its mean over a second"""
    ...

def tempogram(audio: Audio, window: float=math.inf, step: float=0.5) -> Tensor:
    """Autocorrelation of the onset strength, read at the lag of every tempo"""
    ...
TEMPO_PRIOR = torch.exp(-0.5 * ((BPMS / 120).log2() / 0.9) ** 2)

def likely_tempo(repeats: Tensor) -> float:
    """The tempo whose lag repeats best, as listeners would have it"""
    ...

def estimate_tempo(audio: Audio) -> float:
    """The likely tempo of a sound, taken as a whole"""
    ...
PULSE_ERROR = 0.04

def pulse_at(repeats: Tensor, bpm: float | None) -> float:
    """How much better the asked beat repeats than a time taken at random"""
    ...

def pulse(audio: Audio, bpm: float | None) -> float:
    """How firmly a sound keeps the beat that it was asked to keep"""
    ...
STEPS = dict(ionian=0, major=0, dorian=2, phrygian=4, lydian=5, mixolydian=7, aeolian=9, minor=9, locrian=11)

def _tonic(key: str) -> tuple | None:
    ...

def scale_of(key: str) -> int | None:
    """The major scale that a key belongs to: the modes of one scale count as one"""
    ...

def key_class(key: str) -> tuple | None:
    """Tonic and third of a key: what a name out of 24 can say of a mode"""
    ...
EIGHTH = TICKS // 2

def tune_chroma(tune: Tune) -> Tensor:
    """Which pitch classes sound in each eighth note: the melody, and its harmony at a third of its height"""
    ...

def eighth_chroma(audio: Audio, eighth: float) -> Tensor:
    """Height of each pitch class in each eighth note, from 200 Hz to 4 kHz"""
    ...

def whitened(c: Tensor) -> Tensor:
    """Each column centred, and of length 1; silence stays 0"""
    ...

@dataclass(frozen=True)
class Match:
    """The place in a book of tunes that a sound is most like"""
    tune: Tune
    similarity: float
    shift: int
    start: int
STRETCHES = (0.94, 1.0, 1.06)

class TuneFinder:
    """Names the tune that a sound is most like: `finder(audio, eighth) -> Match`"""

    def __init__(self, tunes, rest: int=64):
        ...

    def similarity(self, q: Tensor) -> Tensor:
        """S(s, t) for every shift and place"""
        ...

    def __call__(self, audio: Audio, eighth: float) -> Match:
        ...
HEADS = dict(lead=tuple(LEADS), accompaniment=tuple(ACCOMPANIMENTS), drums=(False, True))

class Probes(nn.Module):
    """A linear layer for each question, from a clip's pooled features to the logits of its answers"""

    def __init__(self):
        ...

    def forward(self, pooled: Tensor) -> dict:
        """How likely each answer to each question is"""
        ...

def fit_probes(pooled: Tensor, labels: dict, decay: float) -> Probes:
    """Multinomial logistic regression for every question"""
    ...

@dataclass(frozen=True, eq=False)
class Heard:
    """What a machine heard in a clip"""
    key: str
    bpm: float
    onset_rate: float
    lead: str
    accompaniment: str
    drums: bool
    tags: Tensor
    embedding: Tensor
    answers: dict
    tempogram: Tensor

    def __repr__(self):
        ...

class Listener:
    """musicnn, probes and signal processing: sounds in, what was heard out"""

    def __init__(self, net: MusiCNN, probes: Probes, device='cpu'):
        ...

    def features(self, audios: list, batch: int=16) -> tuple:
        """What musicnn makes of clips, each at -18 LUFS, so that loudness says nothing"""
        ...

    def __call__(self, audios: list) -> list:
        """Listen to clips"""
        ...

    def _heard(self, audio, tags, embedding, answers):
        """One clip's findings"""
        ...

    @classmethod
    def from_pretrained(cls, device='cpu') -> Listener:
        """musicnn from the installed wheel, and the shipped probes"""
        ...
