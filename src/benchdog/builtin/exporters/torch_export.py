"""The portable graph: a torch.export program, which runs without the plugin that built the model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import ArtifactView, BadData
from benchdog.builtin.exporters.pt2 import check

if TYPE_CHECKING:
    import numpy as np

FILE = "graph.pt2"


class TorchExport:
    """Write the graph of an artifact as graph.pt2."""

    def export(self, artifact: ArtifactView, folder: Path, /) -> None:
        """Write graph.pt2 without stack traces: they name files of this machine."""
        import torch

        program = artifact.program()
        for module in program.graph_module.modules():
            if isinstance(module, torch.fx.GraphModule):
                module.meta.clear()
                for node in module.graph.nodes:
                    for key in node.meta.keys() - {"val"}:
                        del node.meta[key]
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
        check(buffer.getvalue(), FILE)  # what the loader would refuse is not worth keeping
        (folder / FILE).write_bytes(buffer.getvalue())


class TorchExportRunner:
    """Run graph.pt2 on the CPU; `module` is its torch module."""

    def __init__(self, folder: Path) -> None:
        import torch

        path = folder / FILE
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadData(f"{path} can't be read: {error.strerror}.", "Make the folder again.") from None
        check(data, str(path))
        try:
            # Guards are Python code in the file; the host sees to shapes and batch sizes instead.
            self.module: Any = torch.export.load(io.BytesIO(data)).module(check_guards=False)
        except Exception as error:  # an archive of another version of torch, or a damaged one
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            raise BadData(f"{path} can't be loaded: {said}.", "Make it again with this version of torch.") from error

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        try:
            with torch.inference_mode():
                answer, score = self.module(*(torch.from_numpy(x) for x in inputs))
        except RuntimeError as error:
            if not str(error).startswith("Expected input at"):
                raise
            raise BadData(f"The graph's inputs don't match its description: {error}.", "It is damaged.") from None
        return answer.numpy(), score.numpy()
