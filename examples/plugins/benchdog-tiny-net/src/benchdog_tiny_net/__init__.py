"""Offer the model tiny-net."""

from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """List the components; a target is imported when it is first used."""
    return [
        ModelInfo(
            name="tiny-net",
            summary="One hidden layer, for inputs of one size.",
            target="benchdog_tiny_net.model:build",
            options="benchdog_tiny_net.options:Options",
        )
    ]
