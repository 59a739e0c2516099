"""Memory format of 2-D convolutions: channels_last is fast, but not every model runs with it."""

from __future__ import annotations

from contextlib import suppress

import torch
from torch import nn

from benchdog.model.flops import scalar
from benchdog.plugins.options import describe
from benchdog.training.resolve.decision import Decision
from benchdog.training.setup import Components

OPTION = "channels_last"
SAMPLES = 2


def choose_memory_format(components: Components, model: nn.Module | None, seconds: float = 0.0) -> Decision | None:
    """Turn `backend.channels_last` off for a model whose step fails with it and succeeds without.

    Such a model calls view() on what a convolution returns, for instance.

    Args:
        components: of the run.
        model: one like that which will be trained, in the plain format; None if the trainer brings its own.
        seconds: the time budget, which changes nothing here.
    """
    layers = [] if model is None else [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    if model is None or not layers or not _wanted(components):
        return None
    values = {f"backend.{OPTION}": False}
    if components.recipe.backend.name == "cpu" and any(map(_overruns, layers)):
        return Decision(values=values, log=f"backend.{OPTION} is off: a strided 1x1 convolution has too few channels")
    inputs = components.synthetic_inputs(SAMPLES)
    try:
        failure = _failure(model.to(memory_format=torch.channels_last), inputs)  # type: ignore[call-overload]
    finally:
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if not failure or _failure(model, inputs):  # a failure in both formats is reported by training
        return None
    note = f"backend.channels_last is off: with it the model raises {failure}"
    return Decision(values=values, note=note, log=note)


def _overruns(layer: nn.Conv2d) -> bool:
    """Whether oneDNN writes past its buffers in the layer's backward pass, with channels last (torch 2.13)."""
    return layer.kernel_size == (1, 1) and max(layer.stride) > 1 and layer.in_channels < 8 * layer.groups


def _wanted(components: Components) -> bool:
    """Whether the backend has the option, and it is on."""
    part = components.recipe.backend
    found = components.plugins.find("backend", part.name)
    known = found.info.options and OPTION in describe(found.resolve(found.info.options))
    return bool(known) and part.options.get(OPTION, True) is True


def _failure(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> str:
    """Return the error of a forward and backward pass in training mode, "" for none; the model is left unchanged."""
    training, kept = model.training, [(x, x.clone()) for x in model.buffers()]
    try:
        with torch.random.fork_rng(devices=[]):
            scalar(model.train()(*inputs)).backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # a third party's model may raise anything
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200].rstrip('.')}"
    finally:
        model.zero_grad(set_to_none=True)
        model.train(training)
        with torch.no_grad(), suppress(RuntimeError):
            for buffer, value in kept:
                buffer.copy_(value)
    return ""
