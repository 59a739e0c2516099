"""Evaluation of a finished run on a split of its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from benchdog.errors import no_artifact
from benchdog.evaluation import report
from benchdog.evaluation.evaluate import evaluate_module, measure_baseline
from benchdog.evaluation.results import RunEvaluation
from benchdog.model.load import open_model
from benchdog.model.rebuild import rebuild
from benchdog.plugins import Plugins
from benchdog.recipe.resolved import read_resolved
from benchdog.runs import provenance
from benchdog.runs.run import Run
from benchdog.system import paths
from benchdog.training.moved_data import reopen_run


def evaluate(
    folder: Path,
    split: str,
    plugins_of: Callable[[tuple[str, ...]], Plugins],
    trust: bool = False,
    by: str = "",
    places: Mapping[str, str] | None = None,
) -> RunEvaluation:
    """Evaluate a run's artifact on a split; write evaluation-<split>.json and the report.

    Args:
        by: also compute per-slice metrics: by a column, "folder" or "class".
        places: absolute paths of data that was moved, by dotted key: {"source.path": "/mnt/wines.csv"}.

    Raises:
        BadUsage: the run has no artifact, its source no such split, or its samples can't be sliced by that.
        BadData: the source's data isn't what the run was trained on.
        Refused: the run contains code that doesn't come from this machine, and `trust` is false.
        Failed: another process is using the run.
    """
    run = Run.open(folder)
    run.hold()
    try:
        if not (folder / "artifact").is_dir():
            raise no_artifact(run.name)
        recipe = read_resolved(folder)
        plugins = provenance.plugins_of_run(run, recipe, plugins_of, trust)
        parts = reopen_run(run, recipe, plugins, f"evaluate {paths.short(folder)}", places)
        parts.fit(folder, resuming=False)
        changed: list[str] = []
        if run.facts.get("data") not in (None, provenance.fingerprint(parts.data)):
            changed = ["the data has changed since the training; its splits may differ"]
        opened = open_model(folder / "artifact", plugins, trust=trust)
        torch_module = not opened.meta.get("runner")
        module = partial(rebuild, opened.path, opened.meta, plugins, opened.trusted) if torch_module else None
        result = evaluate_module(folder, opened.call, parts, split, module=module, by=by)
        baselines, without = measure_baseline(folder, parts, split)
        page = report.write(folder)
    finally:
        run.release()
    return {
        **result,
        "run": run.name,
        "baselines": baselines,
        "notes": [*parts.shared, *changed, *filter(None, [without])],
        "report": str(page),
    }
