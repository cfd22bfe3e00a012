"""Cut FluidR3Mono_GM.sf3 (MIT) to the programs presto_nb plays; standard library only.

    apt-get download fluidr3mono-gm-soundfont && dpkg-deb -x fluidr3mono-gm-soundfont_*.deb unpacked
    python recipes/make_sound_bank.py unpacked presto_nb/assets

The output is a valid .sf3 (SoundFont 2.01 whose samples are Ogg Vorbis streams, copied unchanged)
with its licence beside it.
"""

import hashlib
import struct
import sys
from pathlib import Path

PROGRAMS = {
    0: 'piano',
    6: 'harpsichord',
    12: 'marimba',
    19: 'church organ',
    21: 'accordion',
    24: 'nylon guitar',
    25: 'steel guitar',
    32: 'acoustic bass',
    40: 'violin',
    42: 'cello',
    46: 'harp',
    48: 'strings',
    52: 'choir',
    56: 'trumpet',
    68: 'oboe',
    71: 'clarinet',
    73: 'flute',
    74: 'recorder',
    104: 'sitar',
    105: 'banjo',
}
DRUM_KEYS = (36, 38, 42, 46, 49, 51)  # kick, snare, closed and open hat, crash, ride
TABLES = dict(
    phdr='<20sHHHIII',
    pbag='<HH',
    pmod='<HHhHH',
    pgen='<HH',
    inst='<20sH',
    ibag='<HH',
    imod='<HHhHH',
    igen='<HH',
    shdr='<20sIIIIIBbHH',
)
KEY_RANGE = 43  # generator numbers of the SoundFont 2 specification
INSTRUMENT = 41
SAMPLE = 53
COMMENT = (
    b'FluidR3Mono_GM cut to the programs of presto_nb; MIT licence, see the file beside it\0\0'
)


# --- reading and writing chunks ----------------------------------------------------------------


def walk(data, at, end):
    "Yields name and bytes of the leaf chunks of a part of a RIFF file"
    while at + 8 <= end:
        name = data[at : at + 4]
        size = struct.unpack_from('<I', data, at + 4)[0]
        body = at + 8
        if name in (b'RIFF', b'LIST'):
            yield from walk(data, at + 12, min(body + size, end))
        else:
            yield name.decode('latin1'), data[body : body + size]
        at = body + size
        if size & 1 and data[at : at + 1] == b'\0':
            at += 1  # RIFF pads odd chunks; not every .sf3 writer does


def read_chunks(data):
    "All leaf chunks of a RIFF file: name -> bytes"
    return dict(walk(data, 0, len(data)))


def tables(chunks):
    "Name -> rows"
    return {k: list(struct.iter_unpack(f, chunks[k])) for k, f in TABLES.items()}


def chunk(name, body):
    "A leaf of a RIFF file"
    return name.encode('latin1') + struct.pack('<I', len(body)) + body + b'\0' * (len(body) & 1)


def listed(kind, chunks):
    "A list of leaves"
    return chunk('LIST', kind.encode() + b''.join(chunk(k, v) for k, v in chunks.items()))


# --- cutting -----------------------------------------------------------------------------------


def overlaps(gens, keys):  # generators of a zone; keys that are kept, all if None
    "Is a zone needed for one of the keys?"
    low, high = next(((v & 255, v >> 8) for o, v in gens if o == KEY_RANGE), (0, 127))
    return keys is None or any(low <= k <= high for k in keys)


def zones(t, bag, gen, mod, first, last):
    "Zones of one preset or instrument as (generators, modulators)"
    found = []
    for i in range(first, last):
        g, m = t[bag][i]
        next_g, next_m = t[bag][i + 1]
        found.append((t[gen][g:next_g], t[mod][m:next_m]))
    return found


def is_global(gens, kind, index):
    "Is it the first zone, which names no sample or instrument and is for all the others?"
    return index == 0 and not any(o == kind for o, _ in gens)


def kept_zones(zs, kind, keys):
    "The global zone, and those that one of the keys needs"
    kept = []
    for n, (gens, mods) in enumerate(zs):
        named = any(o == kind for o, _ in gens)
        if is_global(gens, kind, n) or (named and overlaps(gens, keys)):
            kept.append((gens, mods))
    return kept


def renumbered(zs, kind, number):  # number: old number of a sample or instrument -> new
    "Zones that name samples or instruments as the new bank does"
    found = []
    for gens, mods in zs:
        found.append(([(o, number(v) if o == kind else v) for o, v in gens], mods))
    return found


class Cut:
    "A smaller bank, filled preset by preset"

    def __init__(self, data):
        self.chunks = read_chunks(data)
        self.old = tables(self.chunks)
        self.new = {k: [] for k in TABLES}
        self.instruments = {}  # (old number, keys) -> new number
        self.samples = {}  # old number -> new number

    def add_zones(self, zs, bag, gen, mod):
        "Write zones into the new tables"
        for gens, mods in zs:
            self.new[bag].append((len(self.new[gen]), len(self.new[mod])))
            self.new[gen] += gens
            self.new[mod] += mods

    def sample(self, i):
        "The new number of a sample"
        return self.samples.setdefault(i, len(self.samples))

    def instrument(self, i, keys):
        "The new number of an instrument, which is written when it is first asked for"
        if (i, keys) in self.instruments:
            return self.instruments[i, keys]
        names = 'ibag', 'igen', 'imod'
        inst = self.old['inst']
        zs = kept_zones(zones(self.old, *names, inst[i][1], inst[i + 1][1]), SAMPLE, keys)
        self.instruments[i, keys] = len(self.new['inst'])
        self.new['inst'].append((inst[i][0], len(self.new['ibag'])))
        self.add_zones(renumbered(zs, SAMPLE, self.sample), *names)
        return self.instruments[i, keys]

    def preset(self, k, keys):
        "Write preset number k"
        names = 'pbag', 'pgen', 'pmod'
        p = self.old['phdr'][k]
        zs = zones(self.old, *names, p[3], self.old['phdr'][k + 1][3])
        zs = kept_zones(zs, INSTRUMENT, keys)
        first = len(self.new['pbag'])
        self.add_zones(renumbered(zs, INSTRUMENT, lambda v: self.instrument(v, keys)), *names)
        self.new['phdr'].append((p[0], p[1], p[2], first, *p[4:]))

    def sample_bytes(self):
        "Copy the samples; Ogg streams are addressed by byte, loops are inside the stream"
        blob = b''
        for i in self.samples:
            name, start, end, *rest = self.old['shdr'][i]
            length = end - start
            row = name, len(blob), len(blob) + length, *rest[:-2], 0, rest[-1]
            self.new['shdr'].append(row)
            blob += self.chunks['smpl'][start:end]
        return blob + b'\0' * (len(blob) & 1)

    def end_tables(self):
        "The last rows that the format asks for"
        out = self.new
        out['phdr'].append((b'EOP', 0, 0, len(out['pbag']), 0, 0, 0))
        out['inst'].append((b'EOI', len(out['ibag'])))
        for h in 'pi':
            out[h + 'bag'].append((len(out[h + 'gen']), len(out[h + 'mod'])))
            out[h + 'gen'].append((0, 0))
            out[h + 'mod'].append((0, 0, 0, 0, 0))
        out['shdr'].append((b'EOS',) + (0,) * 9)

    def bank(self):
        "The bytes of the new bank"
        blob = self.sample_bytes()
        self.end_tables()
        kept = ('ifil', 'isng', 'INAM', 'ICOP')
        info = {k: self.chunks[k] for k in kept if k in self.chunks} | dict(ICMT=COMMENT)
        pdta = {}
        for k, rows in self.new.items():
            pdta[k] = b''.join(struct.pack(TABLES[k], *row) for row in rows)
        parts = listed('INFO', info), listed('sdta', dict(smpl=blob)), listed('pdta', pdta)
        return chunk('RIFF', b'sfbk' + b''.join(parts))


def cut(data, programs=PROGRAMS, drum_keys=DRUM_KEYS):
    "The bytes of a bank with only `programs` of bank 0 and `drum_keys` of the standard drum kit"
    smaller = Cut(data)
    for k, p in enumerate(smaller.old['phdr'][:-1]):
        _, program, bank, *_ = p
        if (bank, program) == (128, 0):
            smaller.preset(k, tuple(drum_keys))
        elif bank == 0 and program in programs:
            smaller.preset(k, None)
    return smaller.bank()


def main(unpacked, out):
    source = next(Path(unpacked).rglob('FluidR3Mono_GM.sf3'))
    licence = next(Path(unpacked).rglob('fluidr3mono-gm-soundfont/copyright'))
    bank = cut(source.read_bytes())
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / 'sound_bank.sf3'
    path.write_bytes(bank)
    (out / 'sound_bank.LICENSE.txt').write_text(licence.read_text())
    digest = hashlib.sha256(bank).hexdigest()
    print(f'{path}: {len(bank) / 1e6:.2f} MB, sha256 {digest}')


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
