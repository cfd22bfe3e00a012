"""Judge a model by what a machine hears: python recipes/judge_base.py --data DATA [--model base] [--clips 48] [--seconds 6] [--guidance 3]

DATA is a Folk-GM folder (presto-nb data build). For clips of its test split, whose tunes no training saw, music is generated from the clip's caption
and set beside the clip: onsets a second, and whether the estimated key belongs to the asked scale (the modes of one scale count as one; chance 1/12).
Each measure is also taken of the real clip (what the measure itself can do), of the clip through the codec (the ceiling of any model on this codec),
and of music made without its prompt (guidance 0: the floor). Rows go to OUT.csv, the summary to OUT.json; the last line printed is the summary.
"""
import argparse, csv, datetime, io, json, os
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')   # before torch is imported
from pathlib import Path

def measures(audio):
    from presto_nb.audio import estimate_key, onset_rate
    return dict(onsets=round(onset_rate(audio), 3), key=estimate_key(audio))

def judge(pipe, clip, seed, args):
    "One row: what was asked, and the measures of four sounds"
    import torch
    real = clip.audio(0., args.seconds).mono().resample(pipe.sample_rate).normalise()
    with torch.inference_mode(): decoded = pipe.finish(pipe.codec.decode(pipe.codec.encode(real.samples[None])), [''], real.seconds)[0]
    make = lambda scale: pipe.generate(clip.captions[0], seconds=args.seconds, steps=args.steps, guidance_scale=scale, bpm=clip.bpm, seed=seed, progress=False)[0]
    row = dict(id=clip.meta['id'], seed=seed, caption=clip.captions[0], bpm=clip.bpm, key=clip.meta['key'])
    for name, audio in dict(real=real, codec=decoded, made=make(args.guidance), unprompted=make(0.)).items(): row |= {f'{k}_{name}': v for k, v in measures(audio).items()}
    return row

def correlation(a, b):
    import numpy as np
    return round(float(np.corrcoef(a, b)[0, 1]), 3) if len(a) > 2 and np.std(a) > 0 and np.std(b) > 0 else None

def summary(rows):
    "Means over the clips"
    from presto_nb.listen import scale_of
    asked, out = [r['onsets_real'] for r in rows], {}
    for k in ('real', 'codec', 'made', 'unprompted'):
        rate = [r[f'onsets_{k}'] for r in rows]
        out[k] = dict(onsets=round(sum(rate)/len(rate), 2), onsets_correlation=correlation(asked, rate),
                      in_scale=round(sum(scale_of(r[f'key_{k}']) == scale_of(r['key']) for r in rows)/len(rows), 3))
    return out

def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--data', required=True); p.add_argument('--model', default='base'); p.add_argument('--split', default='test'); p.add_argument('--clips', type=int, default=48)
    p.add_argument('--seconds', type=float, default=6.); p.add_argument('--steps', type=int); p.add_argument('--guidance', type=float)
    p.add_argument('--kind', choices=('cfg', 'cfg++'), help="the model's own unless given"); p.add_argument('--out', type=Path)
    args = p.parse_args(argv)
    from presto_nb.core import atomic_path, progress
    from presto_nb.pipeline import MusicPipeline
    from presto_nb.scores import load_folder
    pipe = MusicPipeline.from_pretrained(args.model); pipe.config = pipe.config.replace(guidance=args.kind or pipe.config.guidance)
    args.guidance = pipe.config.guidance_scale if args.guidance is None else args.guidance
    clips = [c for c in load_folder(args.data) if c.split == args.split and c.seconds >= args.seconds]
    clips = clips[::max(1, len(clips)//args.clips)][:args.clips]
    rows = [judge(pipe, c, i, args) for i, c in enumerate(progress(clips, desc='judging'))]
    record = dict(model=pipe.config.name, clips=len(rows), split=args.split, seconds=args.seconds, evaluations=args.steps or pipe.config.steps, guidance=f'{pipe.config.guidance} {args.guidance:g}',
                  **summary(rows), chance_in_scale=round(1/12, 3), codec_sha256=pipe.config.codec_sha256, fingerprint=pipe.config.check, date=datetime.date.today().isoformat(), command='python recipes/judge_base.py')
    if args.out:
        text = io.StringIO(); w = csv.DictWriter(text, list(rows[0])); w.writeheader(); w.writerows(rows)
        for suffix, t in (('.csv', text.getvalue()), ('.json', json.dumps(record, indent=1) + '\n')):
            with atomic_path(args.out.with_suffix(suffix)) as tmp: tmp.write_text(t)
    print(json.dumps(record))

if __name__ == '__main__': main()
