"""A torch device other than the CPU, with its data in CPU memory: a fake GPU for tests.

Like a GPU it refuses to mix its tensors with CPU tensors, and refuses nondeterministic operations.
(An error in a backward pass ends the process: torch can't propagate Python errors from there.)
`python -m support.fake_device COMMANDS.json FOLDER [NAME...]` runs commands and prints how each one ended; the named
ones write graph and report too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch.utils import _pytree as tree
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from benchdog.api import BackendInfo, Probe, hookimpl
from benchdog.builtin.backends.device import TorchDevice

CONTRACT = 1
HERE = "elsewhere:0"
MIXED_DEVICE = {"_to_copy", "copy_", "index", "index_put_", "_local_scalar_dense"}
"""Operations that a GPU does with tensors of both devices."""
BACKWARD = ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "avg_pool3d", "adaptive_max_pool2d", "reflection_pad2d")
RESIZED = ("linear1d", "bilinear2d", "bicubic2d", "trilinear3d")
REFUSED = {f"{name}_backward" for name in (*BACKWARD, *(f"upsample_{how}" for how in RESIZED))}
REFUSED |= {"grid_sampler_2d_backward", "grid_sampler_3d_backward", "histc", "put_"}
"""Operations that torch documents as nondeterministic on GPUs, and refuses under deterministic algorithms."""
PLUGIN = "from support.fake_device import CONTRACT, benchdog_backends"


class FakeTensor(torch.Tensor):
    """A tensor of that device; `raw` is the CPU tensor with its data."""

    raw: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> FakeTensor:
        about: dict[str, Any] = {"strides": raw.stride(), "storage_offset": raw.storage_offset(), "dtype": raw.dtype}
        made: FakeTensor = torch.Tensor._make_wrapper_subclass(cls, raw.size(), device=torch.device(HERE), **about)
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return work(func, args, kwargs or {})

    # methods that torch's tensors run without __torch_dispatch__

    def new_tensor(self, data: Any, dtype: torch.dtype | None = None) -> torch.Tensor:  # type: ignore[override]
        return torch.tensor(data, dtype=dtype or self.dtype, device=HERE)

    def data_ptr(self) -> int:
        return self.raw.data_ptr()

    def tolist(self) -> Any:
        return self.raw.tolist()

    def numpy(self, **_: object) -> NoReturn:
        raise TypeError("can't convert a tensor that is elsewhere to numpy; use Tensor.cpu() first")

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return memo.setdefault(id(self), self.detach().clone().requires_grad_(self.requires_grad))


def work(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation on the raw tensors."""
    name = func._schema.name.removeprefix("aten::")
    refuse(name, args)
    to = kwargs.get("device")

    def raw(x: Any) -> Any:
        if isinstance(x, FakeTensor):
            return x.raw
        if isinstance(x, torch.Tensor) and x.ndim and name not in MIXED_DEVICE:
            raise RuntimeError(f"Expected all tensors to be on the same device: {name} got a CPU tensor")
        return torch.device("cpu") if isinstance(x, torch.device) else x

    given, named = tree.tree_map(raw, (args, kwargs))
    out = func(*given, **named)
    if to is not None and torch.device(to).type == "cpu":
        return out
    if name == "copy_" and not isinstance(args[0], FakeTensor):
        return args[0]
    out = tree.tree_map(lambda x: FakeTensor(x) if isinstance(x, torch.Tensor) else x, out)
    return return_and_correct_aliasing(func, args, kwargs, out)  # type: ignore[no-untyped-call]


def refuse(name: str, args: Any) -> None:
    """Raise on nondeterministic operations, as on a GPU."""
    adding = name == "nll_loss2d_forward" and args[3] != 0
    if name in REFUSED or adding or (name == "cumsum" and args[0].is_floating_point()):
        raise RuntimeError(f"{name} does not have a deterministic implementation, but you set ...")


def as_tensor(make: Any) -> Any:
    """Return a torch.tensor that creates tensors of this device from CPU tensors."""
    return lambda data, *, device=None, **more: make(data, **more).to(device or "cpu")


class Elsewhere:
    """The backend."""

    def probe(self) -> Probe:
        return Probe(available=True, why="for tests", devices=1, precisions=("fp32",))

    def open(self, rank: int, world: int) -> TorchDevice:
        return TorchDevice("elsewhere", rank, world, "fp32", "gloo")


@hookimpl
def benchdog_backends() -> list[BackendInfo]:
    return [BackendInfo(name="elsewhere", summary="Not the CPU.", target="support.fake_device:Elsewhere")]


def begin() -> None:
    """Register the device with torch."""
    _setup_privateuseone_for_python_backend("elsewhere")
    torch.__future__.set_swap_module_params_on_conversion(True)  # parameters stay the same objects, as on a GPU
    torch.tensor = as_tensor(torch.tensor)
    # wrapper tensors do not support inference mode
    mode: Any = torch.inference_mode
    mode.__enter__ = lambda self: self.__dict__.setdefault("plain", torch.no_grad()).__enter__()
    mode.__exit__ = lambda self, *error: self.plain.__exit__(*error)
    library: Any = torch.library.Library("_", "IMPL")  # type: ignore[no-untyped-call]
    library.fallback(lambda func, *args, **kwargs: work(func, args, kwargs), "PrivateUse1")
    globals()["kept"] = library


def main() -> None:
    """Run the commands and print their results."""
    from support.bare import bare
    from support.fitted_once import fitted_once
    from support.in_process import run

    commands, place, whole = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]), sys.argv[3:]
    (place / "there.py").write_text(PLUGIN, encoding="utf-8")
    ends = {}
    with fitted_once():
        for name, words in commands.items():
            with nullcontext() if name in whole else bare():
                done = run("--plugin", "there.py", *words, cwd=place, code=None)
            ends[name] = [done.code, done.err]
            print(name, done.code, file=sys.stderr)  # shown if the process dies
    print(json.dumps(ends))


if __name__ == "__main__":
    from support import fake_device  # the plugin's module, and this program's, are one

    fake_device.begin()
    fake_device.main()
