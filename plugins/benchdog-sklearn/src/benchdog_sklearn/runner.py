"""The runner: numpy in, numpy out, no torch. Loads nothing but data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import Pipeline
from skops.io import get_untrusted_types

from benchdog.api import BadData, NotAvailable, Refused, Spec

from .features import rows

FORMAT = 1

TRUSTED = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)
"""The types beyond skops' own list that an estimator of ours is made of. Nothing else is ever loaded."""

ESTIMATORS = frozenset(
    f"{name}{kind}"
    for name in ("HistGradientBoosting", "RandomForest", "ExtraTrees", "KNeighbors")
    for kind in ("Classifier", "Regressor")
) | {"LogisticRegression", "Ridge", "MultiOutputRegressor"}

FLOOR = 1e-6
"""The least probability: a forest's 0 would make one mistake cost infinitely much."""


class Answering:
    """Call a fitted pipeline on decoded inputs."""

    def __init__(self, pipeline: Pipeline, meta: dict[str, Any]) -> None:
        self.pipeline = pipeline
        self.meta = meta
        kept = {"fields": meta["fields"], "target": {"kind": meta["target"]}, "output": ()}
        self.fields = Spec.from_json(kept).fields

    def __call__(self, *inputs: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (answer, score): probabilities and their logarithms, or values and standardized values."""
        x = rows(inputs, self.fields, self.meta["features"])
        if self.meta["target"] == "class":
            seen = self.pipeline.predict_proba(x)
            answer = np.zeros((len(x), self.meta["classes"]))
            answer[:, self.pipeline.classes_] = seen  # a class without training samples has none
            answer = np.maximum(answer, FLOOR)
            answer /= answer.sum(1, keepdims=True)
            return answer.astype(np.float32), np.log(answer).astype(np.float32)
        answer = np.asarray(self.pipeline.predict(x), np.float64).reshape(len(x), -1)
        mean, scale = np.array(self.meta["mean"]), np.array(self.meta["scale"])
        score = (answer - mean) / np.where(scale == 0, 1.0, scale)
        return answer.astype(np.float32), score.astype(np.float32)


class Runner(Answering):
    """Run a stored estimator."""

    def __init__(self, folder: Path) -> None:
        meta = _read(folder / "estimator.json")
        super().__init__(_load(folder / "estimator.skops"), meta)


def version(full: str) -> str:
    """Return major and minor number: what stored estimators depend on."""
    return ".".join(full.split(".")[:2])


def _read(path: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written, number = meta["scikit-learn"], meta["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path} can't be read: {error}.", "The folder is damaged: make it again.") from None
    if number != FORMAT:
        raise BadData(f"{path} has format {number!r}, not {FORMAT}.", "Use the benchdog-sklearn that wrote it.")
    if written != version(sklearn.__version__):
        raise NotAvailable(
            f"This estimator was written by scikit-learn {written}; here is {sklearn.__version__}.",
            f'pip install "scikit-learn=={written}.*"',
        )
    return meta


def _load(path: Path) -> Pipeline:
    """Load an estimator of known types whose parts fit together.

    Raises:
        Refused: it holds a type that is not on the fixed list, or trees that point outside of themselves.
        BadData: it is missing or damaged.
    """
    try:
        # The bytes are read once: what is checked is what is loaded.
        data = path.read_bytes()
    except OSError as error:
        raise BadData(f"{path} can't be read: {error}.", "The folder is damaged: make it again.") from None
    try:
        foreign = sorted(set(get_untrusted_types(data=data)) - set(TRUSTED))
    except Exception as error:  # a damaged archive fails in many ways, all of them before anything is made
        raise BadData(f"{path} is damaged: {error}.", "Make the artifact again.") from None
    if foreign:
        raise Refused(f"{path} holds {', '.join(foreign)}, which is never loaded.", "Don't use this file.")
    try:
        pipeline = loads(data)
    except Exception as error:
        raise BadData(f"{path} is damaged: {error}.", "Make the artifact again.") from None
    if not isinstance(pipeline, Pipeline) or type(pipeline[-1]).__name__ not in ESTIMATORS:
        raise Refused(f"{path} holds no estimator of the trainer 'scikit-learn'.", "Don't use this file.")
    if not valid_trees(pipeline[-1]):
        raise Refused(f"{path} holds trees that point outside of themselves.", "Don't use this file.")
    return pipeline


def loads(data: bytes) -> Any:
    """Load what has been checked."""
    from skops.io import loads as skops_loads

    return skops_loads(data, trusted=list(TRUSTED))


def valid_trees(estimator: Any) -> bool:
    """Return whether trees lead only downwards and look only at features that exist.

    Compiled code walks them without looking: a doctored one would read anywhere in memory.
    """
    if isinstance(estimator, MultiOutputRegressor):
        return all(map(valid_trees, estimator.estimators_))
    width = getattr(estimator, "n_features_in_", 0)
    for tree in getattr(estimator, "estimators_", ()):
        inner = tree.tree_
        split = inner.children_left != -1
        place = np.flatnonzero(split)
        children = np.stack([inner.children_left, inner.children_right])[:, split]
        feature = inner.feature[split]
        if not _inside(children, place, inner.node_count) or not _within(feature, width):
            return False
    for group in getattr(estimator, "_predictors", ()):
        for predictor in group:
            nodes = predictor.nodes
            split = nodes["is_leaf"] == 0
            children = np.stack([nodes["left"], nodes["right"]])[:, split].astype(np.int64)
            categorical = bool(nodes["is_categorical"].any())
            fits = _inside(children, np.flatnonzero(split), len(nodes))
            if categorical or not fits or not _within(nodes["feature_idx"][split], width):
                return False
    return True


def _inside(children: NDArray[Any], place: NDArray[Any], count: int) -> bool:
    """Return whether each child exists and comes after its parent, so that no walk goes round."""
    return bool(count > 0 and (children > place).all() and (children < count).all())


def _within(feature: NDArray[Any], width: int) -> bool:
    return bool((feature >= 0).all() and (feature < width).all())
