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
    if model is None or not _wanted(components) or not any(isinstance(m, nn.Conv2d) for m in model.modules()):
        return None
    inputs = components.synthetic_inputs(SAMPLES)
    try:
        failure = _failure(model.to(memory_format=torch.channels_last), inputs)  # type: ignore[call-overload]
    finally:
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if not failure or _failure(model, inputs):  # what fails in both formats is told by the training
        return None
    note = f"backend.channels_last is off: with it the model raises {failure}"
    return Decision(values={f"backend.{OPTION}": False}, note=note, log=note)


def _wanted(components: Components) -> bool:
    """Whether the backend has the option, and it is on."""
    part = components.recipe.backend
    found = components.plugins.find("backend", part.name)
    known = found.info.options and OPTION in describe(found.resolve(found.info.options))
    return bool(known) and part.options.get(OPTION, True) is True


def _failure(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> str:
    """Return what a forward and a backward pass in training mode raise, "" for nothing; the model stays as it was."""
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
