"""The exporter: writes files into an empty folder, in a separate process."""

import io
import lzma
from pathlib import Path

import torch
from benchdog.api import ArtifactView

from .options import Options
from .runner import FILE


class MyThingExporter:
    """Write the graph, with dynamic axes, as graph.pt2.xz."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def export(self, artifact: ArtifactView, folder: Path) -> None:
        """Write the file; Benchdog then compares the runner with the model and rejects it if they differ."""
        plain = io.BytesIO()
        torch.export.save(artifact.program(), plain)
        (folder / FILE).write_bytes(lzma.compress(plain.getvalue(), preset=self.options.level))
