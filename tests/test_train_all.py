"""recipes/train_all.py: which commands it runs, in which order, with which minutes

Every one of them is known to the command line.
"""

from pathlib import Path

import pytest
import train_all as recipe

from presto_nb.tools.cli import parser


@pytest.fixture
def told(monkeypatch):
    "The commands of a call, none of them run"
    commands = []
    monkeypatch.setattr(recipe.subprocess, 'run', lambda words, **kw: commands.append(words))
    monkeypatch.setattr(recipe.torch.cuda, 'is_available', lambda: False)
    return commands


def words(command):
    "Without the interpreter; checked by the command line's own parser"
    n = len(recipe.PRESTO_NB)
    if command[:n] != recipe.PRESTO_NB:
        assert Path(command[1]).is_file()
        return command[1:]
    parser().parse_args(command[n:])
    return command[n:]


def value(command, name):
    "What a command gives an argument"
    return command[command.index(name) + 1]


def finished(folder, stage):
    "A stage that has come to its end"
    (folder / stage / 'model').mkdir(parents=True)
    (folder / stage / 'model' / 'config.json').write_text('{}')


def test_the_whole_chain(tmp_path, told):
    recipe.main(['--work', str(tmp_path), '--minutes', '100', '--seed', '3'])
    commands = [words(c) for c in told]
    assert [' '.join(c[:2]) for c in commands[:2] + commands[3:]] == [
        'data build',
        'data encode',
        'train base',
        'train presto-l',
        'train presto-s',
        'train presto-l',
        'train presto-ls',
    ]
    assert Path(commands[2][0]).name == 'train_codec.py'
    minutes = [float(value(c, '--minutes')) for c in commands[2:]]
    assert minutes == pytest.approx([29, 29, 14, 14, 4.2, 9.8], rel=1e-3)
    assert sum(minutes) == pytest.approx(100, rel=1e-3)
    assert all(value(c, '--seed') == '3' for c in commands[2:])
    assert value(commands[4], '--drops') == '7,6,4,2,0'
    assert value(commands[6], '--drops') == '6,4,4,0,0'
    assert value(commands[6], '--variant') == 'ls'
    assert value(commands[7], '--start') == str(tmp_path / 'ls-layers' / 'model')


def test_a_part_of_it_takes_what_is_there(tmp_path, told):
    earlier = tmp_path / 'earlier'
    work = tmp_path / 'work'
    finished(earlier, 'base')
    (work / 'data').mkdir(parents=True)
    (work / 'data' / 'metadata.jsonl').touch()
    again = ['--work', str(work), '--init-from', str(earlier)]
    recipe.main([*again, '--stage', 'base,s', '--minutes', '100'])
    encode, base, few = (words(c) for c in told)
    assert encode[:2] == ['data', 'encode']
    assert value(base, '--init') == value(few, '--base') == str(earlier / 'base' / 'model')
    assert '--preset' not in base
    assert [float(value(c, '--minutes')) for c in (base, few)] == pytest.approx([58, 42], rel=1e-3)
    finished(work, 'base')
    told.clear()
    recipe.main([*again, '--stage', 's'])
    assert value(words(told[-1]), '--base') == str(work / 'base' / 'model')  # its own comes first


def test_on_a_gpu_stages_that_need_nothing_of_each_other_have_the_same_minutes(
    tmp_path, told, monkeypatch
):
    monkeypatch.setattr(recipe.torch.cuda, 'is_available', lambda: True)
    recipe.main(['--work', str(tmp_path), '--minutes', '10'])
    by_stage = {Path(value(c, '--out')).name: words(c) for c in told[2:]}
    minutes = [float(value(by_stage[k], '--minutes')) for k in ('decoder', 'base', 'l', 's')]
    assert minutes == pytest.approx([5.8, 5.8, 4.2, 4.2])
    assert '--compile' in by_stage['base']
    assert value(by_stage['s'], '--batch-size') == '64'


def test_steps_instead_of_minutes(tmp_path, told):
    recipe.main(['--work', str(tmp_path), '--steps', '4'])
    for c in told[2:]:
        assert value(c, '--steps') == '4' and '--minutes' not in c


def test_what_fails_is_named(tmp_path, told, monkeypatch, capsys):
    def run(command, **kw):
        if 'presto-s' in command:
            raise recipe.subprocess.CalledProcessError(3, command)

    monkeypatch.setattr(recipe.subprocess, 'run', run)
    assert recipe.main(['--work', str(tmp_path)]) == 1
    assert 's: exit status 3' in capsys.readouterr().err


def test_an_unknown_stage(tmp_path, capsys):
    with pytest.raises(SystemExit):
        recipe.main(['--work', str(tmp_path), '--stage', 'base,x'])
    assert "'x'" in capsys.readouterr().err and not any(tmp_path.iterdir())
