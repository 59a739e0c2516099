"""The same training under several seeds, and how far its figures are spread: mean, deviation, interval."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchdog import pipeline
from benchdog.api import SourceInfo, TrainerInfo
from benchdog.errors import BadData, BadUsage
from benchdog.evaluation import bootstrap, evaluate_run
from benchdog.evaluation.intervals import SHARES
from benchdog.evaluation.report.facts import read
from benchdog.plugins import Plugins
from benchdog.recipe.draft import Draft
from benchdog.recipe.layers import Given
from benchdog.recipe.recipe import AUTO, Recipe
from benchdog.recipe.resolved import read_resolved, resume_invariants
from benchdog.runs import names as naming
from benchdog.runs.run import Run, check_name
from benchdog.system import files, format_versions
from benchdog.training.resolve import resolve

SUFFIX = ".repeats.json"
FRACTIONS = bootstrap.OVER_CLASSES | SHARES | {"micro_f1", "pixel_accuracy", "hamming", "hamming_loss"}
"""Metrics between 0 and 1."""

Discover = Callable[[tuple[str, ...]], Plugins]


def repeat(
    draft: Draft, runs: Path, times: int, plugins_of: Discover, *, name: str = "", quiet: bool = False
) -> dict[str, Any]:
    """Train under the seeds seed, seed + 1, ..., evaluate each run, and summarise; the data is divided as ever.

    The runs are NAME-seed-N; NAME.repeats.json beside them is the summary. Those of that name that are finished
    are kept, one that was stopped goes on. Without a name they get one of their own, as a single run does.

    Raises:
        BadUsage: a run of that name was made by another recipe.
        BadData: one was made, or judged, with other data.
    """
    first = draft.seed
    check_name(name)
    stem = name or _free_name(draft, runs)
    lines = []
    for seed in range(first, first + times):
        folder = runs / f"{stem}-seed-{seed}"
        own = replace(draft, values={**draft.values, "seed": Given(seed, "--repeat", Path.cwd())})
        _trained(own, folder, plugins_of, quiet)
        if compiled := read_resolved(folder).trainer.options.get("compile"):  # what is measured is measured once
            draft = replace(
                draft, values={**draft.values, "trainer.compile": Given(compiled, "--repeat", Path.cwd())}
            )
        lines.append({"run": folder.name, "seed": seed, **_judged(folder, plugins_of)})
        both = [read(runs / line["run"]) for line in (lines[0], lines[-1])]
        marks = [(each.run.get("data"), each.held_out(lines[0]["split"])) for each in both]
        if marks[0] != marks[1]:
            raise BadData(
                f"The data of {folder.name!r} is not that of {lines[0]['run']!r}: there is no mean of the two.",
                "Choose another --name, so that all are trained anew.",
            )
    summary = {"format": format_versions.RUN, "name": stem, **summarise(lines)}
    files.write_json(runs / f"{stem}{SUFFIX}", summary)
    return summary


def _free_name(draft: Draft, runs: Path) -> str:
    """Name the runs by what is trained on what, and a number: that of runs that were stopped, or a new one."""
    recipe = resolve(draft, None, runs).recipe
    info = draft.plugins.find("trainer", recipe.trainer.name).info
    brought = isinstance(info, TrainerInfo) and not info.uses_model
    data = naming.data_of(draft.plugins.info(SourceInfo, recipe.source.name), recipe.source.options)
    stem = naming.stem(recipe.source.name, (recipe.trainer if brought else recipe.model).name, data)
    for number in itertools.count(1):
        name = f"{stem}-repeated-{number}"
        there = [path.name for path in runs.iterdir() if path.name.startswith(name)] if runs.is_dir() else []
        if f"{name}{SUFFIX}" in there:
            continue
        first = runs / f"{name}-seed-{draft.seed}"
        stopped = (first / "recipe.toml").is_file() and not _differing(draft, read_resolved(first), first)
        if stopped or not any(each.startswith(f"{name}-seed-") for each in there):
            break
    return name


def _trained(draft: Draft, folder: Path, plugins_of: Discover, quiet: bool) -> None:
    """Train a run, go on with it, or leave it as it is when it is finished."""
    if not (folder / "run.json").is_file():
        pipeline.train(draft, folder.parent, name=folder.name, quiet=quiet)
        return
    stored = read_resolved(folder)
    keys = _differing(draft, stored, folder)
    if keys:
        raise BadUsage(
            f"There is a run {folder.name!r} already, made by another recipe: {', '.join(keys)}.",
            "Choose another --name, or remove it: benchdog runs rm " + folder.name,
        )
    if Run.open(folder).facts["status"] == "finished":
        if not quiet:
            print(f"run {folder.name} is finished already", file=sys.stderr, flush=True)
        return
    pipeline.resume(folder, plugins_of, quiet=quiet)


def _differing(draft: Draft, stored: Recipe, folder: Path) -> list[str]:
    """List the keys of the recipe that are asked for otherwise than the run was made by."""
    asked = resolve(draft, None, folder.parent).recipe
    was, now = (
        {**resume_invariants(recipe, folder), "loop.epochs": recipe.loop.epochs} for recipe in (stored, asked)
    )
    if asked.loop.batch_size == AUTO:  # which the run has decided
        was.pop("loop.batch_size"), now.pop("loop.batch_size")
    if asked.trainer.options.get("compile") == AUTO:  # and this
        was.pop("trainer.compile", None), now.pop("trainer.compile")
    return [key for key in {**was, **now} if _own(was.get(key)) != _own(now.get(key))]


def _own(value: Any) -> Any:
    """Take a class of a local file by its file's name: the run has a copy of its own."""
    place, colon, attribute = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return f"{Path(place).name}:{attribute}" if colon and place.endswith(".py") else value


def _judged(folder: Path, plugins_of: Discover) -> dict[str, Any]:
    """Give a run's evaluation on test, or on valid where there is no test; made now if it wasn't."""
    split = "test" if "test" in Run.open(folder).facts.get("samples", {}) else "valid"
    path = folder / f"evaluation-{split}.json"
    if split == "test" and not path.is_file():
        evaluate_run.evaluate(folder, split, plugins_of)
    told = files.read_json(path)
    metrics = {k: v for k, v in told["metrics"].items() if isinstance(v, int | float)}
    return {"split": split, "monitor": told["monitor"], "better": told["better"], "metrics": metrics}


def summarise(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Give {"split", "monitor", "better", "runs", "metrics": {name: {"mean", "deviation", "interval", "values"}}}."""
    names = [name for name in lines[0]["metrics"] if all(name in line["metrics"] for line in lines)]
    told = {name: spread([line["metrics"][name] for line in lines], name in FRACTIONS) for name in names}
    shared = {key: lines[0][key] for key in ("split", "monitor", "better")}
    return {**shared, "runs": [{k: v for k, v in line.items() if k not in shared} for line in lines], "metrics": told}


def spread(values: list[float], fraction: bool = False) -> Mapping[str, Any]:
    """Give mean, standard deviation and the 95 % interval of the mean by Student's t (from 2 values on).

    Args:
        fraction: the values lie between 0 and 1, and so does the interval.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "deviation": None, "interval": None, "values": values}
    deviation = float(np.std(values, ddof=1))
    half = student(len(values) - 1) * deviation / math.sqrt(len(values))
    low, high = mean - half, mean + half
    if fraction and min(values) >= 0 and max(values) <= 1:  # a stranger's accuracy may be in per cent
        low, high = max(low, 0.0), min(high, 1.0)
    return {"mean": mean, "deviation": deviation, "interval": [low, high], "values": values}


SMALL = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139, 2.200985,
    2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
)  # fmt: skip
"""The 97.5 % point of Student's t for 1 to 20 degrees of freedom."""


def student(freedom: int) -> float:
    """Give the 97.5 % point of Student's t distribution: from the table, else by its expansion in 1 / freedom."""
    if freedom <= len(SMALL):
        return SMALL[freedom - 1]
    z: float = 1.959963985
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**k for k, term in enumerate(terms, 1))
