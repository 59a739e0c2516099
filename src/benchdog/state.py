"""Training state on disk: a tree of tensors and plain values <-> one safetensors file. Nothing is pickled.

The tree (dicts, lists, tuples, numbers, text, None) lies as JSON in the file's metadata. A tensor keeps the
order of its axes in memory: an optimiser's moments that come back with other strides than their parameter
would silently be wrong. Tensors that share memory are stored once.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from benchdog import files
from benchdog.errors import BadData, BadUsage

FORMAT = 0


def snapshot(tree: Any) -> Any:
    """Copy a tree to the CPU, so that training may go on while it is written."""
    if isinstance(tree, Tensor):
        return tree.detach().to("cpu", copy=True, memory_format=torch.preserve_format)
    if isinstance(tree, dict):
        return {key: snapshot(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(map(snapshot, tree)) if type(tree) in (list, tuple) else tuple(map(snapshot, tree))
    return tree


def write(path: Path, tree: Any) -> None:
    """Store a tree, whole or not at all.

    Raises:
        BadUsage: it holds something that is neither a tensor nor plain; the place in the tree is named.
    """
    tensors: dict[str, Tensor] = {}
    seen: dict[tuple[Any, ...], tuple[str, Tensor]] = {}
    shape = _pack(tree, "state", tensors, seen)
    metadata = {"format": str(FORMAT), "state": json.dumps(shape), "crc32": str(_crc(tensors))}
    files.write_bytes(path, save(tensors, metadata))


def read(path: Path) -> Any:
    """Give back the tree that was stored.

    Raises:
        BadData: the file is missing, truncated or altered.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if int(metadata["format"]) != FORMAT:
            raise BadData(f"{path} has format {metadata['format']}; this Benchdog reads {FORMAT}.")
        if int(metadata["crc32"]) != _crc(tensors):
            raise BadData(f"{path} is damaged: its checksum doesn't match.")
        return _unpack(json.loads(metadata["state"]), tensors)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BadData(f"{path} can't be read: {error}.") from None


def _crc(tensors: dict[str, Tensor]) -> int:
    crc = 0
    for name in sorted(tensors):
        data = tensors[name].reshape(-1).view(torch.uint8) if tensors[name].numel() else torch.empty(0)
        crc = zlib.crc32(np.ascontiguousarray(data.numpy()).data, crc)
    return crc


def _pack(value: Any, place: str, tensors: dict[str, Tensor], seen: dict[tuple[Any, ...], tuple[str, Tensor]]) -> Any:
    if isinstance(value, Tensor):
        return _pack_tensor(value.detach().cpu(), tensors, seen)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        if not all(isinstance(key, str | int) for key in value):
            raise BadUsage(f"{place} can't be stored: its keys are not all text or whole numbers.")
        return {"dict": [[k, _pack(v, f"{place}[{k!r}]", tensors, seen)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        items = [_pack(v, f"{place}[{i}]", tensors, seen) for i, v in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if isinstance(value, np.ndarray):
        return {"array": _pack_tensor(torch.from_numpy(value), tensors, seen)}
    if isinstance(value, np.generic):
        return value.item()
    raise BadUsage(
        f"{place} can't be stored: it is a {type(value).__module__}.{type(value).__qualname__}.",
        "A state_dict may hold tensors, numbers, text, None, lists, tuples and dicts.",
    )


def _pack_tensor(tensor: Tensor, tensors: dict[str, Tensor], seen: dict[tuple[Any, ...], tuple[str, Tensor]]) -> Any:
    key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
    name = seen[key][0] if tensor.numel() and key in seen else None
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda axis: (-strides[axis], axis))
    if name is None:
        name = str(len(tensors))
        tensors[name] = tensor.permute(order).contiguous()
        seen[key] = (name, tensor)  # the tensor too: while it lives, nothing else has its address
    plain = order == list(range(tensor.dim()))
    return {"tensor": name} if plain else {"tensor": name, "order": order}


def _unpack(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        tensor = tensors[value["tensor"]]
        order = value.get("order")
        return tensor if order is None else tensor.permute([order.index(axis) for axis in range(len(order))])
    if "dict" in value:
        return {key: _unpack(item, tensors) for key, item in value["dict"]}
    if "list" in value:
        return [_unpack(item, tensors) for item in value["list"]]
    if "tuple" in value:
        return tuple(_unpack(item, tensors) for item in value["tuple"])
    if "array" in value:
        return _unpack(value["array"], tensors).numpy()
    raise ValueError(f"unknown node {sorted(value)}")
