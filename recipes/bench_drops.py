"""What a drop schedule saves in time, against what it saves in counted operations: python recipes/bench_drops.py [--runs 15] [--threads 1] [--out data_samples/logs/bench_drops.json]

The network's part of one call, the whole walk of the sampler: 80 evaluations with guidance, each a batch of two, at the preset's longest piece. Three networks: the presets `study` and `laptop` with random
weights, and the shipped base. Each with no schedule, with its preset's Presto-L schedule, and with one that skips 27 % of the blocks, in turn, in one process, so that all see the same machine. CPU time
(`process_time`, which other programs do not add to) and wall time; a saving is taken within each round, against that round's walk with all blocks, and the median of the rounds is given.
Targets: time saved at least 0.9 of the counted saving; a schedule that skips 27 % of the blocks saves at least 24 % of the network's time. The last line is JSON.
"""
import argparse, json, os, statistics, time
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')   # before torch is imported
from pathlib import Path
import torch
from presto_nb.core import atomic_path
from presto_nb.dit import DROPS, DiTConfig, flops
from presto_nb.latency import Variant, evaluations, machine, parts, random_model
from presto_nb.pipeline import MusicPipeline

EVALUATIONS = 80
MODELS = {'study, random': (lambda: random_model('study'), 'study'), 'laptop, random': (lambda: random_model('laptop'), 'laptop'), 'base, shipped': (lambda: MusicPipeline.from_pretrained('base', 'cpu'), 'study')}
A_QUARTER = dict(study=(4, 3, 2, 2, 0), laptop=(7, 6, 4, 2, 0))   # 27.5 % and 27.1 % of the blocks

def clocked(f):
    "Seconds of CPU time and of wall time"
    cpu, wall = time.process_time(), time.perf_counter(); f()
    return time.process_time() - cpu, time.perf_counter() - wall

def counted(pipe, variant, text):
    "Operations of the whole walk, of one row; number of text tokens"
    config, seconds = DiTConfig.from_dict(pipe.config.dit), pipe.config.max_seconds
    return sum(flops(config, round(seconds*pipe.codec.frame_rate), text, n) for n in evaluations(pipe, variant))

def measure(name, runs):
    "Rows of the record"
    make, preset = MODELS[name]; pipe, depth = make(), len(make().denoiser.network.blocks)
    schedules = dict.fromkeys([(0,)*5, DROPS[preset]['l'], A_QUARTER[preset]])            # each once
    ways = {drops: Variant('', EVALUATIONS, drops=drops) for drops in schedules}; cond = parts(pipe, ways[(0,)*5])['text'](None)
    calls = {drops: (lambda walk=parts(pipe, v)['network']: walk(cond)) for drops, v in ways.items()}
    parts(pipe, Variant('', 4))['network'](cond)                                          # warm
    rounds = [{drops: clocked(calls[drops]) for drops in list(calls)[::1 if i % 2 else -1]} for i in range(runs)]   # there and back: who comes first alternates
    full, text = counted(pipe, ways[(0,)*5], cond.tokens.shape[1]), cond.tokens.shape[1]
    def row(drops):
        saved = [statistics.median(1 - r[drops][i]/r[(0,)*5][i] for r in rounds) for i in (0, 1)]; share = 1 - counted(pipe, ways[drops], text)/full
        return dict(model=name, drops=drops, blocks_skipped=round(sum(drops)/len(drops)/depth, 4), blocks_skipped_by_evaluations=round(1 - sum(evaluations(pipe, ways[drops]))/EVALUATIONS/depth, 4),
                    counted_saving=round(share, 4), cpu_saving=round(saved[0], 4), wall_saving=round(saved[1], 4), cpu_of_counted=round(saved[0]/share, 3),
                    cpu_s=[round(r[drops][0], 3) for r in rounds], wall_s=[round(r[drops][1], 3) for r in rounds],
                    full_cpu_s=[round(r[(0,)*5][0], 3) for r in rounds], full_wall_s=[round(r[(0,)*5][1], 3) for r in rounds])
    return [row(drops) for drops in schedules if any(drops)]

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--runs', type=int, default=15); p.add_argument('--threads', type=int, default=1); p.add_argument('--models', nargs='+', choices=list(MODELS), default=list(MODELS))
    p.add_argument('--out', type=Path, default=Path(__file__).resolve().parent.parent/'data_samples'/'logs'/'bench_drops.json')
    args = p.parse_args(argv); torch.set_num_threads(args.threads); where, rows = machine('cpu'), []
    for name in args.models:
        rows += measure(name, args.runs); print(*(f"{r['model']} {r['drops']}: counted {r['counted_saving']:.1%}, CPU time {r['cpu_saving']:.1%}, wall {r['wall_saving']:.1%}" for r in rows if r['model'] == name), sep='\n', flush=True)
    record = dict(rows=rows, runs=args.runs, evaluations=EVALUATIONS, guided=True, **where, command=f'python recipes/bench_drops.py --runs {args.runs} --threads {args.threads}')
    with atomic_path(args.out) as tmp: tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))

if __name__ == '__main__': main()
