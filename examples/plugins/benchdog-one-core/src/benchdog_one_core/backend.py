"""The backend: hardware decisions, never the training loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from benchdog.api import BadUsage, Probe
from torch import Tensor, nn

from .options import Options


class OneCoreBackend:
    """Train on the CPU with a fixed number of threads."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def probe(self) -> Probe:
        """Return quickly whether the hardware is available, or what is missing; never raise."""
        return Probe(available=True, why=f"{self.options.threads} of the CPU's threads", devices=1)

    def open(self, rank: int, world: int) -> "OneCoreDevice":
        """Open the device for one of `world` ranks."""
        if world > 1:
            raise BadUsage("The backend 'one-core' works in one process.", "Use `cpu` for several ranks.")
        return OneCoreDevice(self.options.threads)


class OneCoreDevice:
    """The CPU. Whatever differs on other hardware belongs here and nowhere else."""

    def __init__(self, threads: int) -> None:
        self.torch_device, self.rank, self.world = torch.device("cpu"), 0, 1
        self._before = torch.get_num_threads()
        torch.set_num_threads(threads)

    def prepare(self, model: nn.Module) -> nn.Module:
        """Move a model to the device."""
        return model.to(self.torch_device)

    def put(self, tensor: Tensor) -> Tensor:
        """Move a tensor to the device."""
        return tensor.to(self.torch_device)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of the forward pass, here full precision."""
        return nullcontext()

    def backward(self, loss: Tensor, scale: Tensor) -> None:
        """Accumulate the gradient of loss times scale."""
        (loss * scale).backward()  # type: ignore[no-untyped-call]

    def step(self, optimizer: Any, limit: Callable[[], Any] | None = None) -> None:
        """Step the optimizer; `limit` sees the unscaled gradients first."""
        if limit is not None:
            limit()
        optimizer.step()

    def sum_(self, tensor: Tensor) -> Tensor:
        """Sum a tensor over the ranks in place; here there is only one."""
        return tensor

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resume needs, such as that of a gradient scaler."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore that state."""

    def close(self) -> None:
        """Restore the number of threads."""
        torch.set_num_threads(self._before)
