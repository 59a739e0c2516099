"""Make torchvision importable when its compiled library was built for another version of torch.

Its Python code registers functions for the operators nms and qnms when it is imported. Without that library they
don't exist, and the import fails, though timm's networks use neither.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

HELD: list[object] = []


class _Definer(MetaPathFinder):
    done = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name == "torchvision" and not self.done:
            self.done = True
            define()
        return None


def define() -> None:
    """Define the operators' schemas, unless torchvision's library can be loaded and defines them."""
    import torch

    found = find_spec("torchvision")
    for file in Path(found.origin).parent.glob("_C.*") if found and found.origin else ():
        try:
            torch.ops.load_library(str(file))  # type: ignore[no-untyped-call]
            return
        except OSError:
            continue
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    HELD.append(library)


def define_at_import() -> None:
    """Define them once, when torchvision is about to be imported."""
    if "torchvision" not in sys.modules and not any(isinstance(each, _Definer) for each in sys.meta_path):
        sys.meta_path.insert(0, _Definer())


if __name__ == "__main__":  # `benchdog` with these definitions
    from benchdog.cli import main

    define_at_import()
    main()
