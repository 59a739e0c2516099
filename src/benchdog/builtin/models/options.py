"""Options of the models. Nothing heavy is imported here, so that help and schemas are quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class MlpOptions:
    """Options of the model `mlp`."""

    hidden: Annotated[tuple[int, ...], Doc("Width of each hidden layer, from the input on.")] = (128, 128)
    dropout: Annotated[float, Doc("Share of hidden values dropped in training."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnOptions:
    """Options of the model `cnn`."""

    width: Annotated[int, Doc("Channels of the first convolution; the next have twice as many."), Bounds(ge=1)] = 32
    hidden: Annotated[int, Doc("Width of the layer before the last."), Bounds(ge=1)] = 256
    dropout: Annotated[float, Doc("Share of its values dropped in training."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ResnetOptions:
    """Options of the model `resnet`."""

    depth: Annotated[Literal[18, 34], Doc("Layers, as the paper counts them.")] = 18
    width: Annotated[int, Doc("Channels of the first stage; doubled by each of the next three."), Bounds(ge=1)] = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class EfficientNetOptions:
    """Options of the model `efficientnet-lite0`."""

    dropout: Annotated[float, Doc("Share of values dropped before the last layer."), Bounds(ge=0, lt=1)] = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class MiniLMOptions:
    """Options of the model `minilm`."""

    dropout: Annotated[float, Doc("Share of values dropped in training."), Bounds(ge=0, lt=1)] = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class UnetOptions:
    """Options of the model `unet`."""

    width: Annotated[int, Doc("Channels at full size; doubled by each level."), Bounds(ge=1)] = 16
    levels: Annotated[
        int, Doc("How often the size is halved; 0: by the data's size, 2 to 4."), Bounds(ge=0, le=6)
    ] = 0
    norm: Annotated[
        Literal["group", "batch", "none"],
        Doc("Normalisation: group (independent of the batch size), batch or none."),
    ] = "group"


@dataclass(frozen=True, kw_only=True, slots=True)
class CharactersOptions:
    """Options of the model `characters`."""

    width: Annotated[int, Doc("Values per position; a multiple of heads times 2."), Bounds(ge=2)] = 128
    layers: Annotated[int, Doc("Transformer layers."), Bounds(ge=1)] = 2
    heads: Annotated[int, Doc("Attention heads per layer."), Bounds(ge=1)] = 4
    dropout: Annotated[float, Doc("Share of values dropped in training."), Bounds(ge=0, lt=1)] = 0.0
