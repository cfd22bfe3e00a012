"""Time music from a model: python recipes/bench_base.py [--model base] [--seconds 6] [--steps 80] [--threads 2] [--runs 5]

The regime: one prompt at a time, with guidance (so each evaluation is a batch of two), eager float32, after one warm-up call; the clock covers text
encoder, network and codec decode, not the loading of weights or the writing of files. The median of the runs counts; the fastest is given too, for
a machine that does other work meanwhile. The last line is JSON; with --out it is also written there (data_samples/logs/bench_base.json).
"""
import argparse, datetime, json, os, platform, statistics
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')   # before torch is imported
from pathlib import Path

PROMPT = 'a lively reel on the violin with piano at 120 bpm'

def cpu_name():
    "The processor, as Linux calls it"
    try: return next(l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name'))
    except (OSError, StopIteration): return platform.processor()

def one(pipe, args, seed):
    "Milliseconds of one call"
    pipe.generate(PROMPT, seconds=args.seconds, steps=args.steps, seed=seed, progress=False)
    return {k: pipe.timings[k] for k in ('text', 'network', 'decode')}

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--model', default='base'); p.add_argument('--seconds', type=float, default=6.); p.add_argument('--steps', type=int, default=80)
    p.add_argument('--threads', type=int, default=2); p.add_argument('--runs', type=int, default=5); p.add_argument('--device', default='cpu'); p.add_argument('--out', type=Path)
    args = p.parse_args(argv)
    import torch
    from presto_nb.core import atomic_path
    from presto_nb.pipeline import MusicPipeline
    torch.set_num_threads(args.threads)
    pipe = MusicPipeline.from_pretrained(args.model, device=args.device); one(pipe, args, 0)
    runs = [one(pipe, args, i + 1) for i in range(args.runs)]; totals = [sum(r.values()) for r in runs]
    record = dict(what=f'{args.seconds:g} s of music, {args.steps} evaluations, guidance {pipe.config.guidance} {pipe.config.guidance_scale:g}', model=pipe.config.name,
                  parameters=sum(p.numel() for p in pipe.denoiser.parameters()), seconds=args.seconds, evaluations=args.steps, device=args.device, threads=args.threads, runs=args.runs,
                  median_ms=round(statistics.median(totals)), fastest_ms=round(min(totals)), **{f'{k}_ms': round(statistics.median(r[k] for r in runs), 1) for k in runs[0]},
                  times_real_time=round(1000*args.seconds/statistics.median(totals), 2), decode_times_real_time=round(1000*args.seconds/statistics.median(r['decode'] for r in runs)),
                  load_average=os.getloadavg()[0] if hasattr(os, 'getloadavg') else None, processor=cpu_name(), torch=torch.__version__, date=datetime.date.today().isoformat(),
                  command='python recipes/bench_base.py')
    if args.out:
        with atomic_path(args.out) as tmp: tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))

if __name__ == '__main__': main()
