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

import argparse
import datetime
import json
import os
import time
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported

import torch

from presto_nb.material.core import atomic_path, new_rng, load_tensors, save_tensors
from presto_nb.dit import PRESETS, DiT
from presto_nb.edm import WIDE, Denoiser, LogNormal, edm_loss
from presto_nb.evidence.metrics import Evaluator, held_out_prompts, of_model, with_intervals
from presto_nb.pipeline import new_pipeline
from presto_nb.tools.cli import load_codec
from presto_nb.material.text import Condition, SmallTextEncoder
from presto_nb.training import BASE_RUN, LatentWindows, base_stage, fit, run_weights

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
RECORD = Path(__file__).resolve().parent.parent / 'data_samples' / 'logs' / 'training_study.json'
WINDOWS, CLIPS = 128, 64


def run_name(variant, seed):
    "The folder of a run"
    return f'{variant}-{seed}'


def command_of(args):
    "What made a record"
    return (
        f'python recipes/study_training.py --data LATENTS --work FOLDER --steps {args.steps} '
        f'--seed {args.seed} {args.what} {" ".join(args.variants)}'
    )


def stage_of(variant, data, seed):
    "The stage of a variant"
    network, training = VARIANTS[variant]
    config = PRESETS['study'].replace(**network)
    return base_stage(
        data,
        SmallTextEncoder.from_pretrained(),
        config,
        seed=seed,
        noise=LogNormal(*WIDE),
        **training,
    )


def train(args, variant):
    "One run, with the processor's seconds a step beside it"
    out = args.work / run_name(variant, args.seed)
    config = BASE_RUN.replace(
        steps=args.steps,
        minutes=None,
        seed=args.seed,
        precision='auto',
        compile=True,
        tensorboard=False,
        ema_decay=0.999,
    )
    begun = time.process_time()
    trainer = fit(stage_of(variant, args.data, args.seed), config, out)
    spent = time.process_time() - begun
    if not trainer.stopped:
        with atomic_path(out / 'spent.json') as tmp:
            text = json.dumps(dict(steps=trainer.step, cpu_seconds=spent))
            tmp.write_text(text, encoding='utf-8')


def trained(args, variant):
    "The averaged network of a run"
    stage = stage_of(variant, args.data, args.seed)
    weights = run_weights(args.work / run_name(variant, args.seed))
    state = {k.removeprefix('network.'): v for k, v in weights.items()}
    network = DiT(stage.models['network'].config)
    network.load_state_dict(state)
    return network.eval()


@torch.inference_mode()
def losses(args, network, encoder):
    "EDM loss of the same validation windows at each level, [levels, windows]"
    data = LatentWindows(args.data, PRESETS['study'].max_frames, split='valid')
    g = new_rng('training study')
    batch = data.batch([i % len(data) for i in range(WINDOWS)], g)
    noise = torch.randn(batch['x0'].shape, generator=g)
    cond = Condition.from_prompts(encoder, batch['captions'], batch['bpm'].tolist())
    denoiser = Denoiser(network)
    rows = []
    for level in LEVELS:
        parts = []
        for i in range(0, WINDOWS, 16):
            s = slice(i, i + 16)
            sigma = torch.full((16,), level)
            parts.append(edm_loss(denoiser, batch['x0'][s], cond[s], sigma, noise[s]))
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def judge(args, ev, variant):
    "Losses and what is heard of one run"
    name, encoder = run_name(variant, args.seed), SmallTextEncoder.from_pretrained()
    network = trained(args, variant)
    found = args.work / name / 'losses.safetensors'
    if not found.is_file():
        save_tensors(found, dict(losses=losses(args, network, encoder)))
    pipe = new_pipeline(
        network,
        load_codec(),
        encoder,
        PRESETS['study'].max_frames,
        step='dpmpp_2m',
        steps=40,
        guidance_scale=2.0,
    )
    heard = ev.add(name, of_model(pipe), dict(kind='training study', run=name))
    scores = with_intervals(lambda i: {k: heard.found[k][i].mean().item() for k in FACTS}, ev.n)
    spent = json.loads((args.work / name / 'spent.json').read_text(encoding='utf-8'))
    values = load_tensors(found)['losses']
    by_level = {f'{s:g}': round(v.item(), 4) for s, v in zip(LEVELS, values.mean(1))}
    return dict(loss=by_level, scores=scores, **spent), values


def difference(a, b):
    "Paired difference by level: mean, half of the 95 % interval"
    d = (a - b).double()
    half = 1.96 * d.std(1) / d.shape[1] ** 0.5
    pairs = zip(LEVELS, d.mean(1).tolist(), half.tolist())
    return {f'{s:g}': [round(m, 4), round(h, 4)] for s, m, h in pairs}


@torch.inference_mode()
def look(args, variant, level=2.0, finest=8, farthest=6):
    "Mean attention by distance in beats, over a uniform one: of heads that count beats, and others"
    network, encoder = trained(args, variant), SmallTextEncoder.from_pretrained()
    data = LatentWindows(args.data, PRESETS['study'].max_frames, split='valid')
    g = new_rng('training study, look')
    batch = data.batch(list(range(CLIPS)), g)
    noise = torch.randn(batch['x0'].shape, generator=g)
    cond = Condition(*encoder(batch['captions']), batch['bpm'])
    seconds = torch.arange(data.frames) / network.config.frame_rate
    beats = (seconds[:, None] - seconds) * batch['bpm'][:, None, None] / 60
    bins = (beats * finest).round().long() + farthest * finest
    inside = (bins >= 0) & (bins <= 2 * farthest * finest)
    size = 2 * farthest * finest + 1
    sums, counts = torch.zeros(network.config.heads, size), torch.zeros(size)
    counts.index_add_(0, bins[inside], torch.ones(int(inside.sum())))

    def see(attention, given):
        x, text, rotary, mask = given
        q, k, _ = attention.project(x, text, rotary)
        logits = q @ k.mT / q.shape[-1] ** 0.5
        weights = logits.masked_fill(~mask, -torch.inf).softmax(-1)[..., : data.frames]
        for head in range(network.config.heads):
            sums[head].index_add_(0, bins[inside], weights[:, head][inside] * data.frames)

    hooks = [b.attention.register_forward_pre_hook(see) for b in network.blocks]
    Denoiser(network)(batch['x0'] + level * noise, torch.full((CLIPS,), level), cond)
    for hook in hooks:
        hook.remove()
    mean = sums / counts / len(network.blocks)
    k = network.config.beat_heads
    rows = {'heads that count beats': mean[:k], 'heads that count frames': mean[k:]}
    curves = {name: [round(v, 4) for v in m.mean(0).tolist()] for name, m in rows.items() if len(m)}
    at = [(i - farthest * finest) / finest for i in range(size)]
    record = dict(
        command=command_of(args),
        variant=variant,
        sigma=level,
        windows=CLIPS,
        beats_back=at,
        attention=curves,
        date=datetime.date.today().isoformat(),
    )
    with atomic_path(RECORD.with_name('training_study_look.json')) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--data', type=Path, required=True, help='latents of the tier varied')
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--steps', type=int, default=1500)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('what', choices=['train', 'judge', 'look'])
    p.add_argument('variants', nargs='+', choices=VARIANTS)
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    if args.what == 'train':
        for variant in args.variants:
            train(args, variant)
        return
    if args.what == 'look':
        return look(args, args.variants[0])
    ev = Evaluator(args.work / 'heard', CLIPS)
    ev.prompts = held_out_prompts(CLIPS, split='valid')
    real = with_intervals(lambda i: {k: ev.real.found[k][i].mean().item() for k in FACTS}, ev.n)
    rows, values = {}, {}
    for variant in args.variants:
        rows[variant], values[variant] = judge(args, ev, variant)
        print(variant, {k: [round(x, 3) for x in v] for k, v in rows[variant]['scores'].items()})
    first = args.variants[0]
    for variant in args.variants[1:]:
        less = difference(values[variant], values[first])
        rows[variant][f'loss minus {first}'] = less
    record = dict(
        command=command_of(args),
        steps=args.steps,
        seed=args.seed,
        clips=CLIPS,
        windows=WINDOWS,
        date=datetime.date.today().isoformat(),
        real=real,
        variants=rows,
    )
    with atomic_path(RECORD) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
