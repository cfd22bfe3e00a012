"""Does the fast step train as the plain one does?

    python recipes/fast_step.py --data LATENTS --work FOLDER

The study network on windows of 1.5 s, 500 steps of 32: the plain float32 step with three seeds, and
with the first seed the fast one (compiled blocks, the faster precision of this machine). Written to
data_samples/logs/fast_step.json: mean loss of every 50 steps, and seconds of the processor a step.
"""

import argparse
import datetime
import json
import os
import time
from pathlib import Path

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported

import torch

from presto_nb.material.core import atomic_path
from presto_nb.dit import PRESETS
from presto_nb.edm import WIDE, LogNormal
from presto_nb.material.text import SmallTextEncoder
from presto_nb.training import BASE_RUN, base_stage, faster_precision, fit, read_log

RECORD = Path(__file__).resolve().parent.parent / 'data_samples' / 'logs' / 'fast_step.json'
FRAMES, STEPS, MEAN_OF = 32, 500, 50


def run(args, name, seed, fast):
    "Mean losses, and seconds of the processor a step (compiling included)"
    stage = base_stage(
        args.data,
        SmallTextEncoder.from_pretrained(),
        PRESETS['study'],
        FRAMES,
        seed,
        noise=LogNormal(*WIDE),
    )
    config = BASE_RUN.replace(
        steps=STEPS,
        minutes=None,
        seed=seed,
        tensorboard=False,
        log_every=10,
        compile=fast,
        precision='auto' if fast else 'no',
    )
    begun = time.process_time()
    fit(stage, config, args.work / name, resume=False)
    spent = time.process_time() - begun
    loss = (
        torch.tensor(read_log(args.work / name / 'log.csv')['loss']).view(-1, MEAN_OF // 10).mean(1)
    )
    return dict(
        loss=[round(v, 5) for v in loss.tolist()], cpu_seconds_a_step=round(spent / STEPS, 4)
    )


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--data', type=Path, required=True)
    p.add_argument('--work', type=Path, required=True)
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    runs = {f'plain, seed {s}': run(args, f'plain-{s}', s, False) for s in range(3)}
    runs['fast, seed 0'] = run(args, 'fast-0', 0, True)
    record = dict(
        command='python recipes/fast_step.py --data LATENTS --work FOLDER',
        steps=STEPS,
        frames=FRAMES,
        mean_of=MEAN_OF,
        precision=faster_precision('cpu'),
        runs=runs,
        date=datetime.date.today().isoformat(),
    )
    with atomic_path(RECORD) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')
    print(json.dumps(record))


if __name__ == '__main__':
    main()
