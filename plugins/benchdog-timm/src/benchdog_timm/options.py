"""Options of the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of the model `timm`."""

    net: Annotated[
        str,
        Doc(
            "Model name in timm, such as resnet18; with a tag (resnet18.a1_in1k), inputs are "
            "normalized as for those weights."
        ),
    ] = ""
    dropout: Annotated[float, Doc("Dropout probability before the last layer."), Bounds(ge=0, lt=1)] = 0.0
    drop_path: Annotated[
        float, Doc("Probability of dropping a residual branch (stochastic depth)."), Bounds(ge=0, lt=1)
    ] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class EfficientNetOptions:
    """Options of the model `efficientnet-lite0`."""

    dropout: Annotated[float, Doc("Dropout probability before the last layer."), Bounds(ge=0, lt=1)] = 0.2
