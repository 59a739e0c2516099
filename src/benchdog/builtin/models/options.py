"""Options of the models. Nothing heavy is imported here, so that help and schemas are quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class MlpOptions:
    """Options of the model `mlp`."""

    hidden: Annotated[tuple[int, ...], Doc("Widths of the hidden layers, from input to output.")] = (128, 128)
    dropout: Annotated[float, Doc("Dropout probability of the hidden layers."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CnnOptions:
    """Options of the model `cnn`."""

    width: Annotated[int, Doc("Channels of the first convolution; doubled by each of the next."), Bounds(ge=1)] = 32
    widths: Annotated[
        tuple[int, ...], Doc("Channels of each convolution, instead of width; empty: chosen by the image size.")
    ] = ()
    norm: Annotated[
        Literal["none", "batch", "group"], Doc("Normalization after each convolution: none, batch or group.")
    ] = "none"
    hidden: Annotated[int, Doc("Width of the last hidden layer."), Bounds(ge=1)] = 256
    dropout: Annotated[float, Doc("Dropout probability of that layer."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ResnetOptions:
    """Options of the model `resnet`."""

    depth: Annotated[Literal[10, 18, 34, 50], Doc("Number of layers as counted in the paper: 18, 34, 50 ...")] = 18
    width: Annotated[int, Doc("Channels of the first stage; doubled by each of the next three."), Bounds(ge=1)] = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class UnetOptions:
    """Options of the model `unet`."""

    width: Annotated[int, Doc("Channels at full size; doubled by each level."), Bounds(ge=1)] = 16
    levels: Annotated[
        int, Doc("Number of downsampling levels; 0: 2 to 4, by the image size."), Bounds(ge=0, le=6)
    ] = 0
    norm: Annotated[
        Literal["group", "batch", "none"],
        Doc("Normalization: group (independent of the batch size), batch or none."),
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
    width: Annotated[int, Doc("Embedding dimension; 0: by size."), Bounds(ge=0)] = 0
    layers: Annotated[int, Doc("Number of transformer layers; 0: by size."), Bounds(ge=0)] = 0
    heads: Annotated[int, Doc("Attention heads per layer; 0: by size."), Bounds(ge=0)] = 0
    positions: Annotated[
        Literal["auto", "learned", "rotary"],
        Doc("Position encoding; auto: learned if the length is fixed."),
    ] = "auto"
    tied: Annotated[bool, Doc("Tie the weights of the last layer and the token embedding.")] = False
    dropout: Annotated[float, Doc("Dropout probability."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerOptions:
    """Options of the model `transformer`."""

    size: Annotated[
        Literal["nano", "micro", "small", "medium", "base"],
        Doc("Width, layers and heads: 64, 2, 2; 128, 3, 4; 256, 4, 4; 512, 8, 8; 768, 12, 12."),
    ] = "nano"
    width: Annotated[int, Doc("Embedding dimension; 0: by size."), Bounds(ge=0)] = 0
    layers: Annotated[int, Doc("Number of transformer layers; 0: by size."), Bounds(ge=0)] = 0
    heads: Annotated[int, Doc("Attention heads per layer; 0: by size."), Bounds(ge=0)] = 0
    dropout: Annotated[float, Doc("Dropout probability."), Bounds(ge=0, lt=1)] = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class VitOptions:
    """Options of the model `vit`."""

    size: Annotated[
        Literal["nano", "micro", "tiny", "small", "base"],
        Doc("Width, layers and heads: 64, 3, 2; 128, 4, 4; 192, 12, 3; 384, 12, 6; 768, 12, 12."),
    ] = "nano"
    width: Annotated[int, Doc("Embedding dimension; 0: by size."), Bounds(ge=0)] = 0
    layers: Annotated[int, Doc("Number of transformer layers; 0: by size."), Bounds(ge=0)] = 0
    heads: Annotated[int, Doc("Attention heads per layer; 0: by size."), Bounds(ge=0)] = 0
    patch: Annotated[
        int,
        Doc("Patch size in pixels; 0: the smallest power of 2 that gives at most 14 patches per side."),
        Bounds(ge=0),
    ] = 0
    dropout: Annotated[float, Doc("Dropout probability."), Bounds(ge=0, lt=1)] = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TabularOptions:
    """Options of the model `tabular`."""

    width: Annotated[int, Doc("Width of the network: features per row."), Bounds(ge=1)] = 128
    blocks: Annotated[int, Doc("Number of residual blocks."), Bounds(ge=0)] = 3
    widening: Annotated[float, Doc("Hidden width of a block as a multiple of width."), Bounds(ge=0.1, le=16)] = 2.0
    dropout: Annotated[float, Doc("Dropout probability."), Bounds(ge=0, lt=1)] = 0.1
