"""timm's networks for images by name, and EfficientNet-Lite0 with its published ImageNet weights."""

from __future__ import annotations

from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    """Return timm's networks (which one is an option), and one that is pretrained."""
    return [
        ModelInfo(
            name="timm",
            summary='A network for images of the library timm, by its name there: net = "resnet18".',
            target="benchdog_timm.model:build",
            options="benchdog_timm.options:Options",
            requires=("timm", "torchvision"),
            install="pip install benchdog-timm",
            pretrained="benchdog_timm.weights:Published",
        ),
        ModelInfo(
            name="efficientnet-lite0",
            summary="A small, fast network for images; has weights trained on ImageNet.",
            target="benchdog_timm.efficientnet:build",
            options="benchdog_timm.options:EfficientNetOptions",
            install="pip install benchdog-timm",
            pretrained="benchdog_timm.imagenet:EfficientNetLite0Weights",
        ),
    ]
