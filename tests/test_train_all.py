"recipes/train_all.py: which commands it runs, in which order, with which minutes; every one of them is known to the command line"
import importlib.util
from argparse import Namespace
from pathlib import Path
import pytest
from presto_nb.cli import parser

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location('train_all', ROOT/'recipes'/'train_all.py'); recipe = importlib.util.module_from_spec(spec); spec.loader.exec_module(recipe)

def plan(tmp_path, stages=('codec', 'base', 'l', 's', 'ls'), **changed):
    asked = dict(work=tmp_path/'work', minutes=100., preset='study', tier='full', init_from=None, variant='presto-s', seed=3, steps=None) | changed
    commands = list(recipe.commands(Namespace(**asked), list(stages)))
    for c in commands: parser().parse_args(c)
    return commands

def value(command, name): return command[command.index(name) + 1]

def finished(folder, stage):
    (folder/stage/'model').mkdir(parents=True); (folder/stage/'model'/'config.json').write_text('{}')

def test_the_whole_chain(tmp_path):
    commands = plan(tmp_path)
    assert [' '.join(c[:2]) for c in commands] == ['data build', 'train codec', 'data encode', 'train base', 'train presto-l', 'train presto-s', 'train presto-l', 'train presto-ls']
    minutes = [float(value(c, '--minutes')) for c in commands if c[0] == 'train']
    assert minutes == pytest.approx([25, 45, 10, 10, 3, 7]) and all(value(c, '--seed') == '3' for c in commands if c[0] == 'train')
    assert value(commands[6], '--variant') == 'ls' and value(commands[7], '--start') == str(tmp_path/'work'/'ls-layers'/'model')

def test_a_part_of_it_takes_what_is_there(tmp_path):
    earlier = tmp_path/'earlier'; finished(earlier, 'codec'); finished(earlier, 'base')
    (tmp_path/'work'/'data').mkdir(parents=True); (tmp_path/'work'/'data'/'metadata.jsonl').touch()
    encode, base, few = plan(tmp_path, ('base', 's'), init_from=earlier)
    assert encode[:2] == ['data', 'encode'] and value(encode, '--codec') == str(earlier/'codec'/'model')
    assert value(base, '--init') == value(few, '--base') == str(earlier/'base'/'model') and '--codec' not in base and '--preset' not in base
    assert [float(value(c, '--minutes')) for c in (base, few)] == pytest.approx([100*.45/.55, 100*.1/.55], rel=1e-3)
    finished(tmp_path/'work', 'base'); assert value(plan(tmp_path, ('s',), init_from=earlier)[-1], '--base') == str(tmp_path/'work'/'base'/'model')   # its own comes first

def test_steps_instead_of_minutes(tmp_path):
    for c in plan(tmp_path, steps=4):
        if c[0] == 'train': assert value(c, '--steps') == '4' and '--minutes' not in c

def test_an_unknown_stage(tmp_path, capsys):
    with pytest.raises(SystemExit): recipe.main(['--work', str(tmp_path), '--stage', 'base,x'])
    assert "'x'" in capsys.readouterr().err and not any(tmp_path.iterdir())
