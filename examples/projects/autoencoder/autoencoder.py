"""An autoencoder: rings drawn at random, and a network that stores each in 8 numbers."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc, Field, ModelInfo, Raw, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1
SIDE = 24


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="rings", summary="Rings, each its own target.", target=":Rings")]


@hookimpl
def benchdog_models():
    return [ModelInfo(name="bottleneck", summary="Few numbers per image.", target=":build", options=":Options")]


class Rings:
    def spec(self):
        image = Field(kind="image", shape=(1, SIDE, SIDE), dtype="uint8", range=(0, 255))
        return Spec(fields=(image,), target=Target(kind="image", shape=(1, SIDE, SIDE), dtype="uint8"))

    def open(self):
        import numpy as np

        samples = []
        y, x = np.mgrid[:SIDE, :SIDE]
        for number in range(500):
            draws = np.random.default_rng([7, number])
            (row, column), radius = draws.uniform(9, 15, 2), draws.uniform(4, 8)
            light = np.clip(2.5 - abs(np.hypot(y - row, x - column) - radius), 0, 1) * 255
            image = light.astype(np.uint8)[None]
            samples.append(Raw(id=f"ring {number}", fields={"input": image}, target=image))
        return samples


@dataclass(frozen=True, kw_only=True)
class Options:
    latent: Annotated[int, Doc("Numbers that an image is stored in."), Bounds(ge=1)] = 8


def build(spec: Spec, options: Options):
    from math import prod

    from torch import nn

    size = prod(axis or 0 for axis in spec.output)
    encoder = (nn.Flatten(), nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, options.latent))
    decoder = (nn.Linear(options.latent, 128), nn.ReLU(), nn.Linear(128, size), nn.Unflatten(1, spec.output))
    return nn.Sequential(nn.Sequential(*encoder), nn.Sequential(*decoder))
