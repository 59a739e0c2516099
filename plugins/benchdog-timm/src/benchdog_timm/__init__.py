"""timm for Benchdog: its networks for images by name, and weights of them from a file."""

from __future__ import annotations

from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """Offer timm's networks; which one is an option."""
    return [
        ModelInfo(
            name="timm",
            summary='A network for images of the library timm, by its name there: net = "resnet18".',
            target="benchdog_timm.model:build",
            options="benchdog_timm.options:Options",
            requires=("timm", "torchvision"),
            install="pip install benchdog-timm",
            pretrained="benchdog_timm.weights:Published",
        )
    ]
