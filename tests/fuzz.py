"""Damages copies of what this library reads, one file at a time, and looks what becomes of it.

    python tests/fuzz.py --n 1500 --seed 0

Counted are tracebacks (anything but a `PrestoError`, or the one line of a command), hangs, and
damage that is taken for whole though a checksum or a length could tell. The record is
data_samples/logs/fuzz.json.
"""

import argparse
import collections
import contextlib
import csv
import io
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import fields
from pathlib import Path

os.environ.update(IN_TEST='1', OMP_NUM_THREADS='1', HF_HUB_OFFLINE='1', MPLBACKEND='agg')
import numpy as np
import soundfile as sf
import torch

from presto_nb.material.audio import Audio
from presto_nb.labs.blind_test import BlindTest, Plan, clip_name
from presto_nb.tools.cli import check_comparison, main
from presto_nb.material.codec import SpectralVAE, encode_folder
from presto_nb.material.core import HASHES, PrestoError, atomic_path, load_tensors, save_tensors
from presto_nb.evidence.metrics import HEARD, Evaluator
from presto_nb.pipeline import MusicPipeline
from presto_nb.material.tunes import load_folder
from presto_nb.material.text import SmallTextEncoder
from presto_nb.material.latents import LatentWindows
from presto_nb.material.runs import read_log, run_weights, weights_hash
from presto_nb.training import fit
from presto_nb.variance import Profile
from tiny_model import random_pipeline
from training_toy import CONFIG, Toy

SECONDS = 10  # longer is a hang
MEMORY = 6 << 30  # more than the process has now is too much
LOG = Path(__file__).parents[1] / 'data_samples' / 'logs' / 'fuzz.json'
RATE = 44100


# ---- what is damaged: folders, made once


def chirp(seconds):
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(t))
    return 0.3 * np.sin(400 * t * (1 + t / 3)) + 0.05 * noise


def make_audio(at):
    at.mkdir()
    for name in ('wav', 'flac', 'ogg', 'mp3'):
        how = dict(mp3=dict(compression_level=0.5, bitrate_mode='VARIABLE')).get(name, {})
        sf.write(at / f'a.{name}', chirp(0.7), RATE, **how)


def make_data(at):
    "Own sound in three forms"
    for name in ('table', 'sidecars', 'lines'):
        (at / name).mkdir(parents=True)
        for i in range(3):
            sf.write(at / name / f'{i}.wav', chirp(0.1 + 0.05 * i), RATE)
    rows = 'file,caption,bpm,split\n0.wav,"a reel, fast",100,train\n1.wav,a jig,,train\n'
    (at / 'table' / 'captions.csv').write_text(rows + '2.wav,a waltz,90,valid\n', encoding='utf-8')
    for i in range(3):
        side = dict(caption=f'tune {i}', bpm=100 + i, split='train')
        (at / 'sidecars' / f'{i}.json').write_text(json.dumps(side), encoding='utf-8')
    lines = [dict(file_name=f'{i}.wav', caption=f'tune {i}', bpm=90.5) for i in range(3)]
    text = ''.join(json.dumps(x) + '\n' for x in lines)
    (at / 'lines' / 'metadata.jsonl').write_text(text, encoding='utf-8')


def make_built(at):
    "A folder as `data build` leaves it"
    (at / 'clips').mkdir(parents=True)
    rows = []
    for i in range(3):
        sf.write(at / 'clips' / f'{i}.flac', chirp(0.1), RATE)
        row = dict(
            id=f't{i}', file=f'clips/{i}.flac', captions=['a reel'], caption='a reel', bpm=100.0
        )
        rows.append(row | dict(split='train', seconds=0.1, title='T', key='C', seed=0))
    text = ''.join(json.dumps(r) + '\n' for r in rows)
    (at / 'metadata.jsonl').write_text(text, encoding='utf-8')
    record = dict(tier='tiny', finished=True, clips=3, sample_rate=RATE)
    (at / 'record.json').write_text(json.dumps(record), encoding='utf-8')


def make_run(at):
    fit(Toy(), CONFIG.replace(steps=6, save_every=3, log_every=1, quiet=True), at)


def make_heard(at):
    "One block of an evaluation, as it was heard"
    ev = Evaluator(at, 16, seconds=0.5)
    stem = at / 'x' / 'heard' / '0000-2'
    points = dict(tempogram=torch.rand(2, 400), musicnn=torch.rand(2, 8))
    rows = [{k: 0.5 for k in HEARD}] * 2
    ev.keep(stem, points, rows)


def make_test(at):
    "A listening test with one listener's ratings of two screens"
    plan = Plan(tuple(f'prompt {i}' for i in range(6)), ('a', 'b'), 0, 0.5)
    at.mkdir()
    plan.save(at / 'plan.json')
    (at / 'clips').mkdir()
    for i in range(6):
        for s in plan.systems:
            sf.write(at / 'clips' / clip_name(plan, i, s), chirp(0.05), RATE)
    test = BlindTest(at)
    for _ in range(2):
        i, order = test.left('me')[0]
        test.add('me', {clip_name(plan, i, s): [50 + len(s), 0.5] for s in order})


def make_comparison(at):
    at.mkdir()
    (at / 'index.html').write_text('x', encoding='utf-8')
    record = dict(prompt='a reel', seed=0, rows=[dict(model='a', total_ms=1.0)])
    (at / 'comparison.json').write_text(json.dumps(record, indent=1), encoding='utf-8')


def make_profile(at):
    at.mkdir()
    save_tensors(at / 'p.safetensors', {f.name: torch.rand(4, 3) for f in fields(Profile)})


def make_all(at):
    pipe = random_pipeline()
    pipe.save_pretrained(at / 'model')
    shutil.copytree(at / 'model', at / 'bare')
    for path in (at / 'bare').rglob(HASHES):
        path.unlink()
    make_audio(at / 'audio')
    make_data(at / 'data')
    make_built(at / 'built')
    codec = SpectralVAE.from_pretrained(at / 'model' / 'codec')
    encode_folder(codec, at / 'data' / 'table', at / 'latents')
    shutil.copytree(at / 'latents', at / 'early')
    (at / 'early' / HASHES).unlink()
    make_run(at / 'run')
    make_heard(at / 'heard')
    make_test(at / 'test')
    make_comparison(at / 'comparison')
    make_profile(at / 'profile')


# ---- how it is read: a folder and the damaged file -> what was read, for comparison


def read_model(at, path):
    p = MusicPipeline.from_pretrained(at, device='cpu')
    parts = [weights_hash(m) for m in (p.denoiser.network, p.codec, p.encoder)]
    return parts, json.dumps(p.config.to_dict())


def read_codec(at, path):
    return weights_hash(SpectralVAE.from_pretrained(at / 'codec'))


def read_text_encoder(at, path):
    encoder = SmallTextEncoder.from_pretrained(at / 'text')
    return weights_hash(encoder), encoder(['a reel'])[0].sum().item()


def read_audio(at, path):
    a = Audio.load(path)
    return a.sample_rate, a.samples.shape, a.samples.numpy().tobytes()


def read_clips(at, path):
    "Every clip of the folder of the file, and its sound"
    folder = at / path.relative_to(at).parts[0] if (at / 'table').is_dir() else at
    return [
        (c.captions, c.bpm, c.split, c.audio().samples.sum().item()) for c in load_folder(folder)
    ]


def read_windows(at, path):
    data = LatentWindows(at, 2, split=None)
    return data.fingerprint, data.captions, data.bpm.nan_to_num(-1).tolist()


def encode_again(at, path):
    "The command that goes on in a folder of latents: what is damaged is made again, or refused"
    words = ['data', 'encode', '--data', str(at.parent / 'data' / 'table'), '--out', str(at)]
    status = main([*words, '--codec', str(at.parent / 'model' / 'codec')])
    if status == 2:
        raise PrestoError('one line')
    assert status == 0, status
    return read_windows(at, path)


def go_on(at, path):
    trainer = fit(Toy(), CONFIG.replace(steps=6, save_every=3, log_every=1, quiet=True), at)
    return trainer.step, weights_hash(trainer.stage.net)


def take_weights(at, path):
    return sorted((k, v.sum().item()) for k, v in run_weights(at).items())


def train_base(at, path):
    "The command that trains on latents"
    words = ['train', 'base', '--data', str(at), '--init', str(at.parent / 'model')]
    more = ['--seconds', '0.1', '--steps', '1', '--batch-size', '1', '--out', str(at / 'run')]
    status = main(words + more)
    if status == 2:
        raise PrestoError('one line')
    assert status == 0, status


def read_heard(at, path):
    rows, tempogram, points = Evaluator(at, 16, seconds=0.5).hear('x', ['', ''], 0)
    return rows, tempogram.sum().item(), {k: v.sum().item() for k, v in points.items()}


def read_test(at, path):
    test = BlindTest(at)
    return [(r['model'], r['prompt'], r['rating']) for r in test.ratings()], len(test.left('me'))


def read_comparison(at, path):
    check_comparison(at, 'a reel', 0, ['a'])


def read_profile(at, path):
    p = Profile.load(path)
    return [getattr(p, k).sum().item() for k in vars(p)]


def read_rows(at, path):
    return read_log(path)


# name: folder, files, reader, share of the cases, whether a checksum or a length tells any change
TARGETS = {
    'model': ('model', '*.safetensors config.json vocab.txt', read_model, 3, True),
    'hashes of a model': ('model', HASHES, read_model, 1, True),
    'model without hashes': ('bare', '*.safetensors config.json vocab.txt', read_model, 3, False),
    'codec': ('bare', 'codec/*', read_codec, 1, False),
    'text encoder': ('bare', 'text/*', read_text_encoder, 1, False),
    'checkpoint': ('run', 'checkpoint/*', go_on, 2, True),
    'weights of a run': ('run', 'checkpoint/*', take_weights, 1, False),
    'config of a run': ('run', 'config.json log.csv', go_on, 1, False),
    'log': ('run', 'log.csv', read_rows, 1, False),
    'latents': ('latents', '*', read_windows, 3, True),
    'latents without hashes': ('early', '*', read_windows, 2, False),
    'latents, trained on': ('early', '*', train_base, 1, False),
    'latents, gone on with': ('latents', '*', encode_again, 1, True),
    'captions': ('data', 'captions.csv', read_clips, 2, False),
    'sidecars': ('data', 'sidecars/*.json', read_clips, 2, False),
    'metadata': ('data', 'metadata.jsonl', read_clips, 2, False),
    'built data': ('built', 'metadata.jsonl record.json', read_clips, 1, False),
    'wav': ('audio', '*.wav', read_audio, 2, False),
    'flac': ('audio', '*.flac', read_audio, 3, True),
    'ogg': ('audio', '*.ogg', read_audio, 3, True),
    'mp3': ('audio', '*.mp3', read_audio, 3, True),
    'evaluation': ('heard', '0000-2.* evaluation.json', read_heard, 1, False),
    'listening test': ('test', 'plan.json *.csv', read_test, 1, False),
    'comparison': ('comparison', 'comparison.json', read_comparison, 1, False),
    'profile': ('profile', '*.safetensors', read_profile, 1, False),
}


# ---- damage

BYTES = {
    'a bit': lambda b, r: flip(b, r, 1),
    'bits': lambda b, r: flip(b, r, r.randint(2, 40)),
    'zeros': lambda b, r: overwrite(b, r, lambda n: bytes(n)),
    'noise': lambda b, r: overwrite(b, r, r.randbytes),
    'cut': lambda b, r: b[: r.randrange(len(b))],
    'cut by a little': lambda b, r: b[: -r.randint(1, 40)],
    'cut in front': lambda b, r: b[r.randrange(1, len(b)) :],
    'empty': lambda b, r: b'',
    'a hole': lambda b, r: hole(b, r),
    'appended': lambda b, r: b + r.randbytes(r.randint(1, 500)),
    'twice': lambda b, r: b + b,
    'shuffled': lambda b, r: shuffled(b, r),
    'in UTF-16': lambda b, r: b.decode('latin-1').encode('utf-16'),
    'another file': lambda b, r: r.choice(
        [b'\x80\x04.', b'PK\x03\x04', b'<html>', b'\x89PNG\r\n', b'[]', b'{}', b'RIFF']
    ),
}


def flip(b, r, n):
    b = bytearray(b)
    for _ in range(n):
        b[r.randrange(len(b))] ^= 1 << r.randrange(8)
    return bytes(b)


def overwrite(b, r, new):
    n = min(len(b), r.choice([1, 4, 64, 1000, 4096]))
    at = r.randrange(len(b) - n + 1)
    return b[:at] + new(n) + b[at + n :]


def hole(b, r):
    a, c = sorted(r.randrange(len(b) + 1) for _ in range(2))
    return b[:a] + b[c:]


def shuffled(b, r):
    a, m, c = sorted(r.randrange(len(b) + 1) for _ in range(3))
    return b[:a] + b[m:c] + b[a:m] + b[c:]


ODD = [
    None, True, False, 0, -1, 1, 10**30, -(10**30), 1e308, float('nan'), float('inf'), 1e8, '', 'x',
    '\0', 'a\0b', '../../x', '\ud800', 'x' * 100_000, [], {}, [[]], [None], {'a': 1}, {'': {}},
    [1] * 1000, 2**63, 0.5, -0.0, 'NaN', '1', '音楽', [{'a': [1]}], 10**400, [True], '/etc/passwd',
]  # fmt: skip


def places(tree, at=()):
    "Every place of a JSON value"
    yield at
    inner = (
        tree.items()
        if isinstance(tree, dict)
        else enumerate(tree)
        if isinstance(tree, list)
        else ()
    )
    for k, v in inner:
        yield from places(v, (*at, k))


def change(tree, r):
    "One thing of a JSON value is another"
    tree = json.loads(json.dumps(tree))
    at = r.choice(list(places(tree)))
    new = r.choice(ODD)
    if not at:
        return r.choice([new, [tree], {'a': tree}])
    owner = tree
    for k in at[:-1]:
        owner = owner[k]
    kind = r.random()
    if kind < 0.2:
        del owner[at[-1]]
    elif kind < 0.3 and isinstance(owner, dict):
        owner[r.choice(['extra', '', '\0', 'x' * 1000])] = new
    else:
        owner[at[-1]] = new
    return tree


def text_of(value):
    return json.dumps(value, ensure_ascii=True)


def nested(r):
    n = r.choice([100, 5000, 200_000])
    return r.choice(['[' * n, '[' * n + ']' * n, '{"a":' * n + '1' + '}' * n, '{"dit":' + '[' * n])


def change_json(b, r):
    if r.random() < 0.05:
        return nested(r).encode()
    return text_of(change(json.loads(b), r)).encode()


def change_lines(b, r):
    lines = b.decode().splitlines()
    i = r.randrange(len(lines))
    kind = r.random()
    if kind < 0.1:
        lines[i] = nested(r)
    elif kind < 0.2:
        lines.insert(i, r.choice([lines[i], '', 'null', '[]', '\0', '{']))
    elif kind < 0.3:
        del lines[i]
    else:
        lines[i] = text_of(change(json.loads(lines[i]), r))
    return '\n'.join([*lines, '']).encode()


def change_table(b, r):
    rows = list(csv.reader(io.StringIO(b.decode())))
    i = r.randrange(len(rows))
    j = r.randrange(len(rows[i]))
    kind = r.random()
    if kind < 0.15:
        rows[i].append('x')
    elif kind < 0.3:
        del rows[i][j]
    elif kind < 0.4:
        rows.insert(i, rows[i])
    else:
        rows[i][j] = r.choice([str(x).encode('utf-8', 'replace').decode() for x in ODD])
    out = io.StringIO()
    csv.writer(out, delimiter=r.choice(',,,;\t|')).writerows(rows)
    text = out.getvalue()
    if r.random() < 0.15:
        at = r.randrange(len(text))
        text = text[:at] + r.choice(['"', '\0', '\r', '\n\n', '\ufeff', '\x1a', '""']) + text[at:]
    return text.encode('utf-8', 'replace')


def change_tensors(path, r):
    "Tensors of other names, shapes and kinds"
    tensors = load_tensors(path)
    k = r.choice(list(tensors))
    v = tensors[k]
    kind = r.randrange(6 if v.ndim else 2)
    if kind == 0:
        del tensors[k]
    elif kind == 1:
        tensors['x' * 300] = v.clone()
    else:
        new = [v[..., :0], v[None], v.to(torch.int8), torch.full_like(v.float(), float('nan'))]
        tensors[k] = new[kind - 2].contiguous()
    save_tensors(path, tensors)


def change_header(b, r):
    "The JSON in front of the weights"
    n = int.from_bytes(b[:8], 'little')
    head = change_json(b[8 : 8 + n], r)
    size = r.choice([len(head), len(head), 2**63, 0, len(head) + 8])
    return size.to_bytes(8, 'little') + head + b[8 + n :]


STRUCTURES = {'.json': change_json, '.jsonl': change_lines, '.csv': change_table}


def damage(path, r) -> str:
    "Damage a file; in words, how"
    b = path.read_bytes()
    if r.random() < 0.5 and path.suffix in STRUCTURES:
        new = STRUCTURES[path.suffix](b, r)
        how = 'structure'
    elif r.random() < 0.3 and path.suffix == '.safetensors':
        if r.random() < 0.5:
            change_tensors(path, r)
            return 'tensors' if path.read_bytes() != b else 'nothing'
        new = change_header(b, r)
        how = 'header'
    else:
        how = r.choice(list(BYTES))
        new = BYTES[how](b, r)
    path.write_bytes(new)
    return how if new != b else 'nothing'


# ---- one case


class Hang(BaseException):
    "Longer than it may take"


def alarm(*_):
    raise Hang


def outcome(read, at, path) -> tuple:
    "(what became of it, what was read or said)"
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    nowhere = io.StringIO()
    try:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            return 'read', read(at, path)
    except PrestoError as e:
        return (
            ('refused', str(e)) if len(str(e)) < 1000 else ('traceback', f'{len(str(e))} letters')
        )
    except Hang:
        return 'hang', ''
    except BaseException as e:
        where = traceback.extract_tb(e.__traceback__)[-1]
        own = [x for x in traceback.extract_tb(e.__traceback__) if 'presto_nb' in x.filename]
        last = own[-1] if own else where
        return (
            'traceback',
            f'{type(e).__name__} {str(e)[:80]} ({Path(last.filename).stem}:{last.lineno})',
        )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def short_wav(path, got) -> bool:
    "Fewer samples than the header says, where it says how many there are"
    b = path.read_bytes()
    at = b.find(b'data')
    said = int.from_bytes(b[at + 4 : at + 8], 'little')
    return b[:4] == b'RIFF' and 0 < at < 100 and said < 2**30 and got[1][-1] < said // 2 - 32


WHOLE = {  # what nothing tells: streams in a chain, and what is left of a stream without its start
    ('ogg', 'twice'),
    ('mp3', 'twice'),
    ('mp3', 'cut in front'),
}


def silent(name, path, how, got, whole, before) -> bool:
    "Was damage taken for whole that a checksum or a length could tell?"
    if how == 'nothing' or got == whole:
        return False
    if (name, how) in WHOLE:
        return False
    if name == 'mp3' and path.read_bytes()[:192] != before[:192]:
        return False  # the frame that holds the checksums
    if name == 'wav':
        return how.startswith('cut') and how != 'cut in front' and short_wav(path, got)
    return TARGETS[name][4]


def case(store, work, name, seed, whole):
    "(kind of damage, file, what became of it, what was said)"
    folder, patterns, read, _, _ = TARGETS[name]
    r = random.Random(seed)
    at = work / folder
    shutil.copytree(store / folder, at)
    for more in ('model', 'data'):  # what some commands need beside it
        if not (work / more).exists():
            (work / more).symlink_to(store / more)
    try:
        found = sorted({p for pattern in patterns.split() for p in matches(at, pattern)})
        path = r.choice(found)
        before = path.read_bytes()
        how = damage(path, r)
        what, got = outcome(read, at, path)
        if what == 'read' and silent(name, path, how, got, whole, before):
            what = 'silent'
            got = ''
        return how, path.relative_to(at).as_posix(), what, got
    finally:
        shutil.rmtree(at)
        for more in ('model', 'data'):
            if (work / more).is_symlink():
                (work / more).unlink()


def matches(at, pattern):
    return [p for p in at.rglob(pattern) if p.is_file()]


def run(n, seed, only=None):
    names = [k for k in TARGETS if only in (None, k)]
    draw = random.Random(seed)
    chosen = draw.choices(names, [TARGETS[k][3] for k in names], k=n)
    with tempfile.TemporaryDirectory() as d:
        store = Path(d) / 'store'
        work = Path(d) / 'work'
        store.mkdir()
        work.mkdir()
        make_all(store)
        whole = {}
        for k in names:
            copy = work / TARGETS[k][0]
            for more in {TARGETS[k][0], 'model', 'data'}:
                shutil.copytree(store / more, work / more)
            first = sorted(matches(copy, TARGETS[k][1].split()[0]))[0]
            what, whole[k] = outcome(TARGETS[k][2], copy, first)
            assert what == 'read', (k, what, whole[k])
            for more in {TARGETS[k][0], 'model', 'data'}:
                shutil.rmtree(work / more)
        found = []
        for i, name in enumerate(chosen):
            began = time.process_time()
            how, path, what, said = case(store, work, name, f'{seed} {i}', whole[name])
            took = time.process_time() - began
            found.append(dict(i=i, target=name, how=how, file=path, what=what, said=said, s=took))
            if what not in ('read', 'refused'):
                print(i, name, path, how, what, said, flush=True)
    return found


def record(found, seed, command):
    counts = collections.Counter(x['what'] for x in found)
    table = collections.defaultdict(collections.Counter)
    for x in found:
        table[x['target']][x['what']] += 1
    bad = [x for x in found if x['what'] not in ('read', 'refused')]
    slow = max(found, key=lambda x: x['s'])
    return dict(
        what='damaged files, read by the function or command that reads them',
        command=command,
        n=len(found),
        seed=seed,
        tracebacks=counts['traceback'],
        hangs=counts['hang'],
        taken_for_whole=counts['silent'],
        refused=counts['refused'],
        read=counts['read'],
        untouched=sum(x['how'] == 'nothing' for x in found),
        cpu_seconds=round(time.process_time()),
        slowest=dict(target=slow['target'], seconds=round(slow['s'], 1)),
        damage=dict(collections.Counter(x['how'] for x in found).most_common()),
        targets={k: dict(v) for k, v in sorted(table.items())},
        examples=[{k: str(v)[:200] for k, v in x.items() if k != 's'} for x in bad[:50]],
    )


if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--n', type=int, default=1500)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--only', choices=list(TARGETS), help='one target; then nothing is recorded')
    args = p.parse_args()
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, alarm)
    size = int(Path('/proc/self/statm').read_text().split()[0]) * os.sysconf('SC_PAGE_SIZE')
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, resource.RLIM_INFINITY))
    words = ' '.join(['python', 'tests/fuzz.py', '--n', str(args.n), '--seed', str(args.seed)])
    made = record(run(args.n, args.seed, args.only), args.seed, words)
    if not args.only:
        with atomic_path(LOG) as f:
            f.write_text(json.dumps(made, indent=1) + '\n', encoding='utf-8')
    print(json.dumps({k: v for k, v in made.items() if k != 'examples'}, indent=1))
    sys.exit(bool(made['tracebacks'] + made['hangs'] + made['taken_for_whole']))
