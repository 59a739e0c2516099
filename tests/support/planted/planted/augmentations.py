"""Augmentations with faults."""

import torch

from benchdog.api import BadUsage


class Good:
    def __init__(self, options=None):
        pass

    def check(self, spec):
        if spec.fields[0].kind != "image":
            raise BadUsage("It changes images alone.")

    def apply(self, inputs, target, draws):
        image, *others = inputs
        factor = 0.5 + 0.5 * draws.uniform(1, 1, 1)
        return ((image * factor).to(image.dtype), *others), target


class PerBatch(Good):
    def apply(self, inputs, target, draws):
        image, *others = inputs
        factor = 0.5 + 0.5 * draws.uniform(1).mean()
        return ((image * factor).to(image.dtype), *others), target


class TorchRandom(Good):
    def apply(self, inputs, target, draws):
        image, *others = inputs
        factor = torch.rand(len(image), 1, 1, 1)
        return ((image * factor).to(image.dtype), *others), target


class InPlaceToo(Good):
    def apply(self, inputs, target, draws):
        inputs[0][:, :, 0] = 0
        return inputs, target


class ToFloats(Good):
    def apply(self, inputs, target, draws):
        return (inputs[0] * draws.uniform(1, 1, 1), *inputs[1:]), target


class TooBright(Good):
    def check(self, spec):
        if spec.fields[0].kind != "audio":
            raise BadUsage("It changes sounds alone.")

    def apply(self, inputs, target, draws):
        return (inputs[0] * (2 + draws.uniform(1, 1)), *inputs[1:]), target


class RawRefusal(Good):
    def check(self, spec):
        assert spec.fields[0].kind == "image"


class WrongTargets(Good):
    def apply(self, inputs, target, draws):
        return inputs, target.float()
