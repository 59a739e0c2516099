from benchdog.api import AugmentationInfo, BadUsage, hookimpl

CONTRACT = 1  # try: benchdog --plugin my_thing.py train digits --set "loader.augment=['my-thing']"


@hookimpl
def benchdog_augmentations():
    return [AugmentationInfo(name="my-thing", summary="Darken images.", target=":MyThingAugmentation")]


class MyThingAugmentation:
    def check(self, spec):
        if spec.fields[0].kind != "image":
            raise BadUsage("my-thing changes images alone.")

    def apply(self, inputs, target, draws):
        image, *others = inputs
        factor = 0.5 + 0.5 * draws.uniform(1, 1, 1)
        return ((image * factor).to(image.dtype), *others), target
