"""Activation checkpointing: a block's inner values are computed again when the backward pass needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from benchdog.api import BadUsage


def blocks(model: nn.Module) -> list[nn.Module]:
    """List the outermost repeated parts of a model that have parts themselves."""
    if isinstance(model, nn.ModuleList | nn.Sequential):
        return [part for part in model if any(part.children())]
    return [block for child in model.children() for block in blocks(child)]


@contextmanager
def recomputing(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Let a model's blocks keep only their inputs while this lasts; gradients stay the same bits.

    Raises:
        BadUsage: the model has no blocks.
    """
    if not wanted:
        yield
        return
    parts = blocks(model)
    if not parts:
        raise BadUsage(
            f"{type(model).__name__} has no blocks (an nn.ModuleList or nn.Sequential of modules with parts).",
            "Leave trainer.activation_checkpointing out.",
        )
    for part in parts:
        part.forward = partial(checkpoint, part.forward, use_reentrant=False)
    try:
        yield
    finally:
        for part in parts:
            del part.forward  # the class's own shows again
