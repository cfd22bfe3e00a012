# Made from training.py by docs/make_stubs.py; change the notebook, export, then run that command again.
"""One loop for every stage of the project: codec, base model, distillation. It can be killed at any moment, and it says where along the noise axis a model learns"""
__all__ = ['FREE', 'UNSEEN', 'BEFORE', 'BASE_RUN', 'FINE_RUN', 'TrainConfig', 'lr_factor', 'EMA', 'epoch_order', 'batch_indices', 'item_generator', 'pack', 'unpack', 'save_checkpoint', 'load_checkpoint', 'bin_names', 'Meter', 'read_log', 'CSVLog', 'StopSignal', 'faster_precision', 'make_accelerator', 'size_text', 'training_memory', 'Trainer', 'check_finite', 'weights_hash', 'run_weights', 'warm_start', 'every', 'fit', 'check_run', 'averaged_state', 'write_weights', 'read_latents', 'LatentWindows', 'CaptionCache', 'OptimizerPair', 'base_optimizer', 'BaseStage', 'plot_log', 'base_stage', 'fine_stage', 'held_out_loss']
import contextlib, copy, csv, functools, hashlib, json, math, os, re, signal, sys, threading, time
from dataclasses import dataclass
from pathlib import Path
import torch, torch.nn as nn, torch.nn.functional as F
from fastcore.basics import patch
from .core import Config, PrestoError, atomic_path, check_hashes, folder_lock, generator, load_json, load_json_lines, load_state, load_tensors, progress, remove_leftovers, save_tensors, sha256, stable_hash
from .text import Condition, keys_of
from .edm import Denoiser, LogNormal, edm_loss
from .dit import DiT, DiTConfig, PRESETS, memory_estimate

@dataclass(frozen=True)
class TrainConfig(Config):
    """How long, how fast and how carefully to train"""
    steps: int | None = 1000
    batch_size: int = 32
    precision: str = 'no'
    accumulate: int = 1
    grad_clip: float = 1.0
    ema_decay: float = 0.999
    warmup_steps: int = 100
    schedule: str = 'constant'
    cooldown: float = 0.2
    seed: int = 0
    save_every: int = 500
    save_minutes: float = 5.0
    log_every: int = 10
    minutes: float | None = None
    sigma_edges: tuple = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
    tensorboard: bool = True
    prefetch: bool = False
    compile: bool = False
    quiet: bool = False
    device: str | None = None

    def __post_init__(self):
        ...

def lr_factor(config, step: int, progress: float=None) -> float:
    """What the learning rates are multiplied with"""
    ...

class EMA:
    """Exponential moving average of a module's trainable parameters"""

    def __init__(self, module, decay=0.999, ramp=True):
        ...

    def reset(self):
        """Begin again at the parameters as they are now"""
        ...

    def update(self):
        """Move the average towards the parameters as they are now"""
        ...

    @contextlib.contextmanager
    def swapped(self):
        """The module holds the average inside this block, and its own weights again after it"""
        ...

    def _swap(self):
        ...

    def state_dict(self):
        """What a checkpoint keeps"""
        ...

    def load_state_dict(self, state):
        """Go on from a checkpoint"""
        ...

def epoch_order(n: int, seed: int, epoch: int) -> tuple:
    """The permutation of n items in one epoch"""
    ...

def batch_indices(n: int, batch_size: int, step: int, seed: int=0) -> list:
    """Which items a step sees: position step*batch_size and on, in the row of all epochs"""
    ...

def item_generator(base: torch.Generator, item: int, again: int=0) -> torch.Generator:
    """A random stream for one item of a batch"""
    ...

def pack(tree, tensors: dict, name=''):
    """Split a nest of values into JSON and named tensors"""
    ...

def unpack(tree, tensors: dict):
    """The nest of values again"""
    ...

def _remove_others(folder, name: str):
    """Remove the tensors of earlier checkpoints"""
    ...

def _tensors_name(step: int) -> str:
    """The file of its tensors"""
    ...

def save_checkpoint(folder, tree: dict):
    """Write a checkpoint so that at every moment the last whole one can be read"""
    ...

def load_checkpoint(folder):
    """The last whole checkpoint, or None when there is none"""
    ...

def bin_names(edges) -> list:
    """Names of the intervals between noise levels"""
    ...

class Meter:
    """Running means of what the steps return, on the device until they are read"""

    def __init__(self, edges=()):
        ...

    def add(self, metrics: dict):
        """Count one step"""
        ...

    def _add_bins(self, k, v, sigma):
        ...

    def read(self, reduce=lambda t: t) -> dict:
        """The means since the last reading; then start again"""
        ...

    def state_dict(self):
        """What a checkpoint keeps"""
        ...

    def load_state_dict(self, s):
        """Go on from a checkpoint"""
        ...

def read_log(path) -> dict:
    """The columns of a log"""
    ...

def _whole_rows(path) -> list:
    """The rows of a log that are whole: every column there, every value a number or empty"""
    ...

def _numbers(row) -> bool:
    """Is every value a number or empty?"""
    ...

class CSVLog:
    """A CSV file that grows by rows, and by columns when a row brings a new one"""

    def __init__(self, path, after: int=0):
        ...

    def add(self, row: dict):
        """Append a row"""
        ...

    def _rewrite(self):
        ...

class StopSignal:
    """Inside this block SIGTERM and the first Ctrl-C only set `.name`, as `.ask(name)` does"""

    def __enter__(self):
        ...

    def ask(self, name):
        """Ask the loop to end after this step"""
        ...

    def _seen(self, number, frame):
        ...

    def __exit__(self, *exc):
        ...

def faster_precision(device) -> str:
    """bf16 where the machine multiplies it faster: GPUs that have it, processors with AMX"""
    ...

def make_accelerator(config):
    """accelerate's view of this process: device, precision, and the other processes"""
    ...

def size_text(n: float) -> str:
    """Bytes for a person"""
    ...

def training_memory(stage, rows: int=0, precision='no') -> dict:
    """What training a stage holds in memory: weights, gradients, Adam's two moments, averages, activations of `rows` rows"""
    ...

class Trainer:
    """The state of a run, and what a stage may ask of it"""

    def __init__(self, stage, config, out_dir=None):
        ...

    @property
    def checkpoint(self) -> Path:
        """The folder of its checkpoint"""
        ...

    @property
    def minutes(self):
        """Minutes of training over all sittings"""
        ...

    @property
    def local_rows(self):
        """Rows of the global batch that this process works on now"""
        ...

    def compiled(self, yes: bool):
        """Compile every block by itself, all alike being compiled once; or leave that again"""
        ...

    def begin_part(self, part):
        """Start the random streams of this step anew"""
        ...

    def rows(self, draw):
        """This process's rows of something drawn for the global batch"""
        ...

    def randn(self, *shape):
        """Normal noise that belongs to rows of the global batch: the same for any number of processes and parts"""
        ...

    def log(self, **values):
        """Add to the row of the log that is being averaged"""
        ...

    def update(self, name: str, loss: torch.Tensor, sigma=None, backward=None, retain_graph=False):
        """Backward, and with the last part of a batch: average, clip, optimiser step, EMA"""
        ...

    def save(self):
        """Write a checkpoint, after a look at what is written"""
        ...

    def resume(self) -> bool:
        """Go back to the last checkpoint of `out`"""
        ...

def _batch_ids(trainer, step, rows):
    """The ids of some rows of a step's global batch, for a message"""
    ...

def check_finite(trainer):
    """Raise a `PrestoError` that names step, batch ids and noise levels if a watched loss or gradient was not finite"""
    ...

def _average_gradients(trainer, params):
    """The mean gradient over accumulated parts and processes"""
    ...

def _watch(trainer, what, value, sigma=None):
    """Remember a value to be checked: at once on a CPU, with the next log row on a GPU, which must not be made to wait"""
    ...
FREE = ('steps', 'minutes', 'save_every', 'save_minutes', 'log_every', 'sigma_edges', 'accumulate', 'tensorboard', 'prefetch', 'compile', 'quiet', 'device')

def weights_hash(module) -> str:
    """Another one for other weights"""
    ...

def _tensors_hash(tensors: dict) -> str:
    """Another one for other tensors"""
    ...

def _switches(trainer) -> dict:
    """What a stage says it was made of, and what it began with"""
    ...
UNSEEN = dict(fingerprint='the data', begun_from='the model that the run goes on from or distils', started_as='the model that the generator begins as', init_from='the weights to begin with')

def _check_same(trainer, tree):
    """Refuse to go on with a run that was begun otherwise"""
    ...

def _check_models(out, models, there: set):
    """Refuse a run of another kind"""
    ...

def _state(trainer):
    """Everything a run needs to go on"""
    ...

def run_weights(path, averaged=True) -> dict:
    """The weights a run has come to so far"""
    ...

def warm_start(stage, path):
    """Begin with weights of another run: every model of the stage that the file has; returns their names"""
    ...

def every(n: int, f):
    """A callback that runs after every n-th step"""
    ...

class _Writers:
    """CSV and tensorboard, on the main process only"""

    def __init__(self, trainer):
        ...

    @contextlib.contextmanager
    def _without_board(self):
        """Where TensorBoard cannot write, the run goes on without it"""
        ...

    def add(self, row):
        """A row, to the log and to TensorBoard"""
        ...

    def close(self):
        """Flush what is open"""
        ...

@contextlib.contextmanager
def _quiet_board():
    """Inside this block a failed write of TensorBoard's thread is no traceback: its next call says it"""
    ...

def _agree(trainer, stop):
    """Progress, and whether to stop, as all processes see it (their clocks and signals differ)"""
    ...

def _load_part(trainer, step, part):
    """This process's rows of one part of a step's batch, still on the CPU"""
    ...

def _loader(trainer):
    """load(step, part); with `prefetch` the next part is read in a thread meanwhile"""
    ...

def _train_step(trainer, load):
    """One optimiser step of every optimiser that the stage updates"""
    ...

def _log_row(trainer, writers, bar):
    """Read the means, write a row, show the loss and the time left"""
    ...

def _log_or_save(trainer, writers, bar):
    """A row of the log; where it cannot be written, at least a checkpoint"""
    ...

def _save_due(trainer):
    """Whether it is time for a checkpoint"""
    ...

def _loop(trainer, writers, callbacks):
    """Steps until the budget is spent or a signal comes"""
    ...

def _sweep(out):
    """Remove what a killed run had half-written: our temporary files, and those that safetensors makes of its own (.tmpAb12Cd)"""
    ...

def _begin(trainer, resume, init_from):
    """Resume, or start warm or cold; the same weights on every process"""
    ...

def fit(stage, config, out_dir, callbacks=(), resume=True, init_from=None) -> Trainer:
    """Train a stage; interrupted at any moment, the same call goes on where it was"""
    ...

def _run(trainer, resume, init_from, callbacks):
    """A run in a folder that is its own"""
    ...
BEFORE = re.compile('latents|switches\\.json|\\.lock|\\..+-[a-z0-9_]{8}(\\.[^.]*)?')

def check_run(out, models):
    """Refuse a folder of something else than a training of these models"""
    ...

def _models_of(out) -> set:
    """What the run in a folder trains, as its checkpoint says; nothing where it has none, or a damaged one"""
    ...

def averaged_state(trainer, name: str) -> dict:
    """A model's state with averaged parameters"""
    ...

def write_weights(trainer):
    """weights.safetensors and ema.safetensors, names begin with the model's"""
    ...

def _check_row(r: dict, index):
    """Refuse a line that no encoding wrote"""
    ...

def read_latents(folder, split=None):
    """The clips of a folder of latents"""
    ...

class LatentWindows:
    """Random windows of encoded clips, with a caption and the tempo"""

    def __init__(self, latents_dir, frames: int, split='train'):
        ...
    channels = property(lambda self: self.latents.shape[1])

    @property
    def fingerprint(self) -> str:
        """Another number for other data"""
        ...

    @property
    def frame_rate(self) -> float:
        """As the folder's record says"""
        ...

    def __len__(self):
        ...

    def __repr__(self):
        ...

    def ids(self, indices):
        """Names of the tunes of some windows"""
        ...

    def window(self, i: int, g: torch.Generator):
        """A random window of clip i, and one of its captions"""
        ...

    def batch(self, indices, generator) -> dict:
        """Windows of these clips"""
        ...

class CaptionCache:
    """Token vectors of all captions, encoded once; called with captions it returns what the encoder would"""

    def __init__(self, encoder, captions, batch_size=256):
        ...

    @functools.cached_property
    def longest(self) -> int:
        """Tokens that hold any of the captions"""
        ...

    def __call__(self, captions, at_least=0):
        """tokens [b, n, dim], mask [b, n]"""
        ...

class OptimizerPair:
    """Two optimisers of different parameters, stepped and stored as one"""

    def __init__(self, first, second):
        ...

    @property
    def param_groups(self):
        """The groups of both"""
        ...

    def step(self):
        """A step of both"""
        ...

    def zero_grad(self, set_to_none: bool=True):
        """Forget the gradients of both"""
        ...

    def state_dict(self) -> dict:
        """What a checkpoint keeps"""
        ...

    def load_state_dict(self, state: dict):
        """Go on from a checkpoint"""
        ...

def base_optimizer(network, lr: float, betas: tuple, weight_decay: float, muon: bool=False):
    """AdamW; or Muon for the attention and feed-forward matrices of blocks, AdamW for the rest"""
    ...

class BaseStage:
    """Trains a denoiser on latents: the EDM loss with conditions that are sometimes forgotten"""

    def __init__(self, denoiser, data, encoder, noise=LogNormal(), lr: float=0.002, betas=(0.9, 0.99), weight_decay: float=0.01, p_drop: float=0.1, p_drop_bpm: float=0.2, muon: bool=False):
        ...

    def switches(self) -> dict:
        """What a run is refused to go on without"""
        ...

    def to(self, device):
        """Move the network"""
        ...

    def condition(self, trainer, captions, bpm):
        """The rows' conditions, some of them forgotten"""
        ...

    def step(self, trainer, batch):
        """A step at random noise levels"""
        ...

    def loss(self, x0, cond, sigma, noise):
        """The loss of each row [b], and what else to log by row"""
        ...

    def memory(self, rows, precision):
        """Bytes of activations, where the network is a `DiT`"""
        ...

def plot_log(log, name='loss', axes=None, smooth: int=1):
    """A loss over the steps, and the same by noise level; returns the axes"""
    ...
BASE_RUN = TrainConfig(steps=None, minutes=50, batch_size=32, precision='bf16', ema_decay=0.9995, schedule='cooldown', cooldown=0.3, prefetch=True)

def base_stage(latents_dir, encoder, preset='study', frames: int=None, seed: int=0, **kw) -> BaseStage:
    """A `DiT` and the data it trains on"""
    ...
FINE_RUN = TrainConfig(steps=200, batch_size=8, ema_decay=0.99, warmup_steps=20, schedule='cooldown', cooldown=0.5, save_every=50)

def fine_stage(latents_dir, pipe, frames: int=None, lr: float=0.0002) -> BaseStage:
    """The stage that goes on with a trained model"""
    ...

def held_out_loss(denoiser, data, encoder, rows: int=128, seed: int=0) -> torch.Tensor:
    """A loss that two models can be compared by"""
    ...
