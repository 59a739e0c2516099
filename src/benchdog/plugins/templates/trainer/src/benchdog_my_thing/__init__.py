"""Register the trainer my-thing."""

from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_trainers() -> list[TrainerInfo]:
    """Return the components; a target is imported on first use."""
    return [
        TrainerInfo(
            name="my-thing",
            summary="SGD with momentum, nothing else.",
            target="benchdog_my_thing.trainer:MyThingTrainer",
            options="benchdog_my_thing.options:Options",
        )
    ]
