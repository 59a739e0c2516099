"""A linear model."""

from torch import nn

from benchdog_eject.templates.models.flat import Flat

FEATURES = 64
OUTPUTS = 10


def build_model() -> nn.Module:
    """Build a linear layer on all values of a sample."""
    return Flat(nn.Linear(FEATURES, OUTPUTS))
