"""A model's parts in their order, from the input up: what fine-tuning freezes, slows and begins anew."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def stages(model: nn.Module) -> list[str]:
    """Name the parts that have parameters, in the order in which the model names them; the last is its head.

    Blocks in an nn.Sequential or nn.ModuleList count one by one; what lies inside a block doesn't.
    """
    return list(_stages(model, ""))


def _stages(model: nn.Module, prefix: str) -> Iterator[str]:
    children = [(name, child) for name, child in model.named_children() if any(True for _ in child.parameters())]
    if not children and prefix:
        yield prefix
    for name, child in children:
        place = f"{prefix}.{name}" if prefix else name
        blocks = isinstance(child, nn.Sequential | nn.ModuleList) and any(any(part.children()) for part in child)
        if blocks or (len(children) == 1 and any(child.children())):
            yield from _stages(child, place)
        else:
            yield place


def within(name: str, part: str) -> bool:
    """Say whether a parameter or module lies in a part: "blocks.1.conv.weight" in "blocks.1"."""
    return name == part or name.startswith(f"{part}.")
