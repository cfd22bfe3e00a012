"""Our network and samplers against those of diffusers: python recipes/bench_against_diffusers.py [--threads 1] [--rounds 20] [--out data_samples/logs/bench_diffusers.json]

Networks: `DiT` and `StableAudioDiTModel` of equal width, depth, heads, latent channels and frames, with the same text tokens; forward of the batch of two
that guidance makes, forward and training step of a batch of 16. The mapping is in `stable_audio`. Stable Audio's block has cross-attention and a gated
feed-forward layer of hidden width 4 w, so it multiplies more; therefore time is divided by the operations that torch counts. Ours is measured as it
ships (hidden 4 w) and with a feed-forward layer of as many weights as theirs (hidden 6 w). Rounds are interleaved; the ratio is the median
over rounds of ours/theirs, so a disturbance of the machine meets both.

Samplers: at the same number of evaluations around the same network: once one that does nothing, which leaves the cost of the sampler itself, once the
study network. Schedulers of the EDM family scale the network's input and output themselves, so there ours is given the network in a `Denoiser`, which
does the same; the others take the network as it is, and so does ours.
"""

import argparse, json, os, time

os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')  # before torch is imported
from pathlib import Path

FRAMES, TEXT = 129, 8


def stable_audio(c):
    "diffusers' network for a `DiTConfig`: as many key and value heads as heads, text projected to the width, one global token for what adaLN is told"
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
        global_states_input_dim=c.width,
        time_proj_dim=2 * c.frequencies,
    )


def networks(c):
    "Ours and theirs, weights from one seed"
    import torch
    from presto_nb.dit import DiT

    torch.manual_seed(0)
    ours, theirs = DiT(c), stable_audio(c)
    for p in ours.parameters():
        if not p.any():
            torch.nn.init.normal_(p, std=0.02)
    return dict(ours=ours, theirs=theirs)


def forwards(c, nets, batch):
    "A forward of each on the same inputs"
    import torch
    from diffusers.models.embeddings import get_1d_rotary_pos_embed
    from presto_nb.material.text import Condition

    g = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=g)
    x, text, told, noise = (
        draw(batch, FRAMES, c.channels),
        draw(batch, TEXT, c.text_dim),
        draw(batch, 1, c.width),
        torch.zeros(batch),
    )
    cond, turned = (
        Condition(text, torch.ones(batch, TEXT, dtype=torch.bool), torch.full((batch,), 120.0)),
        x.mT.contiguous(),
    )
    rotary = get_1d_rotary_pos_embed(
        c.width // c.heads // 2, FRAMES + 1, use_real=True, repeat_interleave_real=False
    )
    return dict(
        ours=lambda: nets['ours'](x, noise, cond),
        theirs=lambda: nets['theirs'](
            turned,
            noise,
            encoder_hidden_states=text,
            global_hidden_states=told,
            rotary_embedding=rotary,
            return_dict=False,
        )[0],
    )


def training(net, forward):
    "Forward, loss, gradients"

    def step():
        forward().square().mean().backward()
        net.zero_grad(set_to_none=True)

    return step


def paired(calls, rounds, clock):
    "Milliseconds of ours and theirs in turn, and the median of their ratios"
    import statistics
    from presto_nb.evidence.latency import compare

    t = compare(calls, rounds, 2, clock=clock)
    return t, statistics.median(a / b for a, b in zip(t['ours'].runs, t['theirs'].runs))


def compare_networks(name, c, batch, train, rounds, clock):
    "A row of the record"
    import torch
    from presto_nb.evidence.latency import count

    nets = networks(c)
    calls = forwards(c, nets, batch)
    if train:
        calls = {k: training(nets[k], f) for k, f in calls.items()}
    with torch.set_grad_enabled(train):
        work, (t, ratio) = (
            {k: count(f).flops for k, f in calls.items()},
            paired(calls, rounds, clock),
        )
    row = dict(
        network=name,
        batch=batch,
        what='training step' if train else 'forward',
        **{f'{k}_gflop': round(v / 1e9, 3) for k, v in work.items()},
        **{f'{k}_ms': round(t[k].median, 2) for k in t},
        **{f'{k}_gflops': round(work[k] / t[k].median / 1e6, 1) for k in t},
        time_ratio=round(ratio, 3),
        time_per_flop_ratio=round(ratio * work['theirs'] / work['ours'], 3),
    )
    print(
        '{network:30} batch {batch:2} {what:13}: ours {ours_ms:8.2f} ms, theirs {theirs_ms:8.2f} ms: {time_ratio:.2f} times the time, {time_per_flop_ratio:.2f} times the time per operation'.format(
            **row
        ),
        flush=True,
    )
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


def compare_samplers(name, net, cond, evaluations, rounds, clock):
    "A row for each sampler: the same network is called as often by both"
    import torch
    from presto_nb import sampling
    from presto_nb.edm import Denoiser

    noise, calls, rows = (
        torch.randn(1, FRAMES, 64, generator=torch.Generator().manual_seed(0)),
        [0],
        [],
    )

    def network(x, t, cond):
        calls[0] += 1
        return net(x, t, cond)

    for step, (scheduler, steps) in schedulers().items():
        n = evaluations - (step == 'heun')  # Heun's calls are odd: two a step, one for the last

        def theirs():
            scheduler.set_timesteps(steps(n))
            x = noise * scheduler.init_noise_sigma
            for t in scheduler.timesteps:
                x = scheduler.step(
                    network(scheduler.scale_model_input(x, t), t.float().reshape(1), cond), t, x
                ).prev_sample
            return x

        def ours():
            sigmas, f = sampling.plan(n, getattr(sampling, step))
            return sampling.sample(
                Denoiser(network) if 'EDM' in type(scheduler).__name__ else network,
                noise,
                sigmas,
                cond,
                f,
            )

        used = []
        for f in (ours, theirs):
            calls[0] = 0
            f()
            used.append(calls[0])
        assert used == [n, n], (step, used, n)
        t, ratio = paired(dict(ours=ours, theirs=theirs), rounds, clock)
        rows.append(
            dict(
                sampler=step,
                scheduler=type(scheduler).__name__,
                network=name,
                evaluations=n,
                **{f'{k}_ms_per_evaluation': round(t[k].median / n, 4) for k in t},
                time_ratio=round(ratio, 3),
            )
        )
        print(
            '{sampler:9} {network:8} {evaluations} evaluations: ours {ours_ms_per_evaluation:.3f} ms each, {scheduler} {theirs_ms_per_evaluation:.3f}: {time_ratio:.2f} times'.format(
                **rows[-1]
            ),
            flush=True,
        )
    return rows


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--threads', type=int, default=1)
    p.add_argument('--rounds', type=int, default=20)
    p.add_argument('--out', type=Path)
    p.add_argument(
        '--cpu-time',
        action='store_true',
        help='count processor time of this process instead of wall time: for a machine that does other work',
    )
    args = p.parse_args(argv)
    clock = time.process_time if args.cpu_time else time.perf_counter
    import torch
    from presto_nb.material.core import atomic_path, import_torchaudio

    import_torchaudio()  # diffusers imports it
    import diffusers
    from presto_nb.dit import PRESETS
    from presto_nb.evidence.latency import machine
    from presto_nb.material.text import Condition

    torch.set_num_threads(args.threads)
    study, laptop = PRESETS['study'], PRESETS['laptop'].replace(mlp_ratio=4.0)
    configs = {
        'study': study,
        'study, feed-forward 6 w': study.replace(mlp_ratio=6.0),
        'laptop, feed-forward 4 w': laptop,
        'laptop, feed-forward 6 w': laptop.replace(mlp_ratio=6.0),
    }
    first = machine('cpu')
    nets = [
        compare_networks(
            name,
            c,
            batch,
            train,
            max(3, args.rounds // (4 if batch > 2 and name[0] == 'l' else 1)),
            clock,
        )
        for name, c in configs.items()
        for batch, train in ((2, False), (16, False), (16, True))
    ]
    cond = Condition(
        torch.randn(1, TEXT, 128, generator=torch.Generator().manual_seed(1)),
        torch.ones(1, TEXT, dtype=torch.bool),
        torch.tensor([120.0]),
    )
    with torch.no_grad():
        samplers = compare_samplers(
            'nothing', lambda x, t, cond: x, cond, 80, args.rounds, clock
        ) + compare_samplers(
            'study', networks(study)['ours'], cond, 80, max(3, args.rounds // 4), clock
        )
    record = dict(
        frames=FRAMES,
        text_tokens=TEXT,
        clock='processor time' if args.cpu_time else 'wall time',
        rounds=args.rounds,
        **first,
        diffusers=diffusers.__version__,
        networks=nets,
        samplers=samplers,
        command=f"python recipes/bench_against_diffusers.py --threads {args.threads} --rounds {args.rounds}"
        + ' --cpu-time' * args.cpu_time,
    )
    if args.out:
        with atomic_path(args.out) as tmp:
            tmp.write_text(json.dumps(record, indent=1) + '\n')
    print(json.dumps(record))


if __name__ == '__main__':
    main()
