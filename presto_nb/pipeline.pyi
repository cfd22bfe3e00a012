# Made from pipeline.py by docs/make_stubs.py; change the notebook, export, then run that command again.
"""A prompt goes in, music comes out: text encoder, denoiser, sampler and codec behind one call"""
__all__ = ['STEPS', 'RANGES', 'SIZES', 'MODELS', 'RELEASED', 'PARTS', 'HUB_ID', 'MIN_FRAMES', 'LONGEST', 'PART_FILES', 'MODEL_FILES', 'SAVING', 'PipelineConfig', 'check_range', 'check_config', 'check_words', 'check_sizes', 'model_names', 'is_file', 'is_run', 'find_model', 'from_hub', 'find_part', 'check_part', 'MusicPipeline', 'new_pipeline', 'Request', 'starts', 'blend', 'windowed', 'ending', 'Given', 'check_spans', 'inside', 'share', 'put_back', 'decode_blocks', 'in_float32', 'stepwise', 'timed', 'alive', 'may_hold_model', 'new_model_folder', 'put_in_place', 'remove_empty', 'find_device']
import functools, math, os, re, shutil, sys, tempfile, time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
import torch
from torch import Tensor
import torch.nn.functional as F
from functools import partial
from fastcore.basics import patch
from .core import HASHES, Config, PrestoError, assets, build_module, check_hashes, folder_lock, generator, load_json, load_tensors, plain, progress as progress_bar, save_tensors, write_hashes
from .audio import Audio
from .card import write_card
from .codec import SpectralVAE, integrate, codec_sha256 as weights_sha256
from .text import Condition, SmallTextEncoder, check_prompt, read_bpm, unknown_words, unread_words
from .scores import usual_bpm
from .edm import P_MEAN, P_STD, Denoiser, LogNormal
from . import sampling
from .dit import DiT, DiTConfig, DropSchedule, shifted_keep, with_drops

@dataclass(frozen=True)
class PipelineConfig(Config):
    """All numbers of a model that makes music"""
    name: str = 'base'
    dit: dict = field(default_factory=dict)
    sigma_data: float = 0.5
    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    steps: int = 80
    step: str = 'dpmpp_2s'
    to_min: bool = False
    guidance: str = 'cfg'
    guidance_scale: float = 3.0
    max_seconds: float = 6.0
    P_mean: float = P_MEAN
    P_std: float = P_STD
    drops: tuple = ()
    over: str = 'inf'
    shift: int = 1
    codec_sha256: str = ''
    text_sha256: str = ''
    check: tuple = ()

    def __post_init__(self):
        ...

    @property
    def training_noise(self):
        """The noise levels the base was trained at"""
        ...

    def skipping(self, denoiser):
        """The denoiser, asked as this model was trained: without the blocks that its schedule names"""
        ...
STEPS = ('euler', 'heun', 'dpmpp_2s', 'dpmpp_2m', 'pingpong')
RANGES = dict(sigma_data=(0.001, 1000.0), sigma_min=(1e-05, 1.0), sigma_max=(1.0, 10000.0), rho=(1.0, 1000.0), steps=(1, 1000), guidance_scale=(0.0, 50.0), max_seconds=(0.1, 600.0), P_mean=(-20.0, 20.0), P_std=(0.001, 20.0))

def check_range(name: str, value, low: float, high: float, unit: str=''):
    """The value, or a `PrestoError` when it is no finite number from `low` to `high`"""
    ...

def check_config(c: PipelineConfig):
    """Refuse a config that no model can have"""
    ...

def check_words(c: PipelineConfig):
    """Refuse a name that no line can hold, hashes that are none, and lists of other things"""
    ...
SIZES = dict(depth=(1, 1000), mlp_ratio=(0.01, 1000.0), rope_base=(1.0, 1000000000.0), frame_rate=(0.01, 1000000.0))

def check_sizes(dit: dict):
    """Refuse a network that no memory can hold"""
    ...
MODELS = ('base', 'presto-l', 'presto-s', 'presto-ls')
RELEASED = ('laptop-base', 'laptop-l', 'laptop-s', 'laptop-ls')
PARTS = ('codec', 'text')

def model_names() -> list:
    """The models that come with the package"""
    ...

def is_file(path) -> bool:
    """Is there such a file? Also for names that no file can have"""
    ...

def is_run(folder) -> bool:
    """Is it the folder of a training? It has a config.json, too"""
    ...
HUB_ID = re.compile('[A-Za-z0-9][\\w.-]*/[A-Za-z0-9][\\w.-]*')

def find_model(name: str) -> Path:
    """The folder of a model; an unknown name is a `PrestoError` that lists the known ones"""
    ...

def from_hub(repo_id: str) -> Path:
    """Download a model's JSON and safetensors files, nothing else"""
    ...

def find_part(folder, part: str) -> Path:
    """The folder of a model's codec or text encoder: its own, or the shipped one"""
    ...

def check_part(part: str, module, wanted: str, model):
    """The module, or a `PrestoError` when its weights are not those the model was trained with"""
    ...

class MusicPipeline:
    """Makes music from prompts: `denoiser`, `codec`, `encoder` and a `PipelineConfig`"""

    def __init__(self, denoiser, codec, encoder, config: PipelineConfig=PipelineConfig()):
        ...

    @property
    def modules(self):
        """Its parts that have weights"""
        ...

    @property
    def device(self):
        """Where the weights are"""
        ...

    @property
    def sample_rate(self):
        """Samples a second"""
        ...

    @property
    def window(self):
        """Latent frames of the longest music made in one go"""
        ...

    def to(self, device):
        """All parts on a device"""
        ...

    def __repr__(self):
        ...

    def request(self, prompts, seconds=None, steps=None, guidance_scale=None, rho=None, seed=0) -> Request:
        """Check a request and fill in what was left to the model"""
        ...

    def guidance_of(self, scale=None) -> float:
        """The guidance scale, or a `PrestoError` when the model cannot have it"""
        ...

    def noise(self, seed: int, rows: int, frames: int) -> Tensor:
        """Row i is drawn from seed + i"""
        ...

    def latents(self, audio: Audio, frames: int) -> Tensor:
        """The first latent frames of a sound"""
        ...

    def guidance(self, cond, scale: float):
        """How the prompt is followed, as the model's config says"""
        ...

    def kept(self, keep=None):
        """The denoiser with some of its blocks left out"""
        ...

    def sampler(self, r: Request, init_sigma=None, keep=None) -> tuple:
        """A walk that costs exactly `r.steps` evaluations"""
        ...

    def finish(self, samples: Tensor, prompts, seconds: float, given=None) -> list:
        """Samples -> finished pieces"""
        ...

    def given(self, audio, kept_seconds, seconds: float):
        """What a piece begins from, checked"""
        ...

    def known(self, given, frames: int, fresh: bool) -> dict:
        """The latents of a given sound, as the samplers take them"""
        ...

    def tempi(self, r: Request, bpm: list) -> tuple:
        """A network that counts beats needs a tempo: where none is told, one that fits the words"""
        ...

    def walks(self, r: Request, bpm=None, given=None, init_sigma=None, keep=None, batch_size=None, progress=False, callback=None):
        """From noise to latents, prompts after prompts; times are kept in `timings`"""
        ...

    def pieces(self, prompts, seconds=None, steps=None, guidance_scale=None, rho=None, bpm=None, seed=0, init_audio=None, init_sigma=None, kept_seconds=None, keep=None, batch_size=None, progress=True, callback=None):
        """Make music, and give each piece away as soon as it is ready"""
        ...

    def generate(self, prompts, seconds=None, steps=None, guidance_scale=None, rho=None, bpm=None, seed=0, init_audio=None, init_sigma=None, kept_seconds=None, keep=None, batch_size=None, progress=True, callback=None) -> list:
        """Make music"""
        ...

    def stream(self, prompt: str, seconds=None, steps=None, guidance_scale=None, rho=None, bpm=None, seed=0, keep=None):
        """Make a piece, and give it away window by window while the rest is decoded"""
        ...

    def fingerprint(self) -> tuple:
        """What the parts answer to a fixed prompt and fixed noise at sigma = 1"""
        ...

    def self_check(self, tolerance: float=0.05):
        """Raise a `PrestoError` when the parts answer nothing, or not what they answered when the model was saved"""
        ...

    def save_pretrained(self, folder, parts: bool=True) -> PipelineConfig:
        """Write a model folder"""
        ...

    @classmethod
    def from_pretrained(cls, name='base', device=None, check=True) -> MusicPipeline:
        """Load a model: config, codec and text encoder of the right sha256, weights as they were saved"""
        ...

    def push_to_hub(self, repo_id: str, private=True) -> str:
        """Upload the model, with its parts, to the Hugging Face hub"""
        ...

def new_pipeline(network, codec, encoder, frames: int, **config) -> MusicPipeline:
    """A pipeline around a network, when training is done; the window is given in tenths of a second"""
    ...

@dataclass(frozen=True)
class Request:
    """What `generate` is asked for, checked and complete"""
    prompts: tuple
    seconds: float
    frames: int
    steps: int
    guidance_scale: float
    rho: float
    seed: int
MIN_FRAMES, LONGEST = (8, 120.0)

def _whole(name, value, low, high):
    """A whole number in a range"""
    ...

def starts(frames: int, window: int) -> list:
    """Where windows begin that cover a piece evenly; neighbours share a quarter of a window or more"""
    ...

def blend(frames: int, window: int) -> Tensor:
    """How much each window says about each frame: less near its ends"""
    ...

def windowed(denoiser, window: int):
    """Overlapping windows in one batch, their guesses blended (MultiDiffusion, Bar-Tal et al. 2023, equation 5)"""
    ...

def ending(n: int, rate: int) -> Tensor:
    """The last 20 ms fall to 0"""
    ...

@dataclass(frozen=True)
class Given:
    """A sound to begin from, and the parts of it that stay"""
    audio: Audio
    spans: tuple = ()

    @property
    def gain(self):
        """Factor that brings the sound to the loudness of the training clips"""
        ...

def check_spans(spans, end: float) -> tuple:
    """The parts that stay, or a `PrestoError`"""
    ...

def inside(spans, n: int, rate: float) -> Tensor:
    """Which samples or latent frames lie wholly in a span"""
    ...

def share(kept: Tensor, f: int) -> Tensor:
    """How much of a sample is the given one: a mean over 2f + 1 samples, of which the upper half counts"""
    ...

def put_back(made: Audio, given: Given) -> Audio:
    """The kept parts as they were, what was made at their loudness, crossfades of equal power between"""
    ...

def decode_blocks(codec, latents: Tensor, block: int=129, context: int=16):
    """`codec.decode` in blocks that join without a seam"""
    ...

@contextmanager
def in_float32():
    """Inside this block new tensors are float32, whatever torch's default is"""
    ...

def stepwise(steps):
    """The same, in float32 while it works and in the caller's default while it waits"""
    ...

@contextmanager
def timed(timings: dict, name: str, device, clock=time.perf_counter):
    """Add the milliseconds a block takes"""
    ...

def alive(pipe) -> tuple:
    """The fingerprint, or a `PrestoError` when something in it is silent or not finite"""
    ...
PART_FILES = {'codec': ('config.json', 'model.safetensors', HASHES), 'text': ('config.json', 'vocab.txt', 'model.safetensors', HASHES)}
MODEL_FILES = (HASHES, 'config.json', 'model.safetensors', 'README.md', *(f'{part}/{name}' for part in PARTS for name in PART_FILES[part]))
SAVING = '.saving'

def may_hold_model(path: Path) -> bool:
    """May a model be saved there? It is new or empty, or holds a model, be it half written"""
    ...

@contextmanager
def new_model_folder(path):
    """A temporary folder whose files take their places when the block ends well; others stay"""
    ...

def put_in_place(tmp: Path, path: Path):
    """Each file of a model replaces the one of its name; those that are no longer written go"""
    ...

def remove_empty(folder: Path):
    """Remove a folder when nothing is in it"""
    ...

def find_device(device=None) -> torch.device:
    """A device that works here"""
    ...
