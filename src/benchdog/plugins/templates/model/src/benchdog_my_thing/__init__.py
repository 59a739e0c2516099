"""Offer the model my-thing."""

from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """List the components; a target is imported when it is first used."""
    return [
        ModelInfo(
            name="my-thing",
            summary="One hidden layer, for inputs of one size.",
            target="benchdog_my_thing.model:build",
            options="benchdog_my_thing.options:Options",
        )
    ]
