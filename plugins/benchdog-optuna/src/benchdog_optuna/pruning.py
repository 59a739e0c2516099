"""Pruning: poor trials are ended early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial

PRUNED = "pruned"
"""User attribute of a trial: why it was pruned; a resume reads it."""


class Pruning:
    """Reports each epoch to the study and asks its pruner; a `benchdog.api.Watcher`.

    Args:
        trial: the trial.
        metric: the monitored metric: "valid.accuracy".
        reported: epochs that a process before this one reported.
    """

    def __init__(self, trial: Trial, metric: str, reported: Mapping[int, float]) -> None:
        self._trial, self._metric, self._reported = trial, metric, reported
        self.reason = str(trial.user_attrs.get(PRUNED, ""))

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float], /) -> None:
        """Report an epoch; NaN is skipped."""
        value = metrics.get(self._metric, math.nan)
        if self.reason or math.isnan(value):
            return
        if epoch not in self._reported:
            self._trial.report(value, epoch)
        if self._trial.should_prune():
            self.reason = f"pruned: {self._metric} {value:.4g} is worse than other trials at epoch {epoch}"
            self._trial.set_user_attr(PRUNED, self.reason)
