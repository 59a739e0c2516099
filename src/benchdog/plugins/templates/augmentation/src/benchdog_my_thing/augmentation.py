"""The augmentation: random changes to training batches, on their device."""

from benchdog.api import BadUsage, Draws, Spec
from torch import Tensor

from .options import Options


class MyThingAugmentation:
    """Multiply each image by a factor between `least` and 1."""

    def __init__(self, options: Options) -> None:
        self.least = options.least

    def check(self, spec: Spec) -> None:
        """Refuse data without images."""
        if spec.fields[0].kind != "image":
            raise BadUsage(f"The augmentation 'my-thing' changes images; the data is {spec.fields[0].kind}.")

    def apply(
        self, inputs: tuple[Tensor, ...], target: Tensor, draws: Draws
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return new images (B, C, H, W) of the same dtype; other fields and the target are unchanged.

        Random numbers come from `draws` alone: they depend on the sample, the seed and the epoch.
        """
        image, *others = inputs
        factor = self.least + (1 - self.least) * draws.uniform(1, 1, 1)
        return ((image * factor).to(image.dtype), *others), target
