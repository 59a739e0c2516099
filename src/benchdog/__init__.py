"""Benchdog: from raw data to a deployed model, every step a plugin.

`train`, `load` and `evaluate` are the Python API; they are imported when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["__version__", "load", "train"]

if TYPE_CHECKING:
    from benchdog.notebook import load, train


def __getattr__(name: str) -> Any:
    if name in ("load", "train"):
        from benchdog import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'benchdog' has no attribute {name!r}")
