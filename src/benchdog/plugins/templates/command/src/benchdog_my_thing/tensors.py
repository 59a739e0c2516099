"""Metadata of a run's weights file."""

from pathlib import Path
from typing import Any

from benchdog.api import BadData
from safetensors import SafetensorError, safe_open


def listed(run: Path) -> dict[str, dict[str, Any]]:
    """Read the header of a run's model.safetensors: {name: {"dtype", "shape"}}; no tensor is loaded.

    Raises:
        BadData: the run has no weights, or the file is damaged.
    """
    path = run / "artifact" / "model.safetensors"
    try:
        with safe_open(path, "numpy") as weights:
            parts = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118 -- it is not a mapping
            return {
                name: {"dtype": part.get_dtype(), "shape": part.get_shape()} for name, part in parts.items()
            }
    except (OSError, SafetensorError) as error:
        raise BadData(f"{path} can't be read: {error}.", "Choose the run of a torch model.") from error
