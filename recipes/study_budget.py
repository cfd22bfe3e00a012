"""What the budget is good for, and where it is told: layer distillation in three forms.

    python recipes/study_budget.py --latents latents/varied --work FOLDER

The shipped study base is fine-tuned by Presto-L's losses and schedule for STEPS steps of 16
windows, three seeds: without a budget (`none`), with one added to the last scale and shift
(`added`), and with one that modulates a norm of its own after the blocks (`norm`, the paper's
form as we understand it). Seeds differ in data, noise and the budget's first weights; within a
seed the three see the same.
Judged by the EDM loss of 128 windows of the split `valid` at ten levels of the inference schedule,
blocks skipped as the schedule says; differences are paired by window and averaged over seeds.

Hypotheses, written before the runs:
H1  Where two or more blocks are skipped, `norm` has a lower loss than `added`, by .003.
H2  There both are lower than `none`.
H3  Where no block is skipped the three are equal within .003.
"""

from pathlib import Path

from common import LOGS, new_parser, today, write_json

import torch

from presto_nb.edm import Denoiser, edm_loss, karras_sigmas
from presto_nb.material.core import new_rng
from presto_nb.material.latents import LatentWindows
from presto_nb.material.runs import averaged_state
from presto_nb.material.text import Condition
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_l import PRESTO_L_RUN, PrestoLConfig, presto_l_stage
from presto_nb.training import fit

FORMS = {
    'none': dict(budget=False),
    'added': dict(budget_norm=False),
    'norm': dict(budget_norm=True),
}
SEEDS = 0, 1, 2
STEPS, WINDOWS = 300, 128


def trained(base, form, seed, args):
    "The network of a run, with its averaged weights, and its switches"
    switches = PrestoLConfig(**FORMS[form])
    stage = presto_l_stage(args.latents, base, switches, seed)
    config = PRESTO_L_RUN.replace(steps=STEPS, seed=seed, tensorboard=False)
    run = fit(stage, config, args.work / f'{form}-{seed}')
    if run.stopped:
        raise SystemExit(130)
    network = stage.models['network'].cpu()
    network.load_state_dict(averaged_state(run, 'network'))
    return network.eval(), switches


@torch.no_grad()
def losses(network, switches, base, held_out):
    "EDM loss of every window at every level, blocks skipped [levels, windows]"
    x0, cond, noise = held_out
    denoiser = Denoiser(network, base.denoiser.sigma_data)
    rows = []
    for sigma in karras_sigmas(10)[:-1]:
        levels = sigma.expand(len(x0))
        drop = switches.schedule(levels)
        keep = switches.keep(network.config.depth, int(drop[0]))
        told = int(drop[0]) if switches.budget else None
        rows.append(edm_loss(denoiser, x0, cond, levels, noise, keep=keep, budget=told))
    return torch.stack(rows)


def paired(a, b):
    "Mean difference and its 95 % half width, over seeds and windows [levels, 2]"
    seeds = torch.stack([x - y for x, y in zip(a, b)])  # [seeds, levels, windows]
    by_window = seeds.mean(0)
    half = 1.96 * by_window.std(1) / by_window.shape[1] ** 0.5
    return by_window.mean(1), half, seeds.mean(2)


def difference(found, a, b):
    "A row of the record: by level, with every seed"
    mean, half, seeds = paired(found[a], found[b])
    columns = zip(mean.tolist(), half.tolist(), seeds.T.tolist())
    return [[round(m, 4), round(h, 4), [round(s, 4) for s in each]] for m, h, each in columns]


def held_out_windows(base, latents):
    "Windows of the split `valid`, their conditions, and noise"
    frames = round(base.config.max_seconds * base.codec.frame_rate)
    rng = new_rng('study budget')
    batch = LatentWindows(latents, frames, split='valid').batch(list(range(WINDOWS)), rng)
    cond = Condition.from_prompts(base.encoder, batch['captions'], batch['bpm'].tolist())
    return batch['x0'], cond, torch.randn(batch['x0'].shape, generator=rng)


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--latents', type=Path, required=True)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--out', type=Path, default=LOGS / 'budget_study.json')
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    base = MusicPipeline.from_pretrained('base')
    held_out = held_out_windows(base, args.latents)
    found = {form: [] for form in FORMS}
    for seed in SEEDS:
        for form in FORMS:
            network, switches = trained(base, form, seed, args)
            found[form].append(losses(network, switches, base, held_out))
            print(form, seed, found[form][-1].mean(1).tolist(), flush=True)
    sigmas = karras_sigmas(10)[:-1]
    record = dict(
        command='python recipes/study_budget.py --latents latents/varied --work FOLDER',
        steps=STEPS,
        seeds=list(SEEDS),
        windows=WINDOWS,
        sigmas=[round(s, 4) for s in sigmas.tolist()],
        drops=PrestoLConfig().schedule(sigmas).tolist(),
        losses={f: torch.stack(v).mean((0, 2)).tolist() for f, v in found.items()},
        differences={
            'norm minus added': difference(found, 'norm', 'added'),
            'added minus none': difference(found, 'added', 'none'),
            'norm minus none': difference(found, 'norm', 'none'),
        },
        date=today(),
    )
    write_json(args.out, record)


if __name__ == '__main__':
    main()
