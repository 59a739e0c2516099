"""Repeated training with several seeds: mean, standard deviation and confidence interval of the metrics."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchdog import pipeline
from benchdog.api import SourceInfo, TrainerInfo
from benchdog.builtin.tasks.metrics.definitions import CATALOG
from benchdog.errors import BadData, BadUsage
from benchdog.evaluation import evaluate_run
from benchdog.evaluation.report.facts import read
from benchdog.plugins import Plugins
from benchdog.recipe.draft import Draft
from benchdog.recipe.layers import Given
from benchdog.recipe.recipe import AUTO, OutputConfig, Recipe
from benchdog.recipe.resolved import data_places, read_resolved, resume_invariants
from benchdog.runs import names as naming
from benchdog.runs.run import Run, check_name
from benchdog.system import files, format_versions, terminal
from benchdog.training.resolve import resolve

SUFFIX = ".repeats.json"
FRACTIONS = {metric.name for metric in CATALOG.values() if metric.range == (0, 1)}
"""Metrics with values from 0 to 1."""

Discover = Callable[[tuple[str, ...]], Plugins]


def repeat(
    draft: Draft, runs: Path, times: int, plugins_of: Discover, *, name: str = "", quiet: bool = False
) -> dict[str, Any]:
    """Train with the seeds seed, seed + 1, ..., evaluate each run, and summarize; the data split stays the same.

    The runs are NAME-seed-N; NAME.repeats.json next to them is the summary. Finished runs of that name are kept, an
    interrupted one is resumed. Without a name they get a generated one, as a single run does.

    Raises:
        BadUsage: a run of that name has a different recipe.
        BadData: one was trained or evaluated on different data.
    """
    first = draft.seed
    check_name(name)
    stem = name or _free_name(draft, runs)
    lines = []
    for seed in range(first, first + times):
        folder = runs / f"{stem}-seed-{seed}"
        own = replace(draft, values={**draft.values, "seed": Given(seed, "--repeat", Path.cwd())})
        _trained(own, folder, plugins_of, quiet)
        if compiled := read_resolved(folder).trainer.options.get(
            "compile"
        ):  # "auto" is measured in the first run only
            draft = replace(
                draft, values={**draft.values, "trainer.compile": Given(compiled, "--repeat", Path.cwd())}
            )
        lines.append({"run": folder.name, "seed": seed, **_evaluated(folder, plugins_of)})
        pair = [read(runs / line["run"]) for line in (lines[0], lines[-1])]
        fingerprints = [(each.run.get("data"), each.held_out(lines[0]["split"])) for each in pair]
        if fingerprints[0] != fingerprints[1]:
            raise BadData(
                f"The data of {folder.name!r} differs from that of {lines[0]['run']!r}: they can't be averaged.",
                "Choose another --name, so that all are trained again.",
            )
    summary = {"format": format_versions.RUN, "name": stem, **summarize(lines)}
    files.write_json(runs / f"{stem}{SUFFIX}", summary)
    return summary


def _free_name(draft: Draft, runs: Path) -> str:
    """Return a name of source, model and a number: the number of interrupted runs, or the next free one."""
    recipe = resolve(draft, None, runs).recipe
    info = draft.plugins.find("trainer", recipe.trainer.name).info
    own_model = isinstance(info, TrainerInfo) and not info.uses_model
    data = naming.data_of(draft.plugins.info(SourceInfo, recipe.source.name), recipe.source.options)
    stem = naming.stem(recipe.source.name, (recipe.trainer if own_model else recipe.model).name, data)
    for number in itertools.count(1):
        name = f"{stem}-repeated-{number}"
        existing = [path.name for path in runs.iterdir() if path.name.startswith(name)] if runs.is_dir() else []
        if f"{name}{SUFFIX}" in existing:
            continue
        first = runs / f"{name}-seed-{draft.seed}"
        interrupted = (first / "recipe.toml").is_file() and not _differing(recipe, read_resolved(first), first)
        if interrupted or not any(each.startswith(f"{name}-seed-") for each in existing):
            break
    return name


def _trained(draft: Draft, folder: Path, plugins_of: Discover, quiet: bool) -> None:
    """Train a run, resume it, or keep it if it is finished."""
    if not (folder / "run.json").is_file():
        pipeline.train(draft, folder.parent, name=folder.name, quiet=quiet)
        return
    stored, wanted = read_resolved(folder), resolve(draft, None, folder.parent).recipe
    was, now = (data_places(recipe, draft.plugins) for recipe in (stored, wanted))
    keys = [key for key in _differing(wanted, stored, folder) if key not in now]
    if keys:
        raise BadUsage(
            f"A run {folder.name!r} exists already, with a different recipe: {', '.join(keys)}.",
            "Choose another --name, or remove it: benchdog runs rm " + folder.name,
        )
    moved = {key: path for key, path in now.items() if was.get(key) != path}
    if Run.open(folder).facts["status"] == "finished" and not moved:
        if not quiet:
            terminal.show(f"run {folder.name} is already finished")
        return
    pipeline.resume(folder, plugins_of, quiet=quiet, places=moved)  # which compares data at another place


def _differing(wanted: Recipe, stored: Recipe, folder: Path) -> list[str]:
    """Return the recipe keys in which the recipe that is asked for differs from that of a stored run."""
    was, now = (
        {**resume_invariants(recipe, folder), "loop.epochs": recipe.loop.epochs} for recipe in (stored, wanted)
    )
    if wanted.loop.batch_size == AUTO:  # the run has resolved it
        was.pop("loop.batch_size"), now.pop("loop.batch_size")
    if wanted.trainer.options.get("compile") == AUTO:  # this too
        was.pop("trainer.compile", None), now.pop("trainer.compile")
    if wanted.output == OutputConfig():
        was, now = ({k: v for k, v in each.items() if not k.startswith("output.")} for each in (was, now))
    return [key for key in {**was, **now} if _local_name(was.get(key)) != _local_name(now.get(key))]


def _local_name(value: Any) -> Any:
    """Strip the folder from "file.py:Class": a run has its own copy of the file."""
    path, colon, attribute = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    return f"{Path(path).name}:{attribute}" if colon and path.endswith(".py") else value


def _evaluated(folder: Path, plugins_of: Discover) -> dict[str, Any]:
    """Return a run's evaluation on test, else on valid; evaluate it if that hasn't been done."""
    split = "test" if "test" in Run.open(folder).facts.get("samples", {}) else "valid"
    path = folder / f"evaluation-{split}.json"
    if split == "test" and not path.is_file():
        evaluate_run.evaluate(folder, split, plugins_of)
    evaluation = files.read_object(path)
    try:
        metrics = {k: v for k, v in evaluation["metrics"].items() if isinstance(v, int | float)}
        return {"split": split, "monitor": evaluation["monitor"], "better": evaluation["better"], "metrics": metrics}
    except (AttributeError, KeyError) as error:
        again = f"Make it again: benchdog evaluate {folder} --split {split}"
        raise BadData(f"{path} is damaged: {error}.", again) from None


def summarize(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return {"split", "monitor", "better", "runs", "metrics"}; of each metric what `spread` returns."""
    names = [name for name in lines[0]["metrics"] if all(name in line["metrics"] for line in lines)]
    metrics = {name: spread([line["metrics"][name] for line in lines], name in FRACTIONS) for name in names}
    shared = {key: lines[0][key] for key in ("split", "monitor", "better")}
    return {
        **shared,
        "runs": [{k: v for k, v in line.items() if k not in shared} for line in lines],
        "metrics": metrics,
    }


def spread(values: list[float], fraction: bool = False) -> Mapping[str, Any]:
    """Return mean, sample standard deviation and the 95 % confidence interval of the mean by Student's t.

    Of a single value the last two are None.

    Args:
        fraction: values are between 0 and 1, and the interval is clipped to that range.
    """
    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "deviation": None, "interval": None, "values": values}
    deviation = float(np.std(values, ddof=1))
    half = student_t(len(values) - 1) * deviation / math.sqrt(len(values))
    low, high = mean - half, mean + half
    if fraction and min(values) >= 0 and max(values) <= 1:  # a third-party accuracy may be in percent
        low, high = max(low, 0.0), min(high, 1.0)
    return {"mean": mean, "deviation": deviation, "interval": [low, high], "values": values}


SMALL = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912, 2.364624, 2.306004, 2.262157, 2.228139, 2.200985,
    2.178813, 2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922, 2.093024, 2.085963,
)  # fmt: skip
"""The 97.5 % quantile of Student's t for 1 to 20 degrees of freedom."""


def student_t(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t distribution.

    From a table up to 20 degrees of freedom, else by the Cornish-Fisher expansion in 1 / freedom (Abramowitz and
    Stegun 26.7.5).
    """
    if freedom <= len(SMALL):
        return SMALL[freedom - 1]
    z: float = 1.959963985
    terms: tuple[float, ...] = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**k for k, term in enumerate(terms, 1))
