"""Global settings of torch that a backend changes for a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic


@contextmanager
def restored() -> Iterator[None]:
    """Restore the number of threads and the deterministic mode on exit, for whatever else runs in this process."""
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    filled = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
