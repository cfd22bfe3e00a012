"""Which noise levels, which game, continuous or discrete, on music: python recipes/study_presto_s.py --latents latents/full --work FOLDER [--only NAME ...] [--out data_samples/logs/presto_s_study.json]

Every run distils the shipped study base with the switches of `STUDY` (w = 1, no normaliser, lr 4e-4), batch 8, seed 0, for TURNS turns (a fifth of them the generator's) with the last 30 % of them at a falling
rate, and is judged on 256 prompts of the split `valid` with four steps (and 1, 2, 8 for the comparison of levels): agreement, KAD, recall with 95 % intervals, and paired differences to `chosen`.
Written before the runs:

all-inf          p_dmd, p_dsm, p_gan = inf is worse than `chosen` in KAD and agreement (paper, table 1, as we understand it)
dmd-train        p_dmd = train alone makes up most of that
chosen           p_dmd, p_dsm, p_gan = train, least squares on the map, four levels
non-saturating   one answer and the non-saturating game: a little worse than `chosen`
continuous       p_gen = inf: better than four levels at 1, 2 and 8 steps, equal at 4. (Trials with other switches make the opposite likely at this budget.)
"""
import argparse, datetime, json, os
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')   # before torch is imported
from pathlib import Path
import torch
from presto_nb.core import atomic_path
from presto_nb.metrics import Evaluator, held_out_prompts, of_model, of_real, scores, with_intervals
from presto_nb.pipeline import MusicPipeline
from presto_nb.presto_s import PRESTO_S_RUN, STUDY, PrestoSConfig, few_step_pipeline, presto_s_stage
from presto_nb.training import fit

TURNS, CLIPS, SHOWN = 800, 256, ('agreement', 'KAD', 'KAD log-mel statistics', 'FD', 'recall', 'key', 'lead', 'drums')
FOUR = dict(p_gen='few-4')
RUNS = {'chosen': FOUR, 'continuous': {}, 'all-inf': FOUR | dict(p_dmd='inf', p_dsm='inf', p_gan='inf'), 'dmd-train': FOUR | dict(p_dsm='inf', p_gan='inf'), 'non-saturating': FOUR | dict(gan='ns')}

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--latents', required=True); p.add_argument('--work', type=Path, required=True); p.add_argument('--only', nargs='+', choices=list(RUNS), default=list(RUNS))
    p.add_argument('--out', type=Path, default=Path(__file__).resolve().parent.parent/'data_samples'/'logs'/'presto_s_study.json')
    args = p.parse_args(argv); torch.set_num_threads(1); base = MusicPipeline.from_pretrained('base'); ev = Evaluator(args.work/'heard', CLIPS)
    ev.prompts = held_out_prompts(CLIPS, 'validation', split='valid')
    ev.reference = ev.add('reference', of_real(), dict(kind='real clips of other arrangements, split valid'), held_out_prompts(CLIPS, 'validation reference', split='valid'))
    of = lambda heard, i: {k: v for k, v in scores(heard, ev.real, ev.reference, i).items() if k in SHOWN}
    record, heard = json.loads(args.out.read_text()) if args.out.is_file() else dict(turns=TURNS, clips=CLIPS, rows={}), {}
    for name in args.only:
        switches = PrestoSConfig(**STUDY | RUNS[name]); stage = presto_s_stage(args.latents, base, switches)
        run = fit(stage, PRESTO_S_RUN.replace(steps=TURNS), args.work/name)
        if run.stopped: return
        with run.emas['generator'].swapped(): few = few_step_pipeline(base, stage.models['generator'].cpu())
        for steps in (4, 1, 2, 8) if name in ('chosen', 'continuous') else (4,):
            key = f'{name}, {steps} steps'; heard[key] = h = ev.add(key.replace(', ', '-').replace(' ', '-'), of_model(few, steps=steps), dict(kind=key, switches=json.dumps(switches.to_dict())))
            row = dict(scores=with_intervals(lambda i: of(h, i), CLIPS), switches=switches.to_dict(), minutes=round(run.minutes, 1), date=datetime.date.today().isoformat())
            if name != 'chosen' and (own := heard.get(f'chosen, {steps} steps')): row['difference'] = with_intervals(lambda i: {k: v - of(own, i)[k] for k, v in of(h, i).items()}, CLIPS)
            record['rows'][key] = row; record['command'] = 'python recipes/study_presto_s.py --latents latents/full --work FOLDER'
            with atomic_path(args.out) as tmp: tmp.write_text(json.dumps(record, indent=1) + '\n')
            print(key, {k: [round(x, 3) for x in v] for k, v in row['scores'].items()}, flush=True)

if __name__ == '__main__': main()
