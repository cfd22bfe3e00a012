"Every control of every lab has a name for those who do not see it, and no picture is empty"

import re

import pytest

pytest.importorskip('ipywidgets')

import ipywidgets as w

from presto_nb.labs.frames import Explorer
from presto_nb.labs.gallery import LABS


def opened(name):
    "What the page of a lab shows"
    *lines, last = LABS[name][1:]
    space = {}
    exec('\n'.join(lines), space)
    return eval(last, space)


def widgets_in(box):
    "A box and all that it holds, at any depth"
    yield box
    for child in getattr(box, 'children', ()):
        yield from widgets_in(child)


def controls_in(box):
    "What a hand can move or press, and the bars that show how far it is"
    kinds = w.widget_description.DescriptionWidget, w.Button
    return [x for x in widgets_in(box) if isinstance(x, kinds) and not isinstance(x, w.HTML)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize('name', LABS)
def test_controls_have_names_and_pictures_are_there(name):
    lab = opened(name)
    controls = controls_in(lab.box)
    assert set(lab.controls.values()) <= set(controls)
    for control in controls:
        assert control.description.strip(), control
        assert (control.tooltip or '').strip(), control.description
    pictures = [x for x in widgets_in(lab.box) if isinstance(x, w.Image)]
    assert pictures and all(bytes(p.value[:4]) == b'\x89PNG' for p in pictures)
    assert re.search(r'<p role="status">.+</p>', lab.words.value)


def test_a_control_without_a_name_gets_one():
    class Bare(Explorer):
        def draw(self, noise_level):
            from matplotlib.figure import Figure

            return Figure((1, 1), dpi=20)

        def say(self, noise_level):
            return f'{noise_level}'

    control = Bare(noise_level=w.IntSlider(1)).controls['noise_level']
    assert (control.description, control.tooltip) == ('noise level', 'noise level')
