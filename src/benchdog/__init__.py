"""Benchdog: from raw data to a deployed model, every step a plugin.

`train`, `load` and `open_run` are the Python API; they are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["FinishedRun", "SplitArrays", "__version__", "load", "open_run", "train"]

if TYPE_CHECKING:
    from benchdog.notebook import FinishedRun, SplitArrays, load, open_run, train


def __getattr__(name: str) -> Any:
    if name in __all__:
        from benchdog import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'benchdog' has no attribute {name!r}")
