"""Find all usable tunes and their families in music21's corpus: presto_nb/assets/tunes.json.gz.

    python recipes/make_tune_index.py

The index holds ids, hashes, families and splits, no notes. To be run again whenever reading,
arranging or captions change (two minutes).
"""

import gzip
import json

from presto_nb.material.core import assets, atomic_path, progress, stable_hash
from presto_nb.material.tunes import READER, arrange, content_hash, find_tunes, score_hash


def row_of(tune):
    "A tune's line in the index"
    return [tune.id, content_hash(tune), tune.family, tune.split, score_hash(arrange(tune))]


def main():
    rows = [row_of(t) for t in progress(find_tunes(), desc='arranging')]
    index = dict(reader=READER, scores=f'{stable_hash([r[4] for r in rows]):016x}', tunes=rows)
    path = assets() / 'tunes.json.gz'
    with atomic_path(path) as p:
        p.write_bytes(gzip.compress(json.dumps(index, separators=(',', ':')).encode(), mtime=0))
    size = path.stat().st_size / 1e3
    print(f"{len(rows)} tunes, scores {index['scores']}, {size:.0f} kB")


if __name__ == '__main__':
    main()
