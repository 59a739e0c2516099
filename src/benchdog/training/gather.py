"""What each rank has measured of its own samples -> one measure of all of them, the same on every rank."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import load, save
from torch import Tensor

from benchdog.api import Device, Meter, Spec, Task


def merged(meter: Meter, task: Task, spec: Spec, device: Device) -> Meter:
    """Give a meter of all ranks' samples, taken in the order of ranks; this rank's own where it is alone."""
    if device.world == 1:
        return meter
    whole = task.meter(spec)
    for state in gathered(meter.state(), device):
        whole.merge(state)
    return whole


def gathered(state: Mapping[str, Tensor], device: Device) -> list[dict[str, Tensor]]:
    """Give every rank's tensors, which may differ in shape; they travel as bytes, by the ranks' sum alone."""
    # Copies: tensors that share memory can't be packed.
    packed = save({name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()})
    sizes = torch.zeros(device.world, dtype=torch.int64)
    sizes[device.rank] = len(packed)
    lengths = [int(size) for size in _summed(sizes, device)]
    rows = torch.zeros(device.world, max(lengths), dtype=torch.uint8)
    rows[device.rank, : len(packed)] = torch.frombuffer(bytearray(packed), dtype=torch.uint8)
    rows = _summed(rows, device)
    return [load(row[:length].numpy().tobytes()) for row, length in zip(rows, lengths, strict=True)]


def _summed(tensor: Tensor, device: Device) -> Tensor:
    there = device.put(tensor)
    device.sum_(there)
    return there.cpu()
