"""TorchScript: a traced program, for C++ and older runtimes that load nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import ArtifactView, BadData, NotAvailable
from benchdog.builtin.exporters.options import TorchScriptOptions

if TYPE_CHECKING:
    import numpy as np

FILE = "model.torchscript.pt"


@contextmanager
def _deprecated() -> Iterator[None]:
    """Keep quiet about torch's plan to drop TorchScript: who chooses this format knows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is (deprecated|not supported)", DeprecationWarning)
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is (deprecated|not supported)", FutureWarning)
        yield


class TorchScript:
    """Trace an artifact's module into model.torchscript.pt."""

    def __init__(self, options: TorchScriptOptions) -> None:
        self._options = options

    def export(self, artifact: ArtifactView, folder: Path, /) -> None:
        """Trace on one batch; what the trace bakes in shows when the export is verified at other sizes."""
        import torch

        module = artifact.module()
        with _deprecated(), torch.no_grad():
            try:
                traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call,unused-ignore]
                    module, artifact.example(min(3, artifact.max_batch)), check_trace=False
                )
            except RuntimeError as error:
                if "SymInts" not in str(error):
                    raise
                raise NotAvailable(  # its sizes are symbols, which torch.jit doesn't know
                    "The exporter 'torchscript' needs the plugin of the model: its graph alone can't be traced.",
                    "Name the model's file: benchdog --plugin FILE export ..., or choose --to torch-export or onnx.",
                ) from error
            if self._options.freeze:
                traced = torch.jit.freeze(traced.eval())
            traced.save(str(folder / FILE))


class TorchScriptRunner:
    """Run model.torchscript.pt on the CPU. Loading it can run code: the host asks for trust first."""

    def __init__(self, folder: Path) -> None:
        import torch

        path = folder / FILE
        try:
            with _deprecated():
                self._module: Any = torch.jit.load(  # type: ignore[no-untyped-call,unused-ignore]
                    str(path), map_location="cpu"
                )
        except (RuntimeError, ValueError, OSError) as error:
            said = str(error).strip().splitlines()[0]
            raise BadData(f"{path} can't be loaded: {said}.", "The file is damaged: export it again.") from None

    def __call__(self, *inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        import torch

        with torch.inference_mode():
            answer, score = self._module(*(torch.from_numpy(x) for x in inputs))
        return answer.numpy(), score.numpy()
