"""Run an ONNX export with ONNX Runtime. Imports neither torch nor onnx."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchdog.api import BadData, Refused
from benchdog_onnx.weights_inside import tensor_outside

if TYPE_CHECKING:
    import numpy as np

FILE = "model.onnx"


class OnnxRunner:
    """Run model.onnx on the CPU: decoded numpy in the spec's order -> (answer, score).

    Raises:
        BadData: it can't be read, or isn't an ONNX graph.
        Refused: it takes weights from other files, which no hash covers.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime  # type: ignore[import-untyped,unused-ignore]

        path = folder / FILE
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; it warns of initialisers that it drops itself
        options.add_session_config_entry("session.load_model_format", "ONNX")  # what is checked is what is loaded
        try:
            data = path.read_bytes()
            _check_weights(data, path)
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except (BadData, Refused):
            raise
        except OSError as error:
            raise BadData(f"{path} can't be read: {error.strerror}.", "Export it again.") from None
        except Exception as error:  # onnxruntime's own errors share no base class
            said = " ".join(str(error).split())[:300]
            raise BadData(f"{path} can't be loaded: {said}.", "The file is damaged: export it again.") from None
        self._inputs = [each.name for each in self._session.get_inputs()]

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        answer, score = self._session.run(["answer", "score"], dict(zip(self._inputs, inputs, strict=True)))
        return answer, score


def _check_weights(data: bytes, path: Path) -> None:
    try:
        name = tensor_outside(data)
    except ValueError as error:
        raise BadData(f"{path} is not an ONNX graph: {error}.", "The file is damaged: export it again.") from None
    if name is not None:
        raise Refused(
            f"{path} is refused: it reads {name or 'a tensor'!r} from another file.",
            "All weights must be in model.onnx: export it again with Benchdog.",
        )
