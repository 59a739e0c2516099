"""Predictions as users see them. No torch: exports run without it."""

from typing import Any

import numpy as np
from benchdog.api import Answer, Call, Spec


def answer(call: Call, inputs: tuple[np.ndarray, ...], spec: Spec, options: Any) -> list[Answer]:
    """Return the class and its probability per sample."""
    probabilities, _ = call(*inputs)
    names = spec.target.classes
    return [Answer({"label": names[row.argmax()], "probability": float(row.max())}) for row in probabilities]
