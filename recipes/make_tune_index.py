"""Find all usable tunes and their families in music21's corpus and write presto_nb/assets/tunes.json.gz.

    python recipes/make_tune_index.py

The index holds ids, hashes, families and splits, no notes. To be run again whenever reading, arranging or captions change (two minutes).
"""

import gzip, json
from presto_nb.material.core import assets, atomic_path, progress, stable_hash
from presto_nb.material.tunes import READER, arrange, content_hash, find_tunes, score_hash


def main():
    tunes = find_tunes()
    rows = [
        [t.id, content_hash(t), t.family, t.split, score_hash(arrange(t))]
        for t in progress(tunes, desc='arranging')
    ]
    index = dict(reader=READER, scores=f'{stable_hash([r[4] for r in rows]):016x}', tunes=rows)
    with atomic_path(assets() / 'tunes.json.gz') as p:
        p.write_bytes(gzip.compress(json.dumps(index, separators=(',', ':')).encode(), mtime=0))
    print(
        f"{len(rows)} tunes, scores {index['scores']}, {(assets() / 'tunes.json.gz').stat().st_size / 1e3:.0f} kB"
    )


if __name__ == '__main__':
    main()
