"run_notebooks.py: what it compares, what it masks, and what fails"

import json

import pytest
from run_notebooks import difference, main, masked


@pytest.mark.parametrize(
    'old, new',
    [
        ('took 3.2 s of 12 minutes', 'took 41 s of 3 minutes'),
        ('4.1 MB on 2026-01-31', '1,200 MB on 2027-02-01'),
        ('<Legend at 0x7f00>', ''),
        ("PosixPath('/tmp/a/x.wav')", "Path('/tmp/b/x.wav')"),
        ("{'text_ms': 1.5}", "{'text_ms': 22.0}"),
        ('12 times real time', '99 times real time'),
        ('50 GFLOP/s, 3.1 GB/s', '39 GFLOP/s, 4 GB/s'),
        ('a   table |  wide', 'a table | wide'),
    ],
)
def test_what_differs_from_run_to_run(old, new):
    assert masked(old) == masked(new)


@pytest.mark.parametrize('old, new', [('loss 0.896', 'loss 0.897'), ('8 blocks', '9 blocks')])
def test_what_counts(old, new):
    stored = [dict(output_type='stream', name='stdout', text=[old + '\n'])]
    now = [dict(output_type='stream', name='stdout', text=new + '\n')]
    assert difference(stored, stored) == []
    assert difference(stored, now) == [f'-{old}', f'+{new}']


def test_pictures_and_warnings_are_not_compared():
    picture = dict(output_type='display_data', data={'image/png': 'x', 'text/plain': '<Figure>'})
    warning = dict(output_type='stream', name='stderr', text='careful')
    assert difference([], [picture, warning]) == []


def cell(source, printed=''):
    "A cell, and what it stores"
    outputs = [dict(output_type='stream', name='stdout', text=printed)] if printed else []
    empty = dict(cell_type='code', metadata={}, execution_count=None)
    return dict(empty, source=source, outputs=outputs)


@pytest.mark.parametrize(
    'source, printed, status, said',
    [
        ('print(1 + 1)', '2\n', 0, 'ok'),
        ('print(1 + 1)', '3\n', 1, 'differs'),
        ('#| varies\nprint(1 + 1)', '3\n', 0, 'ok'),
        ('#| slow\nassert False', '', 0, 'ok'),
        ('assert 1 == 2', '', 1, 'AssertionError'),
    ],
)
def test_a_notebook(source, printed, status, said, tmp_path, monkeypatch, capsys):
    pytest.importorskip('execnb')
    monkeypatch.setattr('run_notebooks.NBS', tmp_path)
    book = tmp_path / 'a.ipynb'
    nb = dict(cells=[cell(source, printed)], metadata={}, nbformat=4, nbformat_minor=5)
    book.write_text(json.dumps(nb))
    assert main([str(book), '--texts', 'fail']) == (status or None)
    assert said in capsys.readouterr().out
