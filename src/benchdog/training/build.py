"""Building a model for the data, and checking its output on synthetic samples."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn

from benchdog.api import Spec
from benchdog.errors import BadUsage, BenchdogError
from benchdog.model.auxiliary_outputs import ScoreOnly
from benchdog.model.rebuild import build_model
from benchdog.plugins import Plugins
from benchdog.recipe.recipe import ComponentConfig


def build_from(part: ComponentConfig, spec: Spec, plugins: Plugins, live: Any = None) -> Any:
    """Build a model from its configuration, or from a live class or function.

    Raises:
        BadUsage: it raises an exception.
    """
    try:
        if live is not None:
            parameters = inspect.signature(live).parameters
            required = any(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in parameters.values())
            return live(spec) if required or "spec" in parameters else live()
        return build_model({"name": part.name, "options": part.options}, spec, plugins)
    except BenchdogError:
        raise
    except Exception as error:
        raise BadUsage(
            f"The model {part.name!r} can't be built: {type(error).__name__}: {' '.join(str(error).split())}.",
            "It is called as build(spec, options), or with the recipe's [model] options.",
        ) from error


def check_output(model: Any, spec: Spec, name: str, inputs: tuple[torch.Tensor, ...]) -> nn.Module:
    """Run a model on two synthetic samples, and return it if its output has the shape that the task needs.

    Args:
        model: as it was built; one that returns a dict with auxiliary scores is wrapped.
        spec: of the transformed data, with the task's output.
        name: the model's, for messages.
        inputs: two samples of each field, (2, ...).

    Raises:
        BadUsage: it isn't a module, raises an exception, or returns another shape.
    """
    if not isinstance(model, nn.Module):
        raise BadUsage(f"{name!r} returns a {type(model).__name__}, not a torch.nn.Module.", "Return a module.")
    training = model.training
    try:
        with torch.no_grad():
            score = model.eval()(*inputs)
    except BenchdogError:
        raise
    except Exception as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        raise BadUsage(
            f"The model {name!r} doesn't fit the data: on inputs of shape {shapes} it raises "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}.",
            "Choose another --model, or fix it for these shapes.",
        ) from error
    finally:
        model.train(training)
    if isinstance(score, dict) and "score" in score:
        model, score = ScoreOnly(model), score["score"]
    expected = (2, *spec.output)
    fits = isinstance(score, torch.Tensor) and len(score.shape) == len(expected)
    if not fits or any(w is not None and w != s for w, s in zip(expected, score.shape, strict=True)):
        got = tuple(score.shape) if isinstance(score, torch.Tensor) else type(score).__name__
        text = "(2, " + ", ".join("any" if n is None else str(n) for n in spec.output) + ")"
        raise BadUsage(
            f"The model {name!r} returns {got} for two samples; the task needs {text}.",
            "The size of the last layer is spec.outputs.",
        )
    fitting: nn.Module = model
    return fitting
