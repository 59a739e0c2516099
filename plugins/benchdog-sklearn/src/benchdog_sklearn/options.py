"""Options of the trainer; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc

Estimator = Literal["auto", "HistGradientBoosting", "RandomForest", "ExtraTrees", "Linear", "KNeighbors"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of `scikit-learn`."""

    estimator: Annotated[Estimator, Doc("The estimator; auto: boosting for tables, else Linear.")] = "auto"
    features: Annotated[Literal["auto", "raw"], Doc("auto: engineered for images; raw: the values themselves.")] = (
        "auto"
    )
    size: Annotated[
        int | None, Doc("Number of trees, boosting rounds, or neighbors; default 200, 100, or 5."), Bounds(ge=1)
    ] = None
    strength: Annotated[float, Doc("Inverse of Linear's L2 penalty (C in scikit-learn)."), Bounds(gt=0)] = 0.1
