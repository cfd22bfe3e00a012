"The pulse: a fact of listening, a row of every scorecard; what was heard before it is heard again"

import json
import math
from types import SimpleNamespace
import pytest
import torch
from presto_nb.material.audio import Audio
from presto_nb.material.core import PrestoError, load_json
from presto_nb.evidence.listen import BPMS, estimate_tempo, pulse, pulse_at, tempogram
from presto_nb.evidence.metrics import (
    HEARD,
    RATES,
    STACKED,
    Evaluator,
    better,
    chance,
    rhythm_facts,
)
from presto_nb.evidence.metrics import rhythm_scores, score_table, text_of

RATE = 22050


def clicks(bpm, seconds=6.0):
    x = torch.zeros(round(seconds * RATE))
    x[(torch.arange(0, seconds, 60 / bpm) * RATE).long()] = 1.0
    return Audio(x, RATE)


def flat_but(bpm, height):
    "A row of a tempogram that repeats at one tempo alone"
    row = torch.zeros(400)
    row[(BPMS - bpm).abs().argmin()] = height
    return row


@pytest.mark.parametrize(
    'asked, height',
    [
        (100, 0.5),
        (50, 0.5),
        (200, 0.5),
        (103, 0.5),
        (97, 0.5),
        (106, 0),
        (94, 0),
        (150, 0),
        (67, 0),
    ],
)
def test_the_asked_tempo_its_half_and_double_within_four_percent(asked, height):
    assert pulse_at(flat_but(100, 0.5), asked) == height


def test_the_median_is_taken_off():
    "What repeats at every tempo alike has no beat"
    assert pulse_at(torch.full((400,), 0.7), 120) == 0
    assert pulse_at(flat_but(120, 0.9) - 0.2, 120) == pytest.approx(0.9)


@pytest.mark.parametrize('bpm', [None, math.nan])
def test_nobody_asked(bpm):
    assert math.isnan(pulse(clicks(120), bpm))


@pytest.mark.parametrize('bpm', [0, -120, 19.9, 401, math.inf, 'fast', '', [120]])
def test_a_tempo_that_cannot_be(bpm):
    with pytest.raises(PrestoError) as e:
        pulse(clicks(120), bpm)
    assert str(e.value) == f'the tempo is {bpm} bpm; it must be a number from 20 to 400'


def test_the_ends_of_the_tempi_that_can_be():
    assert pulse_at(flat_but(40, 0.5), 20) == 0.5  # its double
    assert pulse_at(flat_but(200, 0.5), 400) == 0.5  # its half


def test_sounds_without_a_beat():
    for audio in (Audio(torch.zeros(RATE * 6), RATE), Audio([0.1], 8000), Audio([0.0], 44100)):
        assert pulse(audio, 120) == 0


def test_loudness_rate_and_channels_say_nothing():
    a = clicks(100)
    same = [a.new(0.01 * a.samples), a.resample(44100), Audio(a.samples.repeat(2, 1), RATE)]
    assert [pulse(b, 100) for b in same] == pytest.approx([pulse(a, 100)] * 3, abs=0.02)


def test_a_clip_out_of_time_has_less_of_it():
    "Clicks that wander by more and more: the tempo is still found, the pulse tells them apart"
    moved = []
    g = torch.Generator().manual_seed(0)
    for jitter in (0.0, 0.02, 0.04):
        x = torch.zeros(RATE * 6)
        at = torch.arange(0, 6, 0.5)
        x[((at + jitter * torch.randn(12, generator=g)).clamp(0, 5.9) * RATE).long()] = 1.0
        moved.append(Audio(x, RATE))
    scores = [pulse(a, 120) for a in moved]
    assert scores[0] > scores[1] + 0.1 > scores[2] + 0.2
    assert estimate_tempo(moved[1]) == pytest.approx(120, rel=0.06)


class Ear:
    "A listener that needs no network, and counts what it hears"

    heard = 0

    def __call__(self, audios):
        self.heard += len(audios)
        rows = FACTS | dict(bpm=100.0, onset_rate=2.0, embedding=torch.ones(200))
        return [SimpleNamespace(**rows, tempogram=tempogram(a)[0]) for a in audios]


class Nothing:
    "An embedder with one number"

    name = 'nothing'

    def __call__(self, audios):
        return torch.zeros(len(audios), 1)


FACTS = dict(lead='flute', accompaniment='none', drums=False, key='C major')
PROMPTS = [SimpleNamespace(facts=FACTS | dict(bpm=bpm), caption='') for bpm in [100, 140] * 8]


def evaluator(folder):
    ev = Evaluator(folder, 16, seconds=2.0, embedders=[Nothing()])
    ev.listener = Ear()
    return ev


def add(ev):
    def play(prompts, first):
        return [clicks(p.facts['bpm'], 2.0) for p in prompts]

    return ev.add('clicks', play, dict(kind='clicks'), PROMPTS)


def test_ceiling_and_chance_of_a_set(tmp_path):
    h = add(evaluator(tmp_path))
    assert h.found['pulse'].shape == (16,)
    assert h.found['pulse'].min() > 0.6
    assert abs(chance(h)['pulse']) < 0.1
    assert 'tempogram' not in h.embeddings  # it is no point
    assert list(h.found)[-3:] == ['tempo', 'tempo_tolerant', 'pulse']
    assert better('pulse') == 1


@pytest.mark.parametrize('unknown', [(*HEARD, *STACKED), tuple(STACKED)])
def test_a_folder_heard_before_is_heard_again(unknown, tmp_path):
    "Rows without tempograms, as they were stored: the clips stay, the hearing is made again, once"
    ev = evaluator(tmp_path)
    first = add(ev)
    made = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob('clicks/clips/*')}
    stored = tmp_path / 'clicks' / 'heard' / '0000-16.json'
    rows = load_json(stored)['rows']
    ears = ' '.join(w for w in ev.ears.split() if w not in unknown)
    stored.write_text(json.dumps(dict(ears=ears, rows=rows)), encoding='utf-8')
    stored.with_suffix('.safetensors').unlink()
    ev.listener.heard = 0
    again = add(ev)
    assert ev.listener.heard == 16
    assert torch.equal(again.tempograms, first.tempograms)
    assert made == {p.name: p.stat().st_mtime_ns for p in tmp_path.glob('clicks/clips/*')}
    add(ev)
    assert ev.listener.heard == 16


def test_an_interrupted_hearing_leaves_no_mixture(tmp_path, monkeypatch):
    "Tensors of one hearing never stand beside the rows of another"
    ev = evaluator(tmp_path)
    add(ev)
    other = evaluator(tmp_path)
    other.embedders = ()
    monkeypatch.setattr('presto_nb.evidence.metrics.atomic_path', None)  # stops before the rows
    with pytest.raises(TypeError):
        add(other)
    monkeypatch.undo()
    ev.listener.heard = 0
    assert 'nothing' in add(ev).embeddings
    assert ev.listener.heard == 16


def test_a_table_of_old_and_new_records():
    old = dict(tempo=[0.5, 0.4, 0.6])
    new = dict(tempo=[0.5, 0.4, 0.6], pulse=[0.7, 0.65, 0.75])
    records = [dict(name='old', scores=old), dict(name='new', scores=new)]
    rows = score_table(records, dict(tempo=0.1, pulse=0.384)).splitlines()
    assert rows[2] == '| tempo % | 50 [40, 60] | 50 [40, 60] | 10 |'
    assert rows[3] == '| pulse |  | 0.70 [0.65, 0.75] | 0.38 |'
    assert score_table(records, dict(tempo=0.1)).splitlines()[3].endswith('|  |')
    assert text_of('pulse', None) == ''
    assert 'pulse' not in RATES


def test_rhythm_of_a_few_clips():
    tempi = [70, 90, 120, 155]
    audios = [clicks(t) for t in tempi]
    facts = [dict(bpm=70), dict(bpm=None), dict(bpm=math.nan), dict(key='C major')]
    found = rhythm_facts(audios, facts)
    assert found['pulse'].isnan().tolist() == [False, True, True, True]
    assert found['pulse_elsewhere'].isnan().tolist() == [True, True, True, False]
    assert found['tempo'].nan_to_num(-1).tolist() == [1, -1, -1, -1]
    assert found['key'].isnan().tolist() == [True, True, True, False]
    scores = rhythm_scores(audios, [dict(bpm=t, key='C major') for t in tempi], repeats=20)
    assert list(scores) == ['pulse', 'pulse_elsewhere', 'tempo', 'tempo_tolerant', 'key']
    assert all(low <= value <= high for value, low, high in scores.values())


def test_rhythm_leaves_out_what_nobody_asked():
    tempi = [70, 90, 120, 155, None]
    audios = [clicks(t or 100) for t in tempi]
    scores = rhythm_scores(audios, [dict(bpm=t) for t in tempi], repeats=20)
    assert scores['tempo'][0] == 1
    assert scores['pulse'][0] > 0.8
    assert math.isnan(scores['key'][0])


def test_rhythm_is_heard_at_one_loudness():
    "As in a scorecard; the plain pulse of a softer clip is a little different"
    loud = clicks(100)
    facts = [dict(bpm=100)]
    soft = loud.new(0.1 * loud.samples)
    assert abs(pulse(soft, 100) - pulse(loud, 100)) > 1e-3
    scores = [rhythm_facts([a], facts)['pulse'].item() for a in (loud, soft)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


FOUR = [clicks(100)] * 4


@pytest.mark.parametrize(
    'audios, facts, words',
    [
        ([], [], 'no sounds were given; at least one is needed'),
        (['a.wav'], [{}], 'a sound is str; a list of Audio is needed'),
        (FOUR, [{}] * 3, '4 sounds and the facts of 3 were given; they must be equally many'),
        (FOUR, ['100 bpm'] * 4, 'the facts of a clip are str; a dict with bpm and key is needed'),
        (FOUR, [dict(bpm=1000)] * 4, 'the tempo is 1000 bpm; it must be a number from 20 to 400'),
        (FOUR[:3], [{}] * 3, '3 clips cannot be halved into samples; at least 4 are needed'),
    ],
)
def test_rhythm_of_what_cannot_be(audios, facts, words):
    with pytest.raises(PrestoError) as e:
        rhythm_scores(audios, facts)
    assert str(e.value) == words
