"""What goes where in the stages: known answers, each of which one plausible wrong line changes."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn as nn

from presto_nb import presto_l
from presto_nb import presto_s_on_music
from presto_nb.material.core import PrestoError, new_rng
from presto_nb.discriminator import MapHead, ScalarHead, lsgan, nsgan
from presto_nb.dit import DiT, DiTConfig
from presto_nb.skipping import shifted_keep
from presto_nb.dmd import TeacherPairs, dmd_gradient, dmd_loss
from presto_nb.edm import (
    Denoiser,
    KarrasContinuous,
    LogNormal,
    edm_loss,
    loss_weight,
    noised,
    scalings,
)
from presto_nb.evidence.metrics import interval
from presto_nb.pipeline import PipelineConfig
from presto_nb.presto_l import (
    PrestoLConfig,
    PrestoLStage,
    layer_pipeline,
    presto_l_loss,
    self_teacher_loss,
    with_budget,
    without_budget,
)
from presto_nb.presto_ls import ls_stage, skipping
from presto_nb.presto_s import (
    BASELINES,
    Draws,
    Players,
    PrestoSConfig,
    answers,
    fake_turn,
    generate,
    generator_turn,
    noise_at,
)
from presto_nb.presto_s_on_music import PrestoSStage, TrainerDraws, few_step_pipeline
from presto_nb.sampling import Guess, few_sigmas, guided, heun, karras_sigmas, pingpong, sample
from presto_nb.training import BaseStage, TrainConfig, Trainer, fit
from tiny_model import random_pipeline

SIZE = DiTConfig(channels=4, width=32, depth=4, heads=2, text_dim=8, frequencies=8, max_frames=32)
SHORT = TrainConfig(
    steps=1,
    batch_size=8,
    warmup_steps=0,
    grad_clip=0.0,
    quiet=True,
    device="cpu",
    tensorboard=False,
    save_every=1000,
)


class Pieces:
    "Latents with captions, as `LatentWindows` gives them: row i is always the same"

    frames = 32
    channels = 4

    def __init__(self, channels=4):
        self.captions = [["a reel"], ["a slow air on the flute"]] * 8
        self.x = 0.5 * torch.randn(16, 32, channels, generator=new_rng("pieces"))

    def __len__(self):
        return len(self.x)

    def batch(self, indices, generator):
        words = [self.captions[i][0] for i in indices]
        return dict(
            x0=self.x[indices], captions=words, bpm=90.0 + torch.tensor(indices), ids=indices
        )


class Words:
    "A text encoder whose tokens depend on the length of the words"

    dim = 8

    def __call__(self, prompts):
        lengths = torch.tensor([float(len(p)) for p in prompts])
        return lengths[:, None, None].expand(-1, 2, 8) / 10, torch.ones(
            len(prompts), 2, dtype=torch.bool
        )


def shaken(module, seed=0, by=0.1):
    "No weight is zero, or its zeros hide everything"
    g = new_rng("shaken", seed)
    for p in module.parameters():
        p.data += by * torch.randn(p.shape, generator=g)
    return module


def network(seed=0, **changed):
    return shaken(DiT(SIZE.replace(**changed), new_rng("network", seed)), seed)


def teacher(seed=0, **changed):
    return Denoiser(network(seed, **changed)).requires_grad_(False)


def same(a, b):
    "Do two modules hold the same weights?"
    a = a.state_dict()
    b = b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def s_stage(**switches):
    return PrestoSStage(
        teacher(), Pieces(), Words(), PrestoSConfig(**dict(w=1.0, lr=1e-2) | switches)
    )


# --- Presto-LS: who is made of what


@pytest.fixture(scope="module")
def pair():
    "A full model, and one that skips blocks and has learned something else"
    full = random_pipeline(0)
    other = with_budget(shaken(copy.deepcopy(full.denoiser.network), 1))
    return full, layer_pipeline(full, shaken(other, 2), PrestoLConfig(drops=(1, 1, 0, 0, 0)))


def test_scores_of_presto_ls_are_the_full_model(pair):
    full, light = pair
    stage = ls_stage(Pieces(16), full, light, PrestoSConfig(w=1.0))
    assert same(stage.players.real_score, full.denoiser)
    assert same(stage.players.fake_score, full.denoiser)
    assert same(stage.models["generator"], light.denoiser.network)
    assert not any(p.requires_grad for p in stage.players.real_score.parameters())


def test_generator_alone_skips_blocks(pair):
    full, light = pair
    assert skipping(light, (0, 1)) is light  # a model's own schedule stays
    stage = ls_stage(Pieces(16), full, light, PrestoSConfig(w=1.0))
    x = torch.randn(2, 32, 16, generator=new_rng("x"))
    sigma = torch.full((2,), 60.0)
    expected = light.denoiser(x, sigma, keep=[0, 2], budget=1)
    assert torch.allclose(stage.players.generator(x, sigma), expected, atol=1e-5)
    mixed = torch.tensor([60.0, 0.01])
    drop = torch.tensor([1, 0])
    expected = light.denoiser(x, mixed, keep=shifted_keep(3, drop), budget=drop)
    assert torch.allclose(stage.players.generator(x, mixed), expected, atol=1e-5)
    assert torch.equal(stage.players.real_score(x, sigma), full.denoiser(x, sigma))


def test_networks_of_another_shape_are_refused(pair):
    full, light = pair
    wide = teacher(width=64)
    with pytest.raises(PrestoError, match="begins as and the teacher differ in network"):
        PrestoSStage(teacher(), Pieces(), Words(), PrestoSConfig(w=1.0), start=wide)
    with pytest.raises(PrestoError, match="differ in network"):
        PrestoSStage(teacher(), Pieces(), Words(), PrestoSConfig(w=1.0), start=teacher(depth=3))
    narrow = copy.copy(full)
    narrow.denoiser = Denoiser(
        DiT(DiTConfig.from_dict(full.config.dit).replace(width=16), new_rng("narrow"))
    )
    with pytest.raises(PrestoError, match="differ in network"):
        ls_stage(Pieces(16), narrow, light, PrestoSConfig(w=1.0))
    PrestoSStage(
        teacher(), Pieces(), Words(), PrestoSConfig(w=1.0), start=Denoiser(with_budget(network(5)))
    )


# --- the turns of Presto-S


class Linear:
    "A denoiser `gain*x` that notes at which levels and rows it was asked, with features for a head"

    def __init__(self, gain):
        self.gain = gain
        self.asked = []
        self.network = SimpleNamespace(blocks=[0, 1])

    def __call__(self, x, sigma, cond=None, keep=None, taps=()):
        self.asked.append((sigma, x))
        out = self.gain * x
        return (out, {t: x for t in taps}) if taps else out


def players(real=0.3, fake=0.8):
    return Players(Linear(1.0), Linear(real), Linear(fake), lambda h: 0.3 * h.sum(1, keepdim=True))


def points(name, n=64):
    return torch.randn(n, 2, generator=new_rng(name))


def test_weights_of_the_losses():
    switches = PrestoSConfig(w=1.0, nu_g=0.5, nu_d=2.0)
    loss, log = generator_turn(players(), switches, points("a"), None, Draws(new_rng("w")))
    assert log["dmd"].mean() > 0.01
    assert torch.allclose(loss.mean(), log["dmd"].mean() + 0.5 * log["gan_g"], rtol=1e-5)
    loss, log = fake_turn(players(), switches, points("a"), points("b"), None, Draws(new_rng("w")))
    assert torch.allclose(loss.mean(), log["dsm"].mean() + 2 * log["gan_d"], rtol=1e-5)


def test_normaliser_and_levels_of_the_matching_loss():
    x = points("a")
    p = players()
    for normalise in (False, True):
        switches = PrestoSConfig(w=1.0, gan="none", normalise=normalise)
        loss, _ = generator_turn(p, switches, x, None, Draws(new_rng("n")))
        draw = Draws(new_rng("n"))
        sigma = draw.sigma("train", 64)
        noise = draw.noise(x)
        gradient = 0.5 * noised(x, sigma, noise)  # (.8 - .3) times what both are shown
        if normalise:
            distance = (x - 0.3 * noised(x, sigma, noise)).abs().mean(1, keepdim=True)
            gradient = gradient / (distance + 1e-6)
        assert torch.allclose(loss, 0.5 * gradient.square().mean(1), rtol=1e-4)


def test_a_sample_is_moved_from_fake_to_real():
    x = torch.ones(1, 2)
    gradient = dmd_gradient(
        x, torch.ones(1), torch.zeros(1, 2), lambda *a: 3 * x, lambda *a: x, normalise=False
    )
    assert torch.equal(x - gradient, 3 * x)
    y = x.clone().requires_grad_()
    dmd_loss(y, gradient).sum().backward()
    assert torch.equal(y.grad, gradient / 2)


def test_real_and_generated_rows_have_levels_and_noise_of_their_own():
    p = players()
    x = torch.zeros(64, 2)
    real, fake = answers(p, PrestoSConfig(), (x, x), None, Draws(new_rng("levels")))
    ((sigma, seen),) = p.fake_score.asked
    assert len(sigma) == 128
    assert not torch.isclose(sigma[:64], sigma[64:]).any()
    noise = seen / sigma[:, None]
    assert (noise[:64] * noise[64:]).mean().abs() < 0.25
    assert not torch.equal(real, fake)


def test_order_of_real_and_generated():
    p = Players(None, None, Linear(1.0), lambda h: h[:, :1])
    real, fake = answers(
        p,
        PrestoSConfig(p_gan="inf"),
        (torch.full((64, 2), 1e4), torch.zeros(64, 2)),
        None,
        Draws(new_rng("o")),
    )
    assert real.min() > 9e3 > fake.max()
    assert torch.allclose(
        lsgan.discriminator(torch.ones(1, 3), torch.full((1, 3), 0.5)), torch.tensor([0.25])
    )
    assert torch.allclose(lsgan.generator(torch.zeros(1, 3)), torch.ones(1))
    assert torch.allclose(
        nsgan.discriminator(torch.zeros(1, 3), torch.full((1, 3), -9.0)),
        torch.tensor([math.log(2) + math.log1p(math.exp(-9))]),
    )
    assert torch.allclose(nsgan.generator(torch.full((1, 3), -9.0)), torch.tensor([9.0]), atol=1e-3)


def test_defaults_are_those_of_the_paper():
    expected = dict(
        p_gen="inf",
        p_dmd="train",
        p_dsm="train",
        p_gan="train",
        w=4.5,
        gan="ls",
        head=None,
        dmd=True,
        normalise=True,
        ratio=5,
        nu_g=0.005,
        nu_d=0.01,
        nu_reg=0.0,
        lr=5e-7,
        simulate=False,
        betas=(0.9, 0.99),
        weight_decay=0.0,
    )
    assert PrestoSConfig().to_dict() == expected
    drops = PrestoLConfig().to_dict()
    assert (drops["shift"], drops["budget"], drops["over"], drops["noise"], drops["nu_st"]) == (
        1,
        True,
        "inf",
        "train",
        1.0,
    )
    assert (LogNormal().P_mean, LogNormal().P_std) == (-0.4, 1.0)
    inference = KarrasContinuous()
    assert (inference.sigma_min, inference.sigma_max, inference.rho) == (0.002, 80.0, 7.0)


class Turns:
    "Notes which optimiser steps when"

    def __init__(self, stage):
        self.made = []
        for k, o in stage.optimizers.items():
            o.register_step_pre_hook(lambda o, args, kwargs, k=k: self.made.append(k))


def test_generator_comes_after_the_fake_turns(tmp_path):
    stage = s_stage(ratio=3)
    turns = Turns(stage)
    run = fit(stage, SHORT.replace(steps=7), tmp_path)
    assert turns.made == ["fake", "fake", "fake", "generator"] * 2 + ["fake"]
    assert run.emas["generator"].count == 2  # the average moves with the generator alone
    assert set(run.emas) == {"generator"}


def test_optimisers_own_what_they_should():
    stage = s_stage()
    own = {
        k: {id(p) for g in o.param_groups for p in g["params"]} for k, o in stage.optimizers.items()
    }

    def of(*models):
        return {id(p) for m in models for p in stage.models[m].parameters()}

    assert own == dict(generator=of("generator"), fake=of("fake", "head"))


def test_conditions_stay_in_distillation():
    stage = s_stage()
    trainer = Trainer(stage, SHORT.replace(batch_size=256))
    tokens = Words()(["a reel"])[0]
    cond = stage.condition(trainer, ["a reel"] * 256, torch.full((256,), 100.0))
    assert torch.equal(cond.tokens, tokens.expand(256, -1, -1)) and cond.mask.all()
    base = BaseStage(Denoiser(network()), Pieces(), Words())
    trainer = Trainer(base, SHORT.replace(batch_size=2048))
    cond = base.condition(trainer, ["a reel"] * 2048, torch.full((2048,), 100.0))
    lost = ~cond.mask.any(1)
    assert abs(lost.float().mean() - 0.1) < 0.03
    assert cond.bpm[lost].isnan().all()
    assert (
        abs(cond.bpm[~lost].isnan().float().mean() - 0.2) < 0.04
    )  # the tempo alone, of those that keep their words


def test_guidance_asks_with_and_without_the_condition():
    "The fake score is asked with the condition alone, the real one with both"
    from presto_nb.toy import Labels

    told = dict(real=[], fake=[])

    def spy(name):
        def answer(x, sigma, cond):
            told[name].append((cond.labels >= 0).tolist())
            return x * 0 + cond.labels[:, None]

        return answer

    generator_turn(
        Players(None, spy("real"), spy("fake"), None),
        PrestoSConfig(gan="none", w=2.0),
        torch.zeros(2, 2),
        Labels(torch.tensor([3, 3])),
        Draws(new_rng("g")),
    )
    assert told == dict(real=[[True, True, False, False]], fake=[[True, True]])

    def real(x, sigma, cond):
        return x * 0 + cond.labels[:, None]

    # 3 with the label, -1 without
    gradient = dmd_gradient(
        torch.zeros(2, 2),
        torch.ones(2),
        torch.zeros(2, 2),
        real,
        lambda x, *a: x * 0,
        Labels(torch.tensor([3, 3])),
        Labels(torch.tensor([-1, -1])),
        2.0,
        False,
    )
    assert torch.equal(gradient, torch.full((2, 2), -7.0))  # -(-1 + 2 (3 + 1))


def test_the_fake_score_learns_with_conditions_and_alone():
    "It is told every condition, and its loss stops at the samples"
    from presto_nb.toy import Labels

    told = []
    gain = torch.ones(1, requires_grad=True)

    def fake(x, sigma, cond):
        told.append(cond.labels.tolist())
        return gain * x

    x0_hat = points("a", 4).requires_grad_()
    switches = PrestoSConfig(gan="none")
    labels = Labels(torch.tensor([3, 1, 2, 0]))
    p = Players(None, None, fake, None)
    draw = Draws(new_rng("f"))
    loss, _ = fake_turn(p, switches, x0_hat, points("b", 4), labels, draw)
    assert told == [[3, 1, 2, 0]]
    reached = torch.autograd.grad(loss.sum(), (gain, x0_hat), allow_unused=True)
    assert reached[0] != 0 and reached[1] is None


class Marks(Draws):
    "A level of its own for each name"

    levels = {"inf": 1.0, "train": 2.0, "few-3": 4.0, "inf-7": 8.0}

    def sigma(self, name, rows):
        return torch.full((rows,), self.levels[name])


def test_each_loss_has_its_own_levels():
    switches = PrestoSConfig(p_gen="inf", p_dmd="train", p_dsm="inf-7", p_gan="few-3", w=1.0)
    p = players()
    draw = Marks(new_rng("marks"))
    x0 = torch.full((256, 2), 5.0)

    def levels(player):
        return [sigma[0].item() for sigma, _ in player.asked]

    x0_hat = generate(p, switches, x0, None, draw)
    assert levels(p.generator) == [1.0]
    assert abs(x0_hat.mean() - 5) < 0.2 and abs(x0_hat.std() - 1) < 0.1  # data under noise
    fake_turn(p, switches, x0_hat, x0, None, draw)
    assert levels(p.fake_score) == [8.0, 4.0] and levels(p.real_score) == []
    generator_turn(p, switches, x0_hat, None, draw)
    assert levels(p.fake_score)[2:] == [2.0, 4.0] and levels(p.real_score) == [2.0]


def test_the_discriminator_is_shown_data_and_samples():
    "Data lie at 100 and samples at -100, and the head says where"
    p = Players(None, None, Linear(1.0), lambda h: h[:, :1])
    there = torch.full((8, 2), 100.0)
    here = torch.full((8, 2), -100.0)
    _, log = fake_turn(p, PrestoSConfig(), here, there, None, Marks(new_rng("game")))
    assert log["d_real"] > 90 and log["d_fake"] < -90
    assert log["right_real"] == 1 and log["right_fake"] == 1
    assert abs(log["gan_d"] - (99**2 + 100**2)) < 1500  # real is 1, generated is 0


def test_loss_and_head_are_two_switches():
    kinds = {}
    for gan in ("ls", "ns"):
        for head in (None, "map", "one"):
            stage = s_stage(gan=gan, head=head)
            assert stage.config.game is dict(ls=lsgan, ns=nsgan)[gan]
            kinds[gan, head] = type(stage.models["head"])
    assert kinds == {
        ("ls", None): MapHead,
        ("ls", "map"): MapHead,
        ("ls", "one"): ScalarHead,
        ("ns", None): ScalarHead,
        ("ns", "map"): MapHead,
        ("ns", "one"): ScalarHead,
    }
    assert PrestoSConfig.from_dict({"gan": "ns"}).head is None  # a config of before
    with pytest.raises(PrestoError, match="head is 'two'; allowed are map, one"):
        PrestoSConfig(head="two")
    for name in ("non-saturating-map", "one-answer"):
        s_stage(**BASELINES[name])


# --- Presto-L


def told_budgets(config, sigma):
    "What the network is told in a step of Presto-L"
    net = network(budget=True)
    heard = []
    tell = net.tell
    net.tell = lambda drop, batch: (heard.append(drop), tell(drop, batch))[1]
    presto_l_loss(
        Denoiser(net),
        config,
        Pieces().x[: len(sigma)],
        None,
        sigma,
        torch.randn(len(sigma), 32, 4, generator=new_rng("n")),
    )
    return heard


@pytest.mark.parametrize("nu_st", (0.0, 1.0))
def test_presto_l_is_told_how_many_blocks_are_skipped(nu_st):
    config = PrestoLConfig(drops=(3, 2, 1, 0, 0), nu_st=nu_st)
    sigma = torch.tensor([60.0, 10.0, 2.0, 0.5, 0.01])
    (heard,) = told_budgets(config, sigma)
    assert torch.as_tensor(heard).tolist() == [3, 2, 1, 0, 0]
    assert told_budgets(config.replace(budget=False), sigma) == [None]


def test_every_budget_is_another():
    net = network(budget=True)
    vector, last = net.tell(torch.tensor([0, 1, 2, 3]), 4)
    for told in (vector, last):
        assert (torch.cdist(told, told) + torch.eye(4)).min() > 1e-3
    e = net.budget(net.embed(torch.tensor([2 / 4])))  # the share of the blocks that is skipped
    assert torch.allclose(vector[2], net.budget_vector(e)[0], atol=1e-6)
    assert torch.allclose(last[2], net.budget_final(e)[0], atol=1e-6)


def test_a_stage_without_budget_does_not_listen():
    told = teacher(budget=True)
    stage = PrestoLStage(told, Pieces(), Words(), PrestoLConfig(drops=(2, 1, 0), budget=False))
    net = stage.models["network"]
    assert not net.config.budget and not any("budget" in k for k in net.state_dict())
    assert told.network.config.budget  # a copy
    x = Pieces().x[:3]
    s = torch.tensor([60.0, 2.0, 0.1])
    assert torch.allclose(stage.denoiser(x, s, budget=2), told(x, s), atol=1e-6)
    assert (told(x, s, budget=2) - told(x, s)).abs().max() > 1e-3
    assert same(without_budget(network()), network())


def test_weight_of_the_self_teacher():
    config = PrestoLConfig(drops=(3, 2, 1, 0, 0), nu_st=3.0)
    sigma = torch.tensor([60.0, 10.0, 2.0, 0.5])
    noise = torch.randn(4, 32, 4, generator=new_rng("n"))
    loss, log = presto_l_loss(
        Denoiser(network(budget=True)), config, Pieces().x[:4], None, sigma, noise
    )
    assert log["st"][:3].min() > 1e-3 and log["st"][3] == 0
    assert torch.allclose(loss, log["edm"] + 3 * log["st"], rtol=1e-5)


def test_the_self_teacher_compares_directions_and_teaches_one_side():
    h, full = torch.randn(2, 3, 5, 8, generator=new_rng("h"))
    h.requires_grad_()
    full.requires_grad_()
    loss = self_teacher_loss(h, full)
    assert torch.allclose(loss, self_teacher_loss(7 * h + 2, full / 9), rtol=1e-3)
    taught = torch.autograd.grad(loss.sum(), (h, full), allow_unused=True)
    assert taught[0].abs().max() > 0 and taught[1] is None


def blocks_run(net, ask):
    "Which blocks run when a network is asked"
    ran = []
    handles = [
        b.register_forward_pre_hook(lambda m, a, i=i: ran.append(i))
        for i, b in enumerate(net.blocks)
    ]
    ask()
    for h in handles:
        h.remove()
    return ran


@pytest.mark.parametrize("shift, ran", ((1, [0, 2]), (0, [0, 1])))
def test_a_pipeline_plays_its_own_rule(shift, ran):
    base = random_pipeline(0)
    net = with_budget(base.denoiser.network) if shift else base.denoiser.network
    pipe = layer_pipeline(base, net, PrestoLConfig(drops=(1, 0), shift=shift, budget=bool(shift)))
    asked = pipe.config.skipping(pipe.denoiser)
    x = torch.randn(1, 8, 16, generator=new_rng("x"))
    assert blocks_run(net, lambda: asked(x, torch.tensor([60.0]))) == ran
    assert blocks_run(net, lambda: asked(x, torch.tensor([0.01]))) == [0, 1, 2]
    few = few_step_pipeline(pipe, net)
    assert (few.config.shift, few.config.drops) == (shift, (1, 0))
    assert (
        blocks_run(
            net,
            lambda: presto_l_loss(
                pipe.denoiser,
                PrestoLConfig(drops=(1, 0), shift=shift, nu_st=0.0),
                x,
                None,
                torch.tensor([60.0]),
                x,
            ),
        )
        == ran
    )


def test_a_pipeline_plays_its_own_parts():
    "At sigma = 1 half of the schedule lies above, and less than half of training"
    base = random_pipeline(0)
    net = with_budget(base.denoiser.network)
    for over, ran in (("inf", [0, 1, 2]), ("train", [0, 2])):
        pipe = layer_pipeline(base, net, PrestoLConfig(drops=(1, 0), over=over))
        asked = pipe.config.skipping(pipe.denoiser)
        x = torch.randn(1, 8, 16, generator=new_rng("x"))
        assert blocks_run(net, lambda: asked(x, torch.tensor([1.0]))) == ran


# --- noise levels


def test_tails_of_the_training_distribution():
    levels = LogNormal()
    expected = torch.exp(
        -0.4 + torch.special.ndtri(torch.tensor([1e-6, 0.5, 1 - 1e-6], dtype=torch.float64))
    )
    assert torch.allclose(levels.quantile([1e-6, 0.5, 1 - 1e-6]), expected, rtol=1e-6)
    drawn = levels.sample(100_000, new_rng("tails")).log()
    assert drawn.min() < -4.2 and drawn.max() > 3.4  # 3.8 standard deviations on both sides
    assert abs((drawn.abs() > 2).float().mean() - 0.063) < 0.004


def test_loss_of_a_denoiser_with_a_sigma_data_of_its_own():
    def silent(x, c_noise, cond):
        return torch.zeros_like(x)

    x0 = 3 * torch.randn(512, 8, generator=new_rng("a"))
    noise = torch.randn(512, 8, generator=new_rng("b"))
    for sigma in (0.2, 3.0, 40.0):
        s = torch.full((512,), sigma)
        loss = edm_loss(Denoiser(silent, 3.0), x0, None, s, noise).mean()
        assert abs(loss - 1) < 0.06  # a silent network's loss, where sigma_data is right
        c_skip, c_out, c_in, _ = scalings(torch.tensor(sigma), 3.0)
        assert torch.allclose(
            loss_weight(torch.tensor(sigma), 3.0) * c_out**2, torch.tensor(1.0), rtol=1e-5
        )


def test_train_means_what_the_teacher_was_trained_at(pair, monkeypatch):
    full, light = pair
    told = LogNormal(0.2, 1.6)
    assert noise_at("train", told) == told and noise_at("train") == LogNormal()
    stub = SimpleNamespace(rows=lambda draw: draw(1000, new_rng("rows")))
    assert torch.equal(
        TrainerDraws(stub, told).sigma("train", 1000), told.sample(1000, new_rng("rows"))
    )
    assert torch.equal(
        Draws(new_rng("rows"), told).sigma("train", 1000), told.sample(1000, new_rng("rows"))
    )
    assert PipelineConfig.from_dict({}).training_noise == LogNormal()  # a model that does not say
    spoken = copy.copy(full)
    spoken.config = full.config.replace(P_mean=0.2, P_std=1.6)
    assert PipelineConfig.from_dict(spoken.config.to_dict()).training_noise == told
    for module in (presto_s_on_music, presto_l):
        monkeypatch.setattr(module, "LatentWindows", lambda folder, frames: Pieces(16))
    for stage in (
        presto_s_on_music.presto_s_stage("", spoken, PrestoSConfig(w=1.0)),
        presto_l.presto_l_stage("", spoken, PrestoLConfig(drops=(1, 0))),
        ls_stage(Pieces(16), spoken, light, PrestoSConfig(w=1.0)),
    ):
        assert stage.noise == told
    assert few_step_pipeline(spoken, spoken.denoiser.network).config.training_noise == told
    assert (
        layer_pipeline(
            spoken, with_budget(spoken.denoiser.network), PrestoLConfig(drops=(1, 0))
        ).config.training_noise
        == told
    )


def test_a_base_model_says_what_it_was_trained_at(monkeypatch):
    "train base writes its noise levels into the model's config, and goes on at those of --init"
    from presto_nb.tools import cli
    from presto_nb import training
    from presto_nb.pipeline import MusicPipeline

    told = random_pipeline(0, P_mean=0.2, P_std=1.6)

    def stage(*args, **kw):
        return BaseStage(Denoiser(network()), Pieces(), Words())

    monkeypatch.setattr(cli, "train_config", lambda args, usual: usual)
    monkeypatch.setattr(cli, "latents_of", lambda *args: "")
    monkeypatch.setattr(cli, "load_codec", lambda name: told.codec)
    monkeypatch.setattr(training, "base_stage", stage)
    monkeypatch.setattr(training, "fine_stage", stage)
    monkeypatch.setattr(MusicPipeline, "from_pretrained", lambda name, device: told)
    args = dict(preset=None, codec=None, seconds=None, lr=None, init="told")
    for make, P_mean, P_std, expected in (
        (cli.from_nothing, None, None, LogNormal()),
        (cli.from_nothing, 0.5, None, LogNormal(0.5, 1.0)),
        (cli.from_model, None, None, LogNormal(0.2, 1.6)),
        (cli.from_model, None, 2.0, LogNormal(0.2, 2.0)),
    ):
        _, made, finish = make(SimpleNamespace(**args, P_mean=P_mean, P_std=P_std))
        assert made.noise == expected
        assert finish(told.denoiser.network).config.training_noise == expected


def test_stage_of_presto_s_draws_at_the_teachers_levels(tmp_path):
    seen = {}
    for training in (LogNormal(-9.0, 0.1), LogNormal(3.0, 0.1)):
        stage = PrestoSStage(
            teacher(), Pieces(), Words(), PrestoSConfig(w=1.0, ratio=1), training=training
        )
        asked = []
        stage.players.real_score.register_forward_pre_hook(lambda m, a: asked.append(a[1]))
        fit(stage, SHORT, tmp_path / f"{training.P_mean}")
        seen[training.P_mean] = asked[0].log().mean().item()
    assert abs(seen[-9.0] + 9) < 0.2 and abs(seen[3.0] - 3) < 0.2


# --- samplers


def test_to_min_reaches_the_sampler():
    base = random_pipeline(0)
    for to_min, last in ((True, 0.002), (False, few_sigmas(4)[3].item())):
        few = few_step_pipeline(base, base.denoiser.network, to_min=to_min)
        assert few.config.to_min is to_min
        sigmas, _ = few.sampler(few.request("a reel", 1.0))
        assert len(sigmas) == 5 and sigmas[3].item() == pytest.approx(last)


def test_heun_is_guided_at_its_end():
    said = {
        2.0: Guess(torch.tensor([1.0]), torch.tensor([0.5])),
        1.0: Guess(torch.tensor([0.25]), torch.tensor([2.0])),
    }
    seen = []

    def denoise(x, sigma):
        seen.append((sigma, x.item()))
        return said[sigma]

    x, _ = heun(denoise, torch.tensor([4.0]), 2.0, 1.0)
    x_e = 0.5 + 0.5 * (4 - 0.5)  # the unconditional Euler step
    slope = ((4 - 0.5) / 2 + (x_e - 2) / 1) / 2
    assert seen == [(2.0, 4.0), (1.0, x_e)]
    assert x.item() == pytest.approx(4 - slope + 0.25 - 2)  # and the guided guess of the end


class Shaky(nn.Module):
    "A denoiser that is another one in training"

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x, sigma, cond=None, **how):
        return self.dropout(x) / (1 + sigma.view(-1, 1) ** 2)


def test_samplers_ask_in_eval_mode():
    noise = torch.randn(4, 3, generator=new_rng("z"))
    shaky = Shaky()

    def wrapped(x, sigma, cond=None):
        return shaky(x, sigma, cond)

    def guide(d):
        return guided(lambda x, sigma, cond, **how: d(x, sigma), torch.zeros(4), 2.0)

    ways = (
        lambda d, **how: sample(d, noise, karras_sigmas(4), torch.zeros(4), **how),
        lambda d: pingpong(d, noise, few_sigmas(2), generator=[0, 1, 2, 3]),
    )
    for way in ways:
        expected = way(lambda x, sigma, cond=None: x / (1 + sigma.view(-1, 1) ** 2))
        for denoiser in (shaky, wrapped):
            assert torch.allclose(way(denoiser), expected)
            assert shaky.training and shaky.dropout.training  # as it was
    shaky.dropout.eval()
    ways[0](shaky, guidance=guide)
    assert shaky.training and not shaky.dropout.training
    shaky.train()
    with pytest.raises(ZeroDivisionError):
        ways[1](lambda x, sigma, cond=None: shaky(x, sigma) / 0 if 1 / 0 else 0)
    assert shaky.dropout.training


# --- a batch in parts


def updated(new_stage, parts, out, **changed):
    "The weights after some steps of plain gradient descent"
    stage = new_stage()
    groups = {k: o.param_groups for k, o in stage.optimizers.items()}
    stage.optimizers = {
        k: torch.optim.SGD([p for g in gs for p in g["params"]], lr=0.3) for k, gs in groups.items()
    }
    before = {k: copy.deepcopy(m.state_dict()) for k, m in stage.models.items()}
    fit(stage, SHORT.replace(accumulate=parts, **changed), out)
    return {
        f"{k}.{n}": (v, before[k][n])
        for k, m in stage.models.items()
        for n, v in m.state_dict().items()
    }


def base_stage():
    return BaseStage(Denoiser(network()), Pieces(), Words())


def l_stage():
    return PrestoLStage(teacher(), Pieces(), Words(), PrestoLConfig(drops=(3, 2, 1, 0, 0)))


def guided_stage():
    return s_stage(w=3.0, ratio=2, nu_g=0.5, nu_d=0.5)


def pairs_stage():
    z = torch.randn(6, 32, 4, generator=new_rng("pairs"))
    pairs = TeacherPairs(z, 0.5 * z, None, 0)
    return PrestoSStage(
        teacher(), Pieces(), Words(), PrestoSConfig(w=1.0, ratio=1, nu_reg=1.0), pairs=pairs
    )


def layered_stage():
    full = random_pipeline(0)
    light = layer_pipeline(
        full, shaken(with_budget(full.denoiser.network), 2), PrestoLConfig(drops=(1, 1, 0, 0, 0))
    )
    return ls_stage(Pieces(16), full, light, PrestoSConfig(w=1.0, ratio=1, nu_g=0.5, nu_d=0.5))


STAGES = dict(
    base=base_stage, layers=l_stage, steps=guided_stage, pairs=pairs_stage, both=layered_stage
)


@pytest.mark.parametrize("name", STAGES)
def test_parts_of_a_batch_change_nothing(name, tmp_path):
    whole = updated(STAGES[name], 1, tmp_path / "1", steps=2)
    parts = updated(STAGES[name], 4, tmp_path / "4", steps=2)
    moved = {}
    for k, (v, before) in whole.items():
        model = k.split(".")[0]
        moved[model] = max(moved.get(model, 0), (v - before).abs().max().item())
        assert (v - parts[k][0]).abs().max() <= 1e-5 * max(1, v.abs().max()), k
    assert min(moved.values()) > 1e-3  # all of them learned something


# --- metrics


def test_interval_of_an_odd_number_of_clips():
    "Halves of five are two and three: the mean's interval must not notice"
    x = torch.tensor([0.0, 1.0, 3.0, 7.0, 20.0], dtype=torch.float64)
    value, low, high = interval(lambda i: x[i].mean(), 5, 4000, new_rng("five"))
    expected = 1.96 * x.std() / 5**0.5
    assert value == x.mean()
    assert abs((high - low) / 2 - expected) < 0.05 * expected
