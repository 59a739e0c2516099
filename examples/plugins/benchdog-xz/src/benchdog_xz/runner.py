"""The runner: decoded numpy arrays in, (prediction, score) out; independent of the exporter."""

import io
import lzma
from pathlib import Path

import numpy as np
from benchdog.api import BadData

FILE = "graph.pt2.xz"


class XzRunner:
    """Run graph.pt2.xz on the CPU."""

    def __init__(self, folder: Path) -> None:
        import torch  # imported here so that a missing torch is a clear error

        path = folder / FILE
        try:
            plain = io.BytesIO(lzma.decompress(path.read_bytes()))
            self.module = torch.export.load(plain).module()
        except Exception as error:  # missing, not xz, or of another version of torch
            raise BadData(f"{path} can't be read: {error}.", "Export it again.") from error

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (prediction, score), each (B, ...)."""
        import torch

        with torch.inference_mode():
            answer, score = self.module(*map(torch.from_numpy, inputs))
        return answer.numpy(), score.numpy()
