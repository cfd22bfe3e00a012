"""Fit the probes that hear lead, accompaniment and drums, and measure every ear: python recipes/fit_probes.py --data DATA [--cache DIR] [--out DIR] [--record DIR] [--train 1000]

DATA is a full Folk-GM folder (presto-nb data build --tier full). One window of 6 s of each of --train tunes of the train split, and of the valid and test splits, is heard as rendered and
through the shipped codec; test windows also with the second sound bank (the same notes, other samples). Linear probes on musicnn's pooled features are fitted on the train split, once on renders alone and
once on renders and their codec versions; the valid split chooses the weight decay and which of the two is shipped; the test split, seen once, gives the ceilings. Features are cached, so an interrupted run goes on.
Writes OUT/probes.safetensors, RECORD/listen.csv (what was heard in each test window) and RECORD/listen.json (the ceilings). About 11 minutes of one CPU core.
"""

import argparse, csv, datetime, io, json, math, os
from functools import lru_cache

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import numpy as np, torch
from presto_nb.material.audio import estimate_key, onset_rate
from presto_nb.material.codec import SpectralVAE, codec_sha256
from presto_nb.material.core import (
    assets,
    atomic_path,
    cache_dir,
    load_tensors,
    progress,
    save_tensors,
    sha256,
    stable_hash,
)
from presto_nb.evidence.listen import (
    HEADS,
    MusiCNN,
    estimate_tempo,
    fit_probes,
    key_class,
    musicnn_folder,
    musicnn_patches,
    scale_of,
)
from presto_nb.material.tunes import (
    Dice,
    arrange,
    clip_name,
    load_folder,
    read_tune,
    render,
    tune_index,
)

SECONDS, BANK = (
    6.0,
    Path(__file__).resolve().parent.parent / 'data_samples' / 'sonivox' / 'sonivox.sf3',
)
SOUNDS = dict(
    train=('render', 'codec'), valid=('render', 'codec'), test=('render', 'codec', 'bank')
)
DECAYS = 1e-4, 3e-4, 1e-3, 3e-3, 1e-2

# ---- windows and sounds


def windows(clips, split, n):
    "[(clip, start in s)]: one window of each of n tunes, in the order of their hash"
    clips = sorted(
        (c for c in clips if c.split == split and c.seconds > SECONDS + 1),
        key=lambda c: stable_hash('probe', c.meta['id']),
    )[:n]
    return [
        (c, Dice('window', c.meta['id']).roll(0, int((c.seconds - SECONDS - 1) * 1000)) / 1000)
        for c in clips
    ]


def through(codec, audio):
    "What the codec makes of a sound"
    with torch.inference_mode():
        y = codec.decode(codec.encode(audio.samples[None]))[0, :, : audio.samples.shape[-1]]
    return audio.new(y).normalise()


@lru_cache(None)
def tunes():
    return {clip_name(r.id): r for r in tune_index()}


@lru_cache(2)
def score_of(name):
    return arrange(read_tune(tunes()[name]))


def with_bank(clip, start):
    "The same window played with the second bank; two seconds before it are played too, so that held notes sound on"
    a, before = score_of(clip.meta['id']), min(2.0, start)
    return (
        render(a, a.start + round((start - before) / a.tick), SECONDS + before, str(BANK))
        .clip(before, SECONDS)
        .normalise()
    )


def score_rates(clip, start):
    "Onsets a second in the score: of the lead, and of all parts (notes within 50 ms count once)"
    a = score_of(clip.meta['id'])
    out = []
    for parts in (('lead',), tuple(a.programs)):
        times = sorted((n[0] - a.start) * a.tick - start for n in a.notes if n[4] in parts)
        last, count = -1.0, 0
        for t in times:
            if 0 <= t < SECONDS and t - last > 0.05:
                count += 1
                last = t
        out.append(count / SECONDS)
    return dict(lead_rate=round(out[0], 3), score_rate=round(out[1], 3))


def sounds(codec, clip, start, names):
    real = clip.audio(start, SECONDS).mono().normalise()
    make = dict(
        render=lambda: real, codec=lambda: through(codec, real), bank=lambda: with_bank(clip, start)
    )
    return {k: make[k]() for k in names}


# ---- features, cached


def hear(net, codec, work, split):
    "Pooled features of some windows, and (test) what signal processing says, as tensors"
    out, hop, notes = {k: [] for k in SOUNDS[split]}, 94 if split == 'test' else 188, []
    for clip, start in work:
        these = sounds(codec, clip, start, SOUNDS[split])
        with torch.inference_mode():
            for k, a in these.items():
                out[k].append(net.pool(musicnn_patches(a, hop)))
        if split == 'test':
            notes.append(
                score_rates(clip, start)
                | {
                    f'{m}_{k}': f(a)
                    for k, a in these.items()
                    for m, f in dict(
                        key=estimate_key, bpm=estimate_tempo, onsets=onset_rate
                    ).items()
                }
            )
    return {k: torch.stack(v) for k, v in out.items()}, notes


def heard(net, codec, clips, split, n, cache, made):
    "(windows, features by sound, notes), in chunks of 50 that are computed once"
    work, parts, notes = windows(clips, split, n), [], []
    for i in progress(range(0, len(work), 50), desc=split):
        chunk = work[i : i + 50]
        path = cache / f"{split}-{stable_hash(made, [(c.meta['id'], s) for c, s in chunk]):016x}"
        if not path.with_suffix('.json').is_file():
            features, said = hear(net, codec, chunk, split)
            save_tensors(path.with_suffix('.safetensors'), features)
            with atomic_path(path.with_suffix('.json')) as p:
                p.write_text(json.dumps(said))
        parts.append(load_tensors(path.with_suffix('.safetensors')))
        notes += json.loads(path.with_suffix('.json').read_text())
    return work, {k: torch.cat([p[k] for p in parts]) for k in parts[0]}, notes


def labels(work):
    return {k: torch.tensor([v.index(c.meta[k]) for c, _ in work]) for k, v in HEADS.items()}


# ---- probes


def guesses(probes, x):
    return {k: p.argmax(-1) for k, p in probes(x.mean(1)).items()}


def accuracy(probes, x, y):
    return {k: (g == y[k]).float().mean().item() for k, g in guesses(probes, x).items()}


def fit_all(train, y_train, valid, y_valid):
    "{fitted on: (probes, decay, accuracies on the valid split)}; the decay is the one with the best mean accuracy on valid renders and codec versions"
    out, clip_mean = {}, {k: v.mean(1) for k, v in train.items()}
    for name, kinds in dict(renders=('render',), both=('render', 'codec')).items():
        x, y, tried = (
            torch.cat([clip_mean[k] for k in kinds]),
            {k: v.repeat(len(kinds)) for k, v in y_train.items()},
            [],
        )
        for decay in DECAYS:
            probes = fit_probes(x, y, decay)
            a = {k: accuracy(probes, v, y_valid) for k, v in valid.items()}
            tried.append((sum(sum(v.values()) for v in a.values()), probes, decay, a))
        out[name] = max(tried, key=lambda t: t[0])[1:]
    return out


# ---- numbers with intervals


def share(hits):
    "A share with Wilson's 95 % interval"
    n, p, z = len(hits), float(np.mean(hits)), 1.96
    mid, half = (
        (p + z * z / 2 / n) / (1 + z * z / n),
        z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n) / (1 + z * z / n),
    )
    return dict(value=round(p, 3), low=round(mid - half, 3), high=round(mid + half, 3), n=n)


def correlation(a, b):
    "Pearson's correlation with Fisher's 95 % interval"
    r, w = float(np.corrcoef(a, b)[0, 1]), 1.96 / math.sqrt(len(a) - 3)
    return (
        dict(
            value=round(r, 3),
            low=round(math.tanh(math.atanh(r) - w), 3),
            high=round(math.tanh(math.atanh(r) + w), 3),
            n=len(a),
        )
        if r < 1
        else dict(value=1.0, low=1.0, high=1.0, n=len(a))
    )


def near(bpm, true, ratios=(1,)):
    return any(abs(bpm / true / r - 1) < 0.06 for r in ratios)


OCTAVES = 1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 3


def ceilings(rows, kind):
    "What the ears get right in one kind of sound"
    col = lambda name: [r[f'{name}_{kind}'] for r in rows]
    out = dict(
        key_exact=share([key_class(g) == key_class(r['key']) for g, r in zip(col('key'), rows)]),
        key_scale=share([scale_of(g) == scale_of(r['key']) for g, r in zip(col('key'), rows)]),
    )
    out |= dict(
        tempo=share([near(g, r['bpm']) for g, r in zip(col('bpm'), rows)]),
        tempo_octave=share([near(g, r['bpm'], OCTAVES) for g, r in zip(col('bpm'), rows)]),
    )
    out |= dict(
        onsets_lead=correlation(col('onsets'), [r['lead_rate'] for r in rows]),
        onsets_score=correlation(col('onsets'), [r['score_rate'] for r in rows]),
        onsets_render=correlation(col('onsets'), [r['onsets_render'] for r in rows]),
    )
    return out | {k: share([g == r[k] for g, r in zip(col(k), rows)]) for k in HEADS}


def chance(rows, y_train):
    "What a guess that hears nothing gets: the commonest answer of the train split, the best single tempo"
    bpm, common = (
        [r['bpm'] for r in rows],
        {k: HEADS[k][int(y_train[k].bincount().argmax())] for k in HEADS},
    )
    best = lambda ratios: round(
        max(np.mean([near(g, b, ratios) for b in bpm]) for g in range(40, 241)), 3
    )
    return dict(
        key_exact=round(1 / 24, 3),
        key_scale=round(1 / 12, 3),
        tempo=best((1,)),
        tempo_octave=best(OCTAVES),
        onsets_lead=0.0,
        onsets_score=0.0,
        onsets_render=0.0,
    ) | {k: round(float(np.mean([r[k] == common[k] for r in rows])), 3) for k in HEADS}


def test_rows(work, notes, features, probes):
    rows = [
        dict(id=c.meta['id'], start=s, bpm=c.bpm, **{k: c.meta[k] for k in ('key', *HEADS)}) | n
        for (c, s), n in zip(work, notes)
    ]
    for kind, x in features.items():
        for k, g in guesses(probes, x).items():
            for r, i in zip(rows, g):
                r[f'{k}_{kind}'] = HEADS[k][i]
    return [{k: round(v, 3) if isinstance(v, float) else v for k, v in r.items()} for r in rows]


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--data', type=Path, required=True)
    p.add_argument('--cache', type=Path, default=cache_dir() / 'listen')
    p.add_argument('--out', type=Path, default=assets() / 'listen')
    p.add_argument('--record', type=Path, default=BANK.parent.parent / 'logs')
    p.add_argument('--train', type=int, default=1000)
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    clips, net, codec = (
        load_folder(args.data),
        MusiCNN.from_pretrained(),
        SpectralVAE.from_pretrained(),
    )
    made = dict(
        codec=codec_sha256(codec),
        musicnn=sha256(musicnn_folder() / 'MTT_musicnn' / '.data-00000-of-00001'),
        data=json.loads((args.data / 'record.json').read_text())['scores'],
        bank=sha256(BANK),
        seconds=SECONDS,
    )
    sets = {
        s: heard(net, codec, clips, s, n, args.cache, made)
        for s, n in dict(train=args.train, valid=150, test=150).items()
    }
    y = {s: labels(work) for s, (work, _, _) in sets.items()}
    (work, x_test, notes) = sets['test']
    fitted = fit_all(sets['train'][1], y['train'], sets['valid'][1], y['valid'])
    mean = lambda a, kind: sum(a[kind].values()) / len(a[kind])
    ship = max(
        fitted,
        key=lambda k: (
            mean(fitted[k][2], 'codec')
            if mean(fitted[k][2], 'render') >= mean(fitted['renders'][2], 'render') - 0.01
            else -1
        ),
    )
    rows = test_rows(work, notes, x_test, fitted[ship][0])
    compare = {
        name: dict(
            decay=decay,
            valid={s: {k: round(v, 3) for k, v in a.items()} for s, a in valid.items()},
            test={
                s: {k: share((g == y['test'][k]).tolist()) for k, g in guesses(probes, x).items()}
                for s, x in x_test.items()
            },
        )
        for name, (probes, decay, valid) in fitted.items()
    }
    hops = {
        str(len(x_test['render'][0, ::step])): {
            s: {
                k: round(v, 3)
                for k, v in accuracy(fitted[ship][0], x[:, ::step], y['test']).items()
            }
            for s, x in x_test.items()
        }
        for step in (2, 1)
    }
    common = dict(
        command=f'python recipes/fit_probes.py --data DATA --train {args.train}',
        date=datetime.date.today().isoformat(),
        **made,
    )
    record = dict(
        shipped=ship,
        windows={s: len(v[0]) for s, v in sets.items()},
        chance=chance(rows, y['train']),
        ceilings={s: ceilings(rows, s) for s in SOUNDS['test']},
        probes=compare,
        patches=hops,
        key_scale_of_openings=share(
            [
                scale_of(estimate_key(c.audio(0.0, SECONDS))) == scale_of(c.meta['key'])
                for c, _ in work
            ]
        ),
        **common,
    )
    save_tensors(
        args.out / 'probes.safetensors',
        fitted[ship][0].state_dict(),
        {
            k: str(v)
            for k, v in (
                common
                | dict(
                    fitted_on=ship,
                    decay=fitted[ship][1],
                    **{k: json.dumps(v) for k, v in HEADS.items()},
                )
            ).items()
        },
    )
    text = io.StringIO()
    w = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
    w.writeheader()
    w.writerows(rows)
    for name, t in (
        ('listen.csv', text.getvalue()),
        ('listen.json', json.dumps(record, indent=1) + '\n'),
    ):
        with atomic_path(args.record / name) as tmp:
            tmp.write_text(t)
    print(
        json.dumps(
            dict(
                shipped=ship,
                **{s: {k: v['value'] for k, v in c.items()} for s, c in record['ceilings'].items()},
            )
        )
    )


if __name__ == '__main__':
    main()
