from benchdog.api import AugmentationInfo, BadUsage, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_augmentations():
    return [AugmentationInfo(name="dim", summary="Darken images.", target=":DimAugmentation")]


class DimAugmentation:
    def check(self, spec):
        if spec.fields[0].kind != "image":
            raise BadUsage("dim changes images alone.")

    def apply(self, inputs, target, draws):
        image, *others = inputs
        factor = 0.5 + 0.5 * draws.uniform(1, 1, 1)
        return ((image * factor).to(image.dtype), *others), target
