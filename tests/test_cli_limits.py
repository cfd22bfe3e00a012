"""The command line: nothing that was made is lost, and any text is text

Numbers that no command can take are refused in a sentence.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile as sf

from presto_nb.tools import cli
from presto_nb.tools.cli import main, out_files, slug
from tiny_model import random_pipeline

SEARCH_PATH = [str(Path(__file__).parent.parent), os.environ.get('PYTHONPATH', '')]
ENV = os.environ | dict(IN_TEST='1', PYTHONPATH=os.pathsep.join(SEARCH_PATH))
CODE = 'import sys; from presto_nb.tools.cli import main; sys.exit(main())'
SHORT = ['--seconds', '.3', '--steps', '1']


def generate_words(model, *prompts, out):
    "The command for one short piece a prompt"
    return ['generate', *prompts, '--model', str(model), *SHORT, '--out', out]


def run_command(words, cwd, env=ENV):
    "The command in a process of its own"
    words = [sys.executable, '-c', CODE, *words]
    return subprocess.run(words, capture_output=True, env=env, cwd=cwd)


def contents(folder, pattern='*'):
    "The bytes of the files in a folder, by name"
    return {p.name: p.read_bytes() for p in Path(folder).glob(pattern)}


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    "Two models that differ"
    folder = tmp_path_factory.mktemp('models')
    for i, name in enumerate(('a', 'b$x_1$')):
        random_pipeline(seed=i).save_pretrained(folder / name)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('IN_TEST', '1')
    return tmp_path


@pytest.fixture
def generate(models, here):
    "Runs the command and gives the sounds in its folder, by name"

    def call(*prompts, model='a', out='music', more=()):
        assert main([*generate_words(models / model, *prompts, out=out), *more]) == 0
        return contents(out, '*.wav')

    return call


# ---- what was made is not lost


LONG = 'a brisk reel in G major on the fiddle with guitar and '


def test_the_same_first_letters(generate):
    first = generate(LONG + 'drums')
    both = generate(LONG + 'no drums')
    assert len(first) == 1 and len(both) == 2
    assert first.items() <= both.items()
    assert len(set(both.values())) == 2
    assert generate(LONG + 'drums') == both  # the same command again: the same file
    assert len(list(Path('music').glob('*.png'))) == 2


def test_the_same_prompt_with_another_model_or_other_numbers(generate):
    changes = [
        dict(model='b$x_1$'),
        dict(more=['--guidance', '1']),
        dict(more=['--rho', '20', '--steps', '2']),
    ]
    before = generate('a reel')
    for n, change in enumerate(changes, 2):
        after = generate('a reel', **change)
        assert before.items() <= after.items() and len(after) == n
        before = after


def test_prompts_in_any_script(generate):
    prompts = ['音楽', '静かな曲', 'медленный вальс', 'ريل', '🎵', '🎶🎶', '...']
    sounds = generate(*prompts)
    for prompt in prompts:
        sounds = sounds | generate(prompt)
    assert len(sounds) >= len(prompts)
    assert '音楽-0.wav' in sounds and 'медленный-вальс-2.wav' in sounds
    assert generate(*prompts) == sounds


def test_a_picture_of_somebody_else_stays(generate):
    Path('music').mkdir()
    Path('music/a-reel-0.png').write_bytes(b'a cover')
    assert list(generate('a reel')) == ['a-reel-0-2.wav']
    assert Path('music/a-reel-0.png').read_bytes() == b'a cover'


DOTS = [
    ('v1.2', 'v1.2/a-reel-0.wav'),
    ('take.2/', 'take.2/a-reel-0.wav'),
    ('mr.smith/', 'mr.smith/a-reel-0.wav'),
    ('x.WAV', 'x.WAV'),
    ('a.b/c.wav', 'a.b/c.wav'),
]


@pytest.mark.parametrize('out,file', DOTS)
def test_names_with_dots(generate, here, out, file):
    generate('a reel', out=out)
    assert Path(file).is_file()


def test_a_folder_that_is_there(here):
    Path('song.txt').mkdir()
    assert out_files('song.txt', ['a'], 0) == [Path('song.txt/a-0.wav')]


def test_home(models, here, monkeypatch):
    monkeypatch.setenv('HOME', str(here))
    shutil.copytree(models / 'a', here / 'm')
    assert main(['generate', 'a reel', '--model=~/m', *SHORT, '--out=~/x.wav']) == 0
    assert (here / 'x.wav').is_file() and not (here / '~').exists()


@pytest.mark.skipif(os.name != 'posix', reason='modes of POSIX')
def test_the_mode_of_a_sound_and_a_link_stay(generate, here):
    Path('real.wav').write_bytes(b'')
    Path('real.wav').chmod(0o600)
    Path('link.wav').symlink_to('real.wav')
    generate('a reel', out='link.wav')
    assert Path('link.wav').is_symlink()
    assert len(Path('real.wav').read_bytes()) > 1000
    assert stat.S_IMODE(Path('real.wav').stat().st_mode) == 0o600


def test_a_comparison_of_something_else_is_not_replaced(models, here, capsys):
    pair = [str(models / 'a'), str(models / 'b$x_1$')]

    def compare(prompt, out='both'):
        return main(['compare', prompt, '--models', *pair, '--seconds', '.3', '--out', out])

    assert compare('a $reel_$ 音楽') == 0  # and no formula in a picture, and UTF-8
    before = contents('both')
    assert '音楽' in before['index.html'].decode() and len(before) == 5
    assert compare('a jig') == 2
    assert 'holds the comparison of another prompt' in capsys.readouterr().err
    Path('site').mkdir()
    Path('site/index.html').write_text('mine')
    assert compare('a jig', 'site') == 2
    assert 'index.html, which is of no comparison' in capsys.readouterr().err
    assert os.listdir('site') == ['index.html']
    assert contents('both') == before
    assert compare('a $reel_$ 音楽') == 0


# ---- text is text


SIGNS = ['a reel for $5', 'a $x$ reel', '$\\frac{1}{', '$$', 'a_b^c {d} \\alpha']
SIGNS += ['<b>&"\'', '100% ~ # reel']


@pytest.mark.parametrize('prompt', SIGNS)
def test_no_formula_in_a_title(generate, prompt):
    generate(prompt)
    assert len(list(Path('music').glob('*.png'))) == 1


def test_bytes_that_are_no_text(models, here, capsys):
    "Refused before anything is loaded or made"
    result = run_command(['generate', b'caf\xe9', '--model', str(models / 'a')], here)
    assert result.returncode == 2
    assert result.stderr.count(b'\n') == 1 and b'not UTF-8' in result.stderr
    assert os.listdir(here) == []


def test_a_model_cannot_speak_to_the_terminal(models, here, capsys):
    shutil.copytree(models / 'a', here / 'm')
    path = here / 'm' / 'config.json'
    config = json.loads(path.read_text())
    changes = [
        {'\x1b[2J\x1b]0;title\x07': 1},
        {'name': '\x1b[31m'},
        {'step': '\x1b[31m'},
        {'over': '\x1b[31m', 'drops': [1]},
        {'guidance': '\x9b31m'},
    ]
    for change in changes:
        path.write_text(json.dumps(config | change))
        assert main(['generate', 'a reel', '--model', 'm']) == 2
        err = capsys.readouterr().err
        assert err.endswith('\n') and err[:-1].isprintable()
        assert 'x1b' in err or 'x9b' in err


@pytest.mark.parametrize('env', [dict(PYTHONIOENCODING='ascii'), dict(PYTHONIOENCODING='latin-1')])
def test_an_old_terminal(models, here, env):
    result = run_command(generate_words(models / 'a', '音楽', out='m'), here, ENV | env)
    assert result.returncode == 0 and b'Traceback' not in result.stderr
    assert sorted(os.listdir(here / 'm')) == ['音楽-0.png', '音楽-0.wav']


# ---- each piece is saved when it is ready


def test_a_picture_that_cannot_be_drawn_does_not_cost_the_music(models, here, monkeypatch):
    def broken(*args):
        raise RuntimeError('no picture')

    monkeypatch.setattr(cli, 'save_picture', broken)
    with pytest.raises(RuntimeError, match='no picture'):
        main(generate_words(models / 'a', 'a reel', out='new'))
    assert os.listdir('new') == ['a-reel-0.wav']


def test_pieces_before_an_interrupt_are_kept(models, here, monkeypatch, capsys):
    heard = cli.heard
    calls = []

    def interrupt_third(audio):
        calls.append(audio)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return heard(audio)

    monkeypatch.setattr(cli, 'heard', interrupt_third)
    assert main(generate_words(models / 'a', *['a reel'] * 30, out='new')) == 130
    names = [f'a-reel-{i}.wav' for i in range(3)]
    assert sorted(p.name for p in Path('new').glob('*.wav')) == names
    assert len(os.listdir('new')) == 6


# ---- numbers


TRAIN = ['--data', 'd', '--out', 'o']
BASE = ['train', 'base', *TRAIN]
EVALUATE = ['evaluate', 'base', '--out', 'o']
LIMITS = [
    (
        [*BASE, '--batch-size', '1000000'],
        '--batch-size is 1000000; it must be a number from 1 to 4,096',
    ),
    ([*BASE, '--seconds', 'nan'], '--seconds is nan; it must be a number from 0.1 to 600'),
    ([*BASE, '--seconds', 'inf'], '--seconds is inf'),
    ([*BASE, '--seconds', '1e300'], '--seconds is 1e+300'),
    ([*BASE, '--steps', '9' * 30], '--steps is 999'),
    ([*BASE, '--minutes', 'inf'], '--minutes is inf'),
    ([*BASE, '--lr', 'nan'], '--lr is nan'),
    ([*BASE, '--P-std', 'inf'], '--P-std is inf'),
    ([*BASE, '--P-mean', '1e9'], '--P-mean is 1000000000.0'),
    ([*BASE, '--seed', '9' * 30], '--seed is 999'),
    (['train', 'codec', *TRAIN, '--seconds', 'nan'], '--seconds is nan'),
    (['train', 'presto-s', *TRAIN, '--w', 'nan'], '--w is nan'),
    (['train', 'presto-l', *TRAIN, '--steps', '9' * 30], '--steps is 999'),
    (
        [*EVALUATE, '--n', '1000000000'],
        '--n is 1000000000; it must be a number from 16 to 100,000',
    ),
    ([*EVALUATE, '--seconds', 'nan'], '--seconds is nan'),
    ([*EVALUATE, '--memorisation', '1000000000'], '--memorisation is'),
    ([*EVALUATE, '--seed', '9' * 30], '--seed is 999'),
    ([*EVALUATE, '--steps', '9' * 30], 'steps is 999'),
    (['bench', '--threads', '1000000'], '--threads is 1000000; it must be a number from 1 to'),
    (
        ['bench', '--runs', '1000000000'],
        '--runs is 1000000000; it must be a number from 1 to 1,000',
    ),
    (['bench', '--budget', 'nan'], '--budget is nan'),
    (['bench', '--budget', 'inf'], '--budget is inf'),
    (['bench', '--steps', '9' * 30], 'steps is 999'),
    (['bench', '--seconds', 'nan'], 'seconds is nan'),
    (['bench', '--preset', 'tiny', '--seconds', '1e300'], 'seconds is 1e+300'),
    (
        ['lab', 'listen', '--prompts', '1000000000'],
        '--prompts is 1000000000; it must be a number from 1 to 10,000',
    ),
    (['lab', 'listen', '--seed', '9' * 30], '--seed is 999'),
    (['lab', '--port', '9' * 30], 'the port is 999'),
    (['generate', 'x', '--steps', '9' * 30], 'steps is 999'),
    (['generate', 'x', '--seed', '9' * 30], 'seed is 999'),
    (['generate', 'x', '--steps', '9' * 5000], 'invalid int value'),
    (['compare', 'x', '--seconds', 'nan', '--models', 'presto-s'], 'seconds is nan'),
    (['compare', 'x', '--seed', '9' * 30, '--models', 'presto-s'], 'seed is 999'),
]


@pytest.mark.parametrize('words,says', LIMITS, ids=[' '.join(w)[:60] for w, _ in LIMITS])
def test_a_number_that_no_command_takes(here, capsys, words, says):
    (here / 'd').mkdir()
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert says in err and err.count('\n') == 1 and len(err) < 700
    assert out == ''
    assert os.listdir(here) == ['d']


def test_evaluate_says_at_once_what_is_missing(models, here, monkeypatch, capsys):
    from presto_nb.evidence import listen

    def missing():
        raise cli.PrestoError('musicnn is not installed; install it with: presto-nb setup eval')

    monkeypatch.setattr(listen, 'musicnn_folder', missing)
    words = ['evaluate', str(models / 'a'), '--n', '16', '--seconds', '1', '--out', 'judged']
    assert main(words) == 2
    assert 'musicnn is not installed' in capsys.readouterr().err
    assert os.listdir(here) == []


def test_a_listening_test_is_not_made_among_the_data(here, capsys):
    (here / 'mine').mkdir()
    assert main(['lab', 'listen', '--data', 'mine', '--out', './mine']) == 2
    assert '--out is the folder of --data' in capsys.readouterr().err
    assert os.listdir('mine') == []


# ---- streams that are closed


@pytest.mark.skipif(os.name != 'posix', reason='closes streams as a shell does')
@pytest.mark.parametrize('closed', ['>&-', '2>&-', '>&- 2>&-'])
def test_a_closed_stream(models, here, closed):
    words = generate_words(models / 'a', 'a reel', out='m')
    shell = ['sh', '-c', f'"$@" {closed}', 'sh', sys.executable, '-c', CODE, *words]
    result = subprocess.run(shell, capture_output=True, env=ENV, cwd=here)
    assert result.returncode == 0 and b'Traceback' not in result.stderr + result.stdout
    assert sorted(os.listdir(here / 'm')) == ['a-reel-0.png', 'a-reel-0.wav']
    assert len(sf.read(here / 'm' / 'a-reel-0.wav')[0]) == round(0.3 * 44100)


def test_a_slug_is_a_name_any_system_takes():
    prompts = ['../../etc/passwd', 'a/b\\c:d*e?f"g<h>i|j', 'x' * 500, '音' * 500, 'é' * 100]
    prompts += ['\u202e\u0000reel']
    for prompt in prompts:
        assert len(slug(prompt).encode()) <= 150
        assert not set(slug(prompt)) & set('/\\:*?"<>|.\0\u202e')
        assert slug(prompt) == slug(prompt.upper())
