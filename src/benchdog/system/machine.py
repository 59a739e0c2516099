"""Facts about this machine: memory, disk space, GPUs, Python interpreters and their torch.

Every probe of another process has a time limit; results are reported, nothing is decided.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchdog.system.files import size_of

LOOK_SECONDS = 20
IMPORT_SECONDS = 180  # a first import of torch from a cold network disk takes minutes
NVIDIA = "0x10de"
"""PCI vendor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Torch:
    """A torch installation as its interpreter sees it. `cuda` and `rocm` are versions of the build, else ""."""

    version: str = ""
    path: str = ""
    cuda: str = ""
    rocm: str = ""
    cuda_available: bool = False
    mps_built: bool = False
    mps_available: bool = False
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Interpreter:
    """A Python and its torch, None if not installed; `error` says why either can't be used."""

    executable: str
    version: str = ""
    prefix: str = ""
    torch: Torch | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpus:
    """GPUs: NVIDIA ones by name where a driver works, else by PCI address."""

    nvidia: tuple[str, ...] = ()
    without_driver: tuple[str, ...] = ()
    amd_compute: bool = False
    apple: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder to write to: `size` and `free` in bytes; `free` is None if unknown."""

    path: Path
    exists: bool
    size: int = 0
    free: int | None = None
    problem: str = ""


def probe(
    argv: Sequence[str], seconds: float = LOOK_SECONDS, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str] | str:
    """Run a command that changes nothing; return its result, or a sentence about why there is none."""
    try:
        return subprocess.run(
            argv,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:g} seconds"
    except OSError as error:
        return error.strerror or str(error)


def interpreter(executable: str = sys.executable, *, load: bool = True) -> Interpreter:
    """Report a Python's version and torch; `load` also imports torch, to see the hardware through it."""
    script = Path(__file__).with_name("torch_probe.py").read_text(encoding="utf-8")
    argv = [executable, "-c", script, *(["import"] if load else [])]
    result = probe(argv, IMPORT_SECONDS if load else LOOK_SECONDS, {"PYTHONSAFEPATH": "1"})
    if isinstance(result, str):
        return Interpreter(executable=executable, error=result)
    try:
        facts: dict[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        last = (result.stderr.strip().splitlines() or [""])[-1]
        why = f"importing torch ended the process with status {result.returncode}" if load else "no answer"
        if not load:
            return Interpreter(executable=executable, error=f"{why}: {last}" if last else why)
        plain = interpreter(executable, load=False)
        return Interpreter(
            executable=plain.executable,
            version=plain.version,
            prefix=plain.prefix,
            torch=plain.torch,
            error=plain.error or (f"{why}: {last}" if last else why),
        )
    torch = facts["torch"]
    return Interpreter(
        executable=facts["executable"] or executable,
        version=facts["python"],
        prefix=facts["prefix"],
        torch=Torch(**{**torch, "devices": tuple(torch.get("devices", ()))}) if torch else None,
        error=facts["error"],
    )


def gpus() -> Gpus:
    """Return the GPUs, as the NVIDIA driver lists them, else from the PCI bus."""
    named: tuple[str, ...] = ()
    if tool := shutil.which("nvidia-smi"):
        listed = probe([tool, "-L"])
        if not isinstance(listed, str) and listed.returncode == 0:
            named = tuple(line.split(" (UUID")[0] for line in listed.stdout.splitlines() if line.startswith("GPU"))
    if not named:
        named = tuple(f"NVIDIA {path.name}" for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*")))
    without_driver = () if named else tuple(_pci_displays(NVIDIA))
    apple = sys.platform == "darwin" and os.uname().machine == "arm64"
    return Gpus(nvidia=named, without_driver=without_driver, amd_compute=Path("/dev/kfd").exists(), apple=apple)


def _pci_displays(vendor: str, root: Path = Path("/sys/bus/pci/devices")) -> list[str]:
    """Return the PCI addresses of a vendor's display devices (class 0x03....)."""
    addresses = []
    for device in sorted(root.glob("*")):
        with contextlib.suppress(OSError):
            kind = (device / "class").read_text(encoding="ascii").strip()
            if (device / "vendor").read_text(encoding="ascii").strip() == vendor and kind.startswith("0x03"):
                addresses.append(device.name)
    return addresses


def memory() -> tuple[int, int]:
    """Return (total, available) bytes that this process may use, within a container's limit."""
    import psutil  # here: it would slow down the start of every command

    memory = psutil.virtual_memory()
    total, available = int(memory.total), int(memory.available)
    with contextlib.suppress(OSError, ValueError):  # no cgroup v2, or "max": no limit
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        left = limit - int((group / "memory.current").read_text(encoding="ascii"))
        total, available = min(limit, total), min(max(left, 0), available)
    return total, available


def folder(path: Path) -> Folder:
    """Check a folder that may not exist yet, without leaving anything behind."""
    path = path.absolute()
    existing = next(each for each in (path, *path.parents) if each.exists())
    free: int | None = None
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(existing).free
    problem = ""
    if not existing.is_dir():
        problem = f"{existing} is a file"
    else:
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            problem = error.strerror or str(error)
    return Folder(path=path, exists=path.is_dir(), size=size_of(path), free=free, problem=problem)


def loads(modules: Sequence[str], suspects: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return which of the suspects each module loads when it is imported.

    A fresh process imports one module after another until one loads a suspect; the next process continues after that
    one, since a module that is loaded already can't be attributed to a second importer.
    """
    script = (
        "import importlib, json, os, sys\n"
        "for at, module in enumerate(json.loads(sys.argv[1])):\n"
        "    try:\n"
        "        importlib.import_module(module)\n"
        "    except BaseException:\n"
        "        continue\n"
        "    if loaded := [name for name in json.loads(sys.argv[2]) if name in sys.modules]:\n"
        "        print(json.dumps([at, loaded]), flush=True)\n"
        "        break\n"
        "os._exit(0)"  # whatever threads a module has started
    )
    loaded: dict[str, tuple[str, ...]] = {}
    left = list(modules)
    while left:
        result = probe([sys.executable, "-c", script, json.dumps(left), json.dumps(suspects)], IMPORT_SECONDS)
        text = "" if isinstance(result, str) else result.stdout.strip()
        try:
            at, names = json.loads(text.splitlines()[-1])
        except (ValueError, IndexError):  # none of the rest loads a suspect
            return loaded
        loaded[left[at]] = tuple(names)
        left = left[at + 1 :]  # those before it load none
    return loaded
