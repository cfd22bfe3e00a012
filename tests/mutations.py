"""One-line mistakes put into the library, one at a time: do the tests notice?

    python tests/mutations.py [--first 1] [--last 30] [--minutes 15] [--only-wiring] [--again]

Each mistake of `MISTAKES` is written into a temporary copy of package, notebooks and tests, never
into the checkout. Then the tests that fit run there until one fails: test_wiring.py, and the
module's notebook. What they said is added to data_samples/logs/mutations.json at once; a mistake
that was decided before is skipped. With --only-wiring the notebooks are left for another call,
--again decides anew. Not part of CI: all of it takes about an hour on one core.
"""
import argparse
import contextlib
import datetime
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT/"data_samples"/"logs"/"mutations.json"
WIRING = "tests/test_wiring.py"
NOTEBOOKS = dict(
    edm="10_edm", sampling="11_sampling", dit="12_dit", training="13_training", dmd="21_dmd",
    discriminator="22_discriminator", presto_s="23_presto_s", variance="30_variance",
    layer_drop="31_layer_drop", presto_l="32_presto_l", presto_ls="40_presto_ls",
    metrics="50_metrics")
LIMIT = 400  # seconds of one set of tests; one that takes longer has failed


class Mistake(NamedTuple):
    "One wrong line"
    module: str    # of presto_nb
    old: str       # stands once in it
    new: str       # what stands there instead
    sentence: str  # what is wrong


MISTAKES = [Mistake(*m) for m in (
    # --- edm
    ("edm", "c_skip, c_in = sigma_data**2/total, total.rsqrt()", "c_skip, c_in = sigma**2/total, total.rsqrt()",
     "c_skip keeps the noise instead of the data"),
    ("edm", "return c_skip, sigma*sigma_data*c_in, c_in, sigma.log()/4", "return c_skip, sigma*sigma_data*c_in, c_in, sigma.log()",
     "c_noise without its quarter"),
    ("edm", "return c_skip, sigma*sigma_data*c_in, c_in, sigma.log()/4", "return c_skip, sigma*c_in, c_in, sigma.log()/4",
     "c_out without sigma_data"),
    ("edm", "return 1/sigma**2 + 1/sigma_data**2", "return 1/sigma**2 + 1/SIGMA_DATA**2",
     "the weight of the loss knows the usual sigma_data alone"),
    ("edm", 'if sigma_data is None: sigma_data = getattr(denoiser, "sigma_data", SIGMA_DATA)', "if sigma_data is None: sigma_data = SIGMA_DATA",
     "edm_loss ignores the denoiser's own sigma_data"),
    ("edm", "clamp(2**-25, 1-2**-25)", "clamp(.01, .99)", "the tails of the training distribution are cut"),
    ("edm", "clamp(2**-25, 1-2**-25)", "clamp(2**-25, .999)", "the upper tail of the training distribution is cut"),
    ("edm", "return (low + torch.as_tensor(u, dtype=torch.float64)*(high - low))**rho", "return low + torch.as_tensor(u, dtype=torch.float64)*(high - low)**rho",
     "the bend is put around the difference alone"),
    ("edm", "return (denoiser(x, sigma, cond) - x)/_like(sigma, x)**2", "return (denoiser(x, sigma, cond) - x)/_like(sigma, x)",
     "the score is divided by sigma, not by its square"),
    ("edm", "return 20*torch.log10(sigma_data/torch.as_tensor", "return 10*torch.log10(sigma_data/torch.as_tensor",
     "decibels of an amplitude as if it were a power"),
    ("edm", 'if name == "train": return LogNormal(P_mean, P_std)', 'if name == "train": return LogNormal()',
     "train always means the usual distribution"),
    ("edm", "cut = round(self.trim*self.n)", "cut = 0", "the grid is not cut at its ends"),
    # --- sampling
    ("sampling", "return x0_hat + r*(x - origin)", "return x0_hat + r*(x - x0_hat)",
     "noise is measured from the guided guess, so CFG++ is CFG"),
    ("sampling", "return x + (sigma_next - sigma)*d + (D2 - U2), state", "return x + (sigma_next - sigma)*d + (D - U), state",
     "CFG++ Heun is guided at the wrong end"),
    ("sampling", "d = ((x - U)/sigma + (x_e - U2)/sigma_next)/2", "d = ((x - U)/sigma + (x_e - U2)/sigma)/2",
     "the second direction is taken at the first level"),
    ("sampling", "sigma_s = math.sqrt(sigma*sigma_next)", "sigma_s = (sigma + sigma_next)/2",
     "2S looks at the middle of sigma, not of its logarithm"),
    ("sampling", "x_next = x_next + (1 - sigma_next/sigma)*h/(2*h_old)*(D - U_old)", "x_next = x_next + (1 - sigma_next/sigma)*h_old/(2*h)*(D - U_old)",
     "2M has the ratio of its steps upside down"),
    ("sampling", "return x_next, (U, h)", "return x_next, (D, h)", "2M remembers the guided guess"),
    ("sampling", "return D_null + w*(D_c - D_null)", "return D_c + w*(D_c - D_null)", "guidance begins at the conditional guess"),
    ("sampling", "return Guess(D_null + lam*(D_c - D_null), D_null)", "return Guess(D_null + lam*(D_c - D_null), D_c)",
     "CFG++ measures noise from the conditional guess"),
    ("sampling", "    if to_min: return karras_sigmas(n, sigma_min, sigma_max, rho)\n", "",
     "the levels of a few steps ignore to_min"),
    ("sampling", "if sigma_next: x = x0_hat + sigma_next*noise_like", "if sigma_next: x = x0_hat + sigma*noise_like",
     "ping-pong noises to the level it came from"),
    ("sampling", "    for m in parts: m.training = False\n", "", "samplers leave a network in training mode"),
    ("sampling", "    return [n for d in held for n in _networks(d, (*seen, denoiser))]", "    return []",
     "samplers do not find a network behind a wrapper"),
    ("sampling", "return x0 + sigma*noise", "return x0*0 + sigma*noise", "what a sampler begins from is forgotten"),
    # --- dit
    ("dit", "return (i < depth - shift - drop[:, None]) | (i >= depth - shift)", "return (i < depth - drop[:, None]) | (i >= depth)",
     "rows of a batch leave the last blocks out, whatever the shift"),
    ("dit", "return i[(i < depth - shift - drop) | (i >= depth - shift)].tolist()", "return i[(i < depth - 1 - drop) | (i >= depth - 1)].tolist()",
     "every pipeline plays the rule shifted by one"),
    ("dit", "e = self.budget(self.embed(drop/self.config.depth))", "e = self.budget(self.embed((drop > 0).float()))",
     "the network is told only some or none"),
    ("dit", "return self.budget_vector(e), self.budget_final(e)", "return self.budget_vector(e), 0.", "the budget's second place is lost"),
    ("dit", "return self.budget_vector(e), self.budget_final(e)", "return 0., self.budget_final(e)", "the budget's first place is lost"),
    ("dit", "levels = KarrasContinuous(self.sigma_min, self.sigma_max, self.rho) if self.over == 'inf' else LogNormal()", "levels = KarrasContinuous(self.sigma_min, self.sigma_max, self.rho)",
     "parts of the training distribution are parts of the schedule"),
    ("dit", "return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), 1 + scale)", "return torch.addcmul(shift, F.layer_norm(x, x.shape[-1:], eps=1e-6), scale)",
     "a scale of zero silences a block"),
    ("dit", ".masked_fill(~cond.mask[..., None], 0.)", "", "masked words stay in the text"),
    ("dit", "F.pad(cond.mask, (frames + 1, 0), value=True)", "F.pad(cond.mask, (frames, 1), value=True)",
     "the mask of the words is one token off"),
    ("dit", "return torch.addcmul(x, g2, self.mlp(modulate(x, b2, s2)).to(x.dtype))", "return torch.addcmul(x, g1, self.mlp(modulate(x, b2, s2)).to(x.dtype))",
     "both halves of a block share a gate"),
    ("dit", "return h.index_copy(0, r, self.blocks[i](h[r], shared[r], text[r], own, None if mask is None else mask[r]))", "return h.index_copy(0, r, self.blocks[i](h[r], shared[r], text[:len(r)], own, None if mask is None else mask[r]))",
     "rows that run a block see the first rows' words"),
    ("dit", "keep=shifted_keep(depth, d, shift), budget=d)\n    return dropped", "keep=shifted_keep(depth, d, shift))\n    return dropped",
     "a batch of several levels is not told its budget"),
    # --- dmd
    ("dmd", "gradient = mu_fake - mu_real", "gradient = mu_real - mu_fake", "samples are pushed away from the data"),
    ("dmd", "mu_real = real_score(x, sigma, cond) if w == 1 else guided(real_score, null, w)(x, sigma, cond)", "mu_real = real_score(x, sigma, cond)",
     "the real score is never guided"),
    ("dmd", "mu_fake = fake_score(x, sigma, cond)", "mu_fake = fake_score(x, sigma, null)", "the fake score is not told the condition"),
    ("dmd", "return gradient/normaliser(x0_hat, mu_real) if normalise else gradient", "return gradient/normaliser(x0_hat, mu_fake) if normalise else gradient",
     "the normaliser looks at the fake score"),
    ("dmd", "target = (x0_hat - gradient).detach()", "target = (x0_hat + gradient).detach()", "the target lies on the wrong side"),
    ("dmd", "return .5*((x0_hat - target)**2).flatten(1).mean(1)", "return .5*((x0_hat - target)**2).flatten(1).sum(1)",
     "the matching loss is a sum over elements"),
    ("dmd", "return edm_loss(fake_score, x0_hat.detach(), cond, sigma, noise)", "return edm_loss(fake_score, x0_hat, cond, sigma, noise)",
     "the fake score's loss reaches the generator"),
    ("dmd", "return edm_loss(fake_score, x0_hat.detach(), cond, sigma, noise)", "return edm_loss(fake_score, x0_hat.detach(), None, sigma, noise)",
     "the fake score learns without conditions"),
    # --- discriminator
    ("discriminator", "return max(0, depth//2 - 1)", "return max(0, depth - 2)", "the tap is near the end of the network"),
    ("discriminator", "lsgan = Game(lambda real, fake: _rows((1 - real)**2) + _rows(fake**2), lambda fake: _rows((1 - fake)**2)", "lsgan = Game(lambda real, fake: _rows((1 - real)**2) + _rows(fake**2), lambda fake: _rows(fake**2)",
     "the generator wants to be found out"),
    ("discriminator", "lsgan = Game(lambda real, fake: _rows((1 - real)**2) + _rows(fake**2)", "lsgan = Game(lambda real, fake: _rows(real**2) + _rows((1 - fake)**2)",
     "the discriminator has its labels swapped"),
    ("discriminator", "lambda fake: _rows(F.softplus(-fake)), 0., ScalarHead)", "lambda fake: _rows(-F.softplus(fake)), 0., ScalarHead)",
     "the non-saturating game saturates"),
    ("discriminator", "HEADS = dict(map=MapHead, one=ScalarHead)", "HEADS = dict(map=ScalarHead, one=MapHead)", "the two heads are mixed up"),
    ("discriminator", "keep=list(range(block + 1)), taps=(block,))[1][block]", "keep=list(range(block + 2)), taps=(block + 1,))[1][block + 1]",
     "the features are those of the next block"),
    ("discriminator", "wanted = max(0, round(math.log2(frame_rate/PER_SECOND)))", "wanted = max(0, round(math.log(frame_rate/PER_SECOND)))",
     "halvings are counted with the natural logarithm"),
    # --- presto_s
    ("presto_s", "    nu_g:float = .005 ", "    nu_g:float = .05 ", "the default weight of the generator's game"),
    ("presto_s", "loss = loss + log[\"dmd\"]", "loss = loss + config.nu_d*log[\"dmd\"]", "the matching loss is weighted by nu_d"),
    ("presto_s", "loss, log[\"gan_g\"] = loss + config.nu_g*fooling", "loss, log[\"gan_g\"] = loss + config.nu_d*fooling",
     "the generator's game has the discriminator's weight"),
    ("presto_s", "return dsm + config.nu_d*gan", "return dsm + config.nu_g*gan", "the discriminator's game has the generator's weight"),
    ("presto_s", "cond, null, config.w, config.normalise)))", "cond, null, config.w)))", "the stage ignores normalise"),
    ("presto_s", "cond, null, config.w, config.normalise)))", "cond, null, 1., config.normalise)))", "the stage ignores w"),
    ("presto_s", "players.real_score, players.fake_score, cond, null", "players.fake_score, players.real_score, cond, null",
     "real and fake score change places"),
    ("presto_s", "sigma, noise = draw.sigma(config.p_dmd, len(x0_hat))", "sigma, noise = draw.sigma(config.p_gen, len(x0_hat))",
     "the matching loss works at the generator's levels"),
    ("presto_s", "sigma = draw.sigma(config.p_dsm, len(x0))", "sigma = draw.sigma(config.p_dmd, len(x0))", "the fake score learns at p_dmd"),
    ("presto_s", "sigma = draw.sigma(config.p_gen, len(x0))", "sigma = draw.sigma(config.p_dmd, len(x0))", "the generator sees the levels of training"),
    ("presto_s", "levels = [draw.sigma(config.p_gan, len(x)) for x in pieces]", "levels = [draw.sigma(config.p_gan, len(pieces[0]))]*len(pieces)",
     "real and generated rows share their levels"),
    ("presto_s", "real, fake = answers(players, config, (x0, x0_hat.detach()), cond, draw)", "fake, real = answers(players, config, (x0, x0_hat.detach()), cond, draw)",
     "real and generated answers change places"),
    ("presto_s", "real, fake = answers(players, config, (x0, x0_hat.detach()), cond, draw)", "real, fake = answers(players, config, (x0, x0.detach()), cond, draw)",
     "the discriminator is shown data twice"),
    ("presto_s", "return players.generator(noised(x0, sigma, draw.noise(x0)), sigma, cond)", "return players.generator(sigma.view(-1, *[1]*(x0.ndim - 1))*draw.noise(x0), sigma, cond)",
     "the generator is shown pure noise"),
    ("presto_s", "generators = (trainer.step + 1) % c.ratio == 0", "generators = trainer.step % c.ratio == 0",
     "the generator's turn comes before the fake turns"),
    ("presto_s", "generators = (trainer.step + 1) % c.ratio == 0", "generators = True", "the generator learns in every turn"),
    ("presto_s", "        if trainer.part < trainer.parts - 1: return\n        after", "        after",
     "a part of a batch does not wait for the fake score's step"),
    ("presto_s", "                trainer.shared.set_state(before)\n", "", "a part is generated again from other noise"),
    ("presto_s", "                trainer.shared.set_state(after)\n", "", "a part's losses draw other levels"),
    ("presto_s", "super().__init__(generator, data, encoder, training, lr=config.lr, p_drop=0.)", "super().__init__(generator, data, encoder, training, lr=config.lr)",
     "conditions are dropped in distillation"),
    ("presto_s", "draw = TrainerDraws(trainer, self.noise)", "draw = TrainerDraws(trainer)", "the stage ignores the teacher's levels"),
    ("presto_s", "start=start and start.denoiser, training=pipe.config.training_noise)", "start=start and start.denoiser)",
     "the model's own levels do not reach its distillation"),
    ("presto_s", "generator, fake = (copy.deepcopy(d).requires_grad_(True) for d in (start or teacher, teacher))", "generator, fake = (copy.deepcopy(d).requires_grad_(True) for d in (start or teacher, start or teacher))",
     "the fake score begins as the generator does"),
    ("presto_s", "self.players = Players(played(generator), copy.deepcopy(teacher).requires_grad_(False).eval(), fake, head)", "self.players = Players(played(generator), copy.deepcopy(start or teacher).requires_grad_(False).eval(), fake, head)",
     "the real score is the layer-distilled model"),
    ("presto_s", "self.players = Players(played(generator), copy.deepcopy(teacher).requires_grad_(False).eval(), fake, head)", "self.players = Players(generator, copy.deepcopy(teacher).requires_grad_(False).eval(), fake, head)",
     "the generator is asked with all of its blocks"),
    ("presto_s", "        if start is not None: same_shape(start, teacher, \"what the generator begins as and the teacher\")\n", "",
     "networks of another shape are let in"),
    ("presto_s", "fake=[*fake.network.parameters(), *(head.parameters() if head else ())])\n        self", "fake=[*fake.network.parameters()])\n        self",
     "nobody teaches the head"),
    ("presto_s", "    ema = (\"generator\",)\n", "", "all networks are averaged"),
    ("presto_s", "step=\"pingpong\", steps=steps, to_min=to_min, guidance", "step=\"pingpong\", steps=steps, guidance", "few_step_pipeline ignores to_min"),
    ("presto_s", "return config.ratio*(4 + 6*f) + 2 + matching", "return config.ratio*(4 + 6*f) + 3 + matching", "a forward too many is counted"),
    # --- presto_l
    ("presto_l", "return edm + config.nu_st*st, dict", "return edm + st, dict", "nu_st is ignored"),
    ("presto_l", "budget=drop if config.budget else None)", "budget=0*drop if config.budget else None)", "the network is told budget 0 in training"),
    ("presto_l", "budget=drop if config.budget else None)", "budget=(drop > 0) if config.budget else None)", "the network is told only some or none"),
    ("presto_l", "budget=drop if config.budget else None)", "budget=drop)", "budget=False tells the network its budget"),
    ("presto_l", "if config.budget else without_budget(teacher.network)", "if config.budget else copy.deepcopy(teacher.network)",
     "a stage without a budget leaves the listening network in"),
    ("presto_l", "return shifted_keep(depth, drop, self.shift)", "return shifted_keep(depth, drop, 1)", "training ignores the shift"),
    ("presto_l", "drops=drops, over=config.over, shift=config.shift, dit", "drops=drops, over=config.over, dit", "a pipeline of early exit plays the shifted rule"),
    ("presto_l", "drops=drops, over=config.over, shift=config.shift, dit", "drops=drops, shift=config.shift, dit", "a pipeline forgets what its parts are parts of"),
    ("presto_l", "return (norm(h) - norm(full.detach())).square()", "return (norm(h) - norm(full)).square()", "the teacher's stream learns from the student"),
    ("presto_l", "return (norm(h) - norm(full.detach())).square()", "return (h - full.detach()).square()", "the self-teacher's streams are not normalised"),
    ("presto_l", "config, seed, pipe.config.training_noise)", "config, seed)", "the model's own levels do not reach the layer stage"),
    ("presto_l", "apart = (~keep).cumsum(1) > 0", "apart = ~keep", "the full branch joins the student again after the gap"),
    # --- presto_ls
    ("presto_ls", "return PrestoSStage(watch.denoiser, data", "return PrestoSStage(start.denoiser, data", "both scores are the layer-distilled model"),
    ("presto_ls", "start=start.denoiser, played=start.config.skipping, training", "start=start.denoiser, training", "the generator skips nothing in distillation"),
    ("presto_ls", "start=start.denoiser, played=start.config.skipping, training", "played=start.config.skipping, training", "the generator begins as the full model"),
    ("presto_ls", "played=start.config.skipping, training=watch.config.training_noise)", "played=start.config.skipping)", "the full model's levels do not reach the stage"),
    ("presto_ls", "    if any(pipe.config.drops): return pipe\n", "", "a model's own schedule is replaced"),
    # --- layer_drop
    ("layer_drop", "return shifted_keep(depth, drop, depth - start - drop)", "return shifted_keep(depth, drop, depth - start)", "a gap lies too early"),
    ("layer_drop", "return schedule(_levels(sigmas)).double().mean().item()", "return schedule(_levels(sigmas)).double().median().item()", "the mean drop is a median"),
    ("layer_drop", "return 1 - sum(flops(config, frames, keep=config.depth - d) for d in drops)/(len(drops)*flops(config, frames))", "return sum(flops(config, frames, keep=config.depth - d) for d in drops)/(len(drops)*flops(config, frames))",
     "what is left is called the saving"),
    ("layer_drop", "if max(d) >= depth: raise", "if max(d) > depth: raise", "all blocks may be skipped"),
    # --- variance
    ("variance", "branch=(y - x).flatten(1).var(1, correction=0)", "branch=y.flatten(1).var(1, correction=0)", "what a block adds is taken for the whole stream"),
    ("variance", "self.sums[i, name] = total + rows.sum(0), n + len(rows)", "self.sums[i, name] = total + rows.mean(0), n + 1", "batches of different size weigh alike"),
    ("variance", "for _ in range(blocks): v.append(v[-1] + 1 + 2*rho*v[-1]**.5)", "for _ in range(blocks): v.append(v[-1] + 1 + 2*rho*v[-1])", "a correlation is taken for a covariance"),
    ("variance", "return Spike(last/others.nanquantile(.5, 1), last/others.gather(1, nearest)[:, 0])", "return Spike(last/others.nanquantile(.5, 1), last/others[:, 0])", "the last block is compared with the first"),
    ("variance", "def __exit__(self, *error): self.detach()", "def __exit__(self, *error): pass", "a probe stays attached"),
    # --- training
    ("training", "scale = 1/(trainer.parts*trainer.world)", "scale = 1/trainer.world", "gradients of parts are added, not averaged"),
    ("training", "if self.part < self.parts - 1: return\n", "", "every part makes a step"),
    ("training", "for e in self.ema_of[name]: e.update()", "for e in self.emas.values(): e.update()", "averages move at every optimiser's step"),
    ("training", "d = min(self.decay, (1+self.count)/(10+self.count)) if self.ramp else self.decay", "d = self.decay", "the average has no ramp"),
    ("training", "return cond.without(lost < self.p_drop)", "return cond.without(lost > self.p_drop)", "nine rows of ten lose their words"),
    ("training", "bpm = bpm.masked_fill(no_bpm < self.p_drop_bpm, math.nan)", "bpm = bpm.masked_fill(no_bpm < self.p_drop, math.nan)", "the tempo is lost as often as the words"),
    ("training", "return draw(self.config.batch_size, self.shared)[r.start:r.stop].to(self.device)", "return draw(len(r), self.shared).to(self.device)", "every part draws the same rows"),
    ("training", "if config.schedule == \"cosine\": return up*(1 + math.cos(math.pi*p))/2", "if config.schedule == \"cosine\": return up*math.cos(math.pi*p/2)", "a quarter of a cosine"),
    ("training", "opt.step(); opt.zero_grad(set_to_none=True)", "opt.step()", "gradients pile up"),
    ("training", "groups = [dict(params=[p for p in rest if p.ndim >= 2], weight_decay=weight_decay),", "groups = [dict(params=[p for p in rest if p.ndim < 2], weight_decay=weight_decay),", "biases decay, matrices are lost"),
    # --- metrics
    ("metrics", "s1.trace() + s2.trace() - 2*tr_root))", "s1.trace() + s2.trace() - tr_root))", "the Frechet distance lacks a factor"),
    ("metrics", "own = lambda z: (kernel_mean(z, z, s)*len(z) - 1)/(len(z) - 1)", "own = lambda z: kernel_mean(z, z, s)", "KAD is biased"),
    ("metrics", "d2.mul_(-.5/bandwidth**2)", "d2.mul_(-1/bandwidth**2)", "the kernel is too narrow"),
    ("metrics", "return 1000*(kernel_mean(x, x, 10.) + kernel_mean(y, y, 10.)", "return 1000*(kernel_mean(x, x, 1.) + kernel_mean(y, y, 10.)", "a kernel of another width for one of the sets"),
    ("metrics", "d2.topk(k + 1, largest=False)", "d2.topk(k, largest=False)", "a point is its own neighbour"),
    ("metrics", "recalled += int((d2 < r_fake).any(1).sum())", "recalled += int((d2 < r_real[rows, None]).any(1).sum())", "recall is coverage"),
    ("metrics", "density=total/(k*len(fake))", "density=total/len(fake)", "density is not divided by k"),
    ("metrics", "error = parts.std(0)*math.sqrt(b/(n - b))", "error = parts.std(0)", "intervals without their correction"),
    ("metrics", "return high < margin if lower_is_better else low > -margin", "return low < margin if lower_is_better else high > -margin", "no worse is read at the wrong end"),
    ("metrics", "return 100*(unit(audio)*unit(text)).sum(1)", "return 100*(audio*unit(text)).sum(1)", "the score of a prompt grows with loudness"),
)]


def key_of(m: Mistake) -> str:
    "A name that changes with the mistake"
    return json.dumps([m.module, m.old, m.new])


@functools.lru_cache
def read(path: Path) -> str:
    "The text of a file of the checkout"
    return path.read_text(encoding="utf-8")


def exported(text: str):
    "A notebook and those of its cells that become the module"
    nb = json.loads(text)
    code = [c for c in nb["cells"] if c["cell_type"] == "code"]
    return nb, [c for c in code if "".join(c["source"]).startswith("#| export")]


@functools.lru_cache
def cells_of(module: str) -> tuple:
    "The sources of a module's cells"
    _, cells = exported(read(ROOT/"nbs"/f"{NOTEBOOKS[module]}.ipynb"))
    return tuple("".join(c["source"]) for c in cells)


def places(m: Mistake) -> tuple:
    "How often its old text stands in module and notebook"
    text = read(ROOT/"presto_nb"/f"{m.module}.py")
    return text.count(m.old), sum(c.count(m.old) for c in cells_of(m.module))


def apply(m: Mistake, root: Path):
    "Write the mistake into a copy: the module, and the cell it comes from"
    module = root/"presto_nb"/f"{m.module}.py"
    module.write_text(module.read_text(encoding="utf-8").replace(m.old, m.new), encoding="utf-8")
    notebook = root/"nbs"/f"{NOTEBOOKS[m.module]}.ipynb"
    nb, cells = exported(notebook.read_text(encoding="utf-8"))
    for c in cells:
        c["source"] = "".join(c["source"]).replace(m.old, m.new).splitlines(keepends=True)
    notebook.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextlib.contextmanager
def copy_of_project(m: Mistake | None):
    "A folder with package, notebooks and tests of its own, and links to what only is read"
    with tempfile.TemporaryDirectory() as d:
        root = Path(d)
        skip = shutil.ignore_patterns("__pycache__", "assets")
        shutil.copytree(ROOT/"presto_nb", root/"presto_nb", ignore=skip)
        shutil.copytree(ROOT/"tests", root/"tests", ignore=skip)
        (root/"nbs").mkdir()
        for notebook in (ROOT/"nbs").glob("*"):
            if notebook.suffix == ".ipynb": shutil.copy(notebook, root/"nbs")
            elif notebook.is_file(): (root/"nbs"/notebook.name).symlink_to(notebook)
        for name in ("presto_nb/assets", "data_samples", "recipes", "pyproject.toml", "settings.ini"):
            if (ROOT/name).exists(): (root/name).symlink_to(ROOT/name)
        if m: apply(m, root)
        yield root


def run(command, root: Path) -> tuple:
    "(did it succeed?, the last lines of what it said)"
    env = os.environ | dict(PYTHONPATH=str(root), OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    try: done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired: return False, f"took more than {LIMIT} seconds"
    said = (done.stdout + done.stderr).strip().splitlines()
    failed = [line for line in said if line.startswith(("FAILED", "ERROR"))] or said[-3:]
    return done.returncode == 0, " ".join(failed)[:300]


def sets_of(m: Mistake) -> list:
    "The tests that fit a mistake, the fastest first"
    alone = m.module in ("layer_drop", "variance", "metrics")   # test_wiring.py asks nothing of them
    return [WIRING]*(not alone) + [f"nbs/{NOTEBOOKS[m.module]}.ipynb"]


def meet(tests: str, root: Path) -> tuple:
    "Let a set of tests meet the copy"
    scripts = Path(sys.executable).parent
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests]
    return run(pytest if tests == WIRING else [scripts/"nbdev-test", tests], root)


def decide(m: Mistake, known: dict, only_wiring: bool) -> dict:
    "A row of the record: what each set of tests said, until one failed"
    met = dict(known.get("met", {}))
    start = time.perf_counter()
    with copy_of_project(m) as root:
        for tests in sets_of(m):
            if any(said != "passed" for said in met.values()): break
            if tests in met or only_wiring and tests != WIRING: continue
            passed, said = meet(tests, root)
            met[tests] = "passed" if passed else f"failed: {said}".replace(str(root), "")
    killed = any(said != "passed" for said in met.values())
    verdict = "killed" if killed else "survived" if len(met) == len(sets_of(m)) else "open"
    seconds = known.get("seconds", 0) + round(time.perf_counter() - start, 1)
    return dict(m._asdict(), verdict=verdict, met=met, seconds=round(seconds, 1))


def read_record() -> dict:
    "The rows so far, by mistake"
    if not LOG.is_file(): return {}
    rows = json.loads(LOG.read_text(encoding="utf-8"))["rows"]
    return {key_of(Mistake(*(r[k] for k in Mistake._fields))): r for r in rows}


def write_record(rows: dict):
    "Those rows whose mistakes are in the list, in its order"
    kept = [rows[key_of(m)] for m in MISTAKES if key_of(m) in rows]
    count = {v: sum(r["verdict"] == v for r in kept) for v in ("killed", "survived", "open")}
    record = dict(command="python tests/mutations.py", date=datetime.date.today().isoformat(),
                  mistakes=len(MISTAKES), **count, rows=kept)
    tmp = LOG.with_suffix(".tmp")
    tmp.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(tmp, LOG)


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--first", type=int, default=1, help="number of the first mistake, from 1")
    p.add_argument("--last", type=int, default=len(MISTAKES), help="number of the last")
    p.add_argument("--minutes", type=float, default=1e9, help="no new mistake after so many")
    p.add_argument("--only-wiring", action="store_true", help="leave the notebooks for another call")
    p.add_argument("--again", action="store_true", help="decide anew what is in the record")
    args = p.parse_args(argv)
    unfit = [f"{i}: {m.module}: {places(m)} {m.old[:60]}" for i, m in enumerate(MISTAKES, 1)
             if places(m) != (1, 1)]
    if unfit: p.error("these mistakes no longer fit the code:\n" + "\n".join(unfit))
    start, rows = time.perf_counter(), read_record()
    for i, m in list(enumerate(MISTAKES, 1))[args.first - 1:args.last]:
        known = {} if args.again else rows.get(key_of(m), {})
        left = [t for t in sets_of(m) if t not in known.get("met", {}) and (t == WIRING or not args.only_wiring)]
        if known.get("verdict") in ("killed", "survived") or not left: continue
        if time.perf_counter() - start > 60*args.minutes: break
        rows[key_of(m)] = row = decide(m, known, args.only_wiring)
        write_record(rows)
        print(f"{i:3} {row['verdict']:8} {m.module:13} {m.sentence} ({row['seconds']:.0f} s)", flush=True)
    write_record(rows)
    print({k: v for k, v in json.loads(LOG.read_text(encoding='utf-8')).items() if k != "rows"})


if __name__ == "__main__": main()
