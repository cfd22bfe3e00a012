"""The cards of the shipped models, presto_nb/assets/NAME/README.md, from the records in data_samples/logs, and the hashes of their files: python recipes/model_cards.py

Training from NAME.json; scores from the stored evaluation with the most clips that has the model in it, beside real clips, the base and chance; memorisation from the same evaluation.
tests/test_card.py fails when a card is not what this makes of the records.
"""

from pathlib import Path
from presto_nb.material.cards import card
from presto_nb.material.core import assets, atomic_path, load_json, sha256, write_hashes
from presto_nb.evidence.metrics import score_table
from presto_nb.pipeline import MODELS, RELEASED, MusicPipeline

LOGS = Path(__file__).resolve().parent.parent / 'data_samples' / 'logs'
SIZE = {
    False: 'The model is of the smallest size, `study`, and was trained for minutes on a processor',
    True: 'The model is of the size `laptop` and was trained for minutes on one GPU',
}  # is it released?
LIMITS = (
    '{size}. It has heard dance tunes of the 18th and 19th centuries, played by one General MIDI sound bank, and makes nothing else: no voices, no recordings of '
    'players. It knows sixteen lead instruments, a few accompaniments, drums or none, keys, dances and tempi, as in `presto_nb.material.tunes`; other words mean little to it, and it often misses the key and the tempo that were asked, as the scores show. Its beat is not steady: the tempo that was asked is found no more often than by chance.'
)


def judged(name):  # (record, file name) of the largest evaluation
    "The stored evaluation of a model"
    found = [
        (r, p.name) for p in sorted(LOGS.glob('evaluate_*.json')) if 'sets' in (r := load_json(p))
    ]
    return max(
        (
            (r, n)
            for r, n in found
            if name in [s['name'] for s in r['sets']] and r['sets'][0]['split'] == 'test'
        ),
        key=lambda x: x[0]['sets'][0]['clips'],
    )


def scores(name):
    "The scorecard as a table"
    r, file = judged(name)
    sets = [
        s
        for k in dict.fromkeys(
            ('real', 'codec', 'laptop-base' if name in RELEASED else 'base', name)
        )
        for s in r['sets']
        if s['name'] == k
    ]
    s = sets[-1]
    return (
        f"{s['clips']} clips of {s['seconds']:g} s, of held-out prompts, seed {s['seed']}; percentages, distances and their intervals ({s['intervals']}). Reference of the distances: {s['reference']}. `real` is the ceiling, `chance` is how often a clip has the facts "
        f"of somebody else's prompt{' (pulse: what it is at that tempo)' if 'pulse' in r['chance'] else ''}{', `codec` what a perfect model could reach through this codec' if 'codec' in [x['name'] for x in sets] else ''}.\n\n{score_table(sets, r['chance'])}\n"
        f"{s['date']}, torch {s['torch']}: `{r['command']}`; data_samples/logs/{file}."
    )


def memorisation(name):
    "Likeness to training tunes less that of held-out tunes"
    r, file = judged(name)
    found = r['more_alike'][name]
    n = int(r['command'].split('--memorisation ')[1].split()[0])
    rows = '\n'.join(
        f'| {100 * float(q):.0f} % | {d:+.3f} [{lo:+.3f}, {hi:+.3f}] |'
        for q, (d, lo, hi) in found.items()
    )
    sign = [f'{100 * float(q):.0f} %' for q, (d, lo, hi) in found.items() if lo > 0]
    return (
        f'For each of {n} outputs the most alike training tune was looked for, in any key and at any place, and so for real clips of held-out tunes, which cannot have been copied. Likeness of the outputs less that of the held-out clips; above 0 is the sign of memorisation:\n\n'
        f"| quantile | difference |\n|---|---|\n{rows}\n\n"
        + (
            f"The interval is above 0 at the quantile {' and '.join(sign)}: by this measure some outputs may be nearer to training tunes than they should be."
            if sign
            else 'Every interval holds 0 or lies below it: no sign of it at this many clips.'
        )
    )


def record(name) -> dict:
    "What `card` is told"
    r = load_json(LOGS / f"{name.replace('-', '_')}.json")
    data = load_json(
        LOGS / ('folk_gm_varied.json' if r['dataset']['tier'] == 'varied' else 'folk_gm.json')
    )
    before = [r['first']['command']] if 'first' in r else []
    text = (
        f"Folk-GM, {data['tier']} tier: {data['clips']:,} clips, {data['hours']:.1f} h, of 3,116 tunes, most of them from printed collections of 1778 to 1903 (Ryan's Mammoth Collection, O'Neill's Music of Ireland, Aird's Airs, and others; the melodies are in the public domain), arranged and captioned by "
        "this project's code and rendered with a sound bank cut from FluidR3Mono_GM (MIT). No recordings were used. Nine in ten tunes were trained on; the rest are held out by tune family. Weights: Apache-2.0. THIRD_PARTY.md names every source."
    )
    return r | dict(
        command='\n'.join([*before, r['command']]),
        data=text,
        scores=scores(name),
        memorisation=memorisation(name),
        limits=LIMITS.format(size=SIZE[name in RELEASED]),
        license='apache-2.0',
        load=name,
    )


def text(name) -> str:
    "The card of a shipped model"
    pipe = MusicPipeline.from_pretrained(name, device='cpu', check=False)
    return card(pipe, pipe.config, sha256(assets() / name / 'model.safetensors'), record(name))


def main():
    for name in MODELS + RELEASED:
        with atomic_path(assets() / name / 'README.md') as p:
            p.write_text(text(name), encoding='utf-8')
        write_hashes(assets() / name, ['config.json', 'model.safetensors'])


if __name__ == '__main__':
    main()
