"""Small runs: a net on a table, and one on pictures, for what needs a whole run's parts."""

from __future__ import annotations

from typing import Any

from benchdog.recipe.draft import Draft
from benchdog.recipe.layers import Given
from benchdog.testing.trials import Trial
from benchdog.training.setup import Parts, settle

FORMS = ("tables", "pictures")


def small(trial: Trial, form: str, **more: Any) -> Parts:
    """Make the parts of a small run; `more` are keys of its recipe, "__" for the dot."""
    tiny = trial.bench.tiny
    values: dict[str, Any] = {"seed": 5, "backend.name": "cpu"}
    if form == "tables":
        values |= {"source.name": "benchdog:csv", "source.path": str(tiny.table())}
        values |= {"model.name": "benchdog:mlp", "model.hidden": [8]}
    else:
        values |= {"source.name": "benchdog:image-folder", "source.path": str(tiny.pictures())}
        values |= {"model.name": "benchdog:cnn", "model.widths": [4], "model.hidden": 8}
    values |= {key.replace("__", "."): value for key, value in more.items()}
    if trial.bench.local:
        values["plugins"] = [trial.bench.local]
    layer = {key: Given(value, "the kit", trial.bench.base) for key, value in values.items()}
    return settle(Draft.merge([layer], trial.plugins))
