"""What makes an hour of a processor count: positions in beats, Muon, slower frame positions.

    python recipes/study_training.py --data latents/varied --work FOLDER train plain beats ...
    python recipes/study_training.py --data latents/varied --work FOLDER judge plain beats ...

Bases of `study` size, trained alike but for what their name says; `VARIANTS` has them all. Each is
judged on validation tunes: loss at nine noise levels on the same windows and noise (differences are
paired), and 64 prompts made into music and heard: pulse, tempo, key, what plays. `judge` writes
data_samples/logs/training_study.json. `look` writes how far back the heads of a trained network
look, in beats, to training_study_look.json. Interrupted, the same command goes on.

Hypotheses, written before the runs (1,500 steps of 32 windows of 6 s, one seed, then three):
H1  With half of the heads counting beats, pulse is at least five times that of `plain`, strict
    tempo at least 80 %, and the loss below sigma .25 at most .008 higher.
H2  Frame positions whose slowest pair turns once in some 470 frames (base 100 for 10,000) mend at
    least half of that loss at low noise, and cost no pulse.
H3  Muon reaches at equal steps a loss at least .01 lower at every level above .5; a step costs at
    most 15 % more.
H4  A quarter of the heads is enough: pulse within .05 of half of them.
H5  The key told as two places on the circle of fifths, beside the text: key at least 8 points
    higher than without, nothing else lower.
"""

import json
import time
from pathlib import Path

from common import CHOICE_PROMPTS, LOGS, Judge, new_parser, rounded, write_record, write_text

import torch

from presto_nb.dit import PRESETS, DiT
from presto_nb.edm import WIDE, Denoiser, LogNormal, edm_loss
from presto_nb.evidence.metrics import of_model
from presto_nb.material.core import load_tensors, new_rng, save_tensors
from presto_nb.material.text import Condition, SmallTextEncoder
from presto_nb.pipeline import new_pipeline
from presto_nb.tools.cli import load_codec
from presto_nb.material.latents import LatentWindows
from presto_nb.material.runs import run_weights
from presto_nb.training import BASE_RUN, base_stage, fit

VARIANTS = {  # fields of the network, arguments of the stage
    'plain': ({}, {}),
    'beats': (dict(beat_heads=2), {}),
    'beats-quarter': (dict(beat_heads=1), {}),
    'slow-frames': (dict(beat_heads=2, rope_base=100.0), {}),
    'muon': (dict(beat_heads=2, rope_base=100.0), dict(muon=True)),
    'key': (dict(beat_heads=2, rope_base=100.0, key=True), {}),
}
LEVELS = 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 30.0
FACTS = 'pulse', 'tempo', 'tempo_tolerant', 'key', 'lead', 'accompaniment', 'drums', 'agreement'
WINDOWS = 128
ROWS = 16  # windows of one forward pass
CLIPS = 64
LOOK_LEVEL = 2.0  # sigma
FINEST = 8  # parts of a beat
FARTHEST = 6  # beats


def run_name(variant, seed):
    "The folder of a run"
    return f'{variant}-{seed}'


def command_of(args):
    "What made a record"
    return (
        f'python recipes/study_training.py --data LATENTS --work FOLDER --steps {args.steps} '
        f'--seed {args.seed} {args.what} {" ".join(args.variants)}'
    )


# --- training ----------------------------------------------------------------------------------


def stage_of(variant, data, seed):
    "The stage of a variant"
    network, training = VARIANTS[variant]
    config = PRESETS['study'].replace(**network)
    encoder = SmallTextEncoder.from_pretrained()
    return base_stage(data, encoder, config, seed=seed, noise=LogNormal(*WIDE), **training)


def run_config(args):
    "How a run trains"
    return BASE_RUN.replace(
        steps=args.steps,
        minutes=None,
        seed=args.seed,
        precision='auto',
        compile=True,
        tensorboard=False,
        ema_decay=0.999,
    )


def train(args, variant):
    "One run, with the processor's seconds a step beside it"
    out = args.work / run_name(variant, args.seed)
    start = time.process_time()
    trainer = fit(stage_of(variant, args.data, args.seed), run_config(args), out)
    spent = time.process_time() - start
    if not trainer.stopped:
        text = json.dumps(dict(steps=trainer.step, cpu_seconds=spent))
        write_text(out / 'spent.json', text)


def trained(args, variant):
    "The averaged network of a run"
    stage = stage_of(variant, args.data, args.seed)
    weights = run_weights(args.work / run_name(variant, args.seed))
    state = {k.removeprefix('network.'): v for k, v in weights.items()}
    network = DiT(stage.models['network'].config)
    network.load_state_dict(state)
    return network.eval()


# --- losses and what is heard ------------------------------------------------------------------


def loss_at(denoiser, level, x0, cond, noise):
    "EDM loss of each window at one level, [windows]"
    parts = []
    for i in range(0, WINDOWS, ROWS):
        s = slice(i, i + ROWS)
        sigma = torch.full((ROWS,), level)
        parts.append(edm_loss(denoiser, x0[s], cond[s], sigma, noise[s]))
    return torch.cat(parts)


@torch.inference_mode()
def losses(args, network, encoder):
    "EDM loss of the same validation windows at each level, [levels, windows]"
    data = LatentWindows(args.data, PRESETS['study'].max_frames, split='valid')
    rng = new_rng('training study')
    batch = data.batch([i % len(data) for i in range(WINDOWS)], rng)
    noise = torch.randn(batch['x0'].shape, generator=rng)
    cond = Condition.from_prompts(encoder, batch['captions'], batch['bpm'].tolist())
    denoiser = Denoiser(network)
    return torch.stack([loss_at(denoiser, s, batch['x0'], cond, noise) for s in LEVELS])


def stored_losses(args, name, network, encoder):
    "The losses of a run, measured once"
    path = args.work / name / 'losses.safetensors'
    if not path.is_file():
        save_tensors(path, dict(losses=losses(args, network, encoder)))
    return load_tensors(path)['losses']


def judge_run(args, judge, variant):
    "Losses and what is heard of one run"
    name = run_name(variant, args.seed)
    encoder = SmallTextEncoder.from_pretrained()
    network = trained(args, variant)
    values = stored_losses(args, name, network, encoder)
    by_level = {f'{s:g}': round(v.item(), 4) for s, v in zip(LEVELS, values.mean(1))}
    frames = PRESETS['study'].max_frames
    how = dict(step='dpmpp_2m', steps=40, guidance_scale=2.0)
    pipe = new_pipeline(network, load_codec(), encoder, frames, **how)
    heard = judge.hear(name, of_model(pipe), kind='training study', run=name)
    spent = json.loads((args.work / name / 'spent.json').read_text(encoding='utf-8'))
    return dict(loss=by_level, scores=judge.facts(heard, FACTS), **spent), values


def difference(a, b):
    "Paired difference by level: mean, half of the 95 % interval"
    d = (a - b).double()
    half = 1.96 * d.std(1) / d.shape[1] ** 0.5
    pairs = zip(LEVELS, d.mean(1).tolist(), half.tolist())
    return {f'{s:g}': [round(m, 4), round(h, 4)] for s, m, h in pairs}


def judge_all(args):
    "The record of all variants, differences to the first of them"
    judge = Judge(args.work / 'heard', CLIPS, CHOICE_PROMPTS)
    real = judge.facts(judge.ev.real, FACTS)
    rows = {}
    values = {}
    for variant in args.variants:
        rows[variant], values[variant] = judge_run(args, judge, variant)
        print(variant, rounded(rows[variant]['scores']))
    first = args.variants[0]
    for variant in args.variants[1:]:
        rows[variant][f'loss minus {first}'] = difference(values[variant], values[first])
    record = dict(
        steps=args.steps,
        **judge.about(),
        windows=WINDOWS,
        real=real,
        variants=rows,
    )
    write_record(LOGS / 'training_study.json', record, command_of(args), args.seed)


# --- where the heads look ----------------------------------------------------------------------


def beat_bins(frames, frame_rate, bpm):  # of each window [b]
    "Where each pair of frames belongs, as bin and whether it has one, each [b, frames, frames]"
    seconds = torch.arange(frames) / frame_rate
    beats = (seconds[:, None] - seconds) * bpm[:, None, None] / 60
    bins = (beats * FINEST).round().long() + FARTHEST * FINEST
    return bins, (bins >= 0) & (bins <= 2 * FARTHEST * FINEST)


class Look:
    "Sums up the attention of every block by distance in beats"

    def __init__(self, network, frames, bins, inside):
        size = 2 * FARTHEST * FINEST + 1
        self.heads = network.config.heads
        self.frames = frames
        self.inside = inside
        self.at = bins[inside]
        self.sums = torch.zeros(self.heads, size)
        self.counts = torch.zeros(size).index_add_(0, self.at, torch.ones(len(self.at)))
        self.blocks = network.blocks

    def see(self, attention, given):
        "A hook that meets what an attention is given"
        x, text, rotary, mask = given
        q, k, _ = attention.project(x, text, rotary)
        logits = q @ k.mT / q.shape[-1] ** 0.5
        weights = logits.masked_fill(~mask, -torch.inf).softmax(-1)[..., : self.frames]
        for head in range(self.heads):
            values = weights[:, head][self.inside] * self.frames
            self.sums[head].index_add_(0, self.at, values)

    def mean(self, forward):
        "Mean attention over a uniform one, of a forward, [heads, bins]"
        hooks = [b.attention.register_forward_pre_hook(self.see) for b in self.blocks]
        forward()
        for hook in hooks:
            hook.remove()
        return self.sums / self.counts / len(self.blocks)


def curves_of(mean, beat_heads):
    "Mean attention of heads that count beats, and of others"
    rows = {
        'heads that count beats': mean[:beat_heads],
        'heads that count frames': mean[beat_heads:],
    }
    return {name: [round(v, 4) for v in m.mean(0).tolist()] for name, m in rows.items() if len(m)}


@torch.inference_mode()
def attention_by_beats(args, variant):
    "Mean attention by distance in beats, over a uniform one, by kind of head"
    network = trained(args, variant)
    encoder = SmallTextEncoder.from_pretrained()
    data = LatentWindows(args.data, PRESETS['study'].max_frames, split='valid')
    rng = new_rng('training study, look')
    batch = data.batch(list(range(CLIPS)), rng)
    noise = torch.randn(batch['x0'].shape, generator=rng)
    cond = Condition(*encoder(batch['captions']), batch['bpm'])
    x = batch['x0'] + LOOK_LEVEL * noise
    look = Look(
        network,
        data.frames,
        *beat_bins(data.frames, network.config.frame_rate, batch['bpm']),
    )
    mean = look.mean(lambda: Denoiser(network)(x, torch.full((CLIPS,), LOOK_LEVEL), cond))
    return curves_of(mean, network.config.beat_heads)


def look(args, variant):
    "The record of where the heads of a trained network look"
    size = 2 * FARTHEST * FINEST + 1
    record = dict(
        variant=variant,
        sigma=LOOK_LEVEL,
        windows=CLIPS,
        beats_back=[(i - FARTHEST * FINEST) / FINEST for i in range(size)],
        attention=attention_by_beats(args, variant),
    )
    write_record(LOGS / 'training_study_look.json', record, command_of(args))


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--data', type=Path, required=True, help='latents of the tier varied')
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--steps', type=int, default=1500)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('what', choices=['train', 'judge', 'look'])
    p.add_argument('variants', nargs='+', choices=VARIANTS)
    return p.parse_args(argv)


def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    if args.what == 'look':
        return look(args, args.variants[0])
    if args.what == 'judge':
        return judge_all(args)
    for variant in args.variants:
        train(args, variant)


if __name__ == '__main__':
    main()
