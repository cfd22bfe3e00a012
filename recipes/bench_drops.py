"""What a drop schedule saves in time, against what it saves in counted operations.

    python recipes/bench_drops.py [--runs 15] [--threads 1] [--models NAME ...]
        [--out data_samples/logs/bench_drops.json]

The network's part of one call, the whole walk of the sampler: 80 evaluations with guidance, each a
batch of two, at the preset's longest piece. Three networks: the presets `study` and `laptop` with
random weights, and the shipped base. Each with all blocks, with its preset's Presto-L schedule, and
with one that skips 27 % of the blocks. At every evaluation all of them answer the same input, one
after the other, there and back in turn, so that they see the same machine. The walk goes on with
the full network's answer. CPU time (`process_time`, to which other programs add nothing but cold
caches) and wall time of the network, choice of blocks included: for each evaluation the median of
the runs, summed over the walk.
Targets: time saved at least 0.9 of the counted saving, and a schedule that skips 27 % of the blocks
saves at least 24 % of the network's time. The last line is JSON.
"""

import json
import time
from pathlib import Path

from common import LOGS, new_parser, write_json  # first: it sets how torch waits

import torch

from presto_nb.dit import DiTConfig
from presto_nb.skipping import DROPS, DropSchedule, flops, with_drops
from presto_nb.evidence.latency import Variant, evaluations, machine, parts, random_model
from presto_nb.pipeline import MusicPipeline

EVALUATIONS = 80
FULL = (0,)
MODELS = {
    'study, random': (lambda: random_model('study'), 'study'),
    'laptop, random': (lambda: random_model('laptop'), 'laptop'),
    'base, shipped': (lambda: MusicPipeline.from_pretrained('base', 'cpu'), 'study'),
}
A_QUARTER = dict(study=(4, 3, 2, 2, 0), laptop=(7, 6, 4, 2, 0))  # 27.5 % and 27.1 % of the blocks


def in_turn(
    ways,  # drops -> denoiser
    times,  # drops -> list, to which seconds of CPU and of wall time are added
):
    "A denoiser that asks all of `ways`, notes what each took, and gives the full network's answer"

    def denoise(x, sigma, cond=None):
        answers = {}
        for drops in list(ways)[:: 1 if len(times[FULL]) % 2 else -1]:
            cpu = time.process_time()
            wall = time.perf_counter()
            answers[drops] = ways[drops](x, sigma, cond)
            times[drops].append((time.process_time() - cpu, time.perf_counter() - wall))
        return answers[FULL]

    return denoise


def all_ways(pipe, preset):
    "Drops -> denoiser: all blocks, the preset's own schedule, a quarter less"
    c = pipe.config
    depth = DiTConfig.from_dict(c.dit).depth
    ways = {FULL: pipe.denoiser}
    for drops in (DROPS[preset]['l'], A_QUARTER[preset]):
        schedule = DropSchedule(drops, c.sigma_min, c.sigma_max)
        ways[drops] = with_drops(pipe.denoiser, schedule, depth)
    return ways


def spent_by(pipe, ways, runs):
    "Drops -> seconds of CPU and of wall time; the number of text tokens"
    times = {drops: [] for drops in ways}
    links = parts(pipe, Variant('', EVALUATIONS), denoiser=in_turn(ways, times))
    cond = links['text'](None)
    with torch.inference_mode():
        for _ in range(runs + 1):
            links['network'](cond)
    spent = {}
    for drops, t in times.items():
        by_run = torch.tensor(t, dtype=torch.float64).view(runs + 1, EVALUATIONS, 2)
        spent[drops] = by_run[1:].median(0).values.sum(0)  # the first run is thrown away
    return spent, cond.tokens.shape[1]


def counted_work(pipe, drops, text):
    "Share of the operations and of the blocks that a schedule saves"
    config = DiTConfig.from_dict(pipe.config.dit)
    frames = round(pipe.config.max_seconds * pipe.codec.frame_rate)
    blocks = evaluations(pipe, Variant('', EVALUATIONS, drops=drops))
    full = EVALUATIONS * flops(config, frames, text)
    counted = 1 - sum(flops(config, frames, text, n) for n in blocks) / full
    skipped = sum(drops) / len(drops) / config.depth
    return counted, skipped, 1 - sum(blocks) / EVALUATIONS / config.depth


def row_of(name, pipe, drops, spent, text):
    "A row of the record"
    counted, skipped, by_evaluations = counted_work(pipe, drops, text)
    cpu, wall = (1 - spent[drops] / spent[FULL]).tolist()
    numbers = dict(
        blocks_skipped=skipped,
        blocks_skipped_by_evaluations=by_evaluations,
        counted_saving=counted,
        cpu_saving=cpu,
        wall_saving=wall,
        cpu_of_counted=cpu / counted,
        cpu_s=spent[drops][0],
        wall_s=spent[drops][1],
        full_cpu_s=spent[FULL][0],
        full_wall_s=spent[FULL][1],
    )
    rounded = {k: round(float(v), 4) for k, v in numbers.items()}
    return dict(model=name, drops=drops) | rounded


def measure(name, runs):
    "Rows of the record"
    make, preset = MODELS[name]
    pipe = make()
    ways = all_ways(pipe, preset)
    spent, text = spent_by(pipe, ways, runs)
    return [row_of(name, pipe, drops, spent, text) for drops in ways if drops != FULL]


def all_rows(models, runs):
    "Rows of all models, printed on the way"
    rows = []
    for name in models:
        for r in measure(name, runs):
            rows.append(r)
            print(
                f"{name} {r['drops']}: counted {r['counted_saving']:.1%}, "
                f"CPU time {r['cpu_saving']:.1%}, wall {r['wall_saving']:.1%}",
                flush=True,
            )
    return rows


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--runs', type=int, default=15)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--models', nargs='+', choices=list(MODELS), default=list(MODELS))
    p.add_argument('--out', type=Path, default=LOGS / 'bench_drops.json')
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    where = machine('cpu')  # before it is busy
    record = dict(
        rows=all_rows(args.models, args.runs),
        runs=args.runs,
        evaluations=EVALUATIONS,
        guided=True,
        **where,
        command=f'python recipes/bench_drops.py --runs {args.runs} --threads {args.threads}',
    )
    write_json(args.out, record)
    print(json.dumps(record))


if __name__ == '__main__':
    main()
