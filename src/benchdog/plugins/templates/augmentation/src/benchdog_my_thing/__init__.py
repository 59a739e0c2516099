"""Offer the augmentation my-thing."""

from benchdog.api import AugmentationInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_augmentations() -> list[AugmentationInfo]:
    """Say what there is; the strings are imported when somebody uses it."""
    return [
        AugmentationInfo(
            name="my-thing",
            summary="Darken pictures.",
            target="benchdog_my_thing.augmentation:MyThingAugmentation",
            options="benchdog_my_thing.options:Options",
        )
    ]
