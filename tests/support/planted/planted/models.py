"""Models with faults."""

import math
import os

import numpy as np
import torch
from torch import nn

from benchdog.api import BadUsage


def fit(spec):
    """Refuse what isn't a table with one row of scores."""
    if spec.fields[0].kind != "table" or len(spec.output) != 1:
        raise BadUsage("It is for tables.", "Choose another model.")
    return math.prod(spec.fields[0].shape), spec.outputs


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = nn.Linear(*fit(spec))

    def forward(self, x):
        return self.layer(x)


def build(spec, options):
    return Net(spec)


class RawError(Net):
    def __init__(self, spec, options):
        if spec.fields[0].kind != "table":
            raise KeyError(spec.fields[0].kind)
        super().__init__(spec)


class BreaksLater(nn.Module):
    def __init__(self, spec, options):
        super().__init__()
        self.layer = nn.Linear(math.prod(spec.fields[0].shape), spec.outputs)

    def forward(self, x):
        return self.layer(x)


class WrongOutput(Net):
    def __init__(self, spec, options):
        super().__init__(spec)
        self.layer = nn.Linear(fit(spec)[0], 7)


class BatchStatistics(Net):
    def __init__(self, spec, options):
        super().__init__(spec)

    def forward(self, x):
        return self.layer((x - x.mean(0)) / (x.std(0, correction=0) + 1))


class NotFinite(Net):
    def __init__(self, spec, options):
        super().__init__(spec)

    def forward(self, x):
        return super().forward(x) / 0


class NoGradient(Net):
    def __init__(self, spec, options):
        super().__init__(spec)

    def forward(self, x):
        return super().forward(x).detach()


class InPlace(Net):
    def __init__(self, spec, options):
        super().__init__(spec)

    def forward(self, x):
        x += 1
        return self.layer(x)


class HiddenTensor(Net):
    def __init__(self, spec, options):
        super().__init__(spec)
        self.scale = torch.rand(spec.outputs)

    def forward(self, x):
        return self.layer(x) * self.scale


class NumpyWeights(Net):
    def __init__(self, spec, options):
        super().__init__(spec)
        with torch.no_grad():
            self.layer.bias.copy_(torch.from_numpy(np.random.default_rng().normal(size=spec.outputs)))


class AlwaysDrops(Net):
    def __init__(self, spec, options):
        super().__init__(spec)

    def forward(self, x):
        return nn.functional.dropout(self.layer(x), 0.5)


class CountsInEval(Net):
    def __init__(self, spec, options):
        super().__init__(spec)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.layer(x)


def NoModule(spec, options):
    net = Net(spec)
    return lambda x: net(x)


class BySet(Net):
    def __init__(self, spec, options):
        super().__init__(spec)
        for name in {f"layer_{os.getpid()}", "other"}:
            self.add_module(name, nn.Linear(2, 2))


class Shifted(nn.Module):
    """Another model than the one that it is given, for an exporter."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        answer, score = self.module(torch.nan_to_num(x) + 1)
        return answer, score
