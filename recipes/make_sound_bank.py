"""Cut FluidR3Mono_GM.sf3 (MIT) to the programs presto_nb plays; standard library only.

    apt-get download fluidr3mono-gm-soundfont && dpkg-deb -x fluidr3mono-gm-soundfont_*.deb unpacked
    python recipes/make_sound_bank.py unpacked presto_nb/assets

The output is a valid .sf3 (SoundFont 2.01 whose samples are Ogg Vorbis streams, copied unchanged) with its licence beside it.
"""

import hashlib, struct, sys
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
KEY_RANGE, INSTRUMENT, SAMPLE = 43, 41, 53  # generator numbers of the SoundFont 2 specification


def read_chunks(data):
    "All leaf chunks of a RIFF file: name -> bytes"
    out = {}

    def walk(o, end):
        while o + 8 <= end:
            name, size = data[o : o + 4], struct.unpack_from('<I', data, o + 4)[0]
            if name in (b'RIFF', b'LIST'):
                walk(o + 12, min(o + 8 + size, end))
            else:
                out[name.decode('latin1')] = data[o + 8 : o + 8 + size]
            o += 8 + size
            if size & 1 and data[o : o + 1] == b'\0':
                o += 1  # RIFF pads odd chunks; not every .sf3 writer does

    walk(0, len(data))
    return out


def tables(chunks):
    return {k: list(struct.iter_unpack(f, chunks[k])) for k, f in TABLES.items()}


def chunk(name, body):
    return name.encode('latin1') + struct.pack('<I', len(body)) + body + b'\0' * (len(body) & 1)


def listed(kind, chunks):
    return chunk('LIST', kind.encode() + b''.join(chunk(k, v) for k, v in chunks.items()))


def overlaps(gens, keys):
    lo, hi = next(((v & 255, v >> 8) for o, v in gens if o == KEY_RANGE), (0, 127))
    return keys is None or any(lo <= k <= hi for k in keys)


def zones(t, bag, gen, mod, first, last):
    "Zones of one preset or instrument as (generators, modulators)"
    return [
        (t[gen][t[bag][i][0] : t[bag][i + 1][0]], t[mod][t[bag][i][1] : t[bag][i + 1][1]])
        for i in range(first, last)
    ]


def is_global(gens, kind, index):
    return index == 0 and not any(o == kind for o, _ in gens)


def cut(data, programs=PROGRAMS, drum_keys=DRUM_KEYS):
    "The bytes of a bank with only `programs` of bank 0 and `drum_keys` of the standard drum kit"
    chunks = read_chunks(data)
    t = tables(chunks)
    smpl = chunks['smpl']
    out = {k: [] for k in TABLES}
    insts, samples = {}, {}

    def add_zones(zs, bag, gen, mod):
        for gens, mods in zs:
            out[bag].append((len(out[gen]), len(out[mod])))
            out[gen] += gens
            out[mod] += mods

    def sample(i):
        return samples.setdefault(i, len(samples))

    def instrument(i, keys):
        if (i, keys) in insts:
            return insts[i, keys]
        zs = zones(t, 'ibag', 'igen', 'imod', t['inst'][i][1], t['inst'][i + 1][1])
        zs = [
            (g, m)
            for n, (g, m) in enumerate(zs)
            if is_global(g, SAMPLE, n) or (any(o == SAMPLE for o, _ in g) and overlaps(g, keys))
        ]
        insts[i, keys] = len(out['inst'])
        out['inst'].append((t['inst'][i][0], len(out['ibag'])))
        add_zones(
            [([(o, sample(v) if o == SAMPLE else v) for o, v in g], m) for g, m in zs],
            'ibag',
            'igen',
            'imod',
        )
        return insts[i, keys]

    for k, p in enumerate(t['phdr'][:-1]):
        drums = (p[2], p[1]) == (128, 0)
        if not drums and not (p[2] == 0 and p[1] in programs):
            continue
        keys = tuple(drum_keys) if drums else None
        zs = zones(t, 'pbag', 'pgen', 'pmod', p[3], t['phdr'][k + 1][3])
        zs = [
            (g, m)
            for n, (g, m) in enumerate(zs)
            if is_global(g, INSTRUMENT, n)
            or (any(o == INSTRUMENT for o, _ in g) and overlaps(g, keys))
        ]
        first = len(out['pbag'])
        add_zones(
            [
                ([(o, instrument(v, keys) if o == INSTRUMENT else v) for o, v in g], m)
                for g, m in zs
            ],
            'pbag',
            'pgen',
            'pmod',
        )
        out['phdr'].append((p[0], p[1], p[2], first, *p[4:]))
    blob = b''
    for i in samples:  # Ogg streams are addressed by byte, loops are inside the stream
        name, start, end, *rest = t['shdr'][i]
        out['shdr'].append((name, len(blob), len(blob) + end - start, *rest[:-2], 0, rest[-1]))
        blob += smpl[start:end]
    out['phdr'].append((b'EOP', 0, 0, len(out['pbag']), 0, 0, 0))
    out['inst'].append((b'EOI', len(out['ibag'])))
    for h in 'pi':
        out[h + 'bag'].append((len(out[h + 'gen']), len(out[h + 'mod'])))
        out[h + 'gen'].append((0, 0))
        out[h + 'mod'].append((0, 0, 0, 0, 0))
    out['shdr'].append((b'EOS',) + (0,) * 9)
    blob += b'\0' * (len(blob) & 1)
    info = {k: chunks[k] for k in ('ifil', 'isng', 'INAM', 'ICOP') if k in chunks}
    info['ICMT'] = (
        b'FluidR3Mono_GM cut to the programs of presto_nb; MIT licence, see the file beside it\0\0'
    )
    pdta = {k: b''.join(struct.pack(TABLES[k], *row) for row in out[k]) for k in TABLES}
    body = b'sfbk' + listed('INFO', info) + listed('sdta', dict(smpl=blob)) + listed('pdta', pdta)
    return chunk('RIFF', body)


def main(unpacked, out):
    source = next(Path(unpacked).rglob('FluidR3Mono_GM.sf3'))
    licence = next(Path(unpacked).rglob('fluidr3mono-gm-soundfont/copyright'))
    bank = cut(source.read_bytes())
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / 'sound_bank.sf3').write_bytes(bank)
    (out / 'sound_bank.LICENSE.txt').write_text(licence.read_text())
    print(
        f"{out / 'sound_bank.sf3'}: {len(bank) / 1e6:.2f} MB, sha256 {hashlib.sha256(bank).hexdigest()}"
    )


if __name__ == '__main__':
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
