"`help(f)` and an editor's hover give the shape and unit of each argument"

import importlib
import inspect
import pydoc
import re
from pathlib import Path

import pytest
from fastcore.docments import docments

from presto_nb._docstrings import with_comments

PACKAGE = Path(__file__).resolve().parent.parent / 'presto_nb'
MODULES = [
    '.'.join(('presto_nb', *p.relative_to(PACKAGE).with_suffix('').parts))
    for p in sorted(PACKAGE.rglob('*.py'))
    if not p.name.startswith('_')
]

SOURCE = '''
class Codec(Config):
    "Sound as latents"

    hop: int = 2048  # samples a frame

    def encode(self, audio) -> Tensor:  # [b, 1, n] -> [b, frames, channels]
        "The latents"


def scale(
    x,  # latents, [b, n]
    sigma=0.5,  # noise level, > 0
    *,
    word='a#b',
):  # of x's shape
    "Divide"


def _inner(
    x,  # [n]
):
    "Private"
'''
EXPECTED = '''
class Codec(Config):
    """Sound as latents

    Args:
        hop: samples a frame
    """

    hop: int = 2048  # samples a frame

    def encode(self, audio) -> Tensor:  # [b, 1, n] -> [b, frames, channels]
        """The latents

        Args:
            audio: [b, 1, n]

        Returns:
            [b, frames, channels]
        """


def scale(
    x,  # latents, [b, n]
    sigma=0.5,  # noise level, > 0
    *,
    word='a#b',
):  # of x's shape
    """Divide

    Args:
        x: latents, [b, n]
        sigma: noise level, > 0

    Returns:
        of x's shape
    """


def _inner(
    x,  # [n]
):
    "Private"
'''


def test_comments_become_docstrings():
    assert with_comments(SOURCE).strip() == EXPECTED.strip()


@pytest.mark.parametrize(
    'code',
    [
        'def f(x):  # a | b\n    "One\\\\two"\n',
        'def f(\n    x,  # a \\ and three """\n):\n    "One"\n',
        'def f(x):\n    "One"\n',
    ],
)
def test_code_stays_what_it_was(code):
    "Nothing but the docstring changes, whatever the comment holds"
    old = {}
    new = {}
    exec(code, old)
    exec(with_comments(code), new)
    assert new['f'].__code__.co_code == old['f'].__code__.co_code
    assert new['f'].__doc__.startswith(old['f'].__doc__)
    for comment in ('a | b', 'a \\ and three """'):
        assert (comment in new['f'].__doc__) == (comment in code)


def words(text):
    return re.sub(r'\s+', ' ', text)


def documented(module):
    "(name, object) of the exported functions and classes, and of the classes' own methods"
    for name in module.__all__:
        o = getattr(module, name)
        if getattr(o, '__module__', '') != module.__name__ or not callable(o):
            continue
        if inspect.isfunction(o) or inspect.isclass(o) and '__init__' in vars(o):
            yield name, o
        for k, v in vars(o).items() if inspect.isclass(o) else ():
            if inspect.isfunction(v) and not k.startswith('_'):
                yield f'{name}.{k}', v


@pytest.mark.parametrize('name', MODULES)
def test_help_says_what_the_comments_say(name):
    for symbol, o in documented(importlib.import_module(name)):
        said = words(inspect.getdoc(o) or '')
        for argument, comment in docments(o).items():
            told = isinstance(comment, str) and argument != 'self'
            for part in comment.split('->') if told else ():
                assert words(part).strip() in said, f'{symbol}, {argument}: {comment}'


def test_help_shows_shape_and_unit():
    from presto_nb.edm import scalings

    text = pydoc.render_doc(scalings, renderer=pydoc.plaintext)
    assert 'sigma: noise level, any shape, > 0' in text


def test_an_editor_shows_them():
    "jedi reads the source as an editor does, without running it"
    jedi = pytest.importorskip('jedi')
    script = jedi.Script('from presto_nb.edm import scalings\nscalings')
    (found,) = script.help(2, 3)
    assert 'sigma: noise level, any shape, > 0' in found.docstring()
