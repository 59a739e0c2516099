"""Write plugins to a folder as an installer does: a module and its dist-info."""

from pathlib import Path
from textwrap import dedent

NET = """
import torch
from benchdog.api import {imports}

CONTRACT = 1

def build(spec, options=None):
    return torch.nn.Linear(2, 2)
"""


def install(
    place: Path,
    dist: str,
    code: str,
    *,
    module: str = "",
    entries: str = "",
    version: str = "1.2",
    entry: str = "",
) -> Path:
    """Write a distribution `dist` with one module; its entry point is named `entry`, by default like the module."""
    module = module or dist.replace("-", "_")
    (place / f"{module}.py").write_text(dedent(code), encoding="utf-8")
    info = place / f"{dist.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: {version}\nSummary: A test.\n")
    entries = entries or f"[benchdog]\n{entry or module} = {module}\n"
    (info / "entry_points.txt").write_text(entries)
    return place


def offer(name: str, *, kind: str = "model", more: str = "", contract: str = "CONTRACT = 1") -> str:
    """Return the code of a plugin with one component."""
    info = kind.capitalize() + "Info"
    return f"""
from benchdog.api import {info}, hookimpl

{contract}

def build(spec):
    import torch
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(spec.outputs))

@hookimpl
def benchdog_{kind}s():
    return [{info}(name={name!r}, summary="A test.", target=":build"{more})]
"""
