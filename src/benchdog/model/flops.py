"""FLOPs of a model: counted on made-up samples, operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import flop_counter
from torch.utils.flop_counter import FlopCounterMode


def count(model: nn.Module, inputs: Sequence[Tensor]) -> dict[str, int | None]:
    """Count floating-point operations: {"forward": of a sample's answer, "training": of a sample in a step}.

    Products and convolutions count, a multiplication and an addition as two; additions, activations and
    normalizations don't. A training step adds the backward pass. None where the model can't be run so.
    """
    _spare_the_compiler()
    found: dict[str, int | None] = {"forward": None, "training": None}
    training = model.training
    states = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        # A count that fails is no reason not to plan; the attention of formulas that torch can count.
        with suppress(RuntimeError, TypeError, ValueError), sdpa_kernel(SDPBackend.MATH):
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                model.eval()(*inputs)
            found["forward"] = counter.get_total_flops() // len(inputs[0])
            with torch.enable_grad(), FlopCounterMode(display=False) as counter:
                scalar(model.train()(*inputs)).backward()  # type: ignore[no-untyped-call]
            found["training"] = counter.get_total_flops() // len(inputs[0])
    finally:
        model.zero_grad(set_to_none=True)
        model.load_state_dict(states)  # running means of a BatchNorm
        model.train(training)
    return found


def scalar(given: object) -> Tensor:
    """Add up all scores that a model gives."""
    if isinstance(given, dict):
        scores = [given["score"], *(score for _, score in given.get("auxiliary", ()))]
        return torch.stack([score.float().sum() for score in scores]).sum()
    assert isinstance(given, Tensor)
    return given.float().sum()


def _spare_the_compiler() -> None:
    """Let the counter run without importing torch's compiler, two seconds of a `plan`.

    torch wraps the counter's dispatch to take it out of the compiler's reach, and imports the compiler for that at
    the first call. Uncompiled the wrapped function does the same; where torch has no such names nothing happens.
    """
    mode: Any = getattr(flop_counter, "_FlopCounterMode", FlopCounterMode)
    inner = getattr(mode.__torch_dispatch__, "__wrapped__", None)
    if inner is not None and not hasattr(inner, "__dynamo_disable"):
        inner.__dynamo_disable = inner
