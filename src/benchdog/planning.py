"""What a run would read, build and need: measured on the real parts, without training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchdog.draft import Draft
from benchdog.facts import memory
from benchdog.loading import Samples, sample_bytes
from benchdog.settle import Parts, settle
from benchdog.view import generated

STATES = 4
"""Weights, gradients and the two moments of Adam."""


def plan(draft: Draft, runs: Path) -> dict[str, Any]:
    """Settle a draft, build its model, and measure: {"recipe", "lines", "needs", "notes", "problems"}."""
    parts = settle(draft)
    model = parts.build()
    needs = _needs(parts, model)
    free_memory = memory()[0]
    free_disk = shutil.disk_usage(next(p for p in (runs.resolve(), *runs.resolve().parents) if p.exists())).free
    problems = []
    if free_memory is not None and needs["memory"] > free_memory:
        problems.append(f"It needs about {_size(needs['memory'])} of memory; {_size(free_memory)} are free.")
    if needs["disk"] > free_disk:
        problems.append(f"It needs about {_size(needs['disk'])} of disk; {_size(free_disk)} are free.")
    recipe = parts.recipe
    sizes = parts.data.sizes()
    shape = " + ".join(f"{f.kind} {_shape(f.shape)} {f.dtype}" for f in parts.spec.fields)
    target = parts.spec.target
    answer = f"{target.kind} {target.name!r}" + (f", {parts.spec.classes} classes" if target.classes else "")
    lines = [
        ("source", recipe.source.name),
        ("samples", ", ".join(f"{name} {'a stream' if n is None else n}" for name, n in sizes.items())),
        ("input", shape),
        ("target", answer),
        ("task", recipe.task.name),
        ("model", f"{recipe.model.name}, {needs['parameters']:,} parameters"),
        ("trainer", recipe.trainer.name),
        ("backend", f"{recipe.backend.name}, {recipe.backend.options.get('precision', 'fp32')}"),
        ("steps", _steps(parts)),
        ("loading", _loading(parts)),
        ("memory", f"about {_size(needs['memory'])}, data {_size(needs['data'])} of it"),
        ("disk", f"about {_size(needs['disk'])} in {runs}"),
    ]
    return {
        "format": 0,
        "recipe": recipe.to_json(),
        "lines": [{"what": what, "found": found} for what, found in lines],
        "needs": needs,
        "notes": parts.notes,
        "problems": problems,
    }


def _needs(parts: Parts, model: nn.Module) -> dict[str, int]:
    """Estimate bytes: states of the parameters, what the backward pass keeps of a batch, decoded data."""
    recipe = parts.recipe
    parameters = sum(p.numel() for p in model.parameters())
    weights = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    piece = -(-recipe.loop.batch_size // recipe.loop.accumulate)
    kept = _kept_per_sample(parts, model) * piece
    data = 0
    if recipe.loader.workers == 0:
        for samples in parts.data.splits.values():
            if isinstance(samples, Samples) and len(samples):
                data += sample_bytes(samples) * len(samples)
    disk = weights * (3 * (recipe.loop.keep + 1) + 3) + 5 * 2**20
    return {"parameters": parameters, "memory": weights * STATES + kept + data, "data": data, "disk": disk}


def _kept_per_sample(parts: Parts, model: nn.Module) -> int:
    """Count the bytes that autograd saves for the backward pass of one sample, on two made-up ones."""
    inputs = parts.transform(*map(torch.from_numpy, generated(parts.spec, 2)))
    known = {p.data_ptr() for p in model.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in known:
            seen[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    model.eval()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        score = model(*inputs)
    del score
    return sum(seen.values()) // 2


def _steps(parts: Parts) -> str:
    loop, count = parts.recipe.loop, parts.data.sizes()["train"]
    if count is None:
        return f"{loop.epochs} epochs of a stream, batches of {loop.batch_size}"
    each = -(-count // loop.batch_size)
    return f"{each * loop.epochs:,} ({loop.epochs} epochs of {each:,}, batches of {loop.batch_size})"


def _loading(parts: Parts) -> str:
    workers = int(parts.recipe.loader.workers)
    if parts.data.fits(parts.recipe.loader.memory):
        return "decoded once, kept in memory"
    return f"decoded as it goes, by {workers} worker processes" if workers else "decoded as it goes"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if n is None else str(n) for n in shape) or "1"


def _size(count: int) -> str:
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
