"""Options of the exporters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class TorchScriptOptions:
    """Options of the exporter `torchscript`."""

    freeze: Annotated[bool, Doc("Freeze the module (constant folding): faster for single samples.")] = True
