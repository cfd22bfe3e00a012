"""A toy run for test_training_processes.py

A two-layer network learns y = sin(3x) with noise on x, a data order, dropout and two optimisers.

python tests/training_toy.py whole OUT      from start to end
python tests/training_toy.py killed OUT     the same, killed again and again; prints how often
python tests/training_toy.py plain OUT      no dropout, momentum alone; also with several processes
python tests/training_toy.py long OUT       until somebody stops it
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

os.environ.update(OMP_WAIT_POLICY='PASSIVE', IN_TEST='1')
import accelerate.utils  # noqa: F401, loaded once before the forks
import torch
import torch.nn as nn

from presto_nb.training import TrainConfig, fit

torch.set_num_threads(1)


class Curve:
    def __init__(self):
        self.x = torch.linspace(-1, 1, 100)[:, None]

    def __len__(self):
        return len(self.x)

    def batch(self, indices, generator):
        return self.x[indices], (3 * self.x[indices]).sin()


class Toy:
    "A network and a scale with an optimiser each; the scale is updated on every third step"

    def __init__(self, dropout=0.1, plain=False):
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Dropout(dropout), nn.Linear(32, 1))
        self.scale = nn.Linear(1, 1)
        make = (
            (lambda ps: torch.optim.SGD(ps, lr=0.05, momentum=0.9))
            if plain
            else (lambda ps: torch.optim.AdamW(ps, lr=1e-2))
        )
        self.models = dict(net=self.net, scale=self.scale)
        self.data = Curve()
        self.optimizers = {k: make(m.parameters()) for k, m in self.models.items()}

    def step(self, trainer, batch):
        x, y = batch
        x = (
            x
            + 0.02 * trainer.randn(len(x), 1)
            + 0.01 * trainer.rows(lambda n, g: torch.rand(n, 1, generator=g))
        )
        loss = (self.scale(self.net(x)) - y).square().mean(1)
        trainer.update('net', loss, retain_graph=True)
        if trainer.step % 3 == 0:
            trainer.update('scale', (self.scale(self.net(x).detach()) - y).square().mean())
        return dict(loss=loss, sigma=x.abs().flatten())


CONFIG = TrainConfig(
    steps=100,
    batch_size=8,
    warmup_steps=5,
    save_every=1,
    log_every=7,
    tensorboard=False,
    device='cpu',
    schedule='cosine',
)


def whole(out):
    fit(Toy(), CONFIG, out)


def plain(out):
    trainer = fit(Toy(0.0, plain=True), CONFIG.replace(steps=150, save_every=75, log_every=1), out)
    if trainer.main:
        print('processes', trainer.world)


def long(out):
    fit(Toy(), CONFIG.replace(steps=10**6, save_every=10**5, schedule='constant'), out)


def saved(out):
    "When the last checkpoint was written"
    try:
        return (Path(out) / 'checkpoint' / 'state.json').stat().st_mtime_ns
    except OSError:
        return 0


def killed(out):
    "A child is killed nine times: twice before it saved anything new, else a random moment after"
    chance = random.Random(0)
    kills = 0
    while not (Path(out) / 'ema.safetensors').is_file():
        before = saved(out)
        pid = os.fork()
        if pid == 0:
            try:
                whole(out)
                os._exit(0)
            except BaseException as e:
                print(type(e).__name__, e, flush=True)
                os._exit(1)
        if kills == 9:
            os.waitpid(pid, 0)
            break
        ended = False
        while kills not in (2, 5) and saved(out) == before and not ended:
            ended = os.waitpid(pid, os.WNOHANG)[0] != 0
            time.sleep(0.001)
        if ended:
            break
        time.sleep(chance.uniform(0, 0.06))
        os.kill(pid, signal.SIGKILL)
        kills += os.waitpid(pid, 0)[1] == signal.SIGKILL
    print('kills', kills)


if __name__ == '__main__':
    globals()[sys.argv[1]](sys.argv[2])
