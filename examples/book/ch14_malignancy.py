"""Chapter 14 style: benign or malignant; the nodule classifier's layers with a head of its own."""

from __future__ import annotations

from ch11_luna import LunaModel
from torch import nn


class MalignancyModel(LunaModel):
    """The same body under the same names, so that its weights can be loaded; a new head of two layers."""

    def __init__(self, conv_channels: int = 4) -> None:
        super().__init__(conv_channels=conv_channels)
        features = self.head_linear.in_features
        self.head_linear = nn.Sequential(nn.Linear(features, 16), nn.ReLU(), nn.Linear(16, 2))
