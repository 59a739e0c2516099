"""Differences between two runs: recipe, data, code, packages, machine, the first sample and loss that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchdog.data.sampler import epoch_order
from benchdog.errors import BadData
from benchdog.recipe.resolved import read_resolved, relative_to_folder
from benchdog.runs import fingerprints
from benchdog.runs.compare_data import Difference, data_partings, names_of
from benchdog.runs.document import RankChange
from benchdog.runs.metrics_log import LOSSES
from benchdog.runs.run import Run
from benchdog.system import files

WITHOUT_EFFECT = ("artifact.", "loop.keep", "loop.checkpoint_", "loop.log_every", "loader.workers", "loader.memory")
"""Recipe keys that can't change a run's numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What a comparison found.

    Attributes:
        partings: what differs, what acts on the numbers first.
        same: how many of the first steps have the same loss, bit for bit.
        fault: why the losses can't be compared, or only in part; "" when they are complete.
    """

    partings: list[Difference]
    same: int
    fault: str = ""


def compare(one: Path, other: Path) -> Comparison:
    """Compare two runs' folders."""
    found = [*_recipes(one, other), *data_partings(one, other), *_code(one, other), *_environments(one, other)]
    found += _orders(one, other)
    losses, same = _losses(one, other)
    found += losses
    if not losses:
        found += _weights(one, other)
    faults = [fault for fault in map(_loss_fault, (one, other)) if fault]
    if not faults and not same and not losses:
        faults = [f"{one.name} and {other.name} have no step of training in common"]
    return Comparison(
        partings=sorted(found, key=lambda parting: not parting.effect),
        same=same,
        fault="; ".join(dict.fromkeys(faults)),
    )


def _recipes(one: Path, other: Path) -> Iterator[Difference]:
    pair = [relative_to_folder(read_resolved(folder), folder).to_json() for folder in (one, other)]
    for recipe in pair:
        recipe["plugins"] = [Path(file).name for file in recipe["plugins"]]
    compared = all((folder / fingerprints.FILE).is_file() for folder in (one, other))
    harmless = (*WITHOUT_EFFECT, *(["source.path"] if compared else []))  # the samples at it are compared themselves
    for key, (a, b) in differences(list(pair)).items():
        yield Difference(where="recipe", what=key, values=(str(a), str(b)), effect=not key.startswith(harmless))
    facts = [Run.open(folder).facts.get("ranks") for folder in (one, other)]
    if facts[0] != facts[1]:
        ranks = tuple(_ranks(*each) for each in zip(facts, pair, strict=True))
        yield Difference(where="recipe", what="backend.ranks, changed while it ran", values=(ranks[0], ranks[1]))


def _ranks(changes: list[RankChange] | None, recipe: dict[str, Any]) -> str:
    """Return on how many ranks a run was carried out: "1, 2 from step 71"."""
    first, *more = changes or [{"step": 0, "ranks": recipe["backend"].get("ranks", 1)}]
    return ", ".join([str(first["ranks"]), *(f"{each['ranks']} from step {each['step'] + 1}" for each in more)])


def _code(one: Path, other: Path) -> Iterator[Difference]:
    pair = [
        {p.relative_to(place).as_posix(): files.sha256(p)[:12] for p in sorted(place.rglob("*.py"))}
        for place in (one / "local", other / "local")
    ]
    yield from _mapped("code", *pair)


def _environments(one: Path, other: Path) -> Iterator[Difference]:
    pair = [files.read_object(folder / "environment.json") for folder in (one, other)]
    try:
        packages = [{"python": e["python"], "benchdog": e["benchdog"], **e["packages"], **e["plugins"]} for e in pair]
    except (KeyError, TypeError) as error:
        raise BadData(f"An environment.json is damaged: {error}.", "Train that run again.") from None
    yield from _mapped("packages", *packages)
    keys = ("platform", "threads", "cpu_capability")
    yield from _mapped("machine", *({key: e.get(key) for key in keys} for e in pair))


def _mapped(where: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[Difference]:
    for key in dict.fromkeys((*a, *b)):
        if a.get(key) != b.get(key):
            yield Difference(where=where, what=key, values=(str(a.get(key, "-")), str(b.get(key, "-"))))


def _orders(one: Path, other: Path) -> Iterator[Difference]:
    """Find the first sample of training that isn't the same; the order follows from recipe and size alone."""
    pair = [
        (read_resolved(folder), Run.open(folder).facts.get("samples", {}).get("train")) for folder in (one, other)
    ]
    (first, count), (second, others) = pair
    if count is None or others is None:
        return  # a stream: its order is its shards'
    a, b = (epoch_order(n, int(r.loader.seed), 0) for r, n in ((first, int(count)), (second, int(others))))
    sizes = first.loop.batch, second.loop.batch
    length = min(len(a), len(b))
    differing = (a[:length] != b[:length]).nonzero().flatten().tolist()
    if differing:
        place = differing[0]
        names = names_of(one, "train")(int(a[place])), names_of(other, "train")(int(b[place]))
        what = f"epoch 1, step {place // sizes[0] + 1}, sample {place % sizes[0] + 1} of its batch"
        yield Difference(where="order", what=what, values=names)
    elif sizes[0] != sizes[1]:
        yield Difference(where="order", what="samples of step 1", values=(str(sizes[0]), str(sizes[1])))


def _losses(one: Path, other: Path) -> tuple[list[Difference], int]:
    a, b = (_read_losses(folder) for folder in (one, other))
    count = min(len(a), len(b))
    lost = np.isnan(a[:count]) | np.isnan(b[:count])  # by a crash of the machine
    differing = np.flatnonzero((a[:count].view(np.uint32) != b[:count].view(np.uint32)) & ~lost)
    if not differing.size:
        return [], count
    step = int(differing[0])
    values = f"{a[step]:.9g}", f"{b[step]:.9g}"
    return [Difference(where="loss", what=f"step {step + 1}", values=values)], step


def _read_losses(folder: Path) -> np.ndarray:
    path = folder / LOSSES
    data = path.read_bytes() if path.is_file() else b""
    return np.frombuffer(data[: len(data) // 4 * 4], dtype="<f4")


def _loss_fault(folder: Path) -> str:
    """Return what is wrong with a run's losses: one of four bytes for every step of a finished run."""
    run, path = Run.open(folder).facts, folder / LOSSES
    steps, finished = run.get("steps_done", 0), run.get("status") == "finished"
    if not path.is_file():
        return f"{LOSSES} of {folder.name} is missing" if steps else ""
    length = path.stat().st_size
    if finished and length != 4 * steps:
        return f"{LOSSES} of {folder.name} is damaged: it has {length} bytes, {steps} steps have {4 * steps}"
    if not np.isfinite(values := _read_losses(folder)).all() and np.isinf(values).any():
        return f"{LOSSES} of {folder.name} is damaged: a loss in it is infinite"
    return ""


def _weights(one: Path, other: Path) -> Iterator[Difference]:
    paths = [folder / "artifact" / "model.safetensors" for folder in (one, other)]
    if all(path.is_file() for path in paths):
        a, b = (files.sha256(path)[:12] for path in paths)
        if a != b:
            yield Difference(where="weights", what="the trained model", values=(a, b))


def flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a recipe's keys as they are typed on the command line: {"loop.epochs": 5}."""
    out: dict[str, Any] = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            out.update(flat(value, f"{prefix}{key}."))
        else:
            out[f"{prefix}{key}"] = value
    return out


def differences(recipes: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the recipe keys whose values are not all the same; None where a recipe lacks the key."""
    flattened = [flat(recipe) for recipe in recipes]
    keys = dict.fromkeys(key for one in flattened for key in one)
    rows = {key: [one.get(key) for one in flattened] for key in keys}
    return {key: row for key, row in rows.items() if any(value != row[0] for value in row[1:])}
