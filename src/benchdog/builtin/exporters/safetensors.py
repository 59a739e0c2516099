"""The weights alone, as safetensors: they run where the plugin of the model is installed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchdog.api import ArtifactView, BadUsage, json_text

FILE = "model.safetensors"
NOTES = "model.json"
KEPT = ("format", "task", "model", "spec", "model_spec", "preprocess", "decoders")


class Safetensors:
    """Copy an artifact's weights with what is needed to build their model again."""

    def export(self, artifact: ArtifactView, folder: Path, /) -> None:
        """Write model.safetensors and model.json; the artifact's samples and recipe stay behind."""
        if not (artifact.folder / FILE).is_file():
            raise BadUsage(
                f"{artifact.folder} holds no weights: what was trained is not a torch module.",
                "Choose an exporter of the plugin that trained it.",
            )
        shutil.copyfile(artifact.folder / FILE, folder / FILE)
        meta = json.loads((artifact.folder / "artifact.json").read_text(encoding="utf-8"))
        text = json_text({key: meta[key] for key in KEPT if key in meta}, indent=2)
        (folder / NOTES).write_text(text + "\n", encoding="utf-8")
