"""Register the augmentation my-thing."""

from benchdog.api import AugmentationInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_augmentations() -> list[AugmentationInfo]:
    """Return the components; a target is imported on first use."""
    return [
        AugmentationInfo(
            name="my-thing",
            summary="Darken images.",
            target="benchdog_my_thing.augmentation:MyThingAugmentation",
            options="benchdog_my_thing.options:Options",
        )
    ]
