"""Offer the trainer my-thing."""

from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_trainers() -> list[TrainerInfo]:
    """Say what there is; the strings are imported when somebody uses it."""
    return [
        TrainerInfo(
            name="my-thing",
            summary="SGD with momentum, nothing else.",
            target="benchdog_my_thing.trainer:MyThingTrainer",
            options="benchdog_my_thing.options:Options",
        )
    ]
