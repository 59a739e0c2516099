"""The backend: it decides about hardware, never about the loop."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from benchdog.api import BadUsage, Probe
from torch import Tensor, nn

from .options import Options


class MyThingBackend:
    """Train on the CPU with a fixed number of threads."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def probe(self) -> Probe:
        """Return at once whether the hardware is available, or what is missing; never raise."""
        return Probe(available=True, why=f"{self.options.threads} of the CPU's threads", devices=1)

    def open(self, rank: int, world: int) -> "MyThingDevice":
        """Take the hardware for one rank of `world`."""
        if world > 1:
            raise BadUsage("The backend 'my-thing' works in one process.", "Use `cpu` for several ranks.")
        return MyThingDevice(self.options.threads)


class MyThingDevice:
    """The CPU. What another device does otherwise is put here, and nowhere else."""

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
        """Return the context of the forward pass: here in full precision."""
        return nullcontext()

    def backward(self, loss: Tensor, scale: Tensor) -> None:
        """Add the gradient of loss times scale."""
        (loss * scale).backward()  # type: ignore[no-untyped-call]

    def step(self, optimiser: Any, limit: Callable[[], Any] | None = None) -> None:
        """Let the optimizer step; `limit` looks at the gradients before, at their true size."""
        if limit is not None:
            limit()
        optimiser.step()

    def sum_(self, tensor: Tensor) -> Tensor:
        """Add a tensor up over the ranks, in place: there is one."""
        return tensor

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs, such as the state of a scaler."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it back."""

    def close(self) -> None:
        """Leave the hardware as it was."""
        torch.set_num_threads(self._before)
