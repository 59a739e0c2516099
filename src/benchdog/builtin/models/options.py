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
    widths: Annotated[
        tuple[int, ...], Doc("Channels of each convolution, in place of width; none: as many as the size wants.")
    ] = ()
    norm: Annotated[
        Literal["none", "batch", "group"], Doc("Normalisation after each convolution: none, batch or group.")
    ] = "none"
    hidden: Annotated[int, Doc("Width of the layer before the last."), Bounds(ge=1)] = 256
    dropout: Annotated[float, Doc("Share of its values dropped in training."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ResnetOptions:
    """Options of the model `resnet`."""

    depth: Annotated[Literal[10, 18, 34, 50], Doc("Layers, as the paper counts them.")] = 18
    width: Annotated[int, Doc("Channels of the first stage; doubled by each of the next three."), Bounds(ge=1)] = 64


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
    deep_supervision: Annotated[
        bool, Doc("Deep supervision: add the losses of coarser levels, each weighted half of the level above.")
    ] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class GptOptions:
    """Options of the model `gpt`."""

    size: Annotated[
        Literal["nano", "micro", "small", "medium", "gpt2", "gpt2-medium"],
        Doc("Width, layers and heads: 128, 3, 4; 256, 4, 4; 384, 6, 6; 512, 8, 8; 768, 12, 12; 1024, 24, 16."),
    ] = "nano"
    width: Annotated[int, Doc("Values per position; 0: the size's."), Bounds(ge=0)] = 0
    layers: Annotated[int, Doc("Transformer layers; 0: the size's."), Bounds(ge=0)] = 0
    heads: Annotated[int, Doc("Attention heads per layer; 0: the size's."), Bounds(ge=0)] = 0
    positions: Annotated[
        Literal["auto", "learned", "rotary"],
        Doc("Position encoding; auto learns it where the length is fixed."),
    ] = "auto"
    tied: Annotated[bool, Doc("Let the last layer share the tokens' embedding.")] = False
    dropout: Annotated[float, Doc("Share of values dropped in training."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerOptions:
    """Options of the model `transformer`."""

    size: Annotated[
        Literal["nano", "micro", "small", "medium", "base"],
        Doc("Width, layers and heads: 64, 2, 2; 128, 3, 4; 256, 4, 4; 512, 8, 8; 768, 12, 12."),
    ] = "nano"
    width: Annotated[int, Doc("Values per position; 0: the size's."), Bounds(ge=0)] = 0
    layers: Annotated[int, Doc("Transformer layers; 0: the size's."), Bounds(ge=0)] = 0
    heads: Annotated[int, Doc("Attention heads per layer; 0: the size's."), Bounds(ge=0)] = 0
    dropout: Annotated[float, Doc("Share of values dropped in training."), Bounds(ge=0, lt=1)] = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class VitOptions:
    """Options of the model `vit`."""

    size: Annotated[
        Literal["nano", "micro", "tiny", "small", "base"],
        Doc("Width, layers and heads: 64, 3, 2; 128, 4, 4; 192, 12, 3; 384, 12, 6; 768, 12, 12."),
    ] = "nano"
    width: Annotated[int, Doc("Values per patch; 0: the size's."), Bounds(ge=0)] = 0
    layers: Annotated[int, Doc("Transformer layers; 0: the size's."), Bounds(ge=0)] = 0
    heads: Annotated[int, Doc("Attention heads per layer; 0: the size's."), Bounds(ge=0)] = 0
    patch: Annotated[
        int, Doc("Pixels along a patch; 0: a power of 2 that gives at most 14 patches a side."), Bounds(ge=0)
    ] = 0
    dropout: Annotated[float, Doc("Share of values dropped in training."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TabularOptions:
    """Options of the model `tabular`."""

    width: Annotated[int, Doc("Values that a row becomes."), Bounds(ge=1)] = 128
    blocks: Annotated[int, Doc("Residual blocks."), Bounds(ge=0)] = 3
    widening: Annotated[float, Doc("Inner values of a block for each of its width."), Bounds(ge=0.1, le=16)] = 2.0
    dropout: Annotated[float, Doc("Share of values dropped in training."), Bounds(ge=0, lt=1)] = 0.1
