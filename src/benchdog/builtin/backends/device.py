"""One rank's hardware, by way of torch; the backends say which."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.builtin.backends.optimizer_import import plain_step, spare_the_compiler

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


class TorchDevice:
    """See benchdog.api.Device."""

    def __init__(
        self,
        kind: str,
        rank: int,
        world: int,
        precision: str,
        communication: str,
        deterministic: bool = True,
        channels_last: bool = True,
    ) -> None:
        index = rank if kind == "cuda" else None
        self.torch_device = torch.device(kind, index) if index is not None else torch.device(kind)
        self.rank, self.world = rank, world
        self.channels_last = channels_last
        self.dtype = PRECISIONS.get(precision)
        self._autocast: AbstractContextManager[Any] = nullcontext()
        self._scaler = torch.amp.GradScaler(kind) if precision == "fp16" else None
        if deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # What use_deterministic_algorithms does, without its import of the compiler: 40 MB and a second.
        torch.set_deterministic_debug_mode("error" if deterministic else "default")
        # Filling fresh memory with NaN finds faults of kernels, not of runs, and costs time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        spare_the_compiler()
        if kind == "cuda":
            torch.cuda.set_device(self.torch_device)
        if world > 1:
            self._join(communication)

    def _join(self, communication: str) -> None:
        torch.distributed.init_process_group(
            communication, init_method=os.environ["BENCHDOG_RENDEZVOUS"], rank=self.rank, world_size=self.world
        )

    def prepare(self, model: nn.Module, /) -> nn.Module:
        """Move a model here; convolutions in two dimensions get the memory format that they are fast in."""
        model = model.to(self.torch_device)
        if self.channels_last and any(isinstance(module, nn.Conv2d) for module in model.modules()):
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return model

    def put(self, tensor: Tensor, /) -> Tensor:
        """Move a tensor here."""
        if self.torch_device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()  # else the copy would wait for the steps before it, and the program with it
        return tensor.to(self.torch_device, non_blocking=True)

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context for the forward pass."""
        if self.dtype is None:
            return self._autocast
        return torch.autocast(self.torch_device.type, self.dtype)

    def backward(self, loss: Tensor, scale: Tensor, /) -> None:
        """Add the gradient of loss times scale."""
        if self._scaler is not None:
            scale = self._scaler.scale(scale)
        if self.torch_device.type == "cpu":
            # What loss.backward(scale) ends in, without its checks of arguments: they cost as much as two layers.
            torch.autograd.Variable._execution_engine.run_backward(
                (loss,), (scale,), False, False, (), allow_unreachable=True, accumulate_grad=True
            )
        else:
            loss.backward(scale)  # type: ignore[no-untyped-call]

    def step(self, optimizer: Any, limit: Callable[[], Any] | None = None, /) -> None:
        """Let the optimizer step, after `limit`; fp16 skips a step whose gradients overflowed."""
        if self._scaler is None:
            if limit is not None:
                limit()
            plain_step(optimizer)
            return
        if limit is not None:
            self._scaler.unscale_(optimizer)
            limit()
        self._scaler.step(optimizer)
        self._scaler.update()

    def sum_(self, tensor: Tensor, /) -> Tensor:
        """Add a tensor up over the ranks, in place."""
        if self.world > 1:
            torch.distributed.all_reduce(tensor)
        return tensor

    def state_dict(self) -> dict[str, Any]:
        """Return the scaler's state."""
        return {"scaler": self._scaler.state_dict()} if self._scaler is not None else {}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Take the scaler's state."""
        if self._scaler is not None and "scaler" in state:
            self._scaler.load_state_dict(state["scaler"])

    def close(self) -> None:
        """Leave the group of ranks."""
        if self.world > 1:
            torch.distributed.destroy_process_group()
