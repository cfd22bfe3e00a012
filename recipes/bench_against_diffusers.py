"""Our network and samplers against those of diffusers.

    python recipes/bench_against_diffusers.py [--threads 1] [--rounds 20] [--cpu-time]
        [--out data_samples/logs/bench_diffusers.json]

Networks: `DiT` and `StableAudioDiTModel` of equal width, depth, heads, latent channels and frames,
with the same text tokens. Measured are the forward of the batch of two that guidance makes, and the
forward and the training step of a batch of 16. The mapping is in `stable_audio`. Stable Audio's
block has cross-attention and a gated feed-forward layer of hidden width 4 w, so it multiplies more.
Therefore time is divided by the operations that torch counts. Ours is measured as it ships (hidden
4 w) and with a feed-forward layer of as many weights as theirs (hidden 6 w). Rounds are
interleaved. The ratio is the median over rounds of ours/theirs, so that a disturbance of the
machine meets both.

Samplers: at the same number of evaluations around the same network, once a network that does
nothing, which leaves the cost of the sampler itself, once the study network. Schedulers of the EDM
family scale the network's input and output themselves, so there ours is given the network in a
`Denoiser`, which does the same. The others take the network as it is, and so does ours.
"""

import json
import statistics
import time
from pathlib import Path

from common import new_parser, write_json  # first: it sets how torch waits

FRAMES = 129
TEXT = 8  # tokens
CASES = (2, False), (16, False), (16, True)  # batch, train?


def stable_audio(c):
    "diffusers' network for a `DiTConfig`: as many key and value heads as heads, text projected"
    from diffusers import StableAudioDiTModel

    return StableAudioDiTModel(
        sample_size=FRAMES,
        in_channels=c.channels,
        out_channels=c.channels,
        num_layers=c.depth,
        attention_head_dim=c.width // c.heads,
        num_attention_heads=c.heads,
        num_key_value_attention_heads=c.heads,
        cross_attention_dim=c.width,
        cross_attention_input_dim=c.text_dim,
        global_states_input_dim=c.width,  # one global token for what adaLN is told
        time_proj_dim=2 * c.frequencies,
    )


def networks(c):
    "Ours and theirs, weights from one seed"
    import torch
    from presto_nb.dit import DiT

    torch.manual_seed(0)
    ours = DiT(c)
    theirs = stable_audio(c)
    for p in ours.parameters():
        if not p.any():
            torch.nn.init.normal_(p, std=0.02)
    return dict(ours=ours, theirs=theirs)


def inputs(c, batch):
    "The same of everything for both"
    import torch

    rng = torch.Generator().manual_seed(0)
    x = torch.randn(batch, FRAMES, c.channels, generator=rng)
    text = torch.randn(batch, TEXT, c.text_dim, generator=rng)
    global_token = torch.randn(batch, 1, c.width, generator=rng)
    return x, text, global_token, torch.zeros(batch)


def forwards(c, nets, batch):
    "A forward of each on the same inputs"
    import torch
    from diffusers.models.embeddings import get_1d_rotary_pos_embed
    from presto_nb.material.text import Condition

    x, text, global_token, noise = inputs(c, batch)
    mask = torch.ones(batch, TEXT, dtype=torch.bool)
    cond = Condition(text, mask, torch.full((batch,), 120.0))
    turned = x.mT.contiguous()
    width = c.width // c.heads // 2
    rotary = get_1d_rotary_pos_embed(width, FRAMES + 1, use_real=True, repeat_interleave_real=False)
    told = dict(
        encoder_hidden_states=text,
        global_hidden_states=global_token,
        rotary_embedding=rotary,
        return_dict=False,
    )
    return dict(
        ours=lambda: nets['ours'](x, noise, cond),
        theirs=lambda: nets['theirs'](turned, noise, **told)[0],
    )


def training(net, forward):
    "Forward, loss, gradients"

    def step():
        forward().square().mean().backward()
        net.zero_grad(set_to_none=True)

    return step


def paired(calls, rounds, clock):
    "Milliseconds of ours and theirs in turn, and the median of their ratios"
    from presto_nb.evidence.latency import compare

    t = compare(calls, rounds, 2, clock=clock)
    return t, statistics.median(a / b for a, b in zip(t['ours'].runs, t['theirs'].runs))


def network_row(times, work, ratio):
    "The numbers of a pair of networks"
    return dict(
        **{f'{k}_gflop': round(v / 1e9, 3) for k, v in work.items()},
        **{f'{k}_ms': round(t.median, 2) for k, t in times.items()},
        **{f'{k}_gflops': round(work[k] / t.median / 1e6, 1) for k, t in times.items()},
        time_ratio=round(ratio, 3),
        time_per_flop_ratio=round(ratio * work['theirs'] / work['ours'], 3),
    )


NETWORK_LINE = (
    '{network:30} batch {batch:2} {what:13}: ours {ours_ms:8.2f} ms, theirs {theirs_ms:8.2f} ms: '
    '{time_ratio:.2f} times the time, {time_per_flop_ratio:.2f} times the time per operation'
)


def compare_networks(name, c, batch, train, rounds, clock):
    "A row of the record"
    import torch
    from presto_nb.evidence.latency import count

    nets = networks(c)
    calls = forwards(c, nets, batch)
    if train:
        calls = {k: training(nets[k], f) for k, f in calls.items()}
    with torch.set_grad_enabled(train):
        work = {k: count(f).flops for k, f in calls.items()}
        times, ratio = paired(calls, rounds, clock)
    row = dict(network=name, batch=batch, what='training step' if train else 'forward')
    row |= network_row(times, work, ratio)
    print(NETWORK_LINE.format(**row), flush=True)
    return row


def schedulers():
    "name -> (diffusers' scheduler, what set_timesteps takes for so many evaluations)"
    import diffusers as d

    return dict(
        euler=(d.EDMEulerScheduler(), lambda n: n),
        heun=(d.HeunDiscreteScheduler(), lambda n: (n + 1) // 2),
        dpmpp_2s=(d.DPMSolverSinglestepScheduler(solver_order=2), lambda n: n),
        dpmpp_2m=(d.EDMDPMSolverMultistepScheduler(solver_order=2), lambda n: n),
    )


class Counted:
    "A network that counts how often it is called"

    def __init__(self, net):
        self.net = net
        self.calls = 0

    def __call__(self, x, t, cond):
        self.calls += 1
        return self.net(x, t, cond)


def their_sampler(scheduler, steps, network, noise, cond):
    "A walk from noise with diffusers"

    def walk():
        scheduler.set_timesteps(steps)
        x = noise * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x, t)
            guess = network(scaled, t.float().reshape(1), cond)
            x = scheduler.step(guess, t, x).prev_sample
        return x

    return walk


def our_sampler(step, n, denoiser, noise, cond):
    "The same walk with ours"
    from presto_nb import sampling

    def walk():
        sigmas, f = sampling.plan(n, getattr(sampling, step))
        return sampling.sample(denoiser, noise, sigmas, cond, f)

    return walk


def evaluations_of(network, walk):
    "How often a walk asks the network"
    before = network.calls
    walk()
    return network.calls - before


def sampler_pair(step, n, net, cond):
    "Our walk and theirs, asked for the same number of evaluations"
    import torch
    from presto_nb.edm import Denoiser

    scheduler, steps = schedulers()[step]
    noise = torch.randn(1, FRAMES, 64, generator=torch.Generator().manual_seed(0))
    network = Counted(net)
    own = Denoiser(network) if 'EDM' in type(scheduler).__name__ else network
    ours = our_sampler(step, n, own, noise, cond)
    theirs = their_sampler(scheduler, steps(n), network, noise, cond)
    used = [evaluations_of(network, f) for f in (ours, theirs)]
    assert used == [n, n], (step, used, n)
    return dict(ours=ours, theirs=theirs), type(scheduler).__name__


SAMPLER_LINE = (
    '{sampler:9} {network:8} {evaluations} evaluations: '
    'ours {ours_ms_per_evaluation:.3f} ms each, '
    '{scheduler} {theirs_ms_per_evaluation:.3f}: {time_ratio:.2f} times'
)


def compare_samplers(name, net, cond, evaluations, rounds, clock):
    "A row for each sampler: the same network is called as often by both"
    rows = []
    for step in schedulers():
        n = evaluations - (step == 'heun')  # Heun's calls are odd: two a step, one for the last
        calls, scheduler = sampler_pair(step, n, net, cond)
        times, ratio = paired(calls, rounds, clock)
        row = dict(sampler=step, scheduler=scheduler, network=name, evaluations=n)
        row |= {f'{k}_ms_per_evaluation': round(t.median / n, 4) for k, t in times.items()}
        row |= dict(time_ratio=round(ratio, 3))
        rows.append(row)
        print(SAMPLER_LINE.format(**row), flush=True)
    return rows


def all_networks(rounds, clock):
    "Both presets, each with two widths of the feed-forward layer"
    from presto_nb.dit import PRESETS

    study = PRESETS['study']
    laptop = PRESETS['laptop'].replace(mlp_ratio=4.0)
    configs = {
        'study': study,
        'study, feed-forward 6 w': study.replace(mlp_ratio=6.0),
        'laptop, feed-forward 4 w': laptop,
        'laptop, feed-forward 6 w': laptop.replace(mlp_ratio=6.0),
    }
    rows = []
    for name, c in configs.items():
        for batch, train in CASES:
            fewer = 4 if batch > 2 and name[0] == 'l' else 1
            asked = max(3, rounds // fewer)
            rows.append(compare_networks(name, c, batch, train, asked, clock))
    return rows


def all_samplers(rounds, clock):
    "Around a network that does nothing, and around the study network"
    import torch
    from presto_nb.dit import PRESETS
    from presto_nb.material.text import Condition

    text = torch.randn(1, TEXT, 128, generator=torch.Generator().manual_seed(1))
    cond = Condition(text, torch.ones(1, TEXT, dtype=torch.bool), torch.tensor([120.0]))
    study = networks(PRESETS['study'])['ours']
    with torch.no_grad():
        nothing = compare_samplers('nothing', lambda x, t, cond: x, cond, 80, rounds, clock)
        return nothing + compare_samplers('study', study, cond, 80, max(3, rounds // 4), clock)


def arguments(argv=None):
    p = new_parser(__doc__)
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--rounds', type=int, default=20)
    p.add_argument('--out', type=Path)
    p.add_argument(
        '--cpu-time',
        action='store_true',
        help='count processor time of this process instead of wall time: '
        'for a machine that does other work',
    )
    return p.parse_args(argv)


def command_of(args):
    "What a reader types"
    words = f'--threads {args.threads} --rounds {args.rounds}' + ' --cpu-time' * args.cpu_time
    return f'python recipes/bench_against_diffusers.py {words}'


def main(argv=None):
    args = arguments(argv)
    clock = time.process_time if args.cpu_time else time.perf_counter
    import torch
    from presto_nb.material.core import import_torchaudio

    import_torchaudio()  # diffusers imports it
    import diffusers
    from presto_nb.evidence.latency import machine

    torch.set_num_threads(args.threads)
    record = dict(
        frames=FRAMES,
        text_tokens=TEXT,
        clock='processor time' if args.cpu_time else 'wall time',
        rounds=args.rounds,
        **machine('cpu'),
        diffusers=diffusers.__version__,
        networks=all_networks(args.rounds, clock),
        samplers=all_samplers(args.rounds, clock),
        command=command_of(args),
    )
    if args.out:
        write_json(args.out, record)
    print(json.dumps(record))


if __name__ == '__main__':
    main()
