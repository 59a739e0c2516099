"""Building a model for the data, and checking its output on synthetic samples."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from benchdog.api import Spec
from benchdog.errors import BadUsage, BenchdogError
from benchdog.model.outputs import Observed, attach, choose
from benchdog.model.rebuild import build_model
from benchdog.plugins import Plugins, returned
from benchdog.recipe.recipe import ComponentConfig, OutputConfig

WILD = 3.0
"""Deviation of what is added to weights, to see how far an output can go."""
SAMPLES = 16


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


def check_output(
    model: Any,
    spec: Spec,
    name: str,
    inputs: Callable[[int], tuple[torch.Tensor, ...]],
    config: OutputConfig,
    head: Callable[[], nn.Module],
    task: str = "",
) -> nn.Module:
    """Run a model on synthetic samples, and return it if the score can be read from what it returns.

    Args:
        model: as it was built; a hook reads its score where its output is something else.
        spec: of the transformed data, with the task's output.
        name: the model's, for messages.
        inputs: generates so many samples of each field, (n, ...).
        config: how the score is to be read.
        head: makes the task's head.
        task: name of the task whose head is tried on the score; "" for no trial.

    Raises:
        BadUsage: the model, or the head, isn't a module, raises an exception, or returns something else.
    """
    if not isinstance(model, nn.Module):
        raise BadUsage(f"{name!r} returns a {type(model).__name__}, not a torch.nn.Module.", "Return a module.")
    attach(model, None)  # a live model may be checked again
    seen = Observed(
        output=_output(model, name, inputs(2)),
        spec=spec,
        name=name,
        head=head,
        shaken=partial(_shaken_output, model, name, inputs),
    )
    reading = choose(seen, config)
    attach(model, reading)
    if task:
        returned.prediction(head(), seen.output if reading is None else reading.of(seen.output), task)
    return model


def _shaken_output(model: nn.Module, name: str, inputs: Callable[[int], tuple[torch.Tensor, ...]], seed: int) -> Any:
    """Return what a copy of a model returns that has wild weights; None if it can't be copied."""
    draw = torch.Generator().manual_seed(seed)
    try:
        other = copy.deepcopy(model)
    except Exception:  # a third party's module may refuse
        return None
    with torch.no_grad():
        for weight in other.parameters():
            if weight.is_floating_point():
                weight.add_(WILD * torch.randn(weight.shape, generator=draw).to(weight))
    return _output(other, name, inputs(SAMPLES))


def _output(model: nn.Module, name: str, inputs: tuple[torch.Tensor, ...]) -> Any:
    """Return what a model returns in evaluation mode.

    Raises:
        BadUsage: it raises an exception.
    """
    training = model.training
    try:
        with torch.no_grad():
            return model.eval()(*inputs)
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
