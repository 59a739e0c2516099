"""Run an ONNX export with ONNX Runtime. Imports neither torch nor onnx."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchdog.api import BadData

if TYPE_CHECKING:
    import numpy as np

FILE = "model.onnx"


class OnnxRunner:
    """Run model.onnx on the CPU: decoded numpy in the spec's order -> (answer, score)."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime  # type: ignore[import-untyped,unused-ignore]

        path = folder / FILE
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; it warns of initialisers that it drops itself
        try:
            # From bytes, so that a graph can't name other files of this machine as its weights.
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except OSError as error:
            raise BadData(f"{path} can't be read: {error.strerror}.", "Export it again.") from None
        except Exception as error:  # onnxruntime's own errors share no base class
            said = " ".join(str(error).split())[:300]
            raise BadData(f"{path} can't be loaded: {said}.", "The file is damaged: export it again.") from None
        self._inputs = [each.name for each in self._session.get_inputs()]

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answer, score = self._session.run(["answer", "score"], dict(zip(self._inputs, inputs, strict=True)))
        return answer, score
