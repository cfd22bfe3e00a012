# Made from metrics.py by docs/make_stubs.py; change the notebook, export, then run that command again.
"""How far is one set of clips from another, does a clip say what its prompt says, and how sure are we of either number"""
__all__ = ['BLOCK', 'TEMPO_ERROR', 'TEMPO_RATIOS', 'DISTORTIONS', 'HEARD', 'STACKED', 'COUNTED', 'RATES', 'BLOCK_CLIPS', 'BLOCK_HEARD', 'check_set', 'check_pair', 'sqrt_psd', 'check_gaussian', 'gaussian_frechet', 'frechet_distance', 'line_fit', 'frechet_sizes', 'frechet_curve', 'frechet_inf', 'distance_blocks', 'median_bandwidth', 'kernel_mean', 'kad', 'unit', 'cmmd', 'kth_radius2', 'prdc', 'clap_score', 'same_tempo', 'agreement', 'half_samples', 'interval', 'paired_interval', 'no_worse', 'Embedder', 'check_sounds', 'mono_at', 'LogMelEmbedder', 'MusicnnEmbedder', 'load_clap', 'ClapEmbedder', 'Prompt', 'held_out_prompts', 'with_noise', 'low_pass', 'shuffled', 'white_noise', 'through_codec', 'of_real', 'of_model', 'agreements', 'Hearing', 'chance', 'better', 'correlation', 'scores', 'with_intervals', 'check_claim', 'claim', 'Evaluator', 'embed_all', 'text_of', 'chance_of', 'score_table', 'plot_scores', 'rhythm_facts', 'rhythm_scores', 'memorised']
import json, math, time
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace
from typing import Protocol
import torch, torch.nn.functional as F
from torch import Tensor
from fastcore.basics import patch
from .audio import Audio, estimate_key, log_mel
from .core import PrestoError, assets, atomic_path, generator, import_torchaudio, load_json, load_tensors, need, progress, save_tensors, sha256, stable_hash
from .listen import EIGHTH, Listener, MusiCNN, likely_tempo, musicnn_patches
from .listen import pulse_at, scale_of, tempogram
from .pipeline import check_range
from .scores import Arrangement, arrange, excerpt_start, read_tunes, render

def check_set(x, name: str='the set', least: int=1) -> Tensor:
    """The embeddings in float64, or a `PrestoError` that says what is wrong with them"""
    ...

def check_pair(x, y, least: int=1) -> tuple:
    """Two sets of one embedder"""
    ...

def sqrt_psd(s: Tensor) -> Tensor:
    """The symmetric square root"""
    ...

def check_gaussian(mu, s, name: str) -> tuple:
    """A mean and a covariance that belong together"""
    ...

def gaussian_frechet(mu1, s1, mu2, s2) -> float:
    """Frechet distance of two Gaussians"""
    ...

def frechet_distance(x, y) -> float:
    """Frechet distance of two sets, each taken for a Gaussian"""
    ...

def line_fit(u, v) -> tuple:
    """Least squares: v = height + slope*u"""
    ...

def frechet_sizes(n: int, d: int, count: int=15) -> list:
    """Sizes from about 2d (at most n/2, at least n/10) to n"""
    ...

def frechet_curve(x, y, sizes, generator=None) -> Tensor:
    """Frechet distance of random parts of x to the whole of y"""
    ...

def frechet_inf(x, y, sizes=None, generator=None) -> float:
    """Frechet distance extrapolated to infinitely many x"""
    ...
BLOCK = 2 ** 18

def distance_blocks(x: Tensor, y: Tensor):
    """Walk through all pairs: (rows of x as a slice, squared distances [rows, m])"""
    ...

def median_bandwidth(y) -> float:
    """Median distance of different points of the reference (KAD, section 3), exact, in bounded memory"""
    ...

def kernel_mean(x: Tensor, y: Tensor, bandwidth: float) -> float:
    """Mean of the Gaussian kernel over all pairs"""
    ...

def kad(x, y, bandwidth: float=None, scale: float=100.0) -> float:
    """Kernel audio distance: the unbiased MMD^2"""
    ...

def unit(x: Tensor) -> Tensor:
    """Each embedding divided by its length"""
    ...

def cmmd(x, y) -> float:
    """The biased MMD^2 of unit vectors, bandwidth 10, times 1000 (google-research/cmmd)"""
    ...

def kth_radius2(x: Tensor, k: int) -> Tensor:
    """Squared distance of every point to its k-th nearest other point"""
    ...

def prdc(real, fake, k: int=5) -> dict:
    """Are the fakes like the real ones, and are all real ones among them? (Naeem 2020, equations 1 to 6)"""
    ...

def clap_score(audio, text) -> Tensor:
    """Cosine of each clip and its prompt, times 100"""
    ...
TEMPO_ERROR, TEMPO_RATIOS = (0.08, (1.0, 2.0, 0.5, 1.5, 2 / 3))

def same_tempo(heard: float, asked: float, ratios=(1.0,)) -> bool:
    """Is the tempo within 8 % of what was asked, or of a multiple of it?"""
    ...

def agreement(heard, facts: dict) -> dict:
    """Which facts of the prompt are found in the clip"""
    ...

def half_samples(n: int, repeats: int=200, generator=None) -> Tensor:
    """Random halves of n clips, each drawn without replacement"""
    ...

def interval(statistic, n: int, repeats: int=200, generator=None, level: float=0.95) -> tuple:
    """A statistic of n clips with its interval, by halves without replacement"""
    ...

def paired_interval(statistic_a, statistic_b, n: int, repeats: int=200, generator=None, level: float=0.95) -> tuple:
    """The difference of two models, both on the same halves"""
    ...

def no_worse(difference: tuple, margin: float, lower_is_better: bool) -> bool:
    """Does the interval of the difference exclude that ours is worse by the margin?"""
    ...

class Embedder(Protocol):
    """What turns sounds into points"""
    name: str
    sample_rate: int
    dim: int

    def __call__(self, audios: list) -> Tensor:
        ...

def check_sounds(audios) -> list:
    """The sounds as a list, or a `PrestoError` for anything else"""
    ...

def mono_at(audios, sample_rate: int) -> list:
    """The sounds as an embedder wants them"""
    ...

class LogMelEmbedder:
    """Mean and standard deviation over time of 64 log-mel bands: no weights, no melody, only colour and dynamics"""
    name, sample_rate, dim = ('log-mel statistics', 22050, 128)

    def __call__(self, audios) -> Tensor:
        ...

class MusicnnEmbedder:
    """The mean of musicnn's 200 features over a clip's patches"""
    sample_rate, dim = (16000, 200)

    def __init__(self, kind: str='MTT'):
        ...

    def __call__(self, audios) -> Tensor:
        ...

def load_clap(folder_or_hub_id):
    """CLAP and its processor, or a `PrestoError` that says why not"""
    ...

class ClapEmbedder:
    """LAION-CLAP through transformers: sound and text in one space, all of length 1"""

    def __init__(self, folder_or_hub_id='laion/larger_clap_music', batch_size: int=8):
        ...

    def pieces(self, audio: Audio) -> list:
        """A clip cut into pieces; a rest under one second joins none"""
        ...

    def features(self, pieces: list) -> Tensor:
        """One batch through the sound half"""
        ...

    def __call__(self, audios) -> Tensor:
        ...

    def text(self, prompts) -> Tensor:
        """The same for prompts"""
        ...

def _pooled(out) -> Tensor:
    """The embeddings alone"""
    ...

@dataclass(frozen=True)
class Prompt:
    """What a clip is asked to be, and the real music that is so"""
    arrangement: Arrangement
    start: int
    seconds: float

    @property
    def caption(self) -> str:
        """The text"""
        ...

    @property
    def facts(self) -> dict:
        """Instruments, key, tempo: what the text is about"""
        ...

    def render(self, bank: str=''):
        """The real clip"""
        ...

def held_out_prompts(n: int, name: str='evaluation', seconds: float=6.0, split: str='test') -> list:
    """Tunes of a split in the order of their hash, in one new arrangement after another"""
    ...

def with_noise(audio: Audio, g, db: float) -> Audio:
    """White noise added"""
    ...

def low_pass(audio: Audio, g=None, hz: float=3000.0) -> Audio:
    """Nothing above a frequency"""
    ...

def shuffled(audio: Audio, g, piece: float=0.25) -> Audio:
    """Pieces in random order: the colours stay, the music goes"""
    ...

def white_noise(audio: Audio, g) -> Audio:
    """No music at all"""
    ...
DISTORTIONS = {'noise-20dB': partial(with_noise, db=20.0), 'noise-10dB': partial(with_noise, db=10.0), 'low-pass': low_pass, 'shuffled': shuffled, 'white-noise': white_noise}

def through_codec(codec):
    """A change of sounds: encoded and decoded"""
    ...

def of_real(change=lambda audio, g: audio, bank: str=''):
    """The real clips, changed"""
    ...

def of_model(pipe, seed: int=0, **how):
    """What a model makes of the captions"""
    ...
HEARD = ('key', 'bpm', 'onset_rate', 'lead', 'accompaniment', 'drums')
STACKED = dict(musicnn='embedding', tempogram='tempogram')
COUNTED = ('lead', 'accompaniment', 'drums', 'key', 'tempo_tolerant')

def agreements(rows, facts, tempograms) -> dict:
    """How well each clip does what its prompt says"""
    ...

@dataclass(frozen=True, eq=False)
class Hearing:
    """A set of clips as it was heard"""
    name: str
    facts: tuple
    rows: tuple
    embeddings: dict
    tempograms: Tensor

    def __len__(self):
        ...

    @cached_property
    def found(self) -> dict:
        """How well each clip agrees with its facts, as `agreements`"""
        ...

    @cached_property
    def onsets(self) -> Tensor:
        """Onsets a second of each clip, [n]"""
        ...

    @cached_property
    def widths(self) -> dict:
        """Bandwidths for `kad` where this is the reference, {embedder: number}"""
        ...

def chance(h: Hearing) -> dict:
    """How well clips do what the next clip's prompt says"""
    ...
RATES = ('agreement', 'lead', 'accompaniment', 'drums', 'key', 'tempo', 'tempo_tolerant')

def better(score: str) -> int:
    """+1 where more is better, -1 where less is, 0 where the real clips' value is right"""
    ...

def correlation(a, b: Tensor) -> float:
    """Pearson's correlation"""
    ...

def scores(h: Hearing, real: Hearing, reference: Hearing, i: Tensor) -> dict:
    """Every score of some of the clips"""
    ...

def with_intervals(f, n: int, repeats: int=100, seed: int=0) -> dict:
    """Every score with its 95 % interval"""
    ...
BLOCK_CLIPS, BLOCK_HEARD = (8, 64)

def check_claim(folder, wanted: dict, name: str) -> bool:
    """Refuse a folder that is for something else"""
    ...

def claim(folder, wanted: dict, name: str):
    """Write down what a folder is for, or refuse one that is for something else"""
    ...

class Evaluator:
    """Judges sets of clips on the same held-out prompts and seeds"""

    def __init__(self, out, n: int=1024, seed: int=0, seconds: float=6.0, embedders=(LogMelEmbedder(),), repeats: int=100):
        ...

    @cached_property
    def listener(self):
        """The judge of instruments, key and tempo"""
        ...

    @cached_property
    def prompts(self) -> list:
        """The held-out prompts"""
        ...

    @cached_property
    def real(self) -> Hearing:
        """Real clips of the prompts: the ceiling"""
        ...

    @cached_property
    def reference(self) -> Hearing:
        """Real clips of other arrangements: what KAD compares with"""
        ...

    @property
    def ears(self) -> str:
        """What the hearing depends on and what is kept of it; when either differs, all is heard again"""
        ...

    def clip(self, name: str, i: int) -> Path:
        """Where a clip lies"""
        ...

    def add(self, name: str, maker, made: dict, prompts=None) -> Hearing:
        """Make and hear what is not there yet"""
        ...

    def hear(self, name: str, prompts, first: int) -> tuple:
        """One block, heard now or as it was stored"""
        ...

    def keep(self, stem, points: dict, rows: list):
        """Store what was heard of a block, and the hashes of both"""
        ...

    def is_heard(self, stem) -> bool:
        """Is a block stored, whole, and as it would be heard now?"""
        ...

    def scorecard(self, h: Hearing) -> dict:
        """All scores of a set with intervals, and how they were got"""
        ...

    def difference(self, a: Hearing, b: Hearing) -> dict:
        """Paired differences: both sets on the same half samples"""
        ...

    def nearest(self, name: str, finder, n: int=256, prompts=None) -> list:
        """The nearest tune of each clip; what was found is kept, and a run that was interrupted goes on"""
        ...

def embed_all(embedders, audios, prompts) -> dict:
    """The points of clips, and of their captions"""
    ...

def text_of(k: str, v) -> str:
    """A score and its interval, rates in percent"""
    ...

def chance_of(k: str, v) -> str:
    """A chance, rates in percent"""
    ...

def score_table(records, chances=None) -> str:
    """One row a score, one column a set"""
    ...

def plot_scores(records, fig=None):
    """Each score on an axis of its own, a dot and an interval for every set; arrows say which way is better"""
    ...

def rhythm_facts(audios: list, facts: list) -> dict:
    """Beat and key of each clip, set beside what was asked"""
    ...

def _asked(facts: dict) -> dict:
    ...

def rhythm_scores(audios: list, facts: list, repeats: int=100) -> dict:
    """How firmly a few clips keep their tempo, and how often tempo and key are right"""
    ...

def memorised(rows, held_out) -> dict:
    """How much more like a training tune the outputs are than held-out tunes are: above 0 is the sign of memorisation"""
    ...
