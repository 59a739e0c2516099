"""The libraries datasets and transformers, kept off the network and quiet."""

from __future__ import annotations

import os
from typing import Any

from benchdog.api import NotAvailable

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
"""Read by the libraries when they are imported; processes that are started later have it too."""


def datasets() -> Any:
    """Import datasets, offline."""
    os.environ.update(OFFLINE)
    import datasets

    return datasets


def transformers() -> Any:
    """Import transformers, offline; it says errors alone.

    Raises:
        NotAvailable: its networks can't be imported; says why, and how to fix it.
    """
    os.environ.update(OFFLINE)
    try:
        import transformers
        from transformers import PreTrainedModel  # noqa: F401 - what all networks need is imported late
    except Exception as error:  # torchvision raises RuntimeError where it was built for another torch
        raise _missing(error) from None
    library: Any = transformers
    library.logging.set_verbosity_error()
    return library


def _missing(error: BaseException) -> NotAvailable:
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines() or ["no reason given"]
    said = f"{type(error).__name__}: {lines[0].rstrip('.')}"[:200]
    hint = "pip install benchdog-huggingface"
    if "torchvision" in said:
        hint = (
            "transformers imports torchvision where there is one, and this one was built for another torch: take "
            "both from one place, or, if nothing else needs it, pip uninstall torchvision"
        )
    return NotAvailable(f"The networks of transformers can't be imported: {said}.", hint)
