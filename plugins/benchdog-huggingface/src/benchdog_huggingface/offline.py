"""The libraries datasets and transformers, kept off the network and quiet."""

from __future__ import annotations

import os
from typing import Any

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
    """Import transformers, offline; it says errors alone."""
    os.environ.update(OFFLINE)
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers
