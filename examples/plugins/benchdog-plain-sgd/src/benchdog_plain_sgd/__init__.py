"""Register the trainer plain-sgd."""

from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_trainers() -> list[TrainerInfo]:
    """Return the components; a target is imported on first use."""
    return [
        TrainerInfo(
            name="plain-sgd",
            summary="SGD with momentum, nothing else.",
            target="benchdog_plain_sgd.trainer:PlainSgdTrainer",
            options="benchdog_plain_sgd.options:Options",
        )
    ]
