"""A generative adversarial network: a source of images, a generator, its metric, and a trainer of two networks."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from benchdog.api import (
    Answer,
    Bounds,
    Column,
    Doc,
    Field,
    ModelInfo,
    Raw,
    SourceInfo,
    Spec,
    Target,
    TaskInfo,
    TrainerInfo,
    hookimpl,
)

CONTRACT = 1
SIZE, NOISE = 12, [f"z{i}" for i in range(8)]


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="rings", summary="Noise, and images of rings.", target=":Rings")]


@hookimpl
def benchdog_models():
    return [ModelInfo(name="generator", summary="From noise to an image.", target=":generator")]


@hookimpl
def benchdog_tasks():
    values = {"image": "image"}
    return [TaskInfo(name="generation", summary="Images.", target=":Generation", answer=":answer", values=values)]


@hookimpl
def benchdog_trainers():
    summary = "A generator against a discriminator."
    return [TrainerInfo(name="gan", summary=summary, target=":Gan", options=":Options")]


class Rings:
    def spec(self):
        noise = Field(kind="table", shape=(len(NOISE),), dtype="float32", columns=tuple(map(_column, NOISE)))
        return Spec(fields=(noise,), target=Target(kind="image", shape=(1, SIZE, SIZE), dtype="float32"))

    def open(self):
        return {"train": [ring(i) for i in range(2000)], "valid": [ring(i) for i in range(2000, 2500)]}


def _column(name):
    return Column(name=name)


def ring(i):
    """Draw a ring of a random place and radius, and noise that has nothing to do with it."""
    draws = np.random.default_rng([7, i])
    x, y = draws.uniform(4.5, 6.5, 2)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    distance = np.abs(np.hypot(rows - y, columns - x) - draws.uniform(2.5, 4))
    noise = dict(zip(NOISE, map(float, draws.normal(size=len(NOISE))), strict=True))
    return Raw(id=str(i), fields={"input": noise}, target=np.clip(1.5 - distance, 0, 1)[None].astype("float32"))


def generator(spec, options=None):
    from torch import nn

    layers = nn.Linear(len(NOISE), 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, SIZE**2)
    return nn.Sequential(*layers, nn.Unflatten(1, (1, SIZE, SIZE)))


class Generation:
    """The metric compares mean and deviation of each pixel over all images, generated and real."""

    monitor, better, adds_up = "distance", "min", False

    def check(self, spec):
        pass

    def output(self, spec):
        return spec.target.shape

    def head(self, spec):
        from torch import nn

        return nn.Sigmoid()

    def loss(self, score, batch):
        return (score.sigmoid().mean(0) - batch.target.mean(0)).square().mean() * len(score), len(score)

    def meter(self, spec):
        return Moments()


class Moments:
    def __init__(self):
        self.sums = {}

    def add(self, score, batch):
        for name, images in (("made", score.sigmoid()), ("real", batch.target)):
            images = images.double()
            count = images.new_tensor(len(images))
            self.merge({name: images.sum(0), f"{name}2": images.square().sum(0), f"{name}n": count})

    def state(self):
        return self.sums

    def merge(self, state):
        self.sums.update({name: self.sums.get(name, 0) + value for name, value in state.items()})

    def moments(self, name):
        mean = self.sums[name] / self.sums[f"{name}n"]
        return mean, (self.sums[f"{name}2"] / self.sums[f"{name}n"] - mean.square()).clamp(min=0).sqrt()

    def value(self):
        made, real = (self.moments(name) for name in ("made", "real"))
        distance = float(sum((a - b).square().mean() for a, b in zip(made, real, strict=True)))
        return {"loss": distance, "distance": distance}


def answer(call, inputs, spec, options):
    return [Answer({"image": image}) for image in call(*inputs)[0]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of gan."""

    lr: Annotated[float, Doc("Learning rate of the generator; the discriminator has half."), Bounds(gt=0)] = 0.002


class Gan:
    def __init__(self, options):
        self.options = options

    def train(self, session):
        import torch
        from torch import nn
        from torch.nn.functional import softplus

        device, lr = session.device, self.options.lr
        make = device.prepare(session.model)
        torch.manual_seed(session.seed)
        bounded = nn.utils.parametrizations.spectral_norm
        widths = (SIZE**2, 128), (128, 128), (128, 1)
        layers = [layer for width in widths for layer in (nn.LeakyReLU(0.2), bounded(nn.Linear(*width)))]
        judge = device.prepare(nn.Sequential(nn.Flatten(), *layers[1:]))
        makes = torch.optim.Adam(make.parameters(), lr=lr, betas=(0.5, 0.99))
        judges = torch.optim.Adam(judge.parameters(), lr=lr / 2, betas=(0.5, 0.99))
        session.track(optimizer=makes, judges=judges, judge=judge)
        for _ in session.epochs():
            for batch in session.batches():
                noise = torch.randn_like(batch.inputs[0])  # the session has seeded the step
                made = make(noise).sigmoid()
                (softplus(-judge(batch.target)) + softplus(judge(made.detach()))).mean().backward()
                device.step(judges)
                fooled = softplus(-judge(made)).sum()
                session.backward(fooled, len(made), batch)
                device.step(makes)
                makes.zero_grad()
                judges.zero_grad()
                session.step_done(fooled.detach(), len(made))
            session.epoch_done(session.evaluate())
        return make
