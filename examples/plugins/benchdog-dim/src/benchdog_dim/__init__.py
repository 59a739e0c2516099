"""Offer the augmentation dim."""

from benchdog.api import AugmentationInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_augmentations() -> list[AugmentationInfo]:
    """Say what there is; the strings are imported when somebody uses it."""
    return [
        AugmentationInfo(
            name="dim",
            summary="Darken pictures.",
            target="benchdog_dim.augmentation:DimAugmentation",
            options="benchdog_dim.options:Options",
        )
    ]
