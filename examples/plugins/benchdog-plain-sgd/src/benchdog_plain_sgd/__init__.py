"""Offer the trainer plain-sgd."""

from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_trainers() -> list[TrainerInfo]:
    """List the components; a target is imported when it is first used."""
    return [
        TrainerInfo(
            name="plain-sgd",
            summary="SGD with momentum, nothing else.",
            target="benchdog_plain_sgd.trainer:PlainSgdTrainer",
            options="benchdog_plain_sgd.options:Options",
        )
    ]
