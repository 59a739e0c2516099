"""Run a peer's CPU program on the GPU: python on_cuda.py PROGRAM [ARGUMENTS].

Tensors are created on the GPU, and the clock synchronizes with it.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path
from typing import Any

import torch

torch.set_default_device("cuda")
_clock = time.time


class _Generator(torch.Generator):
    def __new__(cls, device: str = "cuda") -> Any:
        return super().__new__(cls, device=device)  # type: ignore[call-arg]


def _there(make: Any) -> Any:
    """Wrap a function that ignores the default device so that it returns its tensor on the GPU."""
    return lambda *given, **named: make(*given, **named).cuda()


def _waiting() -> float:
    torch.cuda.synchronize()
    return _clock()


torch.from_numpy, torch.frombuffer = _there(torch.from_numpy), _there(torch.frombuffer)
torch.Generator = _Generator  # type: ignore[misc, assignment]
time.time = _waiting
del sys.argv[0]
sys.path.insert(0, str(Path(sys.argv[0]).resolve().parent))
runpy.run_path(sys.argv[0], run_name="__main__")
