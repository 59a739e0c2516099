"""Options of the backends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from benchdog.api import Bounds, Doc

ChannelsLast = Annotated[
    bool,
    Doc(
        "Keep 2-D convolutions in the channels-last memory format, which is faster; turned off for a model "
        "that fails with it."
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cpu:
    """Options of `cpu`."""

    precision: Annotated[Literal["fp32", "bf16"], Doc("Precision of the forward pass.")] = "fp32"
    ranks: Annotated[int, Doc("Number of processes (ranks) that share a batch."), Bounds(ge=1)] = 1
    threads: Annotated[int, Doc("Number of threads per process; 0: torch's default."), Bounds(ge=0)] = 0
    channels_last: ChannelsLast = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Cuda:
    """Options of `cuda`."""

    precision: Annotated[Literal["fp32", "bf16", "fp16"], Doc("Precision of the forward pass.")] = "fp32"
    ranks: Annotated[int, Doc("Number of GPUs (ranks) that share a batch."), Bounds(ge=1)] = 1
    deterministic: Annotated[bool, Doc("Use deterministic algorithms; false is faster.")] = True
    channels_last: ChannelsLast = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Mps:
    """Options of `mps`."""

    precision: Annotated[Literal["fp32", "bf16", "fp16"], Doc("Precision of the forward pass.")] = "fp32"
    deterministic: Annotated[bool, Doc("Use deterministic algorithms; false is faster.")] = True
    channels_last: ChannelsLast = True
