"""Layer distillation, component by component.

    python recipes/study_presto_l.py --latents latents/full --work FOLDER [--only NAME ...] [--out
        data_samples/logs/presto_l_study.json]

Every run fine-tunes the shipped study base for STEPS steps of batch 16 with one set of switches of
`LAYER_BASELINES`: the same batches, noise levels, noise and seed (0) for all. Each is judged
twice:
- the EDM loss on 128 windows of the split `valid` at ten levels of the inference schedule, blocks
  skipped as in sampling, every row compared with the same row of the run `base`, and
- 256 prompts of the split `valid`, 40 evaluations with guidance: agreement, KAD, key, lead, drums,
  recall, with 95 % intervals and paired differences to `base`.
`untrained` is the shipped base with the shifted schedule and no fine-tuning at all. Written before
the runs (`base` is trained further too, and skips nothing):

presto-l against base    as we understand the paper, better than the base although it is cheaper;
                         we expect no more than equal at this size: agreement within 3 points, KAD
                         within intervals
presto-l against ase     better in KAD and in agreement, at equal operations
shift, budget, self-teacher   ASE and that one alone: shift gives most of the gain; budget and
                              self-teacher little
inf-noise                presto-l with the levels drawn as a sampler visits them: better than
                         presto-l at high noise, where the drops are largest and training hardly
                         ever looks
train-fifths             the fifths of the training distribution: skips more at low noise; worse at
                         equal operations
                         (written wrongly: it skips more at high noise, none below sigma = .29, and
                         a quarter more in all; not run)
shift-2, shift-4         the gap further inside (two, four blocks always run at the end): no better
                         than shift
"""

import argparse
import datetime
import json
import os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, new_rng
from presto_nb.edm import edm_loss, karras_sigmas
from presto_nb.evidence.metrics import (
    Evaluator,
    held_out_prompts,
    of_model,
    of_real,
    scores,
    with_intervals,
)
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_l import (
    LAYER_BASELINES,
    PRESTO_L_RUN,
    PrestoLConfig,
    layer_pipeline,
    presto_l_stage,
)
from presto_nb.material.text import Condition
from presto_nb.material.latents import LatentWindows
from presto_nb.material.runs import averaged_state
from presto_nb.training import fit

STEPS, CLIPS, SHOWN = (
    800,
    256,
    ('agreement', 'KAD', 'KAD log-mel statistics', 'FD', 'recall', 'key', 'lead', 'drums'),
)
RUNS = {
    k: LAYER_BASELINES[k]
    for k in (
        'base',
        'presto-l',
        'ase',
        'shift',
        'budget',
        'self-teacher',
        'inf-noise',
        'train-fifths',
    )
} | {f'shift-{k}': LAYER_BASELINES['shift'] | dict(shift=k) for k in (2, 4)}


@torch.no_grad()
def held_out_losses(pipe, latents, n=128):  # [levels, n], with the pipeline's own drops
    data = LatentWindows(
        latents, round(pipe.config.max_seconds * pipe.codec.frame_rate), split='valid'
    )
    rows = list(range(n))
    batch = data.batch(rows, new_rng('held-out windows'))
    cond = Condition.from_prompts(pipe.encoder, batch['captions'], batch['bpm'].tolist())
    kept, noise = pipe.kept(), torch.randn(batch['x0'].shape, generator=new_rng('held-out noise'))

    def losses(sigma):
        return torch.cat(
            [
                edm_loss(
                    kept,
                    batch['x0'][i : i + 16],
                    cond[torch.arange(i, i + 16)],
                    torch.full((16,), sigma),
                    noise[i : i + 16],
                    pipe.config.sigma_data,
                )
                for i in range(0, n, 16)
            ]
        )

    return torch.stack([losses(s) for s in karras_sigmas(10)[:-1].tolist()])


def loss_rows(own, base):  # [levels, n]
    d = own - base
    return [
        dict(
            sigma=float(f'{s:.4g}'),
            loss=a.mean().item(),
            difference=[b.mean().item(), 1.96 * b.std().item() / len(b) ** 0.5],
        )
        for s, a, b in zip(karras_sigmas(10)[:-1].tolist(), own, d)
    ]


def write(path, record):
    with atomic_path(path) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--latents', required=True)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--only', nargs='+', choices=['untrained', *RUNS], default=[*RUNS])
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'presto_l_study.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    shipped = MusicPipeline.from_pretrained('base')
    ev = Evaluator(args.work / 'heard', CLIPS)
    ev.prompts = held_out_prompts(CLIPS, 'validation', split='valid')
    ev.reference = ev.add(
        'reference',
        of_real(),
        dict(kind='real clips of other arrangements, split valid'),
        held_out_prompts(CLIPS, 'validation reference', split='valid'),
    )
    known = {}  # (set, half sample) -> scores: every difference asks for the same halves

    def of(heard, i):
        key = heard.name, i.numpy().tobytes()
        if key not in known:
            known[key] = {
                k: v for k, v in scores(heard, ev.real, ev.reference, i).items() if k in SHOWN
            }
        return known[key]

    record = (
        json.loads(args.out.read_text())
        if args.out.is_file()
        else dict(
            steps=STEPS, batch=PRESTO_L_RUN.batch_size, clips=CLIPS, evaluations=40, seed=0, rows={}
        )
    )
    heard, losses = {}, {}
    for name in dict.fromkeys(['base', *args.only]):  # the others are compared with it; made once
        switches, minutes = (
            PrestoLConfig(**LAYER_BASELINES['shift'] if name == 'untrained' else RUNS[name]),
            0.0,
        )
        network = shipped.denoiser.network
        if name != 'untrained':
            stage = presto_l_stage(args.latents, shipped, switches)
            run = fit(stage, PRESTO_L_RUN.replace(steps=STEPS), args.work / name)
            if run.stopped:
                return
            minutes, network = run.minutes, stage.models['network'].cpu()
            network.load_state_dict(averaged_state(run, 'network'))
        pipe = layer_pipeline(shipped, network, switches, name)
        losses[name] = held_out_losses(pipe, args.latents)
        row = record['rows'][name] = dict(
            losses=loss_rows(losses[name], losses['base']),
            switches=switches.to_dict(),
            mean_drop=switches.schedule.mean_drop,
            minutes=round(minutes, 1),
            date=datetime.date.today().isoformat(),
        )
        record['command'] = 'python recipes/study_presto_l.py --latents latents/full --work FOLDER'
        write(args.out, record)
        heard[name] = h = ev.add(
            name, of_model(pipe, steps=40), dict(kind=name, switches=json.dumps(switches.to_dict()))
        )
        row['scores'] = with_intervals(lambda i: of(h, i), CLIPS)
        if name != 'base':
            row['difference'] = with_intervals(
                lambda i: {k: v - of(heard['base'], i)[k] for k, v in of(h, i).items()}, CLIPS
            )
        if 'ase' in heard and name not in ('base', 'ase'):
            row['difference to ase'] = with_intervals(
                lambda i: {k: v - of(heard['ase'], i)[k] for k, v in of(h, i).items()}, CLIPS
            )
        write(args.out, record)
        print(
            name,
            {k: [round(x, 3) for x in v] for k, v in row['scores'].items()},
            [round(r['loss'], 3) for r in row['losses']],
            flush=True,
        )


if __name__ == '__main__':
    main()
