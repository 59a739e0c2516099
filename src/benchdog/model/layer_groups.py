"""Layer groups of a model, from the input up: for freezing, layer-wise learning rates and reinitialization."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn


def stages(model: nn.Module) -> list[str]:
    """Name the parts that have parameters, in the order in which the model names them; the last is its head.

    Blocks in an nn.Sequential or nn.ModuleList count one by one, those of a network within the model too; what lies
    inside a block doesn't.
    """
    return list(_stages(model, "", False))


def _stages(model: nn.Module, prefix: str, in_block: bool) -> Iterator[str]:
    children = [(name, child) for name, child in model.named_children() if any(True for _ in child.parameters())]
    if not children and prefix:
        yield prefix
    for name, child in children:
        place = f"{prefix}.{name}" if prefix else name
        blocks = isinstance(child, nn.Sequential | nn.ModuleList) and any(any(part.children()) for part in child)
        if blocks:
            yield from _stages(child, place, True)
        elif (len(children) == 1 and any(child.children())) or (not in_block and _is_network(child)):
            yield from _stages(child, place, in_block)
        else:
            yield place


def _is_network(module: nn.Module) -> bool:
    """Return whether a module has blocks in a list, all of a class: an encoder next to its head."""
    return any(
        isinstance(part, nn.Sequential | nn.ModuleList)
        and len(part) > 1
        and len({type(block) for block in part}) == 1
        and all(any(block.children()) for block in part)
        for part in module.modules()
    )


def within(name: str, part: str) -> bool:
    """Return whether a parameter or module is in a part: "blocks.1.conv.weight" in "blocks.1"."""
    return name == part or name.startswith(f"{part}.")
