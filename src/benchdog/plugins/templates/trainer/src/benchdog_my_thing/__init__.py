"""Offer the trainer my-thing."""

from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_trainers() -> list[TrainerInfo]:
    """List the components; a target is imported when it is first used."""
    return [
        TrainerInfo(
            name="my-thing",
            summary="SGD with momentum, nothing else.",
            target="benchdog_my_thing.trainer:MyThingTrainer",
            options="benchdog_my_thing.options:Options",
        )
    ]
