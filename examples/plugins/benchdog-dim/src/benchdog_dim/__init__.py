"""Register the augmentation dim."""

from benchdog.api import AugmentationInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_augmentations() -> list[AugmentationInfo]:
    """Return the components; a target is imported on first use."""
    return [
        AugmentationInfo(
            name="dim",
            summary="Darken images.",
            target="benchdog_dim.augmentation:DimAugmentation",
            options="benchdog_dim.options:Options",
        )
    ]
