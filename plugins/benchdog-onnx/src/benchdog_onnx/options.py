"""Options of the exporter `onnx`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxOptions:
    """Options of the exporter `onnx`."""

    opset: Annotated[int, Doc("Version of the operator set; lower for older runtimes."), Bounds(ge=18, le=23)] = 20
