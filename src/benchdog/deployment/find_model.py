"""Models by name: what MODEL can be in predict, export and serve. No torch: an export may not need it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchdog.errors import BadUsage
from benchdog.model.load import LoadedModel, open_model
from benchdog.plugins import Plugins
from benchdog.plugins.context import PluginContext
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
    from benchdog.deployment import pretrained  # loads torch, which an export may not need

    component = pretrained.ready_made(model, plugins)
    if component is None:
        known = ", ".join(pretrained.names(plugins))
        raise BadUsage(missing.message, f"{missing.hint} Pretrained: {known}." if known else missing.hint)
    return pretrained.folder(component, plugins)


def load_model(
    model: str | Path = "last",
    *,
    runs_dir: Path | str | None = None,
    plugins: PluginContext | Iterable[Path | str] = (),
    trust: bool = False,
) -> LoadedModel:
    """Load a trained, exported or pretrained model to predict with.

    Args:
        model: a run's name or "last"; the folder of a run, an artifact or an export; a pretrained model's name.
        runs_dir: the folder of runs.
        plugins: local plugin files, or a command's own context (`ctx.obj`).
        trust: accept a format that can run code though it wasn't made on this machine.

    Raises:
        BadUsage: there is no such model.
        BadData: its files are missing or changed.
        NotAvailable: a required plugin is not installed.
        Refused: it can run code, and wasn't made on this machine.
    """
    known = (plugins if isinstance(plugins, PluginContext) else PluginContext(local=[*map(Path, plugins)])).plugins()
    return open_model(find_model(str(model), Path(runs_dir) if runs_dir else None, known), known, trust=trust)
