"""The exporter: files into an empty folder, in a process of its own."""

import io
import lzma
from pathlib import Path

import torch
from benchdog.api import ArtifactView

from .options import Options
from .runner import FILE


class MyThingExporter:
    """Write the graph, with free batch and other free axes, as graph.pt2.xz."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def export(self, artifact: ArtifactView, folder: Path) -> None:
        """Write the file; Benchdog then compares its runner with the model, and refuses it if they differ."""
        plain = io.BytesIO()
        torch.export.save(artifact.program(), plain)
        (folder / FILE).write_bytes(lzma.compress(plain.getvalue(), preset=self.options.level))
