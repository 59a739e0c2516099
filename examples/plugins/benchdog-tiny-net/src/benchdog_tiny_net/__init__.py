"""Register the model tiny-net."""

from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """Return the components; a target is imported on first use."""
    return [
        ModelInfo(
            name="tiny-net",
            summary="One hidden layer, for inputs of one size.",
            target="benchdog_tiny_net.model:build",
            options="benchdog_tiny_net.options:Options",
        )
    ]
