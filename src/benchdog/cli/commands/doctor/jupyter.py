"""Jupyter kernels, and which Python each one starts."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from benchdog.system import machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Kernel:
    """A kernel for Python: `python` is the interpreter that it starts."""

    name: str
    folder: str
    python: machine.Interpreter


def jupyter() -> str:
    """Return the `jupyter` command: this Python's own, else that on the PATH, else ""."""
    own = Path(sys.executable).with_name("jupyter.exe" if sys.platform == "win32" else "jupyter")
    return str(own) if own.is_file() else shutil.which("jupyter") or ""


def kernels(command: str) -> list[Kernel]:
    """Return the Python kernels that `jupyter kernelspec list` knows; none if it fails."""
    listed = machine.probe([command, "kernelspec", "list", "--json"]) if command else ""
    if isinstance(listed, str) or listed.returncode != 0:
        return []
    try:
        specs = json.loads(listed.stdout)["kernelspecs"]
    except (ValueError, KeyError):
        return []
    interpreters: dict[str, machine.Interpreter] = {}  # each is started once
    python_kernels = []
    for name, entry in sorted(specs.items()):
        folder, spec = entry["resource_dir"], entry["spec"]
        if str(spec.get("language", "")).lower() != "python" or not spec.get("argv"):
            continue
        program = executable(str(spec["argv"][0]), Path(folder))
        if program not in interpreters:
            interpreters[program] = machine.interpreter(program, load=False)
        python_kernels.append(Kernel(name=name, folder=folder, python=interpreters[program]))
    return python_kernels


def executable(program: str, folder: Path) -> str:
    """Return the interpreter that a kernel's first word means; Jupyter takes a bare "python" as its own."""
    if Path(program).is_absolute():
        return program
    if program.startswith("python"):
        # share/jupyter/kernels/NAME is inside the environment that the kernel was installed with
        prefix = folder.parents[3] if len(folder.parents) > 3 else folder
        for own in (prefix / "bin" / "python", prefix / "python.exe", prefix / "Scripts" / "python.exe"):
            if own.exists():
                return str(own)
    return shutil.which(program) or program
