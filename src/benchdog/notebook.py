"""Benchdog in Python, for notebooks: train, load, predict, and a run that shows itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from benchdog import pipeline
from benchdog.api import Answer, Raw
from benchdog.deployment import pretrained
from benchdog.deployment.inputs import read_samples
from benchdog.errors import BadUsage, nearest, no_artifact
from benchdog.evaluation import evaluate_run, report
from benchdog.evaluation.results import RunEvaluation
from benchdog.model.load import LoadedModel, open_model
from benchdog.plugins.context import PluginContext
from benchdog.recipe.compose import compose_draft
from benchdog.recipe.draft import Draft, with_current_names
from benchdog.recipe.layers import Given, flags, is_key, recipe_keys
from benchdog.recipe.recipe import absolute
from benchdog.recipe.resolved import read_resolved, relative_to_folder
from benchdog.runs import run as runs
from benchdog.system import files, paths, terminal
from benchdog.training.finished_run import FinishedRun
from benchdog.training.progress import say


class TrainedRun:
    """A finished run: its metrics, its answers, and itself as an image in a notebook."""

    def __init__(self, folder: Path, shared: PluginContext) -> None:
        self.folder, self._shared = folder, shared

    @cached_property
    def _opened(self) -> LoadedModel:
        return open_model(self.folder / "artifact", self._shared.plugins())

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says."""
        return {**runs.Run.open(self.folder).facts}

    @property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe in JSON form."""
        return read_resolved(self.folder).to_json()

    def recipe_toml(self, relative_to: Path) -> str:
        """Return the resolved recipe as TOML, paths of local files relative to the folder `relative_to`."""
        return relative_to_folder(read_resolved(self.folder), relative_to).to_toml()

    def evaluation(self, split: str) -> dict[str, Any]:
        """Read evaluation-SPLIT.json; {} when the run wasn't evaluated on that split."""
        path = self.folder / f"evaluation-{split}.json"
        return files.read_object(path) if path.is_file() else {}

    @property
    def metrics(self) -> dict[str, float]:
        """The artifact's metrics on the valid split."""
        return dict(self._opened.meta["metrics"])

    def predict(self, what: Any) -> list[Answer]:
        """Answer for paths (files, folders, CSV), texts, mappings (table rows) or arrays; one or a list of them."""
        items = [what] if isinstance(what, str | Path | Mapping | Raw) or hasattr(what, "dtype") else list(what)
        samples: list[Raw] = []
        name = self._opened.spec.fields[0].name
        for number, item in enumerate(items):
            if isinstance(item, Raw):
                samples.append(item)
            elif isinstance(item, str | Path):
                samples += read_samples(str(item), self._opened.decoder, say)
            else:
                samples.append(Raw(id=str(number), fields={name: item}))
        return self._opened.predict(samples)

    def evaluate(self, split: str = "test", by: str = "", data: Path | str | None = None) -> dict[str, Any]:
        """Evaluate the model on held-out samples, and parts of them `by` a column; the report is regenerated.

        Args:
            data: where the run's data is now, if it was moved.
        """
        return dict(evaluate_run.evaluate(self.folder, split, self._shared.plugins, by=by, places=_place(data)))

    def samples(self) -> list[Raw]:
        """Return the raw held-out samples that the artifact keeps."""
        return self._opened.samples()

    def _repr_html_(self) -> str:
        return report.html_summary(self.folder)

    def __repr__(self) -> str:
        return f"TrainedRun({str(self.folder)!r})"


def train(
    source: Any,
    *,
    model: Any = None,
    name: str = "",
    runs_dir: Path | str | None = None,
    plugins: Iterable[Path | str] = (),
    quiet: bool = False,
    **settings: Any,
) -> TrainedRun:
    """Train, as `benchdog train` does.

    Args:
        source: a recipe's path, a source's name, a .csv file, a folder, or a live Source object.
        model: a name, or a live module, class or function that is called with the spec.
        name: the run's name.
        runs_dir: the folder of runs.
        plugins: local plugin files.
        quiet: say nothing while working.
        settings: recipe keys with "__" for the dot, or short: epochs, batch_size, lr, seed, trainer, backend ...

    Raises:
        BenchdogError: what the command line would say.
    """
    short = {
        "epochs": "loop.epochs",
        "batch_size": "loop.batch_size",
        "lr": "trainer.lr",
        "workers": "loader.workers",
    }
    named = {"task": "task.name", "trainer": "trainer.name", "backend": "backend.name", "path": "source.path"}
    more = {"target": "source.target"}
    known = {**short, **named, **more}
    given: dict[str, Any] = {}
    for short_key, value in settings.items():
        key = known.get(short_key, short_key.replace("__", "."))
        if not is_key(key):
            words = [*known, *(each.replace(".", "__") for each in recipe_keys())]
            raise BadUsage(f"train() takes no {short_key!r}.", nearest(short_key, words))
        if key in given and given[key] != _plain(value):
            raise BadUsage(f"{key} is given twice: {given[key]!r} and {value!r}.", "Pass it once.")
        given[key] = _plain(value)
    if model is not None and not isinstance(model, str) and not callable(model):
        raise BadUsage(f"model is {model!r}.", "Pass a name, a module, or a class or function that makes one.")
    live = {}
    shared = PluginContext(local=[Path(file) for file in plugins])
    if isinstance(model, str):
        given["model.name"] = model
    elif model is not None:
        live["model"] = model
    if isinstance(source, str | Path):
        draft = compose_draft(str(source), given, [], shared, quiet=quiet)
    else:
        live["source"] = source
        if own := [key for key in given if key.startswith("source.")]:
            raise BadUsage(f"{own[0]} is given, but the source is an object.", "Pass its options to the object.")
        trainer = {"trainer": str(given.get("trainer.name", "supervised"))}
        draft = Draft(with_current_names(flags(given, []), trainer, []), shared.plugins())
        draft.values["source.name"] = Given(type(source).__name__.lower(), "the source object", Path.cwd())
    if callable(model):
        draft.values["model.name"] = Given(getattr(model, "__name__", type(model).__name__).lower(), "", Path.cwd())
    folder = paths.runs_dir(Path(runs_dir) if runs_dir else None)
    with terminal.quieted(quiet or terminal.quiet()):
        run = pipeline.train(draft, folder, name=name, quiet=quiet, live=live)
    return TrainedRun(run.folder, shared)


def load(
    run: Path | str = "last", *, runs_dir: Path | str | None = None, plugins: Iterable[Path | str] = ()
) -> TrainedRun:
    """Open a finished run by its name, its folder, or "last".

    Raises:
        BadUsage: there is no such run, or it has no artifact.
    """
    folder = runs.find(str(run), paths.runs_dir(Path(runs_dir) if runs_dir else None))
    if not (folder / "artifact").is_dir():
        raise no_artifact(folder.name)
    return TrainedRun(folder, PluginContext(local=[Path(file) for file in plugins]))


def evaluate(
    run: Path | str = "last",
    split: str = "test",
    *,
    by: str = "",
    data: Path | str | None = None,
    runs_dir: Path | str | None = None,
    plugins: Iterable[Path | str] = (),
    trust: bool = False,
) -> RunEvaluation:
    """Evaluate a run on a split of its data, as `benchdog evaluate` does; the report is regenerated.

    Args:
        run: its name, its folder, or "last".
        split: "test", "valid" or "train".
        by: also compute metrics per slice: by a column, "folder" or "class".
        data: where the run's data is now, if it was moved.
        runs_dir: the folder of runs.
        plugins: local plugin files.
        trust: run the code that a run from elsewhere brings.

    Returns:
        What `benchdog evaluate --json` prints: metrics, intervals, calibration, baselines, notes.

    Raises:
        BadUsage: there is no such run, split or slice, or the run has no artifact.
        BadData: the data isn't what the run was trained on.
        Refused: the run brings code that wasn't put there on this machine, and `trust` is false.
    """
    context = PluginContext(local=[Path(file) for file in plugins])
    folder = pretrained.find_run(str(run), paths.runs_dir(Path(runs_dir) if runs_dir else None), context.plugins)
    return evaluate_run.evaluate(folder, split, context.plugins, trust=trust, by=by, places=_place(data))


def open_run(
    run: Path | str = "last",
    *,
    data: Path | str | None = None,
    runs_dir: Path | str | None = None,
    plugins: Iterable[Path | str] = (),
    trust: bool = False,
) -> FinishedRun:
    """Open a finished run to read what it was made of: recipe, data, fitted values, model.

    Args:
        run: its name, its folder, or "last".
        data: where its data is now, if it was moved.
        runs_dir: the folder of runs.
        plugins: local plugin files.
        trust: run the code that a run from elsewhere brings.

    Raises:
        BadUsage: there is no such run, it isn't finished, or its source takes no path.
        Refused: it brings code that wasn't put there on this machine, and `trust` is false.
    """
    context = PluginContext(local=[Path(file) for file in plugins])
    folder = pretrained.find_run(str(run), paths.runs_dir(Path(runs_dir) if runs_dir else None), context.plugins)
    return FinishedRun(folder, context.plugins, trust=trust, places=_place(data))


def _place(data: Path | str | None) -> dict[str, str]:
    return {} if data is None else {"source.path": absolute(str(data), Path.cwd())}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
