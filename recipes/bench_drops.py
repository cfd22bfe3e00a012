"""What a drop schedule saves in time, against what it saves in counted operations: python recipes/bench_drops.py [--runs 15] [--threads 1] [--out data_samples/logs/bench_drops.json]

The network's part of one call, the whole walk of the sampler: 80 evaluations with guidance, each a batch of two, at the preset's longest piece. Three networks: the presets `study` and `laptop` with random
weights, and the shipped base. Each with all blocks, with its preset's Presto-L schedule, and with one that skips 27 % of the blocks. At every evaluation all of them answer the same input, one after the
other, there and back in turn, so that they see the same machine; the walk goes on with the full network's answer. CPU time (`process_time`, to which other programs add nothing but cold caches) and wall time
of the network, choice of blocks included: for each evaluation the median of the runs, summed over the walk.
Targets: time saved at least 0.9 of the counted saving; a schedule that skips 27 % of the blocks saves at least 24 % of the network's time. The last line is JSON.
"""

import argparse, json, os, time

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path
from presto_nb.dit import DROPS, DiTConfig, DropSchedule, flops, with_drops
from presto_nb.evidence.latency import Variant, evaluations, machine, parts, random_model
from presto_nb.pipeline import MusicPipeline

EVALUATIONS, FULL = 80, (0,)
MODELS = {
    'study, random': (lambda: random_model('study'), 'study'),
    'laptop, random': (lambda: random_model('laptop'), 'laptop'),
    'base, shipped': (lambda: MusicPipeline.from_pretrained('base', 'cpu'), 'study'),
}
A_QUARTER = dict(study=(4, 3, 2, 2, 0), laptop=(7, 6, 4, 2, 0))  # 27.5 % and 27.1 % of the blocks


def in_turn(ways, times):
    "A denoiser that asks all of `ways` (drops -> denoiser), notes in `times` (drops -> list) what each took, seconds of CPU and of wall time, and gives the full network's answer"

    def denoise(x, sigma, cond=None):
        answers = {}
        for drops in list(ways)[:: 1 if len(times[FULL]) % 2 else -1]:
            cpu, wall = time.process_time(), time.perf_counter()
            answers[drops] = ways[drops](x, sigma, cond)
            times[drops].append((time.process_time() - cpu, time.perf_counter() - wall))
        return answers[FULL]

    return denoise


def measure(name, runs):
    "Rows of the record"
    make, preset = MODELS[name]
    pipe = make()
    c, D = pipe.config, pipe.denoiser
    config = DiTConfig.from_dict(c.dit)
    ways = {FULL: D} | {
        drops: with_drops(D, DropSchedule(drops, c.sigma_min, c.sigma_max), config.depth)
        for drops in (DROPS[preset]['l'], A_QUARTER[preset])
    }
    times = {drops: [] for drops in ways}
    links = parts(pipe, Variant('', EVALUATIONS), denoiser=in_turn(ways, times))
    cond = links['text'](None)
    with torch.inference_mode():
        for _ in range(runs + 1):
            links['network'](cond)  # the first is thrown away
    spent = {
        drops: torch.tensor(t, dtype=torch.float64)
        .view(runs + 1, EVALUATIONS, 2)[1:]
        .median(0)
        .values.sum(0)
        for drops, t in times.items()
    }  # seconds, CPU and wall
    frames, text = round(c.max_seconds * pipe.codec.frame_rate), cond.tokens.shape[1]

    def row(drops):
        blocks = evaluations(pipe, Variant('', EVALUATIONS, drops=drops))
        counted = 1 - sum(flops(config, frames, text, n) for n in blocks) / (
            EVALUATIONS * flops(config, frames, text)
        )
        cpu, wall = (1 - spent[drops] / spent[FULL]).tolist()
        r = lambda x: round(float(x), 4)
        return dict(
            model=name,
            drops=drops,
            blocks_skipped=r(sum(drops) / len(drops) / config.depth),
            blocks_skipped_by_evaluations=r(1 - sum(blocks) / EVALUATIONS / config.depth),
            counted_saving=r(counted),
            cpu_saving=r(cpu),
            wall_saving=r(wall),
            cpu_of_counted=r(cpu / counted),
            cpu_s=r(spent[drops][0]),
            wall_s=r(spent[drops][1]),
            full_cpu_s=r(spent[FULL][0]),
            full_wall_s=r(spent[FULL][1]),
        )

    return [row(drops) for drops in ways if drops != FULL]


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--runs', type=int, default=15)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--models', nargs='+', choices=list(MODELS), default=list(MODELS))
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'bench_drops.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(args.threads)
    where, rows = machine('cpu'), []
    for name in args.models:
        for r in measure(name, args.runs):
            rows.append(r)
            print(
                f"{name} {r['drops']}: counted {r['counted_saving']:.1%}, CPU time {r['cpu_saving']:.1%}, wall {r['wall_saving']:.1%}",
                flush=True,
            )
    record = dict(
        rows=rows,
        runs=args.runs,
        evaluations=EVALUATIONS,
        guided=True,
        **where,
        command=f'python recipes/bench_drops.py --runs {args.runs} --threads {args.threads}',
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))


if __name__ == '__main__':
    main()
