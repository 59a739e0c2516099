"""Models by name: what the MODEL argument of predict, export and serve can be."""

from __future__ import annotations

from pathlib import Path

from benchdog.deployment import pretrained
from benchdog.errors import BadUsage
from benchdog.plugins import Plugins
from benchdog.runs import run
from benchdog.system import paths


def find_model(model: str, runs_dir: Path | None, plugins: Plugins | None = None) -> Path:
    """Return the folder that a model's name stands for.

    Args:
        model: a run's name or "last"; the folder of a run, an artifact or an export; a pretrained model's name.
        runs_dir: the folder of runs; None: the default one.
        plugins: where pretrained models are looked up, whose artifact is then written to the cache; None: nowhere.

    Raises:
        BadUsage: there is no such model; the hint lists those that exist.
    """
    path = Path(model)
    if any((path / name).is_file() for name in ("artifact.json", "export.json")):
        return path
    try:
        return run.find(model, paths.runs_dir(runs_dir))
    except BadUsage as error:
        if plugins is None or model == "last":
            raise
        missing = error
    component = pretrained.ready_made(model, plugins)
    if component is None:
        known = ", ".join(pretrained.names(plugins))
        raise BadUsage(missing.message, f"{missing.hint} Ready-made: {known}." if known else missing.hint)
    return pretrained.folder(component, plugins)
