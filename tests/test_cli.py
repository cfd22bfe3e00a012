"The program `presto-nb`: what it writes and prints, how fast it starts, the same bytes for a seed"

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from presto_nb.tools.cli import main
from tiny_model import random_pipeline

ROOT = Path(__file__).resolve().parent.parent
ENV = dict(
    os.environ,
    PYTHONPATH=os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]),
    HF_HUB_OFFLINE='1',
    OMP_NUM_THREADS='1',
)


def program(*words, **kw):
    "`presto-nb` in a fresh process"
    return subprocess.run(
        [
            sys.executable,
            '-c',
            'import sys; from presto_nb.tools.cli import main; sys.exit(main())',
            *map(str, words),
        ],
        **(
            dict(capture_output=True, text=True, timeout=240, env=ENV, stdin=subprocess.DEVNULL)
            | kw
        ),
    )


@pytest.fixture(scope='session')
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp('model') / 'tiny'
    random_pipeline().save_pretrained(folder)
    return folder


def test_help_and_version_need_no_torch():
    "Nor numpy, nor matplotlib: the first word comes at once"
    code = '''
import sys
from presto_nb.tools.cli import main
status = main(sys.argv[1:])
heavy = "torch", "numpy", "matplotlib", "soundfile"
print(",".join(m for m in heavy if m in sys.modules), file=sys.stderr)
sys.exit(status)
'''
    for words in (
        ['--help'],
        ['generate', '--help'],
        ['train', 'base', '--help'],
        ['--version'],
        [],
    ):
        r = subprocess.run(
            [sys.executable, '-c', code, *words],
            capture_output=True,
            text=True,
            env=ENV,
            timeout=60,
        )
        assert r.returncode == 0 and r.stderr == '\n' and r.stdout, (words, r.stderr)


def test_console_script():
    exe = Path(sys.executable).parent / 'presto-nb'
    if not exe.exists():
        pytest.skip('presto_nb is not installed here, only importable')
    r = subprocess.run([exe, '--version'], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0 and re.fullmatch(r'\d+\.\d+\.\d+\n', r.stdout)


def test_generate_writes_sound_and_picture_and_says_what_came_out(model, tmp_path):
    r = program(
        'generate',
        'a brisk reel on the fiddle',
        '--model',
        model,
        '--seconds',
        1.5,
        '--steps',
        3,
        '--seed',
        7,
        '--out',
        tmp_path / 'new' / 'song.wav',
    )
    assert r.returncode == 0, r.stderr
    assert sorted(p.name for p in (tmp_path / 'new').iterdir()) == ['song.png', 'song.wav']
    x, sr = sf.read(tmp_path / 'new' / 'song.wav')
    assert sr == 44100
    assert x.shape == (66150,)
    assert np.isfinite(x).all()
    assert 0.01 < np.abs(x).max() <= 0.9901
    assert (tmp_path / 'new' / 'song.png').read_bytes()[1:4] == b'PNG'
    for words in (
        'text ',
        'network ',
        'decode ',
        'times real time',
        'LUFS',
        'onsets a second',
        'heard: key ',
    ):
        assert words in r.stdout
    assert 'Traceback' not in r.stderr


@pytest.mark.parametrize('suffix', ['wav', 'flac', 'mp3', 'ogg'])
def test_formats(model, tmp_path, suffix, capsys):
    assert (
        main(
            [
                'generate',
                'a waltz',
                '--model',
                str(model),
                *'--seconds 1 --steps 2 --out'.split(),
                str(tmp_path / f'a.{suffix}'),
            ]
        )
        == 0
    )
    x, sr = sf.read(tmp_path / f'a.{suffix}')
    assert sr == 44100 and abs(len(x) - 44100) < 3000 and np.abs(x).max() > 0.01


def test_init_and_keep_and_a_long_piece(model, tmp_path):
    "Kept parts come back up to the rounding of 16 bits, long pieces have no gap, seeds repeat"
    t = np.arange(2 * 44100) / 44100
    mine = 0.05 * np.sin(2 * np.pi * (200 + 100 * t) * t)
    sf.write(tmp_path / 'mine.wav', mine, 44100)
    words = [
        'generate',
        'a slow waltz',
        '--model',
        str(model),
        *'--seconds 5 --steps 2 --init'.split(),
        str(tmp_path / 'mine.wav'),
        '--keep',
        '0:.8,1.2:2',
    ]
    for out in ('a.wav', 'b.wav'):
        assert main([*words, '--out', str(tmp_path / out)]) == 0
    x, sr = sf.read(tmp_path / 'a.wav')
    assert len(x) == 5 * sr
    assert (tmp_path / 'a.wav').read_bytes() == (tmp_path / 'b.wav').read_bytes()
    for a, b in ((0, 0.75), (1.25, 1.95)):
        assert (
            np.abs(x - np.pad(mine, (0, 3 * sr)))[round(a * sr) : round(b * sr)].max() < 4 / 32768
        )
    gap = x[round(0.85 * sr) : round(1.15 * sr)]
    after = x[round(2.1 * sr) : -2000].reshape(-1)
    assert np.abs(gap - mine[round(0.85 * sr) : round(1.15 * sr)]).max() > 0.005
    assert all(np.abs(p).max() > 1e-3 for p in np.array_split(after, 20))
    assert (
        main(
            [
                *words[:-4],
                '--init',
                str(tmp_path / 'mine.wav'),
                '--init-sigma',
                '.01',
                '--out',
                str(tmp_path / 'near.wav'),
            ]
        )
        == 0
    )


def test_same_seed_same_bytes_other_prompt_other_audio(model, tmp_path):
    "Across processes; and a piece in a row of prompts is the piece alone"
    common = ['--model', model, '--seconds', 1, '--steps', 3]
    assert (
        program(
            'generate',
            'a slow waltz',
            'a fast reel',
            *common,
            '--seed',
            4,
            '--out',
            tmp_path / 'row',
        ).returncode
        == 0
    )
    assert (
        program(
            'generate', 'a fast reel', *common, '--seed', 5, '--out', tmp_path / 'alone'
        ).returncode
        == 0
    )
    assert sorted(p.name for p in (tmp_path / 'row').glob('*.wav')) == [
        'a-fast-reel-5.wav',
        'a-slow-waltz-4.wav',
    ]
    alone = (tmp_path / 'alone' / 'a-fast-reel-5.wav').read_bytes()
    assert alone == (tmp_path / 'row' / 'a-fast-reel-5.wav').read_bytes()
    assert alone != (tmp_path / 'row' / 'a-slow-waltz-4.wav').read_bytes()


def test_tempo_guidance_steps_and_seed_reach_the_music(model, tmp_path, capsys):
    made = {}
    for name, more in dict(
        plain=[],
        bpm=['--bpm', '70'],
        guidance=['--guidance', '1'],
        steps=['--steps', '5'],
        seed=['--seed', '9'],
        words=['x'],
    ).items():
        prompt = 'a reel at 70 bpm' if name == 'words' else 'a reel'
        words = [
            'generate',
            prompt,
            '--model',
            str(model),
            '--seconds',
            '1',
            '--out',
            str(tmp_path / f'{name}.wav'),
        ] + ([] if more == ['x'] else more)
        assert main(words) == 0
        made[name] = (tmp_path / f'{name}.wav').read_bytes()
    assert len(set(made.values())) == 6


def test_a_generator_makes_music(tmp_path, capsys):
    "In any number of steps, with its levels where rho puts them; an old config knows no placement"
    import json

    random_pipeline(step='pingpong', guidance='none', guidance_scale=1.0).save_pretrained(
        m := tmp_path / 'm'
    )
    made = {}
    for name, more in dict(
        plain=[],
        again=[],
        one=['--steps', '1'],
        fifteen=['--steps', '15'],
        rho=['--rho', '1000'],
        seed=['--seed', '9'],
    ).items():
        assert (
            main(
                [
                    'generate',
                    'a reel',
                    '--model',
                    str(m),
                    '--seconds',
                    '1',
                    '--out',
                    str(tmp_path / f'{name}.wav'),
                    *more,
                ]
            )
            == 0
        )
        made[name] = (tmp_path / f'{name}.wav').read_bytes()
    assert made['plain'] == made['again'] and len(set(made.values())) == 5
    config = json.loads((m / 'config.json').read_text())
    assert config.pop('to_min') is False
    (m / 'config.json').write_text(json.dumps(config))
    (m / 'sha256.json').unlink()
    assert (
        main(
            [
                'generate',
                'a reel',
                '--model',
                str(m),
                '--seconds',
                '1',
                '--out',
                str(tmp_path / 'old.wav'),
            ]
        )
        == 0
    )
    assert (tmp_path / 'old.wav').read_bytes() == made['plain']
    capsys.readouterr()
    assert (
        main(
            ['bench', '--model', str(m), *'--seconds 1 --runs 1 --device cpu --budget .01'.split()]
        )
        == 0
    )
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert record['evaluations'] == 4
    assert record['rows'][0]['rows_per_evaluation'] == 1
    assert 'guidance' not in record['what']


def test_strange_words_get_one_line(tmp_path, capsys):
    "It says what the model knows, and the music is made all the same"
    from presto_nb.material.text import SmallTextEncoder

    random_pipeline(encoder=SmallTextEncoder.from_pretrained()).save_pretrained(tmp_path / 'm')
    common = [
        '--model',
        str(tmp_path / 'm'),
        *'--seconds 1 --steps 1 --out'.split(),
        str(tmp_path / 'x.wav'),
    ]
    assert main(['generate', 'a slow waltz on the church organ', *common]) == 0
    assert capsys.readouterr().err == ''
    assert main(['generate', 'dubstep wobble on the violin', *common]) == 0
    err = capsys.readouterr().err
    assert err.count('\n') == 1
    assert "'dubstep'" in err
    assert 'violin' in err
    assert (tmp_path / 'x.wav').exists()


def test_bench_prints_a_table_and_its_last_line_is_the_record(model, tmp_path):
    "Modes, batches and shares; the file holds the same record"
    import json

    r = program(
        'bench',
        '--model',
        model,
        '--seconds',
        1,
        '--steps',
        3,
        '--runs',
        1,
        '--threads',
        1,
        *'--mode eager bf16 --device cpu --budget'.split(),
        0.2,
        '--out',
        tmp_path / 'new' / 'bench.json',
    )
    assert r.returncode == 0, r.stderr
    record = json.loads(r.stdout.splitlines()[-1])
    lines = r.stdout.splitlines()
    assert record == json.loads((tmp_path / 'new' / 'bench.json').read_text())
    assert lines[0].split()[:3] == ['model', 'mode', 'batch']
    assert record['evaluations'] == 3
    assert record['threads'] == 1
    assert 'batch of two' in record['evaluation']
    assert record['command'].startswith('presto-nb bench --model')
    assert [x['mode'] for x in record['rows'][:2]] == ['eager', 'bf16']
    assert record['rows'][0]['rows_per_evaluation'] == 2
    assert record['roofline']['network']['flops'] == record['roofline']['flops_by_formula']
    assert 0 < record['roofline']['modes']['bf16']['relative_error'] < 0.05


@pytest.mark.parametrize(
    'words, said',
    [
        (['--model', 'nowhere'], "no model 'nowhere'"),
        (['--preset', 'huge'], "'huge'"),
        (['--mode', 'fast'], "'fast'"),
        (['--mode', 'graph', '--device', 'cpu'], 'CUDA'),
        (['--runs', '0'], '--runs is 0'),
        (['--seconds', '1000'], 'seconds is 1000'),
    ],
    ids=str,
)
def test_bench_refuses_in_one_line(words, said, capsys):
    assert main(['bench', *words]) == 2
    err = capsys.readouterr().err
    assert err.count('\n') == 1 and said in err


def test_passive_threads(model):
    "OMP_WAIT_POLICY is set before torch is imported"
    code = '''
import os, sys
os.environ.pop("OMP_WAIT_POLICY", None)
from presto_nb.tools.cli import main
assert "torch" not in sys.modules
main(["--version"])
print(os.environ["OMP_WAIT_POLICY"])
'''
    r = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, env=ENV, timeout=60
    )
    assert r.stdout.split()[-1] == 'PASSIVE'


@pytest.mark.parametrize('words', [['--help'], ['--version'], []], ids=str)
def test_a_reader_that_goes_away_is_no_error(words):
    "stdout is a pipe that nobody reads any more, as with `| head`"
    reader, writer = os.pipe()
    os.close(reader)
    env = ENV | dict(PYTHONUNBUFFERED='')  # buffered, as a shell starts it
    r = program(*words, capture_output=False, stdout=writer, stderr=subprocess.PIPE, env=env)
    os.close(writer)
    assert r.returncode == 0 and r.stderr == ''


def test_ctrl_c(model, tmp_path):
    "One line, status 130; pieces that were ready stay, and nothing half written"
    p = subprocess.Popen(
        [
            sys.executable,
            '-c',
            'import sys; from presto_nb.tools.cli import main; sys.exit(main())',
            'generate',
            *['a reel'] * 50,
            '--model',
            str(model),
            *'--steps 1000 --seconds 2 --out'.split(),
            str(tmp_path / 'x'),
        ],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=ENV | dict(IN_TEST='1'),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # a background shell makes its children ignore it
    time.sleep(6)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 130 and err.count('\n') == 1, (p.returncode, err)
    assert all(
        re.fullmatch(r'a-reel-\d+\.(wav|png)', n) for p in tmp_path.iterdir() for n in os.listdir(p)
    )


def tone(hz, seconds):
    "Struck twice a second, samples at 44.1 kHz"
    t = np.arange(round(seconds * 44100)) / 44100
    return 0.3 * np.sin(6.2832 * hz * t) * np.exp(-(t % 0.5) * 4)


def three_sounds(folder):
    "Tones with captions and tempi"
    folder.mkdir()
    for i, hz in enumerate((220, 330, 440)):
        sf.write(folder / f'{i}.wav', tone(hz, 3), 44100)
    rows = [f'{i}.wav,a slow reel on the piano,{60 + i}\n' for i in range(3)]
    (folder / 'captions.csv').write_text('file,caption,bpm\n' + ''.join(rows))


def generate(model, out, *more):
    "The status of making a fifth of a second"
    words = ['generate', 'a slow reel on the piano', '--model', f'{model}/model', '--out', out]
    return main([*words, *(more or ('--seconds', '0.2'))])


def make_base():
    "Codec, latents and base, each by its command; the command of the base"
    short = '--preset tiny --batch-size 2 --seed 1 --precision no'.split()
    assert main([*'train codec --data data --out codec --steps 4'.split(), *short]) == 0
    assert main('data encode --data data --codec codec/model --out latents'.split()) == 0
    base = 'train base --latents latents --codec codec/model --out base --steps 2 --seconds 0.3'
    assert main([*base.split(), *short]) == 0
    return [*base.split(), *short]


def check_few(capsys):
    "A step distillation; nothing goes on as something else"
    few = 'train presto-s --latents latents --base base/model --out few --steps 5 --seed 1'.split()
    few += ['--batch-size', '2']
    assert main(few) == 0
    capsys.readouterr()
    assert main([*few, '--w', '2']) == 2
    assert 'was begun with w 1.0, not 2.0' in capsys.readouterr().err
    assert generate('few', 'y.wav') == 0
    assert len(sf.read('y.wav')[0]) == 8820
    assert generate('few', 'y.wav', '--seconds', '0.2', '--guidance', '3') == 2
    assert 'distilled' in capsys.readouterr().err


def drops_of(folder):
    "What a model was made to skip"
    return json.loads(Path(folder, 'model', 'config.json').read_text())['drops']


def check_cheap():
    "A layer distillation, which is gone on with when it has ended, and both"
    layers = 'train presto-l --latents latents --base base/model --drops 3,2,2,1,0 --out cheap'
    cheap = [*layers.split(), '--steps', '3', '--batch-size', '2']
    assert main(cheap) == 0
    assert main(cheap) == 0
    assert generate('cheap', 'z.wav', '--seconds', '0.2', '--steps', '4') == 0
    assert len(sf.read('z.wav')[0]) == 8820
    start = 'train presto-ls --latents latents --base base/model --start cheap/model --out both'
    assert main([*start.split(), '--steps', '5', '--batch-size', '2']) == 0
    assert generate('both', 'v.wav') == 0
    assert len(sf.read('v.wav')[0]) == 8820
    assert drops_of('both') == [3, 2, 2, 1, 0]
    assert drops_of('cheap') == [3, 2, 2, 1, 0]


def test_from_own_sounds_to_music(tmp_path, monkeypatch, capsys):
    "Sounds and captions -> codec -> latents -> base -> music; a finished run is not run again"
    if not importlib.util.find_spec('audiocraft'):
        pytest.skip('audiocraft is not installed: presto-nb setup audiocraft')
    monkeypatch.setenv('IN_TEST', '1')
    monkeypatch.chdir(tmp_path)
    three_sounds(tmp_path / 'data')
    base = make_base()
    assert generate('base', 'x.wav', '--seconds', '0.2', '--steps', '2') == 0
    x, sr = sf.read('x.wav')
    assert sr == 44100 and len(x) == 8820 and np.isfinite(x).all()
    weights = (tmp_path / 'base' / 'weights.safetensors').read_bytes()
    assert main(base) == 0
    assert (tmp_path / 'base' / 'weights.safetensors').read_bytes() == weights
    check_few(capsys)
    check_cheap()
    capsys.readouterr()
    assert generate('base', 'x.wav', '--seconds', '121') == 2
    assert 'from 0.1 to 120' in capsys.readouterr().err


def own_sounds(folder, n=10, seconds=2.2):
    "Tones with captions, the last two held out"
    folder.mkdir()
    rows = ['file,caption,split\n']
    for i in range(n):
        sf.write(folder / f'{i}.wav', tone(200 + 40 * i, seconds), 44100)
        split = 'valid' if i >= n - 2 else 'train'
        rows.append(f'{i}.wav,a slow waltz on the organ,{split}\n')
    (folder / 'captions.csv').write_text(''.join(rows))
    return folder


def test_a_model_goes_on_with_own_sounds(model, tmp_path, monkeypatch, capsys):
    "A model learns a kind of clips that it did not hear, and the distillations go on from there"
    monkeypatch.setenv('IN_TEST', '1')
    monkeypatch.chdir(tmp_path)
    own_sounds(tmp_path / 'mine')
    assert (
        main(
            [
                *'train base --data mine --init'.split(),
                str(model),
                *'--out run --steps 40 --batch-size 4'.split(),
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    after, before = map(
        float, re.search(r'loss on 2 held-out clips: ([\d.]+), with \S+ ([\d.]+)\n', said).groups()
    )
    assert after < 0.9 * before, said
    assert (
        main(['generate', 'a waltz', '--model', 'run/model', '--seconds', '1', '--out', 'x.wav'])
        == 0
    )
    assert (tmp_path / 'run' / 'model' / 'codec' / 'model.safetensors').read_bytes() == (
        model / 'codec' / 'model.safetensors'
    ).read_bytes()
    short = ['--base', 'run/model', '--steps', '2', '--batch-size', '2']
    assert (
        main(['train', 'presto-l', '--data', 'run', '--drops', '1,1,0,0,0', '--out', 'l', *short])
        == 0
    )
    assert not (tmp_path / 'l' / 'latents').exists()
    assert (
        main([*'train presto-ls --data run/latents --start l/model --out ls'.split(), *short]) == 0
    )
    assert (
        main(['train', 'presto-s', '--data', 'mine', '--out', 's', *short]) == 0
    )  # sounds, too: encoded into its own folder
    assert (tmp_path / 's' / 'latents' / 'latents-0000.safetensors').read_bytes() == (
        tmp_path / 'run' / 'latents' / 'latents-0000.safetensors'
    ).read_bytes()


def test_own_sounds_after_a_kill(model, tmp_path):
    "Killed while it encodes, and while it trains: the same command goes on, to the same bytes"
    own_sounds(tmp_path / 'mine')

    def run(out):
        return [
            *'train base --data mine --init'.split(),
            model,
            '--out',
            out,
            *'--steps 60 --batch-size 2'.split(),
        ]

    def once():
        return subprocess.Popen(
            [
                sys.executable,
                '-c',
                'import sys; from presto_nb.tools.cli import main; sys.exit(main())',
                *map(str, run('killed')),
            ],
            cwd=tmp_path,
            env=ENV,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    for seen in ('latents/latents-0000.jsonl', 'checkpoint/state.json'):
        p = once()
        end = time.monotonic() + 240
        while (
            not (tmp_path / 'killed' / seen).exists()
            and p.poll() is None
            and time.monotonic() < end
        ):
            time.sleep(0.005)
        p.kill()
        p.wait()
        assert (tmp_path / 'killed' / seen).exists()
    first = (tmp_path / 'killed' / 'latents' / 'latents-0000.safetensors').stat().st_mtime_ns
    for out in ('killed', 'whole'):
        r = program(*run(out), cwd=tmp_path)
        assert r.returncode == 0, r.stderr
    assert (
        tmp_path / 'killed' / 'latents' / 'latents-0000.safetensors'
    ).stat().st_mtime_ns == first
    assert (tmp_path / 'killed' / 'ema.safetensors').read_bytes() == (
        tmp_path / 'whole' / 'ema.safetensors'
    ).read_bytes()


def test_own_sounds_that_cannot_be_used(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('IN_TEST', '1')
    monkeypatch.chdir(tmp_path)
    d = own_sounds(tmp_path / 'mine', 3)
    (tmp_path / 'empty').mkdir()

    def refused(said, *more, data='mine', init=model):
        capsys.readouterr()
        assert (
            main(['train', 'base', '--data', data, '--init', str(init), '--out', 'run', *more]) == 2
        )
        err = capsys.readouterr().err
        assert err.count('\n') == 1 and said in err and not (tmp_path / 'run').exists(), err

    refused('empty holds no clips', data='empty')
    refused('nowhere is not a folder', data='nowhere')
    refused("no model 'nobody'", init='nobody')
    refused('distilled model', init='presto-s')
    refused('--preset tiny was given together with --init', '--preset', 'tiny')
    refused('--codec base was given together with --init', '--codec', 'base')
    refused('--seconds is 60', '--seconds', '60')
    refused('steps is 0', '--steps', '0')
    own_sounds(tmp_path / 'short', 3, seconds=1.0)
    refused('all 3 clips in short are shorter than the window of 2.0 s', data='short')
    (d / 'captions.csv').unlink()
    refused('has no caption', data='mine')
    (d / '1.wav').write_bytes(b'no sound')
    (d / 'captions.csv').write_text('file,caption\n1.wav,a waltz\n')
    refused('1.wav cannot be read as sound')


def test_compare_plays_one_prompt_through_two_models(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert (
        main(
            ['compare', 'a <reel>', *'--models presto-s presto-ls --seconds 0.5 --out both'.split()]
        )
        == 0
    )
    assert (
        sorted(p.name for p in (tmp_path / 'both').iterdir())
        == 'comparison.json comparison.png index.html presto-ls.wav presto-s.wav'.split()
    )
    record = json.loads((tmp_path / 'both' / 'comparison.json').read_text())
    assert [r['blocks'] for r in record['rows']] == [32, 25] and record['seed'] == 0
    assert len(sf.read('both/presto-s.wav')[0]) == 22050
    assert '&lt;reel&gt;' in (tmp_path / 'both' / 'index.html').read_text()
    capsys.readouterr()
    for words, sentence in (
        (['--models', 'base', 'bass'], "no model 'bass'"),
        (['--models', 'base', 'base'], 'would be written to base.wav'),
        (['--models', 'presto-s', '--seconds', '121'], 'seconds is 121'),
    ):
        assert main(['compare', 'a reel', '--out', 'none', *words]) == 2
        assert sentence in capsys.readouterr().err
        assert not (tmp_path / 'none').exists()
