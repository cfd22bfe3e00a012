"""Render the sample clips of data_samples/clips: 6 s each from Ryan's and O'Neill's books, one for each lead instrument.

python recipes/make_sample_clips.py
"""

import csv
from pathlib import Path
from presto_nb.material.core import atomic_path, stable_hash
from presto_nb.material.tunes import LEADS, arrange, clip_name, read_tune, render, tune_index


def main(out=Path(__file__).parent.parent / 'data_samples/clips'):
    rows = sorted(
        (r for r in tune_index() if r.id.startswith(('ryansMammoth', 'oneills1850'))),
        key=lambda r: stable_hash('sample', r.id),
    )
    found, bands = {}, set()
    for r in rows:
        tune = read_tune(r)
        a = arrange(tune)
        f = a.attributes
        band = f['accompaniment'], f['drums']
        if tune.dance == 'tune' or f['lead'] in found or (band in bands and len(bands) < 10):
            continue
        found[f['lead']] = tune, a
        bands.add(band)
        if len(found) == len(LEADS):
            break
    lines = []
    for lead, (tune, a) in sorted(found.items()):
        name = f"{lead.replace(' ', '-')}-{clip_name(tune.id)}.mp3"
        render(a, seconds=6.0).save(out / name)
        lines += [(name, c, a.bpm, tune.split) for c in a.captions]
    with atomic_path(out / 'captions.csv') as p, open(p, 'w', newline='', encoding='utf-8') as f:
        csv.writer(f).writerows([('file', 'caption', 'bpm', 'split'), *lines])
    print(len(found), 'clips', sum(p.stat().st_size for p in out.iterdir()) // 1000, 'kB')


if __name__ == '__main__':
    main()
