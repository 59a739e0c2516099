"""What looks at a trial's epochs, and ends it when it promises little."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna import Trial

PRUNED = "pruned"
"""The attribute of a trial that says why it was ended; a resume reads it there."""


class Pruning:
    """A watcher of a run (see `benchdog.api.Watcher`): reports each epoch to the study and asks its pruner.

    Args:
        trial: the trial.
        metric: by which it is judged: "valid.accuracy".
        known: the epochs that were reported before, by a process that is gone.
    """

    def __init__(self, trial: Trial, metric: str, known: Mapping[int, float]) -> None:
        self._trial, self._metric, self._known = trial, metric, known
        self.reason = str(trial.user_attrs.get(PRUNED, ""))

    def epoch_ended(self, epoch: int, metrics: Mapping[str, float], /) -> None:
        """Report an epoch; a value that is no number tells a pruner nothing."""
        value = metrics.get(self._metric, math.nan)
        if self.reason or math.isnan(value):
            return
        if epoch not in self._known:
            self._trial.report(value, epoch)
        if self._trial.should_prune():
            self.reason = f"pruned: {self._metric} {value:.4g} is worse than what others had by epoch {epoch}"
            self._trial.set_user_attr(PRUNED, self.reason)
