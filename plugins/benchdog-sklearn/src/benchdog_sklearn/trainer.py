"""The trainer: gather the training split, engineer features, fit, judge on the validation split."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skops.io import dump

from benchdog.api import BadUsage, Batch, Field, Session, Spec, json_text

from .features import rows
from .options import Options
from .runner import FORMAT, Answering, version

SIZES = {"HistGradientBoosting": 100, "RandomForest": 200, "ExtraTrees": 200, "KNeighbors": 5}

Arrays = tuple[tuple[NDArray[Any], ...], NDArray[Any]]


class WholeSession(Session, Protocol):
    """A session that also gives whole splits, decoded."""

    seed: int

    def arrays(self, split: str, /) -> Arrays:
        """Return decoded inputs (N, ...) in the spec's order, and targets (N, ...)."""
        ...

    def weights(self, split: str, /) -> NDArray[Any] | None:
        """Return the samples' weights (N,), if they have some."""
        ...


class ClassicalTrainer:
    """Train a classical estimator in one go."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.weighs = options.estimator != "KNeighbors"  # neighbors are asked, not fitted

    def train(self, session: WholeSession) -> Estimator:
        """Fit on the training split; the metrics are those of the validation split.

        Raises:
            BadUsage: the target is neither a class nor numbers, or the task wants another score than one per class.
        """
        spec = session.spec
        if spec.target.kind not in ("class", "number"):
            raise BadUsage(
                f"The trainer 'scikit-learn' answers classes and numbers; the target is a {spec.target.kind}.",
                "Use the trainer 'supervised' for it.",
            )
        if spec.target.kind == "class" and spec.output not in ((), (spec.classes,)):
            raise BadUsage(
                "The trainer 'scikit-learn' gives a score per class; this task wants another one.",
                "Use the task 'classification', or the trainer 'supervised'.",
            )
        inputs, target, weight = present(session, "train")
        meta = describe(session, self.options, target)
        fields = inputs_of(meta)
        pipeline = build(meta, self.options, session.seed)
        flat = target.ravel() if spec.target.kind == "class" or not spec.target.shape else target
        with warnings.catch_warnings():
            # The metrics show what a fit that was cut short is worth.
            warnings.simplefilter("ignore", ConvergenceWarning)
            more = {} if weight is None else {"estimate__sample_weight": weight}
            pipeline.fit(rows(inputs, fields, meta["features"]), flat, **more)
        last = pipeline[-1]
        if hasattr(last, "n_jobs"):
            last.set_params(n_jobs=None)  # whoever runs it decides about threads
        estimator = Estimator(pipeline, meta)
        session.epoch_done(judge(session, estimator))  # the only one, so none is begun and counted
        return estimator


class Estimator(Answering):
    """A fitted estimator that stores itself as data: benchdog.api.Trained."""

    runner = "benchdog_sklearn.runner:Runner"

    def save(self, folder: Path) -> None:
        """Write estimator.skops and estimator.json."""
        dump(self.pipeline, folder / "estimator.skops")
        text = json_text(self.meta, indent=2) + "\n"
        (folder / "estimator.json").write_text(text, encoding="utf-8", newline="\n")


def describe(session: WholeSession, options: Options, target: NDArray[Any]) -> dict[str, Any]:
    """Write down all that the runner must know besides the estimator, as JSON."""
    spec = session.spec
    chosen = options.estimator
    if chosen == "auto":
        chosen = "HistGradientBoosting" if spec.fields[0].kind == "table" else "Linear"
    mean, scale = units(session) if spec.target.kind == "number" else ([], [])
    return {
        "format": FORMAT,
        "scikit-learn": version(sklearn.__version__),
        "estimator": chosen,
        "features": options.features,
        "target": spec.target.kind,
        "classes": spec.classes,
        "fields": spec.to_json()["fields"],
        "mean": mean,
        "scale": scale,
        "samples": len(target),
    }


def inputs_of(meta: dict[str, Any]) -> tuple[Field, ...]:
    """Return the fields that a description keeps."""
    kept = {"fields": meta["fields"], "target": {"kind": meta["target"]}, "output": ()}
    return Spec.from_json(kept).fields


def units(session: WholeSession) -> tuple[list[float], list[float]]:
    """Ask the task's head, which is affine for numbers, in which units scores are: shift and scale."""
    shape = session.spec.target.shape
    probe = torch.zeros(2, shape[0] or 1 if shape else 1)
    probe[1] = 1.0
    with torch.no_grad():
        zero, one = session.task.head(session.spec)(probe).double().cpu()
    return zero.tolist(), (one - zero).tolist()


def judge(session: WholeSession, estimator: Estimator) -> dict[str, Any]:
    """Measure the fitted estimator on the validation split by the task's own meter."""
    inputs, target, weight = present(session, "valid")
    _, score = estimator(*inputs)
    meter = session.task.meter(session.spec)
    by = None if weight is None else torch.from_numpy(weight)
    meter.add(torch.from_numpy(score), Batch(inputs=(), target=torch.from_numpy(target), weight=by))
    return meter.value()


def present(session: WholeSession, split: str) -> tuple[tuple[NDArray[Any], ...], NDArray[Any], NDArray[Any] | None]:
    """Return a split without its samples of weight 0, and the weights that are left."""
    inputs, target = session.arrays(split)
    weight = session.weights(split)
    if weight is None or weight.all():
        return inputs, target, weight
    there = weight > 0
    return tuple(x[there] for x in inputs), target[there], weight[there]


# --- what is fitted --------------------------------------------------------------------------------


def build(meta: dict[str, Any], options: Options, seed: int) -> Pipeline:
    """Combine preparation and estimator."""
    fields = inputs_of(meta)
    steps = [("prepare", prepare(fields))] if any(f.columns for f in fields) else [("scale", StandardScaler())]
    several = len(meta["mean"]) > 1
    return Pipeline([*steps, ("estimate", make(meta["estimator"], meta["target"], options, seed, several))])


def prepare(fields: Sequence[Field]) -> ColumnTransformer:
    """Fill in and standardize numbers, one-hot categories by their codes; code 0 has none set."""
    numbers: list[int] = []
    codes: list[int] = []
    known: list[NDArray[np.float32]] = []
    at = 0
    for field in fields:
        for column in field.columns:
            if column.kind == "number":
                numbers.append(at)
            else:
                codes.append(at)
                known.append(np.arange(1, len(column.categories) + 1, dtype=np.float32))
            at += 1
        if not field.columns:
            width = int(np.prod([axis or 0 for axis in field.shape]))
            numbers.extend(range(at, at + width))
            at += width
    fill = SimpleImputer(add_indicator=True, keep_empty_features=True)
    parts: list[tuple[str, Any, list[int]]] = []
    if numbers:
        parts.append(("numbers", Pipeline([("fill", fill), ("scale", StandardScaler())]), numbers))
    if codes:
        one_hot = OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        parts.append(("categories", one_hot, codes))
    return ColumnTransformer(parts)


def make(name: str, target: str, options: Options, seed: int, several: bool) -> Any:
    """Build an estimator of the fixed list; `several` numbers need one booster each."""
    size = options.size or SIZES.get(name, 0)
    classes = target == "class"
    if name == "Linear":
        strength = options.strength
        return LogisticRegression(C=strength, max_iter=500) if classes else Ridge(alpha=1 / strength)
    if name == "KNeighbors":
        # Brute force: its stored form is arrays alone, where a tree's is a compiled object.
        return (KNeighborsClassifier if classes else KNeighborsRegressor)(size, algorithm="brute")
    if name == "HistGradientBoosting":
        if classes:
            return HistGradientBoostingClassifier(max_iter=size, random_state=seed)
        booster = HistGradientBoostingRegressor(max_iter=size, random_state=seed)
        return MultiOutputRegressor(booster) if several else booster
    kinds = {
        "RandomForest": (RandomForestClassifier, RandomForestRegressor),
        "ExtraTrees": (ExtraTreesClassifier, ExtraTreesRegressor),
    }
    return kinds[name][0 if classes else 1](size, random_state=seed, n_jobs=-1)
