"""Dry run: what a run would read, build and need, without training."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchdog.api import SourceDefaults, with_defaults
from benchdog.data.source_notes import sample_counts
from benchdog.errors import shortlist
from benchdog.model.flops import count
from benchdog.model.layer_groups import stages
from benchdog.recipe.draft import Draft
from benchdog.system.files import readable
from benchdog.system.machine import memory
from benchdog.training.resolve import measure, resolve
from benchdog.training.resolve.batch_size import needs
from benchdog.training.setup import Components

SHOWN = 6
"""Columns of each kind that are named; of those left out half as many, since they come with a reason."""
LONGEST = 24
"""Characters of a column's name that are shown."""


def plan(draft: Draft, runs: Path) -> dict[str, Any]:
    """Resolve a draft, build its model, and estimate.

    Returns:
        {"recipe", "lines", "read", "needs", "flops", "notes", "problems"}.
    """
    prepared = measure(resolve(draft, runs=runs), ["output", "memory format", "batch size"])
    components, model = prepared.components, prepared.model or prepared.components.build()
    needed = needs(components, model)
    flops = count(model, components.synthetic_inputs(2))  # BatchNorm takes no batch of one
    groups = _shortened(stages(model))
    free_memory = memory()[1]
    free_disk = shutil.disk_usage(next(p for p in (runs.resolve(), *runs.resolve().parents) if p.exists())).free
    problems = []
    if free_memory is not None and needed["memory"] > free_memory:
        problems.append(f"It needs about {readable(needed['memory'])} of memory; {readable(free_memory)} are free.")
    if needed["disk"] > free_disk:
        problems.append(f"It needs about {readable(needed['disk'])} of disk; {readable(free_disk)} are free.")
    recipe = components.recipe
    sizes = components.data.sizes()
    shape = " + ".join(f"{f.kind} {_shape(f.shape)} {f.dtype}" for f in components.data_spec.fields)
    given = " + ".join(f"{f.name} {_shape(f.shape)} {f.dtype}" for f in components.spec.fields)
    target = components.data_spec.target
    target_text = f"{target.kind} {target.name!r}"
    if target.classes:
        target_text += f", {len(target.classes)} {'columns' if target.kind == 'number' else 'classes'}"
    lines = [
        ("source", recipe.source.name),
        ("samples", ", ".join(f"{name} {'a stream' if n is None else n}" for name, n in sizes.items())),
        ("input", shape),
        *([("columns", columns)] if (columns := _columns(components)) else []),
        ("target", target_text),
        ("task", recipe.task.name),
        *([("prepared", given)] if components.prepare else []),
        ("model", f"{recipe.model.name}, {needed['parameters']:,} parameters"),
        *([("compute", _compute(flops, int(recipe.loop.batch)))] if flops["forward"] else []),
        ("layer groups", groups),
        *([("start", prepared.loaded.sentence())] if prepared.loaded else []),
        ("trainer", recipe.trainer.name),
        ("backend", f"{recipe.backend.name}, {recipe.backend.options.get('precision', 'fp32')}"),
        ("steps", _steps(components)),
        ("data loading", _loading(components)),
        ("memory", f"about {readable(needed['memory'])}, data {readable(needed['data'])} of it"),
        ("disk", f"about {readable(needed['disk'])} in {runs}"),
    ]
    return {
        "recipe": recipe.to_json(),
        "lines": [{"what": what, "found": found} for what, found in lines],
        "read": sample_counts(components.source),
        "needs": needed,
        "flops": {**flops, "step": flops["training"] and flops["training"] * int(recipe.loop.batch)},
        "notes": [*components.notes, *prepared.notes],
        "problems": problems,
    }


def _columns(components: Components) -> str:
    """Summarize a table's columns, read and left out; "" for other data."""
    columns = [column for field in components.data_spec.fields for column in field.columns]
    left_out = with_defaults(components.source, SourceDefaults).left_out
    numbers = [_brief(column.name) for column in columns if column.kind == "number"]
    categories = [f"{_brief(c.name)} ({len(c.categories)})" for c in columns if c.kind == "category"]
    dropped = [f"{_brief(name)} ({why.partition(';')[0]})" for name, why in left_out.items()]
    listed = (("number", "numbers", numbers), ("category", "categories", categories))
    lines = [f"{len(x)} {one if len(x) == 1 else more}: {shortlist(x, SHOWN)}" for one, more, x in listed if x]
    return "; ".join([*lines, *([f"{len(dropped)} left out: {shortlist(dropped, SHOWN // 2)}"] if dropped else [])])


def _brief(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def _shortened(names: list[str]) -> str:
    shown = [*names[:2], "...", *names[-2:]] if len(names) > 6 else names
    return f"{len(names)}: {', '.join(shown)}"


def _steps(components: Components) -> str:
    steps = components.steps
    if steps.total is None:
        return f"{steps.epochs} epochs of a stream, batches of {steps.batch}"
    return f"{steps.total:,} ({steps.epochs} epochs of {steps.per_epoch:,}, batches of {steps.batch})"


def _loading(components: Components) -> str:
    workers = int(components.recipe.loader.workers)
    if components.data.fits(components.recipe.loader.memory):
        return "cached in RAM"
    return f"decoded on the fly by {workers} workers" if workers else "decoded on the fly"


def _compute(flops: Mapping[str, int | None], batch: int) -> str:
    inference = f"{_operations(flops['forward'] or 0)} per inference"
    training = flops["training"]
    if training is None:
        return inference
    return f"{inference}, {_operations(training)} per training sample, {_operations(training * batch)} per step"


def _operations(count: int) -> str:
    value = float(count)
    for unit in ("FLOPs", "kFLOPs", "MFLOPs", "GFLOPs"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.4g} TFLOPs"


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join("?" if n is None else str(n) for n in shape) or "1"
