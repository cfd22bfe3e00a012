"""Which layers matter: python recipes/study_which_layers.py --latents latents/full [--clips 64] [--model base] [--out data_samples/logs/which_layers.json]

Every gap of neighbouring blocks of a shipped model (8 blocks: 35 gaps) at ten levels of the inference schedule, nothing trained: one window of 129 frames of each of 64 held-out tunes (split `valid`) with one of
its captions and its tempo, the same windows and the same noise for every gap. The model is its own control: for each row the weighted EDM loss with the gap minus that without (`loss`), the same minus that of the
shifted gap of equal size, as it is or repaired as below (`to_shift`, `to_repaired_shift`), and the distance of the two answers over the full model's own distance from the truth (`error`), each as mean and half of a 95 % interval over the rows.
The constant repair: on 64 other windows (split `train`) the mean over rows and frames of what the blocks of a gap add to each channel of the stream is measured at each level. Given back to the stream in place of
the blocks: in all channels, only in the one that is largest behind the last block, and in all but that one. For scale (added after the first run): what a network costs more that says nothing (`nothing`), or
always what the trained one says on average on those other windows (`constant`). A few minutes on one core; nothing is kept but the record. nbs/studies/61 shows it.

Written before the run (blocks counted from 1, "high noise": the five levels from 80 down to 4.1):

1 last block       alone, it costs most of all single blocks at every high level, and at none below
2 first block      costs at least half of what the last does at every high level, and more than it at every level below
3 shifted place    (the gap that ends before the last block) is the cheapest for every number of blocks at every high level
4 one channel      given back in the one channel, the mean of block 8 takes away half of the squared error or more at every high level; given back in all others it does not help
5 what is saved    with the constant repair, early exit without 2, 3 or 4 blocks costs at high noise no more than the shifted gap as it is
6 what is left     repaired alike, the shifted gap still costs less than early exit: the last block does more than set a scale
7 orthogonality    where the full model's answer is nearly the conditional mean (sigma from .1 to 80), the loss that a gap adds is the squared distance of the two answers, to 20 %
"""

import argparse, datetime, json, os

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path
import torch
from presto_nb.material.core import atomic_path, new_rng, sha256
from presto_nb.edm import karras_sigmas, loss_weight, noised, scalings
from presto_nb.pipeline import MusicPipeline, find_model
from presto_nb.sampling import noise_like
from presto_nb.material.text import Condition
from presto_nb.training import LatentWindows

FRAMES, SEED, LEVELS, BATCH = 129, 0, karras_sigmas(10)[:-1].tolist(), 16
gaps = lambda depth: [
    (start, drop) for drop in range(1, depth) for start in range(depth - drop + 1)
]


def windows(latents, split, n, encoder):  # clean latents [n, frames, channels], condition, ids
    data = LatentWindows(latents, FRAMES, split)
    g = new_rng('which layers', split, SEED)
    b = data.batch(torch.randperm(len(data), generator=g)[:n].tolist(), g)
    return b['x0'], Condition.from_prompts(encoder, b['captions'], b['bpm'].tolist()), b['ids']


class Opened:
    "One forward of a denoiser, opened at its blocks: the stream after each, and the answer from any of them on"

    def __init__(
        self, denoiser, x, sigma, cond
    ):  # noised latents [b, frames, channels]; one noise level
        self.c_skip, self.c_out, c_in, c_noise = scalings(torch.tensor(sigma), denoiser.sigma_data)
        first, self.run, self.finish = denoiser.network.parts(
            c_in * x, c_noise.expand(len(x)), cond
        )
        self.x, self.streams = x, [first]
        for i in range(len(denoiser.network.blocks)):
            self.streams.append(self.run(i, self.streams[-1]))

    def answer(
        self, start=0, drop=0, extra=0.0
    ):  # first block that is skipped, how many, what the stream is given for them [width]
        h = self.streams[start] + extra
        for i in range(start + drop, len(self.streams) - 1):
            h = self.run(i, h)
        return self.c_skip * self.x + self.c_out * self.finish(h)


def opened(
    denoiser, x0, cond, sigma, seed
):  # yields the forwards of all rows, with their clean latents
    noise = noise_like(x0.shape, range(seed, seed + len(x0)))
    for at in torch.arange(len(x0)).split(BATCH):
        yield (
            Opened(
                denoiser, noised(x0[at], torch.full((len(at),), sigma), noise[at]), sigma, cond[at]
            ),
            x0[at],
        )


def stream_moments(
    denoiser, x0, cond, sigma, seed
):  # mean and mean square of every channel after 0, 1, ... blocks, each [depth + 1, width]
    rows = [
        torch.stack([torch.stack([h.mean(1), h.square().mean(1)]) for h in o.streams])
        for o, _ in opened(denoiser, x0, cond, sigma, seed)
    ]
    return torch.cat(rows, 2).mean(2).unbind(1)


def mean_output(
    denoiser, x0, cond, sigma, seed
):  # what the network says on average, before the scalings [channels]
    return torch.cat(
        [
            (o.answer(len(o.streams) - 1) - o.c_skip * o.x) / o.c_out
            for o, _ in opened(denoiser, x0, cond, sigma, seed)
        ]
    ).mean((0, 1))


def loss_of_output(
    denoiser, x0, sigma, output, seed
):  # output [channels], whatever the input -> [rows]
    noise = noise_like(x0.shape, range(seed, seed + len(x0)))
    c_skip, c_out, *_ = scalings(torch.tensor(sigma), denoiser.sigma_data)
    return loss_weight(torch.tensor(sigma), denoiser.sigma_data) * (
        c_skip * (x0 + sigma * noise) + c_out * output - x0
    ).square().mean((1, 2))


def measured(
    denoiser, x0, cond, sigma, extras, seed
):  # extras: name -> (start, drop, extra); name -> loss and squared distance to the full answer [2, rows], both weighted
    found, weight = {}, loss_weight(torch.tensor(sigma), denoiser.sigma_data)
    for o, clean in opened(denoiser, x0, cond, sigma, seed):
        full = o.answer(len(o.streams) - 1)
        for name, gap in extras.items():
            a = o.answer(*gap)
            found.setdefault(name, []).append(
                torch.stack([weight * (a - y).square().mean((1, 2)) for y in (clean, full)])
            )
    return {k: torch.cat(v, 1) for k, v in found.items()}


def interval(v):  # [rows] -> mean and half of a 95 % interval
    return [float(f'{x:.4g}') for x in (v.mean().item(), 1.96 * v.std().item() / len(v) ** 0.5)]


def repairs(mean, channel):  # of the streams [depth + 1, width] -> (start, drop) -> name -> [width]
    one = torch.zeros_like(mean[0])
    one[channel] = 1

    def of(start, drop):
        added = mean[start + drop] - mean[start]
        return dict(plain=0 * added, all=added) | (
            dict(channel=added * one, others=added * (1 - one))
            if start + drop == len(mean) - 1
            else {}
        )

    return of


def level(denoiser, sigma, held_out, mean, channel, output):  # a row of the record
    x0, cond, _ = held_out
    depth = len(denoiser.network.blocks)
    of = repairs(mean, channel)
    asked = {
        (start, drop, kind): (start, drop, extra)
        for start, drop in gaps(depth)
        for kind, extra in of(start, drop).items()
    }
    found = measured(denoiser, x0, cond, sigma, {'full': (depth, 0)} | asked, SEED)
    own = found['full'][0]

    def cell(start, drop, kind):
        (loss, distance), (shift, repaired) = (
            found[start, drop, kind],
            (found[depth - 1 - drop, drop, k][0] for k in ('plain', 'all')),
        )
        return dict(
            start=start,
            drop=drop,
            repair=kind,
            loss=interval(loss - own),
            to_shift=interval(loss - shift),
            to_repaired_shift=interval(loss - repaired),
            error=interval((distance / own).sqrt()),
            distance=interval(distance),
            loss_over_distance=float(f'{((loss - own).mean() / distance.mean()).item():.4g}'),
        )

    return dict(
        sigma=float(f'{sigma:.4g}'),
        own=interval(own),
        nothing=interval(loss_of_output(denoiser, x0, sigma, 0.0 * output, SEED) - own),
        constant=interval(loss_of_output(denoiser, x0, sigma, output, SEED) - own),
        gaps=[cell(*k) for k in asked],
    )


@torch.no_grad()
def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--latents', required=True)
    p.add_argument('--clips', type=int, default=64)
    p.add_argument('--model', default='base')
    p.add_argument(
        '--out',
        type=Path,
        default=Path(__file__).resolve().parent.parent
        / 'data_samples'
        / 'logs'
        / 'which_layers.json',
    )
    args = p.parse_args(argv)
    torch.set_num_threads(1)
    pipe = MusicPipeline.from_pretrained(args.model)
    D = pipe.denoiser
    held_out, other = (
        windows(args.latents, split, args.clips, pipe.encoder) for split in ('valid', 'train')
    )
    moments = [stream_moments(D, *other[:2], s, SEED + 10_000) for s in LEVELS]
    channel = torch.stack([square[-1] for _, square in moments]).mean(0).argmax().item()
    rows = []
    for s, (mean, _) in zip(LEVELS, moments):
        rows.append(
            level(D, s, held_out, mean, channel, mean_output(D, *other[:2], s, SEED + 10_000))
        )
        r = rows[-1]
        print(
            f"sigma {r['sigma']:g}: loss {r['own'][0]:.3f}, {r['nothing'][0]:.3f} more if it says nothing, {r['constant'][0]:.3f} if a constant; each block alone adds",
            *(f"{g['loss'][0]:.3f}" for g in r['gaps'] if (g['drop'], g['repair']) == (1, 'plain')),
            flush=True,
        )
    record = dict(
        model=args.model,
        sha256=sha256(find_model(args.model) / 'model.safetensors'),
        blocks=len(D.network.blocks),
        levels=rows,
        channel=channel,
        added=[round((m[-1] - m[-2])[channel].item(), 3) for m, _ in moments],
        clips=args.clips,
        frames=FRAMES,
        split='valid',
        ids=held_out[2],
        repair=dict(clips=args.clips, split='train', seed=SEED + 10_000),
        seed=SEED,
        intervals='95 %, normal, over clips, paired by clip',
        date=datetime.date.today().isoformat(),
        command=f'python recipes/study_which_layers.py --latents latents/full --clips {args.clips} --model {args.model}',
    )
    with atomic_path(args.out) as tmp:
        tmp.write_text(json.dumps(record).replace('{"start"', '\n{"start"') + '\n')
    print(
        json.dumps({k: record[k] for k in ('model', 'blocks', 'channel', 'added', 'clips', 'date')})
    )


if __name__ == '__main__':
    main()
