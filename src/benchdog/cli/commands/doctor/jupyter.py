"""Jupyter kernels: where they are kept, and which Python each one starts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchdog.system import machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Kernel:
    """A kernel for Python: `python` is the interpreter that it starts."""

    name: str
    folder: str
    python: machine.Interpreter


def jupyter() -> str:
    """Give the `jupyter` command: this Python's own, else the PATH's, else ""."""
    own = Path(sys.executable).with_name("jupyter.exe" if sys.platform == "win32" else "jupyter")
    return str(own) if own.is_file() else shutil.which("jupyter") or ""


def kernels(command: str = "") -> list[Kernel]:
    """Find the Python kernels that Jupyter offers, a name once, as Jupyter's own search order has it."""
    specs = dict(_kept()) | (dict(_listed(command)) if command else {})
    asked: dict[str, machine.Interpreter] = {}
    found = []
    for name, (folder, spec) in sorted(specs.items()):
        if str(spec.get("language", "")).lower() != "python" or not spec.get("argv"):
            continue
        program = started(str(spec["argv"][0]), folder)
        if program not in asked:
            asked[program] = machine.interpreter(program, load=False)
        found.append(Kernel(name=name, folder=str(folder), python=asked[program]))
    return found


def started(program: str, folder: Path) -> str:
    """Say which interpreter a kernel's first word means; Jupyter takes a bare "python" as its own."""
    if Path(program).is_absolute():
        return program
    if program.startswith("python"):
        # share/jupyter/kernels/NAME lies in the environment that the kernel came with
        home = folder.parents[3] if len(folder.parents) > 3 else folder
        for own in (home / "bin" / "python", home / "python.exe", home / "Scripts" / "python.exe"):
            if own.exists():
                return str(own)
    return shutil.which(program) or program


def places(env: Mapping[str, str] = os.environ, home: Path | None = None) -> list[Path]:
    """Give the folders that hold kernelspecs, the one that wins last."""
    home = home or Path.home()
    if sys.platform == "win32":
        shared = Path(env.get("PROGRAMDATA", "C:/ProgramData")) / "jupyter"
        user = Path(env.get("APPDATA", str(home))) / "jupyter"
        roots = [shared, user]
    elif sys.platform == "darwin":
        roots = [Path("/usr/share/jupyter"), Path("/usr/local/share/jupyter"), home / "Library" / "Jupyter"]
    else:
        data = Path(env.get("XDG_DATA_HOME") or home / ".local" / "share")
        roots = [Path("/usr/share/jupyter"), Path("/usr/local/share/jupyter"), data / "jupyter"]
    roots.append(Path(sys.prefix) / "share" / "jupyter")
    if own := env.get("JUPYTER_DATA_DIR"):
        roots.append(Path(own))
    roots += [Path(part) for part in reversed(env.get("JUPYTER_PATH", "").split(os.pathsep)) if part]
    return [root / "kernels" for root in roots]


def _kept() -> Iterator[tuple[str, tuple[Path, Mapping[str, Any]]]]:
    """Read the kernelspecs in the standard places."""
    for place in places():
        for file in sorted(place.glob("*/kernel.json")):
            try:
                spec = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if isinstance(spec, dict):
                yield file.parent.name, (file.parent, spec)


def _listed(command: str) -> Iterator[tuple[str, tuple[Path, Mapping[str, Any]]]]:
    """Ask Jupyter itself; nothing when it can't say."""
    said = machine.answer_of([command, "kernelspec", "list", "--json"])
    if isinstance(said, str) or said.returncode != 0:
        return
    try:
        specs = json.loads(said.stdout)["kernelspecs"]
    except (ValueError, KeyError, TypeError):
        return
    for name, entry in specs.items():
        yield name, (Path(entry["resource_dir"]), entry["spec"])
