"""Register the model my-thing."""

from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """Return the components; a target is imported on first use."""
    return [
        ModelInfo(
            name="my-thing",
            summary="One hidden layer, for inputs of one size.",
            target="benchdog_my_thing.model:build",
            options="benchdog_my_thing.options:Options",
        )
    ]
