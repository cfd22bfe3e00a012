"Model cards: the shipped ones say what the records say, a saved model carries one, and so does what goes to the hub"

import importlib.util, json, re
from pathlib import Path
import pytest
from huggingface_hub import ModelCard
from presto_nb.material.core import PrestoError, assets, sha256
from presto_nb.pipeline import MODELS, RELEASED, MusicPipeline
from tiny_model import random_pipeline

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / 'data_samples' / 'logs'
EVALUATED = {
    'base': 'evaluate_base.json',
    'presto-l': 'evaluate_four.json',
    'presto-s': 'evaluate_presto_s.json',
    'presto-ls': 'evaluate_four.json',
} | dict.fromkeys(RELEASED, 'evaluate_laptop.json')
read = lambda name: json.loads((LOGS / name).read_text())


@pytest.mark.parametrize('name', MODELS + RELEASED)
def test_a_shipped_card_is_what_the_recipe_makes_of_the_records(name):
    spec = importlib.util.spec_from_file_location(
        'model_cards', ROOT / 'recipes' / 'model_cards.py'
    )
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    assert (assets() / name / 'README.md').read_text() == recipe.text(name), (
        'run python recipes/model_cards.py'
    )


@pytest.mark.parametrize('name', MODELS + RELEASED)
def test_the_numbers_of_a_shipped_card(name):
    "Read from the records by hand: every score with its interval, chance, memorisation, training, hashes"
    card, r, run = (
        (assets() / name / 'README.md').read_text(),
        read(EVALUATED[name]),
        read(name.replace('-', '_') + '.json'),
    )
    table = {
        l.split('|')[1].strip(): [c.strip() for c in l.split('|')[2:-1]]
        for l in card.splitlines()
        if l.startswith('| ')
    }
    mine = next(s for s in r['sets'] if s['name'] == name)
    column = [c.strip() for c in re.search(r'^\| score \|(.+)\|$', card, re.M)[1].split('|')].index(
        name
    )
    for k, v in mine['scores'].items():
        percent = k in (
            'agreement',
            'lead',
            'accompaniment',
            'drums',
            'key',
            'tempo',
            'tempo_tolerant',
        )
        words = k.replace('_', ' ') + (' %' if percent else '')
        assert table[words][column] == (
            f'{100 * v[0]:.0f} [{100 * v[1]:.0f}, {100 * v[2]:.0f}]'
            if percent
            else f'{v[0]:.2f} [{v[1]:.2f}, {v[2]:.2f}]'
        ), k
        if percent:
            assert table[words][-1] == f"{100 * r['chance'][k]:.0f}"
    for q, (d, lo, hi) in r['more_alike'][name].items():
        assert table[f'{100 * float(q):.0f} %'] == [f'{d:+.3f} [{lo:+.3f}, {hi:+.3f}]']
    assert ('The interval is above 0' in card) == any(
        lo > 0 for _, lo, _ in r['more_alike'][name].values()
    )
    assert (
        run['command'] in card
        and r['command'] in card
        and f"| time | {run['minutes']:.1f} minutes |" in card
        and f"| seed | {run['config']['seed']} |" in card
        and f"| steps | {run.get('steps') or run['turns']:,} |" in card
    )
    assert (
        sha256(assets() / name / 'model.safetensors') == run['weights_sha256']
        and run['weights_sha256'] in card
        and mine['made']['weights'] in card
    )
    assert (
        'Nobody has judged this model by ear yet' in card
        and 'Novack' in card
        and f'from_pretrained("{name}")' in card
    )


@pytest.mark.parametrize('name', MODELS + RELEASED)
def test_the_hub_can_read_it(name):
    d = ModelCard((assets() / name / 'README.md').read_text()).data
    assert (d.license, d.pipeline_tag, d.library_name) == (
        'apache-2.0',
        'text-to-audio',
        'presto_nb',
    ) and 'music' in d.tags


def test_a_saved_model_carries_a_card(tmp_path):
    "A model of which nothing is known says so; a shipped one, saved as it is, keeps its numbers, and loses them when it is changed"
    pipe = random_pipeline()
    pipe.save_pretrained(tmp_path / 'tiny')
    card = (tmp_path / 'tiny' / 'README.md').read_text()
    assert (
        'license: other' in card
        and 'How it was trained is not recorded.' in card
        and sha256(tmp_path / 'tiny' / 'model.safetensors') in card
        and pipe.codec is not None
    )
    assert json.loads((tmp_path / 'tiny' / 'config.json').read_text())['codec_sha256'] in card
    base = MusicPipeline.from_pretrained('base', device='cpu')
    base.save_pretrained(tmp_path / 'same', parts=False)
    assert (tmp_path / 'same' / 'README.md').read_text() == (
        assets() / 'base' / 'README.md'
    ).read_text()
    base.config = base.config.replace(steps=40)
    base.save_pretrained(tmp_path / 'faster', parts=False)
    assert 'KAD' not in (tmp_path / 'faster' / 'README.md').read_text()
    base.config = base.config.replace(steps=80)
    next(base.denoiser.parameters()).data += 1
    base.save_pretrained(tmp_path / 'other', parts=False)
    assert 'KAD' not in (tmp_path / 'other' / 'README.md').read_text()


class Hub:
    "Takes what `push_to_hub` gives; `error` is raised instead"

    error, made, files = None, None, None

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
    "The shipped base goes with its parts, its card and nothing else; private unless asked otherwise"
    assert (
        MusicPipeline.from_pretrained('base', device='cpu').push_to_hub('me/base')
        == 'https://hub/me/base'
    )
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
    assert (
        random_pipeline().push_to_hub('me/tiny', private=False)
        and hub.made['private'] is False
        and b'not recorded' in hub.files['README.md']
    )


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
