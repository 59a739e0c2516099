"""A multilayer perceptron."""

from itertools import pairwise

from torch import nn

from benchdog_eject.templates.models.flat import Flat

FEATURES = 64
HIDDEN = [128, 128]
DROPOUT = 0.0
OUTPUTS = 10


def build_model() -> nn.Module:
    """Build fully connected layers with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise([FEATURES, *HIDDEN]):
        layers += [nn.Linear(before, after), nn.ReLU()]
        if DROPOUT:
            layers.append(nn.Dropout(DROPOUT))
    return Flat(nn.Sequential(*layers, nn.Linear([FEATURES, *HIDDEN][-1], OUTPUTS)))
