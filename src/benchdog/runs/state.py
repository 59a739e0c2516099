"""Training state on disk: a tree of tensors and plain values <-> one safetensors file. Nothing is pickled.

The tree (dicts, lists, tuples, numbers, text, None) lies as JSON in the file's metadata. A tensor keeps the
order of its axes in memory: an optimizer's moments that come back with other strides than their parameter
would silently be wrong. Tensors that share memory are stored once.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from benchdog.errors import BadData, BadUsage
from benchdog.system import files, format_versions
from benchdog.system.signals import deferred

Seen = dict[tuple[Any, ...], tuple[Any, Tensor]]
"""What became of a tensor, by its place in memory; the tensor too: while it lives, no other has its address."""


def snapshot(tree: Any, seen: Seen | None = None) -> Any:
    """Copy a tree to the CPU, so that training may continue while it is written; what is shared stays shared."""
    seen = {} if seen is None else seen
    if isinstance(tree, Tensor):
        key = _memory(tree)
        if key not in seen:
            seen[key] = (tree.detach().to("cpu", copy=True, memory_format=torch.preserve_format), tree)
        return seen[key][0]
    if isinstance(tree, np.ndarray):
        return tree.copy()
    if isinstance(tree, dict):
        return {key: snapshot(value, seen) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        items = [snapshot(value, seen) for value in tree]
        return items if isinstance(tree, list) else tuple(items)
    return tree


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    if tensor.layout != torch.strided or not tensor.numel():
        return (id(tensor),)
    return (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device, tensor.is_conj())


def write(path: Path, tree: Any) -> None:
    """Store a tree atomically.

    Raises:
        BadUsage: it holds something that is neither a tensor nor plain; the place in the tree is named.
    """
    tensors: dict[str, Tensor] = {}
    seen: Seen = {}
    text = json.dumps(_pack(tree, "state", tensors, seen), allow_nan=False)
    metadata = {"format": str(format_versions.CHECKPOINT), "state": text, "crc32": str(_crc(text, tensors))}
    files.replace(path, lambda aside: _save(tensors, aside, metadata))


def _save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    try:
        save_file(tensors, path, metadata)
        path.chmod(path.parent.stat().st_mode & 0o666)  # save_file's is for its maker alone
    except SafetensorError as error:  # it wraps the system's errors and hides their number
        number = re.search(r"os error (\d+)", str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code)) from error


def read(path: Path) -> Any:
    """Return the tree that was stored.

    Raises:
        BadData: the file is missing, truncated or altered, or (OtherFormat) of another format.
    """
    try:
        with deferred(), safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # cloned: at the file's addresses, which are not aligned, some kernels round in another way
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        format_versions.check(int(metadata["format"]), format_versions.CHECKPOINT, path, "Begin the run again.")
        if int(metadata["crc32"]) != _crc(metadata["state"], tensors):
            raise BadData(f"{path} is damaged: its checksum doesn't match.")
        return _unpack(json.loads(metadata["state"]), tensors)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise BadData(f"{path} can't be read: {error}.") from None


def _crc(text: str, tensors: dict[str, Tensor]) -> int:
    crc = zlib.crc32(text.encode())
    for name in sorted(tensors):
        about = f"{name} {tensors[name].dtype} {list(tensors[name].shape)}"
        flat = tensors[name].reshape(-1)
        if flat.stride() != (1,):  # of a single element, which counts as contiguous in any case
            flat = flat.clone(memory_format=torch.contiguous_format)
        data = flat.view(torch.uint8) if flat.numel() else torch.empty(0)
        crc = zlib.crc32(np.ascontiguousarray(data.numpy()).data, zlib.crc32(about.encode(), crc))
    return crc


def _pack(value: Any, place: str, tensors: dict[str, Tensor], seen: Seen) -> Any:
    if isinstance(value, Tensor):
        return _pack_tensor(value.detach().cpu(), place, tensors, seen)
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}  # JSON has no NaN and no infinity
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        if not all(isinstance(key, str | int) for key in value):
            raise BadUsage(f"{place} can't be stored: its keys are not all text or whole numbers.")
        return {"dict": [[k, _pack(v, f"{place}[{k!r}]", tensors, seen)] for k, v in value.items()]}
    if isinstance(value, list | tuple):
        items = [_pack(v, f"{place}[{i}]", tensors, seen) for i, v in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return {"array": _pack_tensor(torch.from_numpy(value.copy()), place, tensors, seen)}
    if isinstance(value, np.generic):
        return value.item()
    raise BadUsage(
        f"{place} can't be stored: it is a {type(value).__module__}.{type(value).__qualname__}.",
        "A state_dict may hold tensors, numbers, text, None, lists, tuples and dicts.",
    )


def _pack_tensor(tensor: Tensor, place: str, tensors: dict[str, Tensor], seen: Seen) -> Any:
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.dtype == torch.complex128:
        raise BadUsage(
            f"{place} can't be stored: it is a {tensor.layout} tensor of {tensor.dtype}.",
            "A state_dict may hold dense tensors of the usual types.",
        )
    key = _memory(tensor)
    name = seen[key][0] if key in seen else None
    strides = tensor.stride()
    order = sorted(range(tensor.dim()), key=lambda axis: (-strides[axis], axis))
    if name is None:
        name = str(len(tensors))
        stored = tensor.permute(order).contiguous().resolve_conj()
        memory = (stored.untyped_storage().data_ptr(),)
        if memory in seen and stored.numel():
            stored = stored.clone()  # another view of memory that is stored already, which safetensors would refuse
        tensors[name] = stored
        seen[key], seen[memory] = (name, tensor), (name, stored)
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
    if "float" in value:
        return float(value["float"])
    if "array" in value:
        return _unpack(value["array"], tensors).numpy()
    raise ValueError(f"unknown node {sorted(value)}")
