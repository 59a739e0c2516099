"""Models that answer without a run: an artifact made once from published weights, in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from filelock import FileLock

from benchdog import __version__
from benchdog.api import ModelInfo, Task
from benchdog.errors import BadData, BadUsage
from benchdog.model import artifact
from benchdog.model.rebuild import build_model
from benchdog.model.start import pretrained_of
from benchdog.model.weights import fill, read, renamed
from benchdog.plugins import Plugins
from benchdog.plugins.types import RegisteredComponent
from benchdog.runs import run
from benchdog.system import files, paths

FOLDER = "ready-made"
MAX_BATCH = 64


def ready_made(name: str, plugins: Plugins) -> RegisteredComponent | None:
    """Find the model of that name that its publisher trained; None when there is none."""
    for found in plugins.all("model").values():
        if name in (found.info.name, found.where) and _answers(found):
            return found
    return None


def names(plugins: Plugins) -> list[str]:
    """List the models that answer without a run."""
    return [name for name, found in plugins.all("model").items() if _answers(found)]


def find_run(name: str, runs: Path, plugins_of: Callable[[tuple[str, ...]], Plugins]) -> Path:
    """Give the folder of a run, as `run.find` does; the name of a model is told apart from an unknown one.

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
    there = f"There is: {', '.join(known)}." if known else "There is none yet."
    answers = " Answer with it as it is: benchdog predict NAME FILES." if name in names(plugins_of(())) else ""
    raise BadUsage(
        f"{name!r} is a model, and this takes a run: a model that was trained here.",
        f"{there} Make one: benchdog train SOURCE --model {name}.{answers.replace('NAME', name)}",
    )


def _answers(found: RegisteredComponent) -> bool:
    """Say whether a model was trained for a task, and not only to begin from."""
    info = found.info
    return isinstance(info, ModelInfo) and bool(info.pretrained) and bool(found.resolve(info.pretrained).task)


def folder(found: RegisteredComponent, plugins: Plugins) -> Path:
    """Give the folder of a ready-made model's artifact; it is made when it isn't there yet.

    Raises:
        NotAvailable: a package with weights or names isn't installed; says how to get it.
        BadData: the weights don't fit the model.
    """
    from benchdog.data.transform.transform import Transform

    pretrained = pretrained_of(found, {}, plugins)
    assert pretrained is not None
    options = {"name": found.where if found.dist != "benchdog" else found.info.name, "options": {}}
    file = pretrained.weights()
    preprocess, spec = pretrained.preprocess(), pretrained.spec()
    task: Task = plugins.make("task", pretrained.task)
    task.check(spec)
    spec = spec.with_output(*task.output(spec))
    place = paths.cache_dir() / FOLDER / _key(found, file, [spec.to_json(), preprocess.decode, preprocess.transform])
    with files.saving(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.parent / f".{place.name}.lock"):
        if (place / "artifact" / "artifact.json").is_file():
            return place
        transform = Transform(preprocess, spec)
        net = build_model(options, transform.spec(spec), plugins).eval()
        report = fill(net, renamed(read(file), pretrained.rename), head=True)
        if report.fresh or report.unused:
            raise BadData(f"{file} is not what {found.info.name!r} was trained to: {report.sentence()}.")
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
            run=found.info.name,
            max_batch=MAX_BATCH,
            plugins=plugins,
        )
    return place


def _key(found: RegisteredComponent, file: Path, told: list[object]) -> str:
    """Name the folder after all that the artifact depends on."""
    facts = [files.sha256(file), __version__, found.version, version("torch"), told]
    digest = hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()[:16]
    return f"{''.join(c if c.isalnum() or c in '-_' else '-' for c in found.info.name)}-{digest}"
