"""The augmentation: training batches are changed at random, on their device."""

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
        """Return new images in the type of the old ones (B, C, H, W); other fields and the target stay.

        The random numbers belong to a sample, the seed and the epoch: they come from `draws` alone.
        """
        image, *others = inputs
        factor = self.least + (1 - self.least) * draws.uniform(1, 1, 1)
        return ((image * factor).to(image.dtype), *others), target
