"""What a run would read, build and need: measured on the real parts, without training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchdog.api import SourceDefaults, with_defaults
from benchdog.model.flops import count
from benchdog.model.layer_groups import stages
from benchdog.recipe.draft import Draft
from benchdog.system.files import readable
from benchdog.system.machine import memory
from benchdog.training.batch_size import fit_batch_size, needs
from benchdog.training.rank import check_trainer
from benchdog.training.setup import Components, resolve

SHOWN = 6
"""Columns of each kind that are named; of those left out half as many, since they come with a reason."""
LONGEST = 24
"""Characters of a column's name that are shown."""


def plan(draft: Draft, runs: Path) -> dict[str, Any]:
    """Settle a draft, build its model, and measure: {"recipe", "lines", "needs", "flops", "notes", "problems"}."""
    parts = resolve(draft, runs=runs)
    model = parts.build()
    room = fit_batch_size(parts, model)
    needed = needs(parts, model)
    flops = count(model, parts.made_up(2))  # BatchNorm takes no batch of one
    parted = _parts(stages(model))
    check_trainer(parts, model)
    free_memory = memory()[0]
    free_disk = shutil.disk_usage(next(p for p in (runs.resolve(), *runs.resolve().parents) if p.exists())).free
    problems = []
    if free_memory is not None and needed["memory"] > free_memory:
        problems.append(f"It needs about {readable(needed['memory'])} of memory; {readable(free_memory)} are free.")
    if needed["disk"] > free_disk:
        problems.append(f"It needs about {readable(needed['disk'])} of disk; {readable(free_disk)} are free.")
    recipe = parts.recipe
    sizes = parts.data.sizes()
    shape = " + ".join(f"{f.kind} {_shape(f.shape)} {f.dtype}" for f in parts.spec.fields)
    target = parts.spec.target
    answer = f"{target.kind} {target.name!r}"
    if target.classes:
        answer += f", {len(target.classes)} {'columns' if target.kind == 'number' else 'classes'}"
    lines = [
        ("source", recipe.source.name),
        ("samples", ", ".join(f"{name} {'a stream' if n is None else n}" for name, n in sizes.items())),
        ("input", shape),
        *([("columns", columns)] if (columns := _columns(parts)) else []),
        ("target", answer),
        ("task", recipe.task.name),
        ("model", f"{recipe.model.name}, {needed['parameters']:,} parameters"),
        *([("arithmetic", _arithmetic(flops, int(recipe.loop.batch)))] if flops["forward"] else []),
        ("parts", parted),
        *([("start", parts.started.sentence())] if parts.started else []),
        ("trainer", recipe.trainer.name),
        ("backend", f"{recipe.backend.name}, {recipe.backend.options.get('precision', 'fp32')}"),
        ("steps", _steps(parts)),
        ("loading", _loading(parts)),
        ("memory", f"about {readable(needed['memory'])}, data {readable(needed['data'])} of it"),
        ("disk", f"about {readable(needed['disk'])} in {runs}"),
    ]
    return {
        "recipe": recipe.to_json(),
        "lines": [{"what": what, "found": found} for what, found in lines],
        "needs": needed,
        "flops": {**flops, "step": flops["training"] and flops["training"] * int(recipe.loop.batch)},
        "notes": [*parts.notes, *([room] if room else [])],
        "problems": problems,
    }


def _columns(parts: Components) -> str:
    """Say of a table which columns are read as what, and which are left out; "" of anything else."""
    found = [column for field in parts.spec.fields for column in field.columns]
    left_out = with_defaults(parts.source, SourceDefaults).left_out
    numbers = [_brief(column.name) for column in found if column.kind == "number"]
    categories = [f"{_brief(c.name)} ({len(c.categories)})" for c in found if c.kind == "category"]
    gone = [f"{_brief(name)} ({why.partition(';')[0]})" for name, why in left_out.items()]
    listed = (("number", "numbers", numbers), ("category", "categories", categories))
    said = [f"{len(x)} {one if len(x) == 1 else more}: {_first(x, SHOWN)}" for one, more, x in listed if x]
    return "; ".join([*said, *([f"{len(gone)} left out: {_first(gone, SHOWN // 2)}"] if gone else [])])


def _brief(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def _first(items: list[str], most: int) -> str:
    """List the first items, and how many there are beside them."""
    return ", ".join(items[:most]) + (f" and {len(items) - most} more" if len(items) > most else "")


def _parts(names: list[str]) -> str:
    shown = [*names[:2], "...", *names[-2:]] if len(names) > 6 else names
    return f"{len(names)}: {', '.join(shown)}"


def _steps(parts: Components) -> str:
    loop, count = parts.recipe.loop, parts.data.sizes()["train"]
    if count is None:
        return f"{loop.epochs} epochs of a stream, batches of {loop.batch}"
    each = -(-count // loop.batch)
    return f"{each * loop.epochs:,} ({loop.epochs} epochs of {each:,}, batches of {loop.batch})"


def _loading(parts: Components) -> str:
    workers = int(parts.recipe.loader.workers)
    if parts.data.fits(parts.recipe.loader.memory):
        return "decoded once, kept in memory"
    return f"decoded as it goes, by {workers} worker processes" if workers else "decoded as it goes"


def _arithmetic(flops: Mapping[str, int | None], batch: int) -> str:
    said = f"{_operations(flops['forward'] or 0)} for an answer"
    training = flops["training"]
    if training is None:
        return said
    return f"{said}, {_operations(training)} to learn from a sample, {_operations(training * batch)} a step"


def _operations(count: int) -> str:
    value = float(count)
    for unit in ("FLOP", "kFLOP", "MFLOP", "GFLOP"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.4g} TFLOP"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if n is None else str(n) for n in shape) or "1"
