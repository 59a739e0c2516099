"""The model `mlp`: fully connected layers with ReLU between them."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from benchdog.api import Spec
from benchdog.builtin.models.linear import Flat
from benchdog.builtin.models.options import MlpOptions
from benchdog.builtin.models.spec_checks import flat_outputs, flat_width, positive


def build(spec: Spec, options: MlpOptions) -> nn.Module:
    """Build a multi-layer perceptron from all values of a sample to the score (B, outputs)."""
    positive("mlp", "hidden", options.hidden)
    widths = [flat_width("mlp", spec), *options.hidden]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
        if options.dropout:
            layers.append(nn.Dropout(options.dropout))
    return Flat(nn.Sequential(*layers, nn.Linear(widths[-1], flat_outputs("mlp", spec))))
