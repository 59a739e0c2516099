"""What the file of a run's weights says about itself."""

import json
from pathlib import Path
from typing import Any

from benchdog.api import BadData


def listed(run: Path) -> dict[str, dict[str, Any]]:
    """Read the head of a run's model.safetensors: {name: {"dtype", "shape"}}; no tensor is loaded.

    Raises:
        BadData: what was trained has no weights, or its file is damaged.
    """
    path = run / "artifact" / "model.safetensors"
    try:
        with path.open("rb") as file:
            head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except (OSError, ValueError) as error:
        raise BadData(f"{path} can't be read: {error}.", "Choose the run of a torch model.") from error
    return {
        name: {"dtype": about["dtype"], "shape": about["shape"]}
        for name, about in head.items()
        if name != "__metadata__"
    }
