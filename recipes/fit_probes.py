"""Fit the probes that hear lead, accompaniment and drums, and measure every ear.

    python recipes/fit_probes.py --data DATA [--cache DIR] [--out DIR] [--record DIR]
        [--train 1000]

DATA is a full Folk-GM folder (presto-nb data build --tier full). One window of 6 s of each of
--train tunes of the train split, and of the valid and test splits, is heard as rendered and through
the shipped codec; test windows also with the second sound bank (the same notes, other samples).
Linear probes on musicnn's pooled features are fitted on the train split, once on renders alone and
once on renders and their codec versions. The valid split chooses the weight decay and which of the
two is shipped. The test split, seen once, gives the ceilings. Features are cached, so an
interrupted run goes on. Writes OUT/probes.safetensors, RECORD/listen.csv (what was heard in each
test window) and RECORD/listen.json (the ceilings). About 11 minutes of one CPU core.
"""

import csv
import io
import json
import math
from functools import lru_cache
from pathlib import Path

from common import LOGS, new_parser, stamped, write_json, write_text

import numpy as np
import torch

from presto_nb.evidence.listen import HEADS, MusiCNN, estimate_tempo, fit_probes, key_class
from presto_nb.evidence.listen import musicnn_folder, musicnn_patches, scale_of
from presto_nb.material.audio import estimate_key, onset_rate
from presto_nb.material.codec import SpectralVAE, codec_sha256
from presto_nb.material.core import assets, cache_dir, load_tensors, progress, save_tensors
from presto_nb.material.core import sha256, stable_hash
from presto_nb.material.tunes import Dice, arrange, clip_name, load_folder, read_tune, render
from presto_nb.material.tunes import tune_index

SECONDS = 6.0
BANK = LOGS.parent / 'sonivox' / 'sonivox.sf3'
SOUNDS = dict(
    train=('render', 'codec'),
    valid=('render', 'codec'),
    test=('render', 'codec', 'bank'),
)
FITTED_ON = dict(renders=('render',), both=('render', 'codec'))
EARS = dict(key=estimate_key, bpm=estimate_tempo, onsets=onset_rate)
DECAYS = 1e-4, 3e-4, 1e-3, 3e-3, 1e-2
HOPS = dict(test=94, train=188, valid=188)  # between patches
CHUNK = 50  # windows
Z = 1.96  # of a 95 % interval

# --- windows and sounds ------------------------------------------------------------------------


def windows(clips, split, n):
    "[(clip, start in s)]: one window of each of n tunes, in the order of their hash"
    long = [c for c in clips if c.split == split and c.seconds > SECONDS + 1]
    chosen = sorted(long, key=lambda c: stable_hash('probe', c.meta['id']))[:n]
    return [(c, window_start(c)) for c in chosen]


def window_start(clip):
    "Seconds"
    last = int((clip.seconds - SECONDS - 1) * 1000)
    return Dice('window', clip.meta['id']).roll(0, last) / 1000


def through(codec, audio):
    "What the codec makes of a sound"
    with torch.inference_mode():
        y = codec.decode(codec.encode(audio.samples[None]))[0, :, : audio.samples.shape[-1]]
    return audio.new(y).normalise()


@lru_cache(None)
def tunes():
    "Name of a clip -> its tune in the index"
    return {clip_name(r.id): r for r in tune_index()}


@lru_cache(2)
def arrangement_of(name):
    "The notes of a clip"
    return arrange(read_tune(tunes()[name]))


def with_bank(clip, start):
    "The same window played with the second bank; two seconds before it sound too, for held notes"
    a = arrangement_of(clip.meta['id'])
    before = min(2.0, start)
    tick = a.start + round((start - before) / a.tick)
    return render(a, tick, SECONDS + before, str(BANK)).clip(before, SECONDS).normalise()


def onset_count(times):  # s, in order
    "Onsets inside the window; notes within 50 ms count once"
    last = -1.0
    count = 0
    for t in times:
        if 0 <= t < SECONDS and t - last > 0.05:
            count += 1
            last = t
    return count


def score_rates(clip, start):
    "Onsets a second in the notes: of the lead, and of all parts"
    a = arrangement_of(clip.meta['id'])
    rates = {}
    for name, parts in dict(lead_rate=('lead',), score_rate=tuple(a.programs)).items():
        times = sorted((n[0] - a.start) * a.tick - start for n in a.notes if n[4] in parts)
        rates[name] = round(onset_count(times) / SECONDS, 3)
    return rates


def sounds(codec, clip, start, names):
    "Name -> sound of a window"
    real = clip.audio(start, SECONDS).mono().normalise()
    make = dict(
        render=lambda: real,
        codec=lambda: through(codec, real),
        bank=lambda: with_bank(clip, start),
    )
    return {k: make[k]() for k in names}


# --- features, cached --------------------------------------------------------------------------


def signal_notes(clip, start, audios):
    "What signal processing says of the sounds of a window"
    said = score_rates(clip, start)
    for name, audio in audios.items():
        said |= {f'{m}_{name}': f(audio) for m, f in EARS.items()}
    return said


def hear(net, codec, work, split):
    "Pooled features of some windows, and (test) what signal processing says, as tensors"
    features = {k: [] for k in SOUNDS[split]}
    notes = []
    for clip, start in work:
        audios = sounds(codec, clip, start, SOUNDS[split])
        with torch.inference_mode():
            for k, a in audios.items():
                features[k].append(net.pool(musicnn_patches(a, HOPS[split])))
        if split == 'test':
            notes.append(signal_notes(clip, start, audios))
    return {k: torch.stack(v) for k, v in features.items()}, notes


def heard_chunk(net, codec, chunk, split, cache, made):
    "Features and notes of a chunk, computed once"
    names = [(c.meta['id'], s) for c, s in chunk]
    path = cache / f'{split}-{stable_hash(made, names):016x}'
    if not path.with_suffix('.json').is_file():
        features, notes = hear(net, codec, chunk, split)
        save_tensors(path.with_suffix('.safetensors'), features)
        write_text(path.with_suffix('.json'), json.dumps(notes))
    notes = json.loads(path.with_suffix('.json').read_text())
    return load_tensors(path.with_suffix('.safetensors')), notes


def hear_split(net, codec, clips, split, n, cache, made):
    "(windows, features by sound, notes)"
    work = windows(clips, split, n)
    parts = []
    notes = []
    for i in progress(range(0, len(work), CHUNK), desc=split):
        features, said = heard_chunk(net, codec, work[i : i + CHUNK], split, cache, made)
        parts.append(features)
        notes += said
    return work, {k: torch.cat([p[k] for p in parts]) for k in parts[0]}, notes


def labels(work):
    "Head -> number of the right answer of each window"
    return {k: torch.tensor([v.index(c.meta[k]) for c, _ in work]) for k, v in HEADS.items()}


# --- probes ------------------------------------------------------------------------------------


def guesses(probes, x):
    "Head -> number of the likeliest answer"
    return {k: p.argmax(-1) for k, p in probes(x.mean(1)).items()}


def accuracy(probes, x, y):
    "Head -> share of right answers"
    return {k: (g == y[k]).float().mean().item() for k, g in guesses(probes, x).items()}


def fit_one(x, y, valid, y_valid):
    "(probes, decay, accuracies on the valid split) of the decay with the best mean accuracy"
    tried = []
    for decay in DECAYS:
        probes = fit_probes(x, y, decay)
        found = {k: accuracy(probes, v, y_valid) for k, v in valid.items()}
        tried.append((sum(sum(v.values()) for v in found.values()), probes, decay, found))
    return max(tried, key=lambda t: t[0])[1:]


def fit_all(train, y_train, valid, y_valid):
    "{fitted on: (probes, decay, accuracies on the valid split)}"
    clip_mean = {k: v.mean(1) for k, v in train.items()}
    fitted = {}
    for name, kinds in FITTED_ON.items():
        x = torch.cat([clip_mean[k] for k in kinds])
        y = {k: v.repeat(len(kinds)) for k, v in y_train.items()}
        fitted[name] = fit_one(x, y, valid, y_valid)
    return fitted


def mean_accuracy(accuracies, sound):
    "Over the heads"
    return sum(accuracies[sound].values()) / len(accuracies[sound])


def choose_shipped(fitted):
    "The better one through the codec, of those that lose at most a point on renders"
    least = mean_accuracy(fitted['renders'][2], 'render') - 0.01

    def worth(name):
        accuracies = fitted[name][2]
        good = mean_accuracy(accuracies, 'render') >= least
        return mean_accuracy(accuracies, 'codec') if good else -1

    return max(fitted, key=worth)


# --- numbers with intervals --------------------------------------------------------------------


def rate(hits):
    "A rate with Wilson's 95 % interval"
    n = len(hits)
    p = float(np.mean(hits))
    whole = 1 + Z * Z / n
    middle = (p + Z * Z / 2 / n) / whole
    half = Z * math.sqrt(p * (1 - p) / n + Z * Z / 4 / n / n) / whole
    return dict(value=round(p, 3), low=round(middle - half, 3), high=round(middle + half, 3), n=n)


def correlation(a, b):
    "Pearson's correlation with Fisher's 95 % interval"
    n = len(a)
    r = float(np.corrcoef(a, b)[0, 1])
    if r >= 1:
        return dict(value=1.0, low=1.0, high=1.0, n=n)
    half = Z / math.sqrt(n - 3)
    low = math.tanh(math.atanh(r) - half)
    high = math.tanh(math.atanh(r) + half)
    return dict(value=round(r, 3), low=round(low, 3), high=round(high, 3), n=n)


OCTAVES = 1 / 3, 1 / 2, 2 / 3, 1, 3 / 2, 2, 3


def near(bpm, true, ratios=(1,)):
    "Is a tempo right to 6 %, or one of some multiples of it?"
    return any(abs(bpm / true / r - 1) < 0.06 for r in ratios)


def key_and_tempo(rows, kind):
    "How often they are right"
    keys = [(r[f'key_{kind}'], r['key']) for r in rows]
    tempi = [(r[f'bpm_{kind}'], r['bpm']) for r in rows]
    return dict(
        key_exact=rate([key_class(guess) == key_class(true) for guess, true in keys]),
        key_scale=rate([scale_of(guess) == scale_of(true) for guess, true in keys]),
        tempo=rate([near(*pair) for pair in tempi]),
        tempo_octave=rate([near(*pair, OCTAVES) for pair in tempi]),
    )


def onset_correlations(rows, kind):
    "Onsets that are heard, against those of the notes and of the render"
    found = [r[f'onsets_{kind}'] for r in rows]
    against = dict(
        onsets_lead='lead_rate', onsets_score='score_rate', onsets_render='onsets_render'
    )
    return {k: correlation(found, [r[name] for r in rows]) for k, name in against.items()}


def ceilings(rows, kind):
    "What the ears get right in one kind of sound"
    heads = {k: rate([r[f'{k}_{kind}'] == r[k] for r in rows]) for k in HEADS}
    return key_and_tempo(rows, kind) | onset_correlations(rows, kind) | heads


def best_tempo(rows, ratios):
    "The most that any single tempo gets right"
    hits = []
    for guess in range(40, 241):
        hits.append(np.mean([near(guess, r['bpm'], ratios) for r in rows]))
    return round(max(hits), 3)


def chance(rows, y_train):
    "What a deaf guess gets: the commonest answer of the train split, the best single tempo"
    deaf = dict(
        key_exact=round(1 / 24, 3),
        key_scale=round(1 / 12, 3),
        tempo=best_tempo(rows, (1,)),
        tempo_octave=best_tempo(rows, OCTAVES),
        onsets_lead=0.0,
        onsets_score=0.0,
        onsets_render=0.0,
    )
    for k, answers in HEADS.items():
        common = answers[int(y_train[k].bincount().argmax())]
        deaf[k] = round(float(np.mean([r[k] == common for r in rows])), 3)
    return deaf


# --- tables ------------------------------------------------------------------------------------


def rounded_row(row):
    "With three digits"
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()}


def test_rows(work, notes, features, probes):
    "What was heard in each test window"
    rows = []
    for (c, s), said in zip(work, notes):
        facts = {k: c.meta[k] for k in ('key', *HEADS)}
        rows.append(dict(id=c.meta['id'], start=s, bpm=c.bpm, **facts) | said)
    for kind, x in features.items():
        for k, g in guesses(probes, x).items():
            for r, i in zip(rows, g):
                r[f'{k}_{kind}'] = HEADS[k][i]
    return [rounded_row(r) for r in rows]


def table_of(rows):
    "Rows as CSV"
    text = io.StringIO()
    w = csv.DictWriter(text, list(rows[0]), lineterminator='\n')
    w.writeheader()
    w.writerows(rows)
    return text.getvalue()


def compare_probes(fitted, x_test, y_test):
    "Both fits on both splits"
    found = {}
    for name, (probes, decay, valid) in fitted.items():
        test = {}
        for sound, x in x_test.items():
            right = {k: (g == y_test[k]).tolist() for k, g in guesses(probes, x).items()}
            test[sound] = {k: rate(hits) for k, hits in right.items()}
        on_valid = {sound: rounded_row(a) for sound, a in valid.items()}
        found[name] = dict(decay=decay, valid=on_valid, test=test)
    return found


def fewer_patches(probes, x_test, y_test):
    "Number of patches -> sound -> accuracy"
    found = {}
    for step in (2, 1):
        count = len(x_test['render'][0, ::step])
        rows = {s: rounded_row(accuracy(probes, x[:, ::step], y_test)) for s, x in x_test.items()}
        found[str(count)] = rows
    return found


def openings(work):
    "How often the scale is right in a tune's first seconds"
    hits = []
    for c, _ in work:
        hits.append(scale_of(estimate_key(c.audio(0.0, SECONDS))) == scale_of(c.meta['key']))
    return rate(hits)


def ingredients(data, codec):
    "What everything that is heard depends on"
    return dict(
        codec=codec_sha256(codec),
        musicnn=sha256(musicnn_folder() / 'MTT_musicnn' / '.data-00000-of-00001'),
        data=json.loads((data / 'record.json').read_text())['scores'],
        bank=sha256(BANK),
        seconds=SECONDS,
    )


def save_probes(path, fitted, ship, about):
    "The chosen probes, with what made them"
    probes, decay, _ = fitted[ship]
    heads = {k: json.dumps(v) for k, v in HEADS.items()}
    header = about | dict(fitted_on=ship, decay=decay, **heads)
    save_tensors(path, probes.state_dict(), {k: str(v) for k, v in header.items()})


def hear_all(args):
    "Split -> (windows, features, notes); what they depend on"
    clips = load_folder(args.data)
    net = MusiCNN.from_pretrained()
    codec = SpectralVAE.from_pretrained()
    made = ingredients(args.data, codec)
    sizes = dict(train=args.train, valid=150, test=150)
    heard = (net, codec, clips)
    sets = {s: hear_split(*heard, s, n, args.cache, made) for s, n in sizes.items()}
    return sets, made


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--data', type=Path, required=True)
    p.add_argument('--cache', type=Path, default=cache_dir() / 'listen')
    p.add_argument('--out', type=Path, default=assets() / 'listen')
    p.add_argument('--record', type=Path, default=LOGS)
    p.add_argument('--train', type=int, default=1000)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(1)
    sets, made = hear_all(args)
    y = {s: labels(work) for s, (work, _, _) in sets.items()}
    work, x_test, notes = sets['test']
    fitted = fit_all(sets['train'][1], y['train'], sets['valid'][1], y['valid'])
    ship = choose_shipped(fitted)
    probes = fitted[ship][0]
    rows = test_rows(work, notes, x_test, probes)
    about = stamped(made, f'python recipes/fit_probes.py --data DATA --train {args.train}')
    record = dict(
        shipped=ship,
        windows={s: len(v[0]) for s, v in sets.items()},
        chance=chance(rows, y['train']),
        ceilings={s: ceilings(rows, s) for s in SOUNDS['test']},
        probes=compare_probes(fitted, x_test, y['test']),
        patches=fewer_patches(probes, x_test, y['test']),
        key_scale_of_openings=openings(work),
        **about,
    )
    save_probes(args.out / 'probes.safetensors', fitted, ship, about)
    write_text(args.record / 'listen.csv', table_of(rows))
    write_json(args.record / 'listen.json', record)
    said = {s: {k: v['value'] for k, v in c.items()} for s, c in record['ceilings'].items()}
    print(json.dumps(dict(shipped=ship, **said)))


if __name__ == '__main__':
    main()
