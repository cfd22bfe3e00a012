"""One-line mistakes put into the library, one at a time: do the tests notice?

    python tests/mutations.py [--first 1] [--last 30] [--minutes 15] [--only-wiring] [--again]
    python tests/mutations.py --check

Each mistake of `MISTAKES` is written into a temporary copy of package, notebooks and tests, never
into the checkout. Then the tests that fit run there until one fails: test_wiring.py, and the
module's notebook. What they said is added to data_samples/logs/mutations.json at once; a mistake
that was decided before is skipped. With --only-wiring the notebooks are left for another call,
--again decides once more. Not part of CI: all of it takes about an hour on one core.

The old text of a mistake is found by its tokens, so that line breaks, spaces, quotes, commas before
a closing bracket, brackets around a long expression, and the way in which numbers are written make
no difference. `--check` runs no test. It says which mistakes no longer stand exactly once in the
module and in its notebook's exported cells.
"""

import argparse
import ast
import contextlib
import datetime
import functools
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tokenize
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / "data_samples" / "logs" / "mutations.json"
WIRING = "tests/test_wiring.py"
NOTEBOOKS = dict(
    edm="10_edm",
    sampling="11_sampling",
    dit="12_dit",
    skipping="12_skipping",
    runs="material/08_runs",
    training="13_training",
    dmd="21_dmd",
    discriminator="22_discriminator",
    presto_s="23_presto_s",
    presto_s_on_music="25_presto_s_on_music",
    variance="30_variance",
    layer_drop="31_layer_drop",
    presto_l="32_presto_l",
    presto_ls="40_presto_ls",
    metrics="evidence/61_metrics",
)
LIMIT = 400  # seconds of one set of tests; one that takes longer has failed


class Mistake(NamedTuple):
    "One wrong line"

    module: str  # of presto_nb
    sentence: str  # what is wrong
    old: str  # stands once in it
    new: str  # what stands there instead


MISTAKES = [
    Mistake(*m)
    for m in (
        # --- edm
        (
            "edm",
            "c_skip keeps the noise instead of the data",
            "c_skip = sigma_data**2 / total",
            "c_skip = sigma**2 / total",
        ),
        (
            "edm",
            "c_noise without its quarter",
            "c_noise = sigma.log() / 4",
            "c_noise = sigma.log()",
        ),
        (
            "edm",
            "c_out without sigma_data",
            "c_out = sigma * sigma_data * c_in",
            "c_out = sigma * c_in",
        ),
        (
            "edm",
            "the weight of the loss knows the usual sigma_data alone",
            "sigma**2 + 1/sigma_data**2",
            "sigma**2 + 1/SIGMA_DATA**2",
        ),
        (
            "edm",
            "edm_loss ignores the denoiser's own sigma_data",
            'sigma_data = getattr(denoiser, "sigma_data", SIGMA_DATA)',
            "sigma_data = SIGMA_DATA",
        ),
        (
            "edm",
            "the tails of the training distribution are cut",
            "clamp(2**-25, 1-2**-25)",
            "clamp(.01, .99)",
        ),
        (
            "edm",
            "the upper tail of the training distribution is cut",
            "clamp(2**-25, 1-2**-25)",
            "clamp(2**-25, .999)",
        ),
        (
            "edm",
            "the bend is put around the difference alone",
            "return (low + torch.as_tensor(u, dtype=torch.float64)*(high - low))**rho",
            "return low + torch.as_tensor(u, dtype=torch.float64)*(high - low)**rho",
        ),
        (
            "edm",
            "the score is divided by sigma, not by its square",
            "cond) - x)/_like(sigma, x)**2",
            "cond) - x)/_like(sigma, x)",
        ),
        (
            "edm",
            "decibels of an amplitude as if it were a power",
            "return 20*torch.log10(sigma_data",
            "return 10*torch.log10(sigma_data",
        ),
        (
            "edm",
            "train always means the usual distribution",
            "return LogNormal(P_mean, P_std)",
            "return LogNormal()",
        ),
        ("edm", "the grid is not cut at its ends", "cut = round(self.trim*self.n)", "cut = 0"),
        # --- sampling
        (
            "sampling",
            "noise is measured from the guided guess, so CFG++ is CFG",
            "return x0_hat + r*(x - origin)",
            "return x0_hat + r*(x - x0_hat)",
        ),
        (
            "sampling",
            "CFG++ Heun is guided at the wrong end",
            "sigma)*d + (D2 - U2), state",
            "sigma)*d + (D - U), state",
        ),
        (
            "sampling",
            "the second direction is taken at the first level",
            "+ (x_e - U2)/sigma_next)/2",
            "+ (x_e - U2)/sigma)/2",
        ),
        (
            "sampling",
            "2S looks at the middle of sigma, not of its logarithm",
            "sigma_s = math.sqrt(sigma*sigma_next)",
            "sigma_s = (sigma + sigma_next)/2",
        ),
        (
            "sampling",
            "2M has the ratio of its steps upside down",
            "sigma_next/sigma)*h/(2*h_old)*(D - U_old",
            "sigma_next/sigma)*h_old/(2*h)*(D - U_old",
        ),
        (
            "sampling",
            "2M remembers the guided guess",
            "return x_next, (U, h)",
            "return x_next, (D, h)",
        ),
        (
            "sampling",
            "guidance begins at the conditional guess",
            "return D_null + guidance_scale * (D_c - D_null",
            "return D_c + guidance_scale * (D_c - D_null",
        ),
        (
            "sampling",
            "CFG++ measures noise from the conditional guess",
            "guidance_scale * (D_c - D_null), D_null)",
            "guidance_scale * (D_c - D_null), D_c)",
        ),
        (
            "sampling",
            "the levels of a few steps ignore to_min",
            "    if to_min: return karras_sigmas(n, sigma_min, sigma_max, rho)\n",
            "",
        ),
        (
            "sampling",
            "ping-pong noises to the level it came from",
            "x0_hat + sigmas[i + 1] * noise_like",
            "x0_hat + sigmas[i] * noise_like",
        ),
        (
            "sampling",
            "samplers leave a network in training mode",
            "    for m in parts: m.training = False\n",
            "",
        ),
        (
            "sampling",
            "samplers do not find a network behind a wrapper",
            "return networks",
            "return []",
        ),
        (
            "sampling",
            "what a sampler begins from is forgotten",
            "return x0 + sigma*noise",
            "return x0*0 + sigma*noise",
        ),
        # --- dit
        (
            "skipping",
            "rows of a batch leave the last blocks out, whatever the shift",
            "first_skipped = depth - shift",
            "shift = 0 if per_row else shift\n    first_skipped = depth - shift",
        ),
        (
            "skipping",
            "every pipeline plays the rule shifted by one",
            "first_skipped = depth - shift",
            "shift = shift if per_row else 1\n    first_skipped = depth - shift",
        ),
        (
            "dit",
            "the network is told only some or none",
            "self.embed(drop/self.config.depth))",
            "self.embed((drop > 0).float()))",
        ),
        (
            "dit",
            "the budget's second place is lost",
            "budget_vector(e), self.budget_final(e)",
            "budget_vector(e), 0.",
        ),
        (
            "dit",
            "the budget's first place is lost",
            "return self.budget_vector(e), self.budget_final",
            "return 0., self.budget_final",
        ),
        (
            "skipping",
            "parts of the training distribution are parts of the schedule",
            "        if self.over == 'train':\n            return LogNormal().quantile(share)\n",
            "",
        ),
        (
            "dit",
            "a scale of zero silences a block",
            "1:], eps=1e-6), 1 + scale)",
            "1:], eps=1e-6), scale)",
        ),
        ("dit", "masked words stay in the text", ".masked_fill(~cond.mask[..., None], 0.)", ""),
        (
            "dit",
            "the mask of the words is one token off",
            "mask, (frames + 1, 0), value=True",
            "mask, (frames, 1), value=True",
        ),
        (
            "dit",
            "both halves of a block share a gate",
            "return torch.addcmul(x, g2, m.to",
            "return torch.addcmul(x, g1, m.to",
        ),
        (
            "dit",
            "rows that run a block see the first rows' words",
            "return c[r], text[r], rotary, None",
            "return c[r], text[: len(r)], rotary, None",
        ),
        (
            "skipping",
            "a batch of several levels is not told its budget",
            " d, shift), budget=d)\n    return",
            " d, shift))\n    return",
        ),
        # --- dmd
        (
            "dmd",
            "samples are pushed away from the data",
            "gradient = mu_fake - mu_real",
            "gradient = mu_real - mu_fake",
        ),
        (
            "dmd",
            "the real score is never guided",
            "real_score = guided(real_score, null, guidance_scale)",
            "pass",
        ),
        (
            "dmd",
            "the fake score is not told the condition",
            "fake_score(x, sigma, cond)",
            "fake_score(x, sigma, null)",
        ),
        (
            "dmd",
            "the normaliser looks at the fake score",
            "x0_hat, mu_real) if normalise",
            "x0_hat, mu_fake) if normalise",
        ),
        (
            "dmd",
            "the target lies on the wrong side",
            "target = (x0_hat - gradient).detach",
            "target = (x0_hat + gradient).detach",
        ),
        (
            "dmd",
            "the matching loss is a sum over elements",
            "target)**2).flatten(1).mean(1)",
            "target)**2).flatten(1).sum(1)",
        ),
        (
            "dmd",
            "the fake score's loss reaches the generator",
            "fake_score, x0_hat.detach(), cond, sigma",
            "fake_score, x0_hat, cond, sigma",
        ),
        (
            "dmd",
            "the fake score learns without conditions",
            "detach(), cond, sigma, noise",
            "detach(), None, sigma, noise",
        ),
        # --- discriminator
        (
            "discriminator",
            "the tap is near the end of the network",
            "return max(0, depth//2 - 1)",
            "return max(0, depth - 2)",
        ),
        (
            "discriminator",
            "the generator wants to be found out",
            "return _row_means((1 - fake) ** 2)",
            "return _row_means(fake**2)",
        ),
        (
            "discriminator",
            "the discriminator has its labels swapped",
            "_row_means((1 - real) ** 2) + _row_means(fake**2)",
            "_row_means(real**2) + _row_means((1 - fake) ** 2)",
        ),
        (
            "discriminator",
            "the non-saturating game saturates",
            "return _row_means(F.softplus(-fake))",
            "return _row_means(-F.softplus(fake))",
        ),
        (
            "discriminator",
            "the two heads are mixed up",
            " dict(map=MapHead, one=ScalarHead)",
            " dict(map=ScalarHead, one=MapHead)",
        ),
        (
            "discriminator",
            "the features are those of the next block",
            "first = list(range(block + 1))",
            "block += 1\n    first = list(range(block + 1))",
        ),
        (
            "discriminator",
            "halvings are counted with the natural logarithm",
            "round(math.log2(frame_rate",
            "round(math.log(frame_rate",
        ),
        # --- presto_s
        (
            "presto_s",
            "the default weight of the generator's game",
            "    nu_g:float = .005 ",
            "    nu_g:float = .05 ",
        ),
        (
            "presto_s",
            "the matching loss is weighted by nu_d",
            'loss = loss + log["dmd"]',
            'loss = loss + config.nu_d*log["dmd"]',
        ),
        (
            "presto_s",
            "the generator's game has the discriminator's weight",
            "loss + config.nu_g*fooling",
            "loss + config.nu_d*fooling",
        ),
        (
            "presto_s",
            "the discriminator's game has the generator's weight",
            "loss = loss + config.nu_d * gan",
            "loss = loss + config.nu_g * gan",
        ),
        (
            "presto_s",
            "the stage ignores normalise",
            "null, config.w, config.normalise)))",
            "null, config.w)))",
        ),
        (
            "presto_s",
            "the stage ignores w",
            "cond, null, config.w, config.normalise",
            "cond, null, 1., config.normalise",
        ),
        (
            "presto_s",
            "real and fake score change places",
            "scores = players.real_score, players.fake_score",
            "scores = players.fake_score, players.real_score",
        ),
        (
            "presto_s",
            "the matching loss works at the generator's levels",
            "sigma(config.p_dmd, len(x0_hat",
            "sigma(config.p_gen, len(x0_hat",
        ),
        (
            "presto_s",
            "the fake score learns at p_dmd",
            "sigma(config.p_dsm, len(x0))",
            "sigma(config.p_dmd, len(x0))",
        ),
        (
            "presto_s",
            "the generator sees the levels of training",
            "sigma(config.p_gen, len(x0))",
            "sigma(config.p_dmd, len(x0))",
        ),
        (
            "presto_s",
            "real and generated rows share their levels",
            "p_gan, len(x)) for x in pieces]",
            "p_gan, len(pieces[0]))]*len(pieces)",
        ),
        (
            "presto_s",
            "real and generated answers change places",
            "real, fake = answers(players",
            "fake, real = answers(players",
        ),
        (
            "presto_s",
            "the discriminator is shown data twice",
            "config, (x0, x0_hat.detach())",
            "config, (x0, x0.detach())",
        ),
        (
            "presto_s",
            "the generator is shown pure noise",
            "x = noised(x0, sigma, draw.noise(x0))",
            "x = sigma.view(-1, *[1] * (x0.ndim - 1)) * draw.noise(x0)",
        ),
        (
            "presto_s_on_music",
            "the generator's turn comes before the fake turns",
            "generators_turn = (trainer.step + 1) % self.config.ratio",
            "generators_turn = trainer.step % self.config.ratio",
        ),
        (
            "presto_s_on_music",
            "the generator learns in every turn",
            "generators_turn = (trainer.step + 1) % self.config.ratio == 0",
            "generators_turn = True",
        ),
        (
            "presto_s_on_music",
            "a part of a batch does not wait for the fake score's step",
            "        if trainer.part < trainer.parts - 1: return\n        after",
            "        after",
        ),
        (
            "presto_s_on_music",
            "a part is generated again from other noise",
            "                trainer.shared.set_state(before)\n",
            "",
        ),
        (
            "presto_s_on_music",
            "a part's losses draw other levels",
            "                trainer.shared.set_state(after)\n",
            "",
        ),
        (
            "presto_s_on_music",
            "conditions are dropped in distillation",
            "training, lr=config.lr, p_drop=0.)",
            "training, lr=config.lr)",
        ),
        (
            "presto_s_on_music",
            "the stage ignores the teacher's levels",
            "TrainerDraws(trainer, self.noise)",
            "TrainerDraws(trainer)",
        ),
        (
            "presto_s_on_music",
            "the model's own levels do not reach its distillation",
            "start.denoiser, training=pipe.config.training_noise)",
            "start.denoiser)",
        ),
        (
            "presto_s_on_music",
            "the fake score begins as the generator does",
            "fake = copy.deepcopy(teacher)",
            "fake = copy.deepcopy(start or teacher)",
        ),
        (
            "presto_s_on_music",
            "the real score is the layer-distilled model",
            "real = copy.deepcopy(teacher)",
            "real = copy.deepcopy(start or teacher)",
        ),
        (
            "presto_s_on_music",
            "the generator is asked with all of its blocks",
            "= Players(played(generator), watched",
            "= Players(generator, watched",
        ),
        (
            "presto_s_on_music",
            "networks of another shape are let in",
            '        if start is not None: same_shape(start, teacher, "what the generator '
            "begins as and the teacher\")\n",
            "",
        ),
        (
            "presto_s_on_music",
            "nobody teaches the head",
            "            others += head.parameters()\n",
            "",
        ),
        (
            "presto_s_on_music",
            "all networks are averaged",
            "    ema = (\"generator\",)\n",
            "",
        ),
        (
            "presto_s_on_music",
            "few_step_pipeline ignores to_min",
            "steps=steps, to_min=to_min)",
            "steps=steps)",
        ),
        (
            "presto_s",
            "a forward too many is counted",
            "6 * f) + 2 + matching",
            "6 * f) + 3 + matching",
        ),
        # --- presto_l
        (
            "presto_l",
            "nu_st is ignored",
            "return edm + config.nu_st*st, dict",
            "return edm + st, dict",
        ),
        (
            "presto_l",
            "the network is told budget 0 in training",
            "budget=drop if config.budget",
            "budget=0*drop if config.budget",
        ),
        (
            "presto_l",
            "the network is told only some or none",
            "budget=drop if config.budget",
            "budget=(drop > 0) if config.budget",
        ),
        (
            "presto_l",
            "budget=False tells the network its budget",
            "budget=drop if config.budget else None)",
            "budget=drop)",
        ),
        (
            "presto_l",
            "a stage without a budget leaves the listening network in",
            "network = without_budget(first)",
            "network = copy.deepcopy(first)",
        ),
        (
            "presto_l",
            "training ignores the shift",
            "shifted_keep(depth, drop, self.shift)",
            "shifted_keep(depth, drop, 1)",
        ),
        (
            "presto_l",
            "a pipeline of early exit plays the shifted rule",
            "over=config.over, shift=config.shift)",
            "over=config.over)",
        ),
        (
            "presto_l",
            "a pipeline forgets what its parts are parts of",
            "drops=drops, over=config.over, shift=config",
            "drops=drops, shift=config",
        ),
        (
            "presto_l",
            "the teacher's stream learns from the student",
            "_normalise(full.detach())).square(",
            "_normalise(full)).square(",
        ),
        (
            "presto_l",
            "the self-teacher's streams are not normalised",
            "return (_normalise(h) - _normalise(full.detach())).square(",
            "return (h - full.detach()).square(",
        ),
        (
            "presto_l",
            "the model's own levels do not reach the layer stage",
            "config, seed, pipe.config.training_noise)",
            "config, seed)",
        ),
        (
            "presto_l",
            "the full branch joins the student again after the gap",
            "apart = (~keep).cumsum(1) > 0",
            "apart = ~keep",
        ),
        # --- presto_ls
        (
            "presto_ls",
            "both scores are the layer-distilled model",
            "PrestoSStage(watch.denoiser,",
            "PrestoSStage(start.denoiser,",
        ),
        (
            "presto_ls",
            "the generator skips nothing in distillation",
            "played=start.config.skipping, watched",
            "watched",
        ),
        (
            "presto_ls",
            "the generator begins as the full model",
            "start=start.denoiser, played=start",
            "played=start",
        ),
        (
            "presto_ls",
            "the full model's levels do not reach the stage",
            "config.skipping, training=watch.config.training_noise)",
            "config.skipping)",
        ),
        (
            "presto_ls",
            "a model's own schedule is replaced",
            "    if any(pipe.config.drops): return pipe\n",
            "",
        ),
        # --- layer_drop
        (
            "layer_drop",
            "a gap lies too early",
            "drop, last - start)",
            "drop, depth - start)",
        ),
        (
            "layer_drop",
            "the mean drop is a median",
            "sigmas)).double().mean().item()",
            "sigmas)).double().median().item()",
        ),
        (
            "layer_drop",
            "what is left is called the saving",
            "return 1 - spent / (",
            "return spent / (",
        ),
        (
            "layer_drop",
            "all blocks may be skipped",
            "if max(d) >= depth:",
            "if max(d) > depth:",
        ),
        # --- variance
        (
            "variance",
            "what a block adds is taken for the whole stream",
            "branch=(y - x).flatten(1).var",
            "branch=y.flatten(1).var",
        ),
        (
            "variance",
            "batches of different size weigh alike",
            "total + rows.sum(0), n + len(rows)",
            "total + rows.mean(0), n + 1",
        ),
        (
            "variance",
            "a correlation is taken for a covariance",
            "1] + 1 + 2*rho*v[-1]**.5)",
            "1] + 1 + 2*rho*v[-1])",
        ),
        (
            "variance",
            "the last block is compared with the first",
            "before = others.gather(1, nearest)[:, 0]",
            "before = others[:, 0]",
        ),
        (
            "variance",
            "a probe stays attached",
            "self, *error): self.detach()",
            "self, *error): pass",
        ),
        # --- training
        (
            "runs",
            "gradients of parts are added, not averaged",
            "scale = 1/(run.parts*run.world)",
            "scale = 1/run.world",
        ),
        (
            "training",
            "every part makes a step",
            "if self.part == self.parts - 1:\n                self._apply(name)",
            "self._apply(name)",
        ),
        (
            "training",
            "averages move at every optimiser's step",
            "in self.ema_of[name]: e.update",
            "in self.emas.values(): e.update",
        ),
        (
            "training",
            "the average has no ramp",
            "min(self.decay, (1 + self.count) / (10 + self.count)) if self.ramp else self.decay",
            "self.decay",
        ),
        (
            "training",
            "nine rows of ten lose their words",
            "without(lost < self.p_drop",
            "without(lost > self.p_drop",
        ),
        (
            "training",
            "the tempo is lost as often as the words",
            "self.p_drop_bpm, math.nan",
            "self.p_drop, math.nan",
        ),
        (
            "runs",
            "every part draws the same rows",
            "return draw(self.config.batch_size, self.shared)[own.start : own.stop].to(self.device",
            "return draw(len(own), self.shared).to(self.device",
        ),
        (
            "training",
            "a quarter of a cosine",
            "return rise * (1 + math.cos(math.pi * p)) / 2",
            "return rise * math.cos(math.pi * p / 2)",
        ),
        (
            "training",
            "gradients pile up",
            "optimizer.step()\n        optimizer.zero_grad(set_to_none=True)",
            "optimizer.step()",
        ),
        (
            "runs",
            "biases decay, matrices are lost",
            "if p.ndim >= 2], weight_decay",
            "if p.ndim < 2], weight_decay",
        ),
        # --- metrics
        (
            "metrics",
            "the Frechet distance lacks a factor",
            " s2.trace() - 2*tr_root))",
            " s2.trace() - tr_root))",
        ),
        (
            "metrics",
            "KAD is biased",
            "return (_kernel_mean(z, z, s) * len(z) - 1) / (len(z) - 1)",
            "return _kernel_mean(z, z, s)",
        ),
        (
            "metrics",
            "the kernel is too narrow",
            "d2.mul_(-.5/bandwidth**2)",
            "d2.mul_(-1/bandwidth**2)",
        ),
        (
            "metrics",
            "a kernel of another width for one of the sets",
            "_kernel_mean(x, x, 10.0) + _kernel_mean",
            "_kernel_mean(x, x, 1.0) + _kernel_mean",
        ),
        (
            "metrics",
            "a point is its own neighbour",
            "d2.topk(k + 1, largest=False",
            "d2.topk(k, largest=False",
        ),
        (
            "metrics",
            "recall is coverage",
            "int((d2 < r_fake).any(1).sum",
            "int((d2 < r_real[rows, None]).any(1).sum",
        ),
        (
            "metrics",
            "density is not divided by k",
            "density=total/(k*len(fake))",
            "density=total/len(fake)",
        ),
        (
            "metrics",
            "intervals without their correction",
            "parts.std(0)*math.sqrt(b/(n - b))",
            "parts.std(0)",
        ),
        (
            "metrics",
            "no worse is read at the wrong end",
            "return high < margin if lower_is_better else low > -margin",
            "return low < margin if lower_is_better else high > -margin",
        ),
        (
            "metrics",
            "the score of a prompt grows with loudness",
            "return 100 * (_unit(audio) * _unit(text",
            "return 100 * (audio * _unit(text",
        ),
    )
]


def key_of(m: Mistake) -> str:
    "A name that changes with the mistake"
    return json.dumps([m.module, m.old, m.new])


# --- finding a mistake -------------------------------------------------------------------------

LAYOUT = {
    tokenize.COMMENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
    tokenize.INDENT,
    tokenize.NEWLINE,
    tokenize.NL,
}
INSIDE = 50  # brackets that a fragment stands in, where line breaks and indents mean nothing


class Token(NamedTuple):
    "A token as it is compared, and where it stands"

    text: str
    first: int  # character
    last: int  # the one after it


def plain(token) -> str:
    "Numbers and strings have one form"
    if token.type in (tokenize.NUMBER, tokenize.STRING):
        with contextlib.suppress(SyntaxError):
            return ast.unparse(ast.parse(token.string, mode="eval"))
    return token.string


def raw_tokens(text: str):
    "Its tokens, as far as a fragment has any"
    with contextlib.suppress(tokenize.TokenError, IndentationError):
        yield from tokenize.generate_tokens(io.StringIO(text).readline)


@functools.lru_cache
def tokens_of(text: str) -> tuple:
    "Tokens without layout: no comments, line breaks, semicolons, commas before a closing bracket"
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for t in raw_tokens(text):
        if t.type in LAYOUT or t.string == ";":
            continue
        if t.string in (")", "]", "}") and found and found[-1].text == ",":
            found.pop()
        first = starts[t.start[0] - 1] + t.start[1]
        found.append(Token(plain(t), first, starts[t.end[0] - 1] + t.end[1]))
    return tuple(found)


def fragment_tokens(text: str) -> list:
    "The texts of a fragment's tokens"
    found = [t.text for t in tokens_of("(" * INSIDE + text.strip())[INSIDE:]]
    return found[:-1] if found[-1] == "," and not text.strip().endswith(",") else found


def without_brackets(tokens) -> list:
    "Those that are no round brackets"
    return [t for t in tokens if t.text not in ("(", ")")]


def unmatched(texts) -> tuple:
    "How many round brackets are closed that were not opened, and opened that are not closed"
    closed = opened = 0
    for t in texts:
        if t == "(":
            opened += 1
        elif t == ")" and opened:
            opened -= 1
        elif t == ")":
            closed += 1
    return closed, opened


def runs_of(tokens, wanted) -> list:
    "Slices of the tokens that have the wanted texts"
    n = len(wanted)
    texts = [t.text for t in tokens]
    return [tokens[i : i + n] for i in range(len(texts) - n + 1) if texts[i : i + n] == wanted]


class Place(NamedTuple):
    "Where a mistake's old text stands, and what comes there instead"

    first: int  # character
    last: int  # the one after it
    new: str


def exact_places(text: str, old: str, new: str) -> list:
    "By all tokens"
    runs = runs_of(tokens_of(text), fragment_tokens(old))
    return [Place(run[0].first, run[-1].last, new) for run in runs]


def without_shared_ends(old: str, new: str) -> tuple:
    "Both without the brackets that both begin or end with"
    while old[-1:] == new[-1:] == ")":
        old = old[:-1].rstrip()
        new = new[:-1].rstrip()
    while old[:1] == new[:1] == "(":
        old = old[1:].lstrip()
        new = new[1:].lstrip()
    return old, new


def loose_places(text: str, old: str, new: str) -> list:
    "By all tokens but round brackets, which a formatter adds and takes away"
    old, new = without_shared_ends(old, new)
    wanted = fragment_tokens(old)
    own_closed, own_opened = unmatched(wanted)
    all_tokens = tokens_of(text)
    found = []
    for run in runs_of(without_brackets(all_tokens), [t for t in wanted if t not in ("(", ")")]):
        place = run[0].first, run[-1].last
        closed, opened = unmatched(t.text for t in all_tokens if place[0] <= t.first < place[1])
        more_closed = ")" * (closed - own_closed)
        more_opened = "(" * (opened - own_opened)
        found.append(Place(*place, more_closed + new + more_opened))
    return found


def places_in(text: str, m: Mistake) -> list:
    "Where a mistake could be made in a source"
    texts = m.old.strip(), m.new.strip()
    return exact_places(text, *texts) or loose_places(text, *texts)


@functools.lru_cache
def read(path: Path) -> str:
    "The text of a file of the checkout"
    return path.read_text(encoding="utf-8")


def module_path(m: Mistake) -> Path:
    "Of the module, under the project's folder"
    return Path("presto_nb") / Path(NOTEBOOKS[m.module]).parent / f"{m.module}.py"


def notebook_path(m: Mistake) -> Path:
    "Of the notebook it comes from"
    return Path("nbs") / f"{NOTEBOOKS[m.module]}.ipynb"


def exported(text: str):
    "A notebook and those of its cells that become the module"
    nb = json.loads(text)
    code = [c for c in nb["cells"] if c["cell_type"] == "code"]
    return nb, [c for c in code if re.search(r"^#\|\s*export", "".join(c["source"]), re.M)]


def places(m: Mistake) -> tuple:
    "How often its old text stands in module and notebook"
    _, cells = exported(read(ROOT / notebook_path(m)))
    in_cells = [len(places_in("".join(c["source"]), m)) for c in cells]
    return len(places_in(read(ROOT / module_path(m)), m)), sum(in_cells)


def mistaken(text: str, m: Mistake) -> str:
    "A source with the mistake in it"
    (place,) = places_in(text, m)
    before = text[: place.first]
    after = text[place.last :]
    made = before + place.new + after
    return made if place.new or tree_of(made) else before + "pass" + after


def tree_of(text: str) -> str:
    "What a source says, without its layout; empty where it is no Python"
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:
        return ""


def differs(text: str, m: Mistake) -> bool:
    "Is it still Python, and another program?"
    made = tree_of(mistaken(text, m))
    return bool(made) and made != tree_of(text)


def fault_of(m: Mistake) -> str:
    "Why a mistake cannot be made, if so"
    counts = places(m)
    if counts != (1, 1):
        return "stands {} times in the module, {} times in the notebook".format(*counts)
    return "" if differs(read(ROOT / module_path(m)), m) else "gives no other program"


def apply(m: Mistake, root: Path):
    "Write the mistake into a copy: the module, and the cell it comes from"
    module = root / module_path(m)
    module.write_text(mistaken(module.read_text(encoding="utf-8"), m), encoding="utf-8")
    notebook = root / notebook_path(m)
    nb, cells = exported(notebook.read_text(encoding="utf-8"))
    (cell,) = [c for c in cells if places_in("".join(c["source"]), m)]
    cell["source"] = mistaken("".join(cell["source"]), m).splitlines(keepends=True)
    notebook.write_text(json.dumps(nb, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


# --- trying one ----------------------------------------------------------------------------------


@contextlib.contextmanager
def copy_of_project(m: Mistake | None):
    "A folder with package, notebooks and tests of its own, and links to what only is read"
    with tempfile.TemporaryDirectory() as d:
        root = Path(d)
        skip = shutil.ignore_patterns("__pycache__", "assets", ".ipynb_checkpoints")
        for name in ("presto_nb", "nbs", "tests"):
            shutil.copytree(ROOT / name, root / name, ignore=skip)
        linked = "presto_nb/assets data_samples recipes pyproject.toml settings.ini"
        for name in linked.split():
            if (ROOT / name).exists():
                (root / name).symlink_to(ROOT / name)
        if m:
            apply(m, root)
        yield root


def run(command, root: Path) -> tuple:
    "(did it succeed?, the last lines of what it said)"
    env = os.environ | dict(PYTHONPATH=str(root), OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1")
    how = dict(cwd=root, env=env, capture_output=True, text=True, timeout=LIMIT)
    try:
        done = subprocess.run(command, **how)
    except subprocess.TimeoutExpired:
        return False, f"took more than {LIMIT} seconds"
    said = (done.stdout + done.stderr).strip().splitlines()
    failed = [line for line in said if re.match(r"FAILED|ERROR|[\w.]*Error: ?", line)] or said[-3:]
    return done.returncode == 0, " ".join(failed)[:300]


def sets_of(m: Mistake) -> list:
    "The tests that fit a mistake, the fastest first"
    alone = m.module in ("layer_drop", "variance")  # test_wiring.py does not ask them
    return [WIRING] * (not alone) + [f"nbs/{NOTEBOOKS[m.module]}.ipynb"]


def meet(tests: str, root: Path) -> tuple:
    "Let a set of tests meet the copy"
    scripts = Path(sys.executable).parent
    pytest = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", tests]
    return run(pytest if tests == WIRING else [scripts / "nbdev-test", tests], root)


@functools.lru_cache
def passes(tests: str) -> bool:
    "Do the tests pass where there is no mistake? If not, their verdict would mean nothing"
    with copy_of_project(None) as root:
        return meet(tests, root)[0]


def said_by(tests: str, root: Path) -> str:
    "What a set of tests said of the copy"
    if not passes(tests):
        raise SystemExit(f"{tests} fails without any mistake; that comes first")
    passed, said = meet(tests, root)
    return "passed" if passed else f"failed: {said}".replace(str(root), "")


def is_killed(met: dict) -> bool:
    "Did a set of tests fail?"
    return any(said != "passed" for said in met.values())


def verdict_on(m: Mistake, met: dict) -> str:
    "killed, survived, or open while a set has not met it"
    if is_killed(met):
        return "killed"
    return "survived" if len(met) == len(sets_of(m)) else "open"


def decide(m: Mistake, known: dict, only_wiring: bool) -> dict:
    "A row of the record: what each set of tests said, until one failed"
    met = dict(known.get("met", {}))
    start = time.perf_counter()
    with copy_of_project(m) as root:
        for tests in sets_of(m):
            left_out = only_wiring and tests != WIRING
            if not is_killed(met) and tests not in met and not left_out:
                met[tests] = said_by(tests, root)
    seconds = known.get("seconds", 0) + round(time.perf_counter() - start, 1)
    return dict(m._asdict(), verdict=verdict_on(m, met), met=met, seconds=round(seconds, 1))


def read_record() -> dict:
    "The rows so far, by mistake"
    if not LOG.is_file():
        return {}
    rows = json.loads(LOG.read_text(encoding="utf-8"))["rows"]
    return {key_of(Mistake(*(r[k] for k in Mistake._fields))): r for r in rows}


def write_record(rows: dict):
    "Those rows whose mistakes are in the list, in its order"
    kept = [rows[key_of(m)] for m in MISTAKES if key_of(m) in rows]
    count = {v: sum(r["verdict"] == v for r in kept) for v in ("killed", "survived", "open")}
    record = dict(
        command="python tests/mutations.py",
        date=datetime.date.today().isoformat(),
        mistakes=len(MISTAKES),
        **count,
        rows=kept,
    )
    tmp = LOG.with_suffix(".tmp")
    tmp.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(tmp, LOG)


def arguments(argv=None):
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--check", action="store_true", help="only say which mistakes no longer fit")
    p.add_argument("--first", type=int, default=1, help="number of the first mistake, from 1")
    p.add_argument("--last", type=int, default=len(MISTAKES), help="number of the last")
    p.add_argument("--minutes", type=float, default=1e9, help="no new mistake after so many")
    p.add_argument("--only-wiring", action="store_true", help="leave the notebooks for later")
    p.add_argument("--again", action="store_true", help="decide again what is in the record")
    return p.parse_args(argv)


def chosen(args) -> list:
    "(number, mistake) of those that are asked for"
    return list(enumerate(MISTAKES, 1))[args.first - 1 : args.last]


def check(args) -> int:
    "Say which mistakes cannot be made; how many"
    faults = [(i, m, fault_of(m)) for i, m in chosen(args)]
    unfit = [(i, m, fault) for i, m, fault in faults if fault]
    for i, m, fault in unfit:
        print(f"{i:3} {m.module:13} {m.sentence}: {fault}\n      {m.old.strip()[:90]}")
    print(f"{len(faults) - len(unfit)} of {len(faults)} mistakes fit the code")
    return len(unfit)


def is_open(m: Mistake, known: dict, only_wiring: bool) -> bool:
    "Is there a set of tests that has not met the mistake?"
    if known.get("verdict") in ("killed", "survived"):
        return False
    sets = [WIRING] if only_wiring else sets_of(m)
    return any(tests in sets and tests not in known.get("met", {}) for tests in sets_of(m))


def try_all(args):
    "Let the tests meet the mistakes that are open; the record grows with each"
    start = time.perf_counter()
    rows = read_record()
    for i, m in chosen(args):
        known = {} if args.again else rows.get(key_of(m), {})
        if not is_open(m, known, args.only_wiring):
            continue
        if time.perf_counter() - start > 60 * args.minutes:
            break
        row = decide(m, known, args.only_wiring)
        rows[key_of(m)] = row
        write_record(rows)
        said = f"{i:3} {row['verdict']:8} {m.module:13} {m.sentence} ({row['seconds']:.0f} s)"
        print(said, flush=True)
    write_record(rows)


def main(argv=None):
    args = arguments(argv)
    unfit = check(args)
    if args.check or unfit:
        return 1 if unfit else 0
    try_all(args)
    print({k: v for k, v in json.loads(LOG.read_text(encoding="utf-8")).items() if k != "rows"})


if __name__ == "__main__":
    sys.exit(main())
