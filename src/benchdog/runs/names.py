"""Default names of runs: source and model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchdog.api import SourceInfo

LONGEST = 80
"""Bytes of each of the two that are used: together less than a file's name may have."""


def stem(source: str, model: str, data: Path | None = None) -> str:
    """Name what is trained on what: "wines-mlp" of wines.csv, "digits-cnn" of a data set by name.

    Args:
        source: the source's name; of file.py:Class the class is taken.
        model: the model's, likewise.
        data: the file or folder that is the source's data, where it is somebody's own.
    """
    named = "" if data is None else _safe(data.name if data.is_dir() else data.stem)
    return "-".join([named or _safe(source.rpartition(":")[2]) or "run", _safe(model.rpartition(":")[2])])


def data_of(info: SourceInfo, options: Mapping[str, Any]) -> Path | None:
    """Return the path of the data that names the runs of a source; None where the source's own name does."""
    value = options.get(info.named_by)
    return Path(str(value)) if value else None


def _safe(name: str) -> str:
    """Leave letters, digits, "-", "_" and "."; what else there is becomes "-"."""
    plain = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", name)).strip("-.")
    return plain.encode()[:LONGEST].decode(errors="ignore").strip("-.")
