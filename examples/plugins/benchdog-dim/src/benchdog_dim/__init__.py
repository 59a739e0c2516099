"""Offer the augmentation dim."""

from benchdog.api import AugmentationInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_augmentations() -> list[AugmentationInfo]:
    """List the components; a target is imported when it is first used."""
    return [
        AugmentationInfo(
            name="dim",
            summary="Darken images.",
            target="benchdog_dim.augmentation:DimAugmentation",
            options="benchdog_dim.options:Options",
        )
    ]
