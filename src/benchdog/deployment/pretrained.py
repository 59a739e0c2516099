"""Pretrained models that predict without a run: artifacts made once from published weights, in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchdog import __version__
from benchdog.api import ModelInfo, Task
from benchdog.errors import BadData, BadUsage
from benchdog.model import artifact
from benchdog.model.rebuild import build_model
from benchdog.model.start import pretrained_of
from benchdog.model.weights import fill, read, renamed
from benchdog.plugins import Plugins, companions
from benchdog.plugins.types import RegisteredComponent
from benchdog.runs import run
from benchdog.system import files, paths
from benchdog.system.locks import locked

FOLDER = "ready-made"
MAX_BATCH = 64


def ready_made(name: str, plugins: Plugins) -> RegisteredComponent | None:
    """Return the pretrained model of that name; None when there is none.

    Raises:
        NotAvailable: the model comes with a package that isn't installed; the hint says how to get it.
    """
    for model in plugins.all("model").values():
        if name in (model.info.name, model.where) and _has_task(model):
            return model
    if package := companions.absent("model", name):
        raise companions.missing(f"The model {name!r}", package)
    return None


def names(plugins: Plugins) -> list[str]:
    """List the models that predict without a run."""
    return [name for name, model in plugins.all("model").items() if _has_task(model)]


def find_run(name: str, runs: Path, plugins_of: Callable[[tuple[str, ...]], Plugins]) -> Path:
    """Return the folder of a run, as `run.find` does, with a hint of its own where the name is a model's.

    Raises:
        BadUsage: there is no such run.
    """
    try:
        return run.find(name, runs)
    except BadUsage as error:
        missing = error
    models = plugins_of(()).all("model")
    if name not in models and name not in {found.where for found in models.values()}:
        raise missing
    known = [path.name for path in run.runs(runs)]
    runs_line = f"Runs: {', '.join(known)}." if known else "There are no runs yet."
    predict = f" Or predict with it as it is: benchdog predict {name} FILES." if name in names(plugins_of(())) else ""
    raise BadUsage(
        f"{name!r} is a model; this command takes a run.",
        f"{runs_line} Train one: benchdog train SOURCE --model {name}.{predict}",
    )


def _has_task(model: RegisteredComponent) -> bool:
    """Whether a model's published weights were trained for a task, and not only to fine-tune."""
    info = model.info
    return isinstance(info, ModelInfo) and bool(info.pretrained) and bool(model.resolve(info.pretrained).task)


def folder(model: RegisteredComponent, plugins: Plugins) -> Path:
    """Return the folder of a pretrained model's artifact, which is made when it isn't in the cache yet.

    Raises:
        NotAvailable: a package with weights or names isn't installed; the hint says how to get it.
        BadData: the weights don't fit the model.
    """
    from benchdog.data.transform.transform import Transform

    pretrained = pretrained_of(model, {}, plugins)
    assert pretrained is not None
    options = {"name": model.where if model.dist != "benchdog" else model.info.name, "options": {}}
    file = pretrained.weights()
    preprocess, spec = pretrained.preprocess(), pretrained.spec()
    task: Task = plugins.make("task", pretrained.task)
    task.check(spec)
    spec = spec.with_output(*task.output(spec))
    place = paths.cache_dir() / FOLDER / _key(model, file, [spec.to_json(), preprocess.decode, preprocess.transform])
    with files.saving(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    with locked(place.parent / f".{place.name}.lock", f"converts the weights of {model.info.name!r}"):
        if (place / "artifact" / "artifact.json").is_file():
            return place
        transform = Transform(preprocess, spec)
        net = build_model(options, transform.spec(spec), plugins).eval()
        report = fill(net, renamed(read(file), pretrained.rename), head=True)
        if report.fresh or report.unused:
            raise BadData(f"{file} does not fit {model.info.name!r}: {report.sentence()}.")
        artifact.save(
            place / "artifact",
            trained=net,
            transform=transform,
            head=task.head(spec),
            spec=spec,
            preprocess=preprocess,
            recipe={"model": options, "start": {"weights": "package", "sha256": files.sha256(file)}},
            task={"name": pretrained.task, "options": {}},
            model=options,
            metrics={},
            samples=[],
            run=model.info.name,
            max_batch=MAX_BATCH,
            plugins=plugins,
        )
    return place


def _key(model: RegisteredComponent, file: Path, data: list[object]) -> str:
    """Return a folder name with the hash of all that the artifact depends on."""
    facts = [files.sha256(file), __version__, model.version, version("torch"), data]
    digest = hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()[:16]
    return f"{''.join(c if c.isalnum() or c in '-_' else '-' for c in model.info.name)}-{digest}"
