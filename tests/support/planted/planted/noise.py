"""A task that prepares its batches, and others that do it wrongly."""

import torch
from torch import nn

from benchdog.api import Answer, BadUsage, Field, Spec, Target


class Noise:
    monitor, better = "loss", "min"

    def __init__(self, options=None):
        pass

    def check(self, spec):
        if spec.fields[0].kind != "table" or spec.target.kind != "number":
            raise BadUsage("It needs a table with a number.", "Choose another task.")

    def prepared_spec(self, spec):
        shape = spec.fields[0].shape
        noisy = Field(name="noisy", kind="number", shape=shape, dtype="float32")
        level = Field(name="level", kind="number", shape=(), dtype="float32", range=(0, 1))
        return Spec(fields=(noisy, level), target=Target(kind="noise", name="noise", shape=shape, dtype="float32"))

    def prepare(self, inputs, target, draws):
        level, noise = draws.uniform(), draws.normal(3)
        return (inputs[0] + level[:, None] * noise, level), noise

    def output(self, spec):
        return spec.target.shape

    def head(self, spec):
        return nn.Identity()

    def loss(self, score, batch):
        return (score - batch.target).square().sum(), len(score)

    def meter(self, spec):
        return Meter()


class Meter:
    def __init__(self):
        self.sums = torch.zeros(2, dtype=torch.float64)

    def add(self, score, batch):
        self.sums += torch.tensor([float((score - batch.target).square().sum()), len(score)], dtype=torch.float64)

    def state(self):
        return {"sums": self.sums}

    def merge(self, state):
        self.sums += state["sums"]

    def value(self):
        return {"loss": float(self.sums[0] / self.sums[1].clamp(min=1))}


class WrongNoise(Noise):
    def prepare(self, inputs, target, draws):
        given, noise = super().prepare(inputs, target, draws)
        return given, noise.double()


class HalfPrepared(Noise):
    prepared_spec = None


class NoiseInPlace(Noise):
    def prepare(self, inputs, target, draws):
        given, noise = super().prepare(inputs, target, draws)
        return (inputs[0].add_(noise), given[1]), noise


class OwnNoise(Noise):
    def prepare(self, inputs, target, draws):
        given, noise = super().prepare(inputs, target, draws)
        return given, noise + torch.randn(1)


class SharedNoise(Noise):
    def prepare(self, inputs, target, draws):
        level, noise = draws.uniform().mean().expand(len(target)), draws.normal(3)
        return (inputs[0] + level[:, None] * noise, level), noise


def answer(call, inputs, spec, options):
    """Denoise: the level is one half."""
    level = torch.full((len(inputs[0]),), 0.5).numpy()
    _, noise = call(inputs[0], level)
    return [Answer({"clean": [float(x) for x in row]}) for row in inputs[0] - 0.5 * noise]
