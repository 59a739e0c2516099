"""torch.compile for the training steps: machine code for the whole net. Everything else uses the net as it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from torch import nn

from benchdog.api import NotAvailable, Spec

SIZES = 64
"""Different programs of one net at most: one for each size of batch, and for each set of layers that learn."""
INDUCTOR: dict[str, Any] = {"fallback_random": True, "fx_graph_cache": False}
"""Random numbers are drawn as without compiling, so that only rounding differs. The cache of graphs is pickled."""


def compiled(model: nn.Module, spec: Spec, wanted: bool) -> Callable[..., Any]:
    """Return what a training step calls: the model itself, or a program made of it at the first call for each size.

    Sizes are never generalised: which program a batch meets mustn't depend on the batches before, else a run that
    continues would end with other bits than one that was never stopped.

    Raises:
        NotAvailable: inputs may have any size; or, at a call, the program can't be made.
    """
    if not wanted:
        return model
    if any(None in field.shape for field in spec.fields):
        raise NotAvailable(
            "trainer.compile: the inputs may have any size, and each would need a program of its own.",
            'Set trainer.compile = "no".',
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about parts of itself
        import torch
        import torch._dynamo
        import torch._functorch
        import torch._inductor

        torch._dynamo.reset()
        torch._functorch.config.enable_autograd_cache = False  # pickled too
        torch._dynamo.config.recompile_limit = SIZES
        torch._dynamo.config.fail_on_recompile_limit_hit = True
        program = torch.compile(model, dynamic=False, options=INDUCTOR)
    failures = (torch._dynamo.exc.TorchDynamoException, torch._inductor.exc.InductorError)

    def call(*inputs: Any) -> Any:
        try:
            return program(*inputs)
        except failures as error:
            raise NotAvailable(
                f"The model can't be compiled: {reason(error)}.", 'Set trainer.compile = "no".'
            ) from error

    return call


def reason(error: BaseException) -> str:
    """Return the root cause of a compiler's failure, in one line."""
    inner = getattr(error, "inner_exception", None) or error
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return f"{type(inner).__name__}: {lines[0][:200].rstrip('.') if lines else 'no reason given'}"
