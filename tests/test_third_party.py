"THIRD_PARTY.md names what is shipped: every file in exactly one row, every row with files"

import re
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def shipped():
    files = (
        f
        for d in ('presto_nb/assets', 'data_samples')
        for f in (ROOT / d).rglob('*')
        if f.is_file()
    )
    return sorted(
        f.relative_to(ROOT).as_posix()
        for f in files
        if not any(p.startswith('.') or p == '__pycache__' for p in f.relative_to(ROOT).parts)
    )


def rows():
    "[(what, licence, [globs])] of the table of shipped things"
    text = (ROOT / 'THIRD_PARTY.md').read_text().split('## Shipped')[1].split('\n## ')[0]
    cells = [
        [c.strip() for c in line.strip('|').split('|')]
        for line in text.splitlines()
        if line.startswith('|')
    ][2:]
    return [(c[0], c[2], re.findall(r'`([^`]+)`', c[3])) for c in cells]


def claims(file, rows):
    return [what for what, _, globs in rows if any(fnmatch(file, g) for g in globs)]


def test_every_file_belongs_to_one_row():
    wrong = {f: c for f in shipped() if len(c := claims(f, rows())) != 1}
    assert not wrong, f'files not claimed by exactly one row: {wrong}'


def test_every_row_has_files_and_a_licence():
    files = shipped()
    for what, licence, globs in rows():
        assert licence and globs, what
        for g in globs:
            assert any(fnmatch(f, g) for f in files), f'{what}: nothing matches {g}'


def test_the_check_can_fail():
    assert claims('presto_nb/assets/stranger.bin', rows()) == []
    assert len(claims('a/b', [('x', 'MIT', ['a/*']), ('y', 'MIT', ['*/b'])])) == 2


MUST = {
    'FluidR3Mono': 'MIT',
    'bert-base-uncased': 'Apache-2.0',
    'symusic': 'MIT',
    "music21's corpus": 'no grant to redistribute',
    'all-MiniLM-L6-v2 weights': 'Apache-2.0',
    'musicnn': 'ISC',
    'audiocraft code': 'MIT',
    "EnCodec's pretrained weights": 'CC-BY-NC',
    'T5': 'Apache-2.0',
    'Bellman': 'BSD-3-Clause',
}


def test_sources_that_must_be_named_with_their_licence():
    "On one line of a table: source and licence together"
    lines = [
        line for line in (ROOT / 'THIRD_PARTY.md').read_text().splitlines() if line.startswith('|')
    ]
    missing = {k: v for k, v in MUST.items() if not any(k in line and v in line for line in lines)}
    assert not missing, missing


def test_the_vocabulary_is_as_large_as_it_says():
    pieces = (ROOT / 'presto_nb/assets/text/vocab.txt').read_text().splitlines()
    assert f'{len(pieces):,} of the 30,522 word pieces' in (ROOT / 'THIRD_PARTY.md').read_text()
