"""The cards of the shipped models, presto_nb/assets/NAME/README.md, and the hashes of their files.

    python recipes/model_cards.py

Training from NAME.json in data_samples/logs; scores from the stored evaluation with the most clips
that has the model in it, beside real clips, the base and chance; memorisation from the same
evaluation. tests/test_card.py fails when a card is not what this makes of the records.
"""

from common import LOGS, write_text  # first: it sets how torch waits

from presto_nb.evidence.metrics import score_table
from presto_nb.material.cards import card
from presto_nb.material.core import assets, load_json, sha256, write_hashes
from presto_nb.material.model_folders import MODELS, RELEASED
from presto_nb.pipeline import MusicPipeline

SIZE = {  # is it released?
    False: 'The model is of the smallest size, `study`, and was trained for minutes on a processor',
    True: 'The model is of the size `laptop` and was trained for minutes on one GPU',
}
LIMITS = (
    '{size}. It has heard dance tunes of the 18th and 19th centuries, played by one General MIDI '
    'sound bank, and makes nothing else: no voices, no recordings of players. It knows sixteen '
    'lead instruments, a few accompaniments, drums or none, keys, dances and tempi, as in '
    '`presto_nb.material.tunes`; other words mean little to it, and it often misses the key and '
    'the tempo that were asked, as the scores show. Its beat is not steady: the tempo that was '
    'asked is found no more often than by chance.'
)
SCORES = (
    '{clips} clips of {seconds:g} s, of held-out prompts, seed {seed}; percentages, distances and '
    'their intervals ({intervals}). Reference of the distances: {reference}. `real` is the '
    "ceiling, `chance` is how often a clip has the facts of somebody else's prompt{pulse}{codec}."
    '\n\n{table}\n{date}, torch {torch}: `{command}`; data_samples/logs/{file}.'
)
PULSE = ' (pulse: what it is at that tempo)'
CODEC = ', `codec` what a perfect model could reach through this codec'
MEMORISATION = (
    'For each of {n} outputs the most alike training tune was looked for, in any key and at any '
    'place, and so for real clips of held-out tunes, which cannot have been copied. Likeness of '
    'the outputs less that of the held-out clips; above 0 is the sign of memorisation:\n\n'
    '| quantile | difference |\n|---|---|\n{rows}\n\n{verdict}'
)
FOUND = (
    'The interval is above 0 at the quantile {names}: by this measure some outputs may be nearer '
    'to training tunes than they should be.'
)
NOT_FOUND = 'Every interval holds 0 or lies below it: no sign of it at this many clips.'
DATA = (
    'Folk-GM, {tier} tier: {clips:,} clips, {hours:.1f} h, of 3,116 tunes, most of them from '
    "printed collections of 1778 to 1903 (Ryan's Mammoth Collection, O'Neill's Music of Ireland, "
    "Aird's Airs, and others; the melodies are in the public domain), arranged and captioned by "
    "this project's code and rendered with a sound bank cut from FluidR3Mono_GM (MIT). No "
    'recordings were used. Nine in ten tunes were trained on; the rest are held out by tune '
    'family. Weights: Apache-2.0. THIRD_PARTY.md names every source.'
)


def has_test_scores(record, name):
    "Is a model in an evaluation on tunes of the split test?"
    names = [s['name'] for s in record['sets']]
    return name in names and record['sets'][0]['split'] == 'test'


def judged(name):  # (record, file name)
    "The stored evaluation of a model with the most clips"
    found = []
    for path in sorted(LOGS.glob('evaluate_*.json')):
        record = load_json(path)
        if 'sets' in record and has_test_scores(record, name):
            found.append((record, path.name))
    return max(found, key=lambda x: x[0]['sets'][0]['clips'])


def shown_sets(record, name):
    "Real clips, codec, base, model, as far as they are there"
    base = 'laptop-base' if name in RELEASED else 'base'
    wanted = dict.fromkeys(('real', 'codec', base, name))
    return [s for k in wanted for s in record['sets'] if s['name'] == k]


def scores(name):
    "The scorecard as a table"
    record, file = judged(name)
    sets = shown_sets(record, name)
    own = sets[-1]
    about = {k: own[k] for k in ('clips', 'seconds', 'seed', 'intervals', 'reference')}
    return SCORES.format(
        **about,
        pulse=PULSE if 'pulse' in record['chance'] else '',
        codec=CODEC if 'codec' in [s['name'] for s in sets] else '',
        table=score_table(sets, record['chance']),
        date=own['date'],
        torch=own['torch'],
        command=record['command'],
        file=file,
    )


def memorisation(name):
    "Likeness to training tunes, minus that of held-out tunes"
    record, _ = judged(name)
    rows = []
    signs = []
    for quantile, (value, low, high) in record['more_alike'][name].items():
        rows.append(f'| {100 * float(quantile):.0f} % | {value:+.3f} [{low:+.3f}, {high:+.3f}] |')
        if low > 0:
            signs.append(f'{100 * float(quantile):.0f} %')
    n = int(record['command'].split('--memorisation ')[1].split()[0])
    verdict = FOUND.format(names=' and '.join(signs)) if signs else NOT_FOUND
    return MEMORISATION.format(n=n, rows='\n'.join(rows), verdict=verdict)


def record(name) -> dict:
    "What `card` is told"
    r = load_json(LOGS / f"{name.replace('-', '_')}.json")
    tier = 'folk_gm_varied' if r['dataset']['tier'] == 'varied' else 'folk_gm'
    data = load_json(LOGS / f'{tier}.json')
    before = [r['first']['command']] if 'first' in r else []
    return r | dict(
        command='\n'.join([*before, r['command']]),
        data=DATA.format(tier=data['tier'], clips=data['clips'], hours=data['hours']),
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
        write_text(assets() / name / 'README.md', text(name))
        write_hashes(assets() / name, ['config.json', 'model.safetensors'])


if __name__ == '__main__':
    main()
