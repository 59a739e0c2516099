"""Learning-rate schedule of torch."""

from typing import Any

from torch.optim import Optimizer, lr_scheduler

SCHEDULE: Any = lr_scheduler.StepLR
SCHEDULE_OPTIONS: dict[str, Any] = {"step_size": 1}


def build_schedule(optimizer: Optimizer) -> Any:
    """Build the schedule."""
    return SCHEDULE(optimizer, **SCHEDULE_OPTIONS)
