"Model cards: shipped ones say what the records say, saved models and the hub get theirs"

import json
import re
from pathlib import Path

import model_cards
import pytest
from huggingface_hub import ModelCard

from presto_nb.material.core import PrestoError, assets, sha256
from presto_nb.material.model_folders import MODELS, RELEASED
from presto_nb.pipeline import MusicPipeline
from tiny_model import random_pipeline

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / 'data_samples' / 'logs'
EVALUATED = {
    'base': 'evaluate_base.json',
    'presto-l': 'evaluate_four.json',
    'presto-s': 'evaluate_presto_s.json',
    'presto-ls': 'evaluate_four.json',
} | dict.fromkeys(RELEASED, 'evaluate_laptop.json')
PERCENT = 'agreement', 'lead', 'accompaniment', 'drums', 'key', 'tempo', 'tempo_tolerant'


def read(name):
    "A record"
    return json.loads((LOGS / name).read_text())


def card_of(name):
    "A shipped card"
    return (assets() / name / 'README.md').read_text()


@pytest.mark.parametrize('name', MODELS + RELEASED)
def test_a_shipped_card_is_what_the_recipe_makes_of_the_records(name):
    assert card_of(name) == model_cards.text(name), 'run python recipes/model_cards.py'


def cells_of(line):
    "The cells of a row of a table"
    return [c.strip() for c in line.split('|')[1:-1]]


def table_of(card):
    "First cell of each row -> the other cells"
    rows = [cells_of(line) for line in card.splitlines() if line.startswith('| ')]
    return {first: others for first, *others in rows}


def shown(k, v):
    "A score and its interval as a card says them"
    if k in PERCENT:
        return f'{100 * v[0]:.0f} [{100 * v[1]:.0f}, {100 * v[2]:.0f}]'
    return f'{v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}]'


def check_scores(card, name, record):
    "Every score with its interval, and chance"
    table = table_of(card)
    (own,) = [s for s in record['sets'] if s['name'] == name]
    column = cells_of(re.search(r'^\| score \|.+\|$', card, re.M)[0]).index(name) - 1
    for k, v in own['scores'].items():
        words = k.replace('_', ' ') + (' %' if k in PERCENT else '')
        assert table[words][column] == shown(k, v), k
        if k in PERCENT:
            assert table[words][-1] == f"{100 * record['chance'][k]:.0f}"


def check_memorisation(card, more_alike):
    "Differences at quantiles, and the verdict"
    table = table_of(card)
    for q, (d, low, high) in more_alike.items():
        assert table[f'{100 * float(q):.0f} %'] == [f'{d:+.3f} [{low:+.3f}, {high:+.3f}]']
    sign = any(low > 0 for _, low, _ in more_alike.values())
    assert ('The interval is above 0' in card) == sign


@pytest.mark.parametrize('name', MODELS + RELEASED)
def test_the_numbers_of_a_shipped_card(name):
    "Read from the records by hand: scores, chance, memorisation, training, hashes"
    card = card_of(name)
    record = read(EVALUATED[name])
    run = read(name.replace('-', '_') + '.json')
    check_scores(card, name, record)
    check_memorisation(card, record['more_alike'][name])
    assert run['command'] in card
    assert record['command'] in card
    assert f"| time | {run['minutes']:.1f} minutes |" in card
    assert f"| seed | {run['config']['seed']} |" in card
    assert f"| steps | {run.get('steps') or run['turns']:,} |" in card
    assert sha256(assets() / name / 'model.safetensors') == run['weights_sha256']
    assert run['weights_sha256'] in card
    (own,) = [s for s in record['sets'] if s['name'] == name]
    assert own['made']['weights'] in card
    assert 'Nobody has judged this model by ear yet' in card
    assert 'Novack' in card
    assert f'from_pretrained("{name}")' in card


@pytest.mark.parametrize('name', MODELS + RELEASED)
def test_the_hub_can_read_it(name):
    d = ModelCard(card_of(name)).data
    assert d.license == 'apache-2.0'
    assert d.pipeline_tag == 'text-to-audio'
    assert d.library_name == 'presto_nb'
    assert 'music' in d.tags


def test_a_saved_model_carries_a_card(tmp_path):
    "A model of which nothing is known says so"
    pipe = random_pipeline()
    pipe.save_pretrained(tmp_path / 'tiny')
    card = (tmp_path / 'tiny' / 'README.md').read_text()
    assert 'license: other' in card
    assert 'How it was trained is not recorded.' in card
    assert sha256(tmp_path / 'tiny' / 'model.safetensors') in card
    assert pipe.codec is not None
    assert json.loads((tmp_path / 'tiny' / 'config.json').read_text())['codec_sha256'] in card
    # a shipped one, saved as it is, keeps its numbers, and loses them when it is changed
    base = MusicPipeline.from_pretrained('base', device='cpu')
    base.save_pretrained(tmp_path / 'same', parts=False)
    assert (tmp_path / 'same' / 'README.md').read_text() == card_of('base')
    base.config = base.config.replace(steps=40)
    base.save_pretrained(tmp_path / 'faster', parts=False)
    assert 'KAD' not in (tmp_path / 'faster' / 'README.md').read_text()
    base.config = base.config.replace(steps=80)
    next(base.denoiser.parameters()).data += 1
    base.save_pretrained(tmp_path / 'other', parts=False)
    assert 'KAD' not in (tmp_path / 'other' / 'README.md').read_text()


class Hub:
    "Takes what `push_to_hub` gives; `error` is raised instead"

    error = None
    made = None
    files = None

    def __call__(self):
        return self

    def create_repo(self, repo_id, private, exist_ok):
        self.made = dict(repo_id=repo_id, private=private, exist_ok=exist_ok)

    def upload_folder(self, repo_id, folder_path):
        if self.error:
            raise self.error
        self.files = {
            p.relative_to(folder_path).as_posix(): p.read_bytes()
            for p in Path(folder_path).rglob('*')
            if p.is_file()
        }
        return f'https://hub/{repo_id}'


@pytest.fixture
def hub(monkeypatch):
    import huggingface_hub

    hub = Hub()
    monkeypatch.setattr(huggingface_hub, 'HfApi', hub)
    monkeypatch.delenv('HF_TOKEN', raising=False)
    return hub


def test_push_to_hub(hub):
    "The shipped base goes with its parts, its card and nothing else; private unless asked"
    base = MusicPipeline.from_pretrained('base', device='cpu')
    assert base.push_to_hub('me/base') == 'https://hub/me/base'
    assert hub.made == dict(repo_id='me/base', private=True, exist_ok=True)
    assert sorted(hub.files) == [
        'README.md',
        'codec/config.json',
        'codec/model.safetensors',
        'codec/sha256.json',
        'config.json',
        'model.safetensors',
        'sha256.json',
        'text/config.json',
        'text/model.safetensors',
        'text/sha256.json',
        'text/vocab.txt',
    ]
    for f in ('README.md', 'model.safetensors'):
        assert hub.files[f] == (assets() / 'base' / f).read_bytes()
    assert random_pipeline().push_to_hub('me/tiny', private=False)
    assert hub.made['private'] is False
    assert b'not recorded' in hub.files['README.md']


@pytest.mark.parametrize(
    'error',
    [OSError('offline\nand more'), ValueError('401 Client Error: token'), RuntimeError()],
    ids=lambda e: type(e).__name__,
)
def test_push_to_hub_that_fails(hub, error):
    hub.error = error
    with pytest.raises(PrestoError, match='could not be put on the hub as me/tiny') as e:
        random_pipeline().push_to_hub('me/tiny')
    assert '\n' not in str(e.value) and type(error).__name__ in str(e.value)
    with pytest.raises(PrestoError, match='must be owner/name'):
        random_pipeline().push_to_hub('../tiny')
