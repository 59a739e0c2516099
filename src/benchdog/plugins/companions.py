"""Components and commands of Benchdog's other packages: their names lead to the package to install."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from benchdog.errors import NotAvailable

PACKAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "benchdog-detection": (("source", "coco"), ("source", "yolo"), ("task", "detection"), ("model", "detector")),
    "benchdog-eject": (("command", "eject"),),
    "benchdog-huggingface": (("source", "hf"), ("model", "hf"), ("model", "minilm")),
    "benchdog-onnx": (("exporter", "onnx"),),
    "benchdog-optuna": (("command", "tune"),),
    "benchdog-serve": (("command", "serve"),),
    "benchdog-sklearn": (("trainer", "scikit-learn"),),
    "benchdog-timm": (("model", "timm"), ("model", "efficientnet-lite0")),
}
"""Components and commands by package, as (kind, name); a test compares them with the packages."""


def absent(kind: str, name: str) -> str:
    """Return the package of a component or command if it isn't installed, else ""."""
    for package, offered in PACKAGES.items():
        if (kind, name) in offered:
            try:
                metadata.distribution(package)
            except metadata.PackageNotFoundError:
                return package
    return ""


def missing(what: str, package: str) -> NotAvailable:
    """Return the error for a component or command of a package that isn't installed."""
    return NotAvailable(f"{what} comes with the package {package}, which is not installed.", install(package))


def install(package: str) -> str:
    """Return the command that installs a package here: conda's in a conda environment, else pip's."""
    conda = Path(sys.prefix, "conda-meta").is_dir()
    return f"{'conda' if conda else 'pip'} install {package}"
