"""What of a real clip survives noise and denoising.

    python recipes/what_survives.py --work FOLDER [--model laptop-base laptop-s] [--n 64]
        [--out data_samples/logs/what_survives.json]

Clips of validation tunes are encoded, noised to each level of a four-step generator, and finished
by each model from there. The listener says what is still as in the prompt. At the first level next
to nothing of the clip is left. Where a fact is lost below the level at which another model keeps
it, that model loses it by itself.
"""

from pathlib import Path

from common import CHOICE_PROMPTS, INTERVALS, LOGS, Judge, new_parser, rounded, write_record

import torch

from presto_nb.material.core import sha256
from presto_nb.material.text import Condition
from presto_nb.material.model_folders import find_model
from presto_nb.pipeline import MusicPipeline
from presto_nb.sampling import few_sigmas, pingpong

FACTS = 'lead', 'accompaniment', 'drums', 'key', 'tempo', 'tempo_tolerant'
EVALUATIONS = 40  # of a model of many steps


def few_finish(pipe, level, x0, noise, cond, seeds):
    "The rest of a generator's four steps"
    return pingpong(pipe.kept(), noise, few_sigmas(4)[level:], cond, list(seeds), init=x0)


def many_finish(pipe, r, level, x0, noise, cond, seeds):
    "The walk of a model of many steps from a level down"
    _, walk = pipe.sampler(r, few_sigmas(4)[level].item())
    return walk(noise, cond, seeds, init=x0)


@torch.inference_mode()
def finisher(
    pipe,  # a `MusicPipeline`
    level,  # one of the levels of four steps, 0 the first
):  # a maker of `Evaluator.add`
    "Real clips, noised to a level and denoised from there"
    few = pipe.config.step == 'pingpong'
    steps = 4 - level if few else EVALUATIONS

    def make(prompts, first):
        seconds = prompts[0].seconds
        captions = [p.caption for p in prompts]
        r = pipe.request(captions, seconds, steps=steps, seed=first)
        cond = Condition.from_prompts(pipe.encoder, captions, [p.facts['bpm'] for p in prompts])
        seeds = range(first, first + len(prompts))
        x0 = torch.cat([pipe.latents(p.render(), r.frames) for p in prompts])
        noise = pipe.noise(first, len(prompts), r.frames)
        if few:
            z = few_finish(pipe, level, x0, noise, cond, seeds)
        else:
            z = many_finish(pipe, r, level, x0, noise, cond, seeds)
        return pipe.finish(pipe.codec.decode(z), captions, seconds)

    return make


def rows_of(judge, models):
    "What was heard -> facts"
    rows = dict(real=judge.facts(judge.ev.real, FACTS))
    for name in models:
        pipe = MusicPipeline.from_pretrained(name, device='cpu')
        weights = sha256(find_model(name) / 'model.safetensors')
        for level, sigma in enumerate(few_sigmas(4)[:-1].tolist()):
            key = f'{name} from sigma {sigma:.3g}'
            made = dict(kind='real clips, noised and denoised', weights=weights, sigma=sigma)
            heard = judge.hear(key.replace(' ', '-'), finisher(pipe, level), **made)
            rows[key] = judge.facts(heard, FACTS)
            print(key, rounded(rows[key], 2), flush=True)
    return rows


def main(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--work', type=Path, required=True)
    p.add_argument('--model', nargs='+', default=['laptop-base', 'laptop-s'])
    p.add_argument('--n', type=int, default=64)
    p.add_argument('--out', type=Path, default=LOGS / 'what_survives.json')
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    judge = Judge(args.work, args.n, CHOICE_PROMPTS)
    record = dict(
        **judge.about(),
        seconds=judge.ev.seconds,
        evaluations=EVALUATIONS,
        intervals=INTERVALS,
        scores=rows_of(judge, args.model),
    )
    write_record(args.out, record, 'python recipes/what_survives.py --work FOLDER')


if __name__ == '__main__':
    main()
