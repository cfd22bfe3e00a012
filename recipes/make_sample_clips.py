"""Render the sample clips of data_samples/clips, 6 s each, one for each lead instrument.

    python recipes/make_sample_clips.py

The tunes are from Ryan's and O'Neill's books.
"""

import csv

from common import ROOT  # first: it sets how torch waits

from presto_nb.material.core import atomic_path, stable_hash
from presto_nb.material.tunes import LEADS, arrange, clip_name, read_tune, render, tune_index

BOOKS = 'ryansMammoth', 'oneills1850'


def one_for_each_lead():
    "Lead -> (tune, arrangement), with as many different bands as there are"
    rows = [r for r in tune_index() if r.id.startswith(BOOKS)]
    found = {}
    bands = set()
    for r in sorted(rows, key=lambda r: stable_hash('sample', r.id)):
        tune = read_tune(r)
        a = arrange(tune)
        f = a.attributes
        band = f['accompaniment'], f['drums']
        known = band in bands and len(bands) < 10
        if tune.dance == 'tune' or f['lead'] in found or known:
            continue
        found[f['lead']] = tune, a
        bands.add(band)
        if len(found) == len(LEADS):
            break
    return found


def main(out=ROOT / 'data_samples' / 'clips'):
    found = one_for_each_lead()
    lines = [('file', 'caption', 'bpm', 'split')]
    for lead, (tune, a) in sorted(found.items()):
        name = f"{lead.replace(' ', '-')}-{clip_name(tune.id)}.mp3"
        render(a, seconds=6.0).save(out / name)
        lines += [(name, c, a.bpm, tune.split) for c in a.captions]
    with atomic_path(out / 'captions.csv') as p, open(p, 'w', newline='', encoding='utf-8') as f:
        csv.writer(f).writerows(lines)
    print(len(found), 'clips', sum(p.stat().st_size for p in out.iterdir()) // 1000, 'kB')


if __name__ == '__main__':
    main()
