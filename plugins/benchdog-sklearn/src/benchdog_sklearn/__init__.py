"""Offer the trainer `scikit-learn`: features engineered by hand, and a classical estimator."""

from __future__ import annotations

from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1
"""The number of the plugin contract that this was written for."""


@hookimpl
def benchdog_trainers() -> list[TrainerInfo]:
    """Offer the trainer."""
    return [
        TrainerInfo(
            name="scikit-learn",
            summary="Hand-engineered features and a classical estimator, on the same data.",
            target="benchdog_sklearn.trainer:ClassicalTrainer",
            options="benchdog_sklearn.options:Options",
            requires=("sklearn", "skops"),
            install="pip install benchdog-sklearn",
            resumable=False,
            uses_model=False,
            runner="benchdog_sklearn.runner:Runner",
        )
    ]
