"""Which layers matter.

    python recipes/study_which_layers.py --latents latents/full [--clips 64] [--model base]
        [--out data_samples/logs/which_layers.json]

Every gap of neighbouring blocks of a shipped model (8 blocks: 35 gaps) at ten levels of the
inference schedule, nothing trained: one window of 129 frames of each of 64 held-out tunes (split
`valid`) with one of its captions and its tempo, the same windows and the same noise for every gap.
The model is its own control: for each row the weighted EDM loss with the gap minus that without
(`loss`), the same minus that of the shifted gap of equal size, as it is or repaired as below
(`to_shift`, `to_repaired_shift`), and the distance of the two answers over the full model's own
distance from the truth (`error`), each as mean and half of a 95 % interval over the rows.

The constant repair: on 64 other windows (split `train`) the mean over rows and frames of what the
blocks of a gap add to each channel of the stream is measured at each level. Given back to the
stream in place of the blocks: in all channels, only in the one that is largest after the last
block, and in all but that one. For scale (added after the first run): what a network costs more
that says nothing (`nothing`), or always what the trained one says on average on those other windows
(`constant`). A few minutes on one core. Nothing is kept but the record. nbs/studies/61 shows it.

Written before the run (blocks counted from 1, "high noise": the five levels from 80 down to 4.1):

1 last block     alone, it costs most of all single blocks at every high level, and at none below
2 first block    costs at least half of what the last does at every high level, and more than it at
                 every level below
3 shifted place  (the gap that ends before the last block) is the cheapest for every number of
                 blocks at every high level
4 one channel    given back in the one channel, the mean of block 8 takes away half of the squared
                 error or more at every high level; given back in all others it does not help
5 what is saved  with the constant repair, early exit without 2, 3 or 4 blocks costs at high noise
                 no more than the shifted gap as it is
6 what is left   repaired alike, the shifted gap still costs less than early exit: the last block
                 does more than set a scale
7 orthogonality  where the full model's answer is nearly the conditional mean (sigma from .1 to 80),
                 the loss that a gap adds is the squared distance of the two answers, to 20 %
"""

import json
from pathlib import Path

from common import LOGS, new_parser, stamped, write_text  # first: it sets how torch waits

import torch

from presto_nb.edm import karras_sigmas, loss_weight, noised, scalings
from presto_nb.material.core import new_rng, sha256
from presto_nb.material.text import Condition
from presto_nb.material.model_folders import find_model
from presto_nb.pipeline import MusicPipeline
from presto_nb.sampling import noise_like
from presto_nb.material.latents import LatentWindows

FRAMES = 129
SEED = 0
OTHER_SEED = SEED + 10_000  # of the windows that repairs are measured on
LEVELS = karras_sigmas(10)[:-1].tolist()
BATCH = 16


def gaps(depth):
    "All (first block that is skipped, counted from 0; how many)"
    return [(start, drop) for drop in range(1, depth) for start in range(depth - drop + 1)]


def windows(latents, split, n, encoder):  # clean latents [n, frames, channels], condition, ids
    "One window of each of n tunes"
    data = LatentWindows(latents, FRAMES, split)
    rng = new_rng('which layers', split, SEED)
    b = data.batch(torch.randperm(len(data), generator=rng)[:n].tolist(), rng)
    return b['x0'], Condition.from_prompts(encoder, b['captions'], b['bpm'].tolist()), b['ids']


class Opened:
    "One forward of a denoiser, opened: the stream after each block, the answer from any of them on"

    def __init__(
        self,
        denoiser,
        x,  # noised latents [b, frames, channels]
        sigma,  # one noise level
        cond,
    ):
        self.c_skip, self.c_out, c_in, c_noise = scalings(torch.tensor(sigma), denoiser.sigma_data)
        opened = denoiser.network.parts(c_in * x, c_noise.expand(len(x)), cond)
        first, self.run, self.finish = opened
        self.x = x
        self.streams = [first]
        for i in range(len(denoiser.network.blocks)):
            self.streams.append(self.run(i, self.streams[-1]))

    def answer(
        self,
        start=0,  # first block that is skipped, counted from 0
        drop=0,  # how many
        extra=0.0,  # what the stream is given for them [width]
    ):
        "The denoiser's answer without some of its blocks"
        h = self.streams[start] + extra
        for i in range(start + drop, len(self.streams) - 1):
            h = self.run(i, h)
        return self.c_skip * self.x + self.c_out * self.finish(h)

    def full(self):
        "The denoiser's own answer"
        return self.answer(len(self.streams) - 1)


def opened(denoiser, x0, cond, sigma, seed):
    "Yields the forwards of all rows, with their clean latents"
    noise = noise_like(x0.shape, range(seed, seed + len(x0)))
    for at in torch.arange(len(x0)).split(BATCH):
        x = noised(x0[at], torch.full((len(at),), sigma), noise[at])
        yield Opened(denoiser, x, sigma, cond[at]), x0[at]


def stream_moments(denoiser, x0, cond, sigma, seed):
    "Mean and mean square of every channel after 0, 1, ... blocks, each [depth + 1, width]"
    rows = []
    for o, _ in opened(denoiser, x0, cond, sigma, seed):
        blocks = [torch.stack([h.mean(1), h.square().mean(1)]) for h in o.streams]
        rows.append(torch.stack(blocks))  # [depth + 1, 2, b, width]
    return torch.cat(rows, 2).mean(2).unbind(1)


def mean_output(denoiser, x0, cond, sigma, seed):
    "What the network says on average, before the scalings [channels]"
    rows = []
    for o, _ in opened(denoiser, x0, cond, sigma, seed):
        rows.append((o.full() - o.c_skip * o.x) / o.c_out)
    return torch.cat(rows).mean((0, 1))


def loss_of_output(
    denoiser,
    x0,
    sigma,
    output,  # [channels], whatever the input
    seed,
):  # [rows]
    "The loss of a network that always says the same"
    noise = noise_like(x0.shape, range(seed, seed + len(x0)))
    c_skip, c_out, *_ = scalings(torch.tensor(sigma), denoiser.sigma_data)
    answer = c_skip * (x0 + sigma * noise) + c_out * output
    weight = loss_weight(torch.tensor(sigma), denoiser.sigma_data)
    return weight * (answer - x0).square().mean((1, 2))


def measured(
    denoiser,
    x0,
    cond,
    sigma,
    extras,  # name -> (start, drop, extra)
    seed,
):  # name -> [2, rows]
    "Loss, and squared distance to the full answer, both weighted"
    found = {name: [] for name in extras}
    weight = loss_weight(torch.tensor(sigma), denoiser.sigma_data)
    for o, clean in opened(denoiser, x0, cond, sigma, seed):
        full = o.full()
        for name, gap in extras.items():
            answer = o.answer(*gap)
            both = [weight * (answer - y).square().mean((1, 2)) for y in (clean, full)]
            found[name].append(torch.stack(both))
    return {k: torch.cat(v, 1) for k, v in found.items()}


def digits(x):
    "Four of them"
    return float(f'{x:.4g}')


def interval(v):  # [rows]
    "Mean and half of a 95 % interval"
    return [digits(x) for x in (v.mean().item(), 1.96 * v.std().item() / len(v) ** 0.5)]


def repairs(
    mean,  # of the streams [depth + 1, width]
    channel,  # the one that is largest after the last block
    start,
    drop,
):  # name -> [width]
    "What the stream is given in place of the blocks of a gap"
    added = mean[start + drop] - mean[start]
    found = dict(plain=0 * added, all=added)
    if start + drop == len(mean) - 1:
        one = torch.zeros_like(mean[0])
        one[channel] = 1
        found |= dict(channel=added * one, others=added * (1 - one))
    return found


def asked_gaps(depth, mean, channel):
    "(start, drop, repair) -> what `measured` takes"
    asked = {}
    for start, drop in gaps(depth):
        for kind, extra in repairs(mean, channel, start, drop).items():
            asked[start, drop, kind] = (start, drop, extra)
    return asked


def gap_row(found, depth, start, drop, kind):
    "A gap's numbers, as differences"
    own = found['full'][0]
    loss, distance = found[start, drop, kind]
    shift = found[depth - 1 - drop, drop, 'plain'][0]
    repaired = found[depth - 1 - drop, drop, 'all'][0]
    return dict(
        start=start,
        drop=drop,
        repair=kind,
        loss=interval(loss - own),
        to_shift=interval(loss - shift),
        to_repaired_shift=interval(loss - repaired),
        error=interval((distance / own).sqrt()),
        distance=interval(distance),
        loss_over_distance=digits(((loss - own).mean() / distance.mean()).item()),
    )


def level_row(denoiser, sigma, held_out, mean, channel, output):
    "A row of the record"
    x0, cond, _ = held_out
    depth = len(denoiser.network.blocks)
    asked = asked_gaps(depth, mean, channel)
    found = measured(denoiser, x0, cond, sigma, {'full': (depth, 0)} | asked, SEED)
    own = found['full'][0]
    nothing = loss_of_output(denoiser, x0, sigma, 0.0 * output, SEED)
    constant = loss_of_output(denoiser, x0, sigma, output, SEED)
    return dict(
        sigma=digits(sigma),
        own=interval(own),
        nothing=interval(nothing - own),
        constant=interval(constant - own),
        gaps=[gap_row(found, depth, *key) for key in asked],
    )


def tell(r):
    "Print a row"
    single = [g for g in r['gaps'] if (g['drop'], g['repair']) == (1, 'plain')]
    print(
        f"sigma {r['sigma']:g}: loss {r['own'][0]:.3f}, {r['nothing'][0]:.3f} more if it says "
        f"nothing, {r['constant'][0]:.3f} if a constant; each block alone adds",
        *(f"{g['loss'][0]:.3f}" for g in single),
        flush=True,
    )


def all_levels(denoiser, held_out, other):
    "Rows of the record; the largest channel; what the last block adds to it"
    moments = [stream_moments(denoiser, *other, s, OTHER_SEED) for s in LEVELS]
    channel = torch.stack([square[-1] for _, square in moments]).mean(0).argmax().item()
    rows = []
    for s, (mean, _) in zip(LEVELS, moments):
        output = mean_output(denoiser, *other, s, OTHER_SEED)
        rows.append(level_row(denoiser, s, held_out, mean, channel, output))
        tell(rows[-1])
    added = [round((mean[-1] - mean[-2])[channel].item(), 3) for mean, _ in moments]
    return dict(levels=rows, channel=channel, added=added)


def write_gaps(path, record):
    "One line for each gap"
    write_text(path, json.dumps(record).replace('{"start"', '\n{"start"') + '\n')


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--latents', required=True)
    p.add_argument('--clips', type=int, default=64)
    p.add_argument('--model', default='base')
    p.add_argument('--out', type=Path, default=LOGS / 'which_layers.json')
    return p.parse_args(argv)


@torch.no_grad()
def main(argv=None):
    args = arguments(argv)
    torch.set_num_threads(1)
    pipe = MusicPipeline.from_pretrained(args.model)
    held_out = windows(args.latents, 'valid', args.clips, pipe.encoder)
    other = windows(args.latents, 'train', args.clips, pipe.encoder)[:2]
    record = dict(
        model=args.model,
        sha256=sha256(find_model(args.model) / 'model.safetensors'),
        blocks=len(pipe.denoiser.network.blocks),
        **all_levels(pipe.denoiser, held_out, other),
        clips=args.clips,
        frames=FRAMES,
        split='valid',
        ids=held_out[2],
        repair=dict(clips=args.clips, split='train', seed=OTHER_SEED),
        intervals='95 %, normal, over clips, paired by clip',
    )
    words = f'--latents latents/full --clips {args.clips} --model {args.model}'
    record = stamped(record, f'python recipes/study_which_layers.py {words}', SEED)
    write_gaps(args.out, record)
    said = 'model', 'blocks', 'channel', 'added', 'clips', 'date'
    print(json.dumps({k: record[k] for k in said}))


if __name__ == '__main__':
    main()
