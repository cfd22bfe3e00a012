"""What of a real clip survives noise and denoising: python recipes/what_survives.py --work FOLDER [--model laptop-base laptop-s] [--n 64] [--out data_samples/logs/what_survives.json]

Clips of validation tunes are encoded, noised to each level of a four-step generator, and finished by each model from there; the listener says what is still as in the prompt. At the first level next to nothing of the clip is left; where a fact is lost below the level at which another model keeps it, that model loses it by itself.
"""

import argparse, datetime, json, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, sha256
from presto_nb.evidence.metrics import Evaluator, held_out_prompts, with_intervals
from presto_nb.pipeline import MusicPipeline, find_model
from presto_nb.sampling import few_sigmas, pingpong
from presto_nb.material.text import Condition

FACTS, EVALUATIONS = (
    ('lead', 'accompaniment', 'drums', 'key', 'tempo', 'tempo_tolerant'),
    40,
)  # of a model of many steps


@torch.inference_mode()
def finisher(
    pipe,  # a `MusicPipeline`
    level,  # one of the levels of four steps, 0 the first
):  # a maker of `Evaluator.add`
    "Real clips, noised to a level and denoised from there"

    def make(prompts, first):
        seconds, captions = prompts[0].seconds, [p.caption for p in prompts]
        few = pipe.config.step == 'pingpong'
        r = pipe.request(captions, seconds, steps=4 - level if few else EVALUATIONS, seed=first)
        sigma = few_sigmas(4)[level].item()
        cond, seeds = (
            Condition.from_prompts(pipe.encoder, captions, [p.facts['bpm'] for p in prompts]),
            range(first, first + len(prompts)),
        )
        x0 = torch.cat([pipe.latents(p.render(), r.frames) for p in prompts])
        noise = pipe.noise(first, len(prompts), r.frames)
        if few:
            z = pingpong(pipe.kept(), noise, few_sigmas(4)[level:], cond, list(seeds), init=x0)
        else:
            z = pipe.sampler(r, sigma)[1](noise, cond, seeds, init=x0)
        return pipe.finish(pipe.codec.decode(z), captions, seconds)

    return make


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--model', nargs='+', default=['laptop-base', 'laptop-s'])
    p.add_argument('--n', type=int, default=64)
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'what_survives.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    ev, rows = Evaluator(args.work, args.n), {}
    ev.prompts = held_out_prompts(args.n, split='valid')

    def score(heard):
        return with_intervals(lambda i: {k: heard.found[k][i].mean().item() for k in FACTS}, args.n)

    rows['real'] = score(ev.real)
    for name in args.model:
        pipe = MusicPipeline.from_pretrained(name, device='cpu')
        weights = sha256(find_model(name) / 'model.safetensors')
        for level, sigma in enumerate(few_sigmas(4)[:-1].tolist()):
            key = f'{name} from sigma {sigma:.3g}'
            rows[key] = score(
                ev.add(
                    key.replace(' ', '-'),
                    finisher(pipe, level),
                    dict(kind='real clips, noised and denoised', weights=weights, sigma=sigma),
                )
            )
            print(key, {k: [round(x, 2) for x in v] for k, v in rows[key].items()}, flush=True)
    record = dict(
        command='python recipes/what_survives.py --work FOLDER',
        split='valid',
        clips=args.n,
        seconds=ev.seconds,
        evaluations=EVALUATIONS,
        intervals='95 %, 100 half samples of whole clips',
        date=datetime.date.today().isoformat(),
        scores=rows,
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record, indent=1) + '\n')


if __name__ == '__main__':
    main()
