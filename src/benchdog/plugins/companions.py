"""What comes with which of Benchdog's other packages: a name of theirs leads to the package that is absent."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

from benchdog.errors import NotAvailable

PACKAGES: dict[str, tuple[tuple[str, str], ...]] = {
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
    """Name the package that offers a component or command, when it isn't installed; else give nothing."""
    for package, offered in PACKAGES.items():
        if (kind, name) in offered:
            try:
                metadata.distribution(package)
            except metadata.PackageNotFoundError:
                return package
    return ""


def missing(what: str, package: str) -> NotAvailable:
    """Say that a component or command comes with a package that isn't installed."""
    return NotAvailable(f"{what} comes with the package {package}, which is not installed.", install(package))


def install(package: str) -> str:
    """Say how to install a package beside this Python: with conda where conda made the environment."""
    conda = Path(sys.prefix, "conda-meta").is_dir()
    return f"{'conda' if conda else 'pip'} install {package}"
