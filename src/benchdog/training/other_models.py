"""Trained models that a trainer uses besides the one that it trains: the recipe's tables [models.NAME]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchdog.api import Spec
from benchdog.errors import BadData, BadUsage, shortlist
from benchdog.model.artifact_files import locate, read_meta
from benchdog.model.load import open_model
from benchdog.model.rebuild import WEIGHTS, rebuild
from benchdog.plugins.options import validate
from benchdog.recipe.draft import Draft, names_in
from benchdog.recipe.recipe import OtherModelConfig
from benchdog.runs import run
from benchdog.system import files, paths

if TYPE_CHECKING:
    from benchdog.training.setup import Components


def resolved(draft: Draft, spec: Spec, runs: Path | None) -> dict[str, OtherModelConfig]:
    """Decide which artifacts are meant, absolutely; note the SHA-256 of their weights.

    Args:
        draft: what is asked for.
        spec: of the data.
        runs: the folder of runs.

    Raises:
        BadUsage: there is no such model, or it doesn't match the data.
        BadData: a SHA-256 was given, and the file's is another.
    """
    found = {}
    for name in names_in(draft.values, "models"):
        prefix = f"models.{name}."
        given = {k.removeprefix(prefix): g for k, g in draft.values.items() if k.startswith(prefix)}
        config: OtherModelConfig = validate(
            OtherModelConfig, {key: value.value for key, value in given.items()}, f"[models.{name}]"
        )
        place = _place(config.weights, given["weights"].base, runs)
        digest = _digest(name, place)
        if config.sha256 and config.sha256 != digest:
            raise BadData(
                f"The weights of [models.{name}], {place}, are not those of the recipe: their SHA-256 is {digest}.",
                f'Bring the old ones back, or accept these: --set models.{name}.sha256=""',
            )
        if config.match:
            _check_spec(name, Spec.from_json(_meta(name, place)[1]["spec"]), spec)
        found[name] = replace(config, weights=str(place), sha256=digest)
    return found


def load(components: Components) -> Mapping[str, nn.Module]:
    """Load the models of a resolved recipe: in evaluation mode, their weights frozen, on the CPU.

    The generator of random numbers stays as it is. The transform of the run must be fitted.

    Raises:
        BadUsage: a model was trained with another transform.
        BadData: its weights were changed since the recipe was resolved.
        Refused: it names code of its own, and wasn't made on this machine.
    """
    with torch.random.fork_rng(devices=[]):
        return {name: _loaded(name, config, components) for name, config in components.recipe.models.items()}


def _loaded(name: str, config: OtherModelConfig, components: Components) -> nn.Module:
    place, plugins = Path(config.weights), components.plugins
    if config.sha256 and _digest(name, place) != config.sha256:
        raise BadData(f"The weights of [models.{name}], {place}, were changed since this run began.", "Restore them.")
    opened = open_model(place, plugins)
    deployed: Any = rebuild(opened.path, opened.meta, plugins, opened.trusted)
    if config.match:
        _check_transform(name, opened.preprocess, deployed.transform, components)
    model: nn.Module = deployed.model
    return model.eval().requires_grad_(False)


def check_there(components_models: Mapping[str, OtherModelConfig], run_name: str, resume: str) -> None:
    """Check that the models of a run that is to resume are still there.

    Raises:
        BadData: one isn't; says how to give its new place.
    """
    for name, config in components_models.items():
        if not Path(config.weights).exists():
            raise BadData(
                f"[models.{name}] of run {run_name!r} is missing: {config.weights} doesn't exist.",
                f"If it was moved: {resume} --set models.{name}.weights=PATH",
            )


def _place(weights: str, base: Path, runs: Path | None) -> Path:
    folder = (base / Path(weights).expanduser()).absolute()
    if any((folder / file).is_file() for file in ("artifact.json", "run.json")):
        return folder.resolve()
    return run.find(weights, paths.runs_dir(runs)).resolve()


def _meta(name: str, place: Path) -> tuple[Path, dict[str, Any]]:
    folder, kind = locate(place)
    meta = read_meta(folder, kind)
    if kind != "artifact" or WEIGHTS not in meta["files"] or meta.get("runner"):
        raise BadUsage(
            f"[models.{name}]: {place} holds no weights of a network.", "Give the run, or the artifact, of one."
        )
    return folder, meta


def _digest(name: str, place: Path) -> str:
    file = _meta(name, place)[0] / WEIGHTS
    if not file.is_file():
        raise BadData(f"{file} is missing.", "Copy the artifact as a whole.")
    return files.sha256(file)


def _remedy(name: str) -> str:
    return (
        f"Train it on the same source; or, if the trainer adapts what it passes to it: models.{name}.match = false."
    )


def _check_spec(name: str, there: Spec, here: Spec) -> None:
    """Refuse a model of other inputs or classes: scores are compared by position, so it would go unnoticed."""
    if there.fields != here.fields:
        theirs, ours = (", ".join(f"{f.name} {f.kind} {f.shape}" for f in each.fields) for each in (there, here))
        also = "" if theirs != ours else " (their columns or ranges differ)"
        raise BadUsage(
            f"The model of [models.{name}] takes other inputs than the data has: {theirs}, not {ours}{also}.",
            _remedy(name),
        )
    if there.target.kind == here.target.kind and there.target.classes != here.target.classes:
        raise BadUsage(
            f"The model of [models.{name}] predicts other classes than the data has: "
            f"{shortlist(there.target.classes)}, not {shortlist(here.target.classes)}.",
            _remedy(name),
        )


def _check_transform(name: str, preprocess: Any, transform: nn.Module, components: Components) -> None:
    ours = components.data.preprocess
    same = _plain(preprocess.decode) == _plain(ours.decode) and _plain(preprocess.transform) == _plain(ours.transform)
    here, there = ({k: v.cpu() for k, v in t.state_dict().items()} for t in (components.transform, transform))
    close = here.keys() == there.keys() and all(
        here[k].shape == there[k].shape and torch.allclose(here[k].double(), there[k].double(), equal_nan=True)
        for k in here
    )
    if not same or not close:
        raise BadUsage(
            f"The model of [models.{name}] was trained on inputs of another scale than this run's: its "
            f"{'transform was fitted on other samples' if same else 'preprocessing is another'}.",
            _remedy(name),
        )


def _plain(value: Any) -> Any:
    """Return a value in JSON's types, in which an artifact stores it."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
