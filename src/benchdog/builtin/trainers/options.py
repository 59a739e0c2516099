"""Options of the trainers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class Supervised:
    """Options of `supervised`."""

    optimiser: Annotated[str, Doc("A class of torch.optim by name, or package.module:Class.")] = "Adam"
    lr: Annotated[float, Doc("Learning rate."), Bounds(gt=0)] = 1e-3
    weight_decay: Annotated[float, Doc("Weight decay."), Bounds(ge=0)] = 0.0
    schedule: Annotated[str, Doc("How the rate changes: constant, or cosine (one cycle with warm-up).")] = "constant"
