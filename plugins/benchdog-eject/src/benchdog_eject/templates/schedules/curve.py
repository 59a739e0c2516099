"""Learning-rate schedule: warm-up, then a curve."""

import math
from typing import Any

from torch.optim import Optimizer, lr_scheduler

WARMUP_STEPS = 0
TOTAL_STEPS = 300
CURVE = "constant"  # or linear, cosine: down to 0


def factor(step: int) -> float:
    """Return the learning rate of a step, as a share of the full one."""
    if step < WARMUP_STEPS:
        return (step + 1) / WARMUP_STEPS
    done = min(1.0, (step - WARMUP_STEPS) / max(1, TOTAL_STEPS - WARMUP_STEPS))
    if CURVE == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if CURVE == "linear" else 1.0


def build_schedule(optimizer: Optimizer) -> Any:
    """Build the schedule."""
    return lr_scheduler.LambdaLR(optimizer, factor)
