"""Does the fast step train as the plain one does?

    python recipes/fast_step.py --data LATENTS --work FOLDER

The study network on windows of 1.5 s, 500 steps of 32: the plain float32 step with three seeds, and
with the first seed the fast one (compiled blocks, the faster precision of this machine). Written to
data_samples/logs/fast_step.json: mean loss of every 50 steps, and seconds of the processor a step.
"""

import json
import time
from pathlib import Path

from common import LOGS, new_parser, write_record  # first: it sets how torch waits

import torch

from presto_nb.dit import PRESETS
from presto_nb.edm import WIDE, LogNormal
from presto_nb.material.runs import faster_precision, read_log
from presto_nb.material.text import SmallTextEncoder
from presto_nb.training import BASE_RUN, base_stage, fit

FRAMES = 32
STEPS = 500
LOG_EVERY = 10
MEAN_OF = 50  # steps


def stage_of(data, seed):
    "The study network on short windows"
    encoder = SmallTextEncoder.from_pretrained()
    noise = LogNormal(*WIDE)
    return base_stage(data, encoder, PRESETS['study'], FRAMES, seed, noise=noise)


def run_config(seed, fast):
    "How a run trains"
    return BASE_RUN.replace(
        steps=STEPS,
        minutes=None,
        seed=seed,
        tensorboard=False,
        log_every=LOG_EVERY,
        compile=fast,
        precision='auto' if fast else 'no',
    )


def run(args, name, seed, fast):
    "Mean losses, and seconds of the processor a step (compiling included)"
    stage = stage_of(args.data, seed)
    start = time.process_time()
    fit(stage, run_config(seed, fast), args.work / name, resume=False)
    spent = time.process_time() - start
    losses = torch.tensor(read_log(args.work / name / 'log.csv')['loss'])
    means = losses.view(-1, MEAN_OF // LOG_EVERY).mean(1)
    return dict(
        loss=[round(v, 5) for v in means.tolist()],
        cpu_seconds_a_step=round(spent / STEPS, 4),
    )


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--data', type=Path, required=True)
    p.add_argument('--work', type=Path, required=True)
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    runs = {f'plain, seed {s}': run(args, f'plain-{s}', s, False) for s in range(3)}
    runs['fast, seed 0'] = run(args, 'fast-0', 0, True)
    record = dict(
        steps=STEPS,
        frames=FRAMES,
        mean_of=MEAN_OF,
        precision=faster_precision('cpu'),
        runs=runs,
    )
    command = 'python recipes/fast_step.py --data LATENTS --work FOLDER'
    print(json.dumps(write_record(LOGS / 'fast_step.json', record, command)))


if __name__ == '__main__':
    main()
