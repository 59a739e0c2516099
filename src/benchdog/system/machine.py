"""What this machine has: memory, disk, graphics cards, interpreters. Looks, and judges nothing.

Standard library only; every look has a time limit and an answer for "can't be known here".
"""

from __future__ import annotations

import contextlib
import ctypes
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

LOOK_SECONDS = 20
IMPORT_SECONDS = 180  # a first import of torch from a cold network disk takes minutes
NVIDIA, AMD = "0x10de", "0x1002"


@dataclass(frozen=True, kw_only=True, slots=True)
class Torch:
    """A torch as its interpreter sees it. `cuda` and `rocm` are versions of the build, "" without."""

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
    """A Python and its torch (None without one); `error` says why either can't be used."""

    executable: str
    version: str = ""
    prefix: str = ""
    torch: Torch | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cards:
    """Graphics cards: `nvidia` by name with a working driver; `bare` seen on the bus without one."""

    nvidia: tuple[str, ...] = ()
    bare: tuple[str, ...] = ()
    amd_compute: bool = False
    apple: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A place to write to: `size` and `free` in bytes; free is None when it can't be known."""

    path: Path
    exists: bool
    size: int = 0
    free: int | None = None
    problem: str = ""


def answer_of(
    argv: Sequence[str], seconds: float = LOOK_SECONDS, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str] | str:
    """Run a command that only looks; give what it said, or one sentence why there is no answer."""
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
    """Ask a Python which torch it has; `load` also imports it, to see the hardware through it."""
    script = Path(__file__).with_name("torch_probe.py").read_text(encoding="utf-8")
    argv = [executable, "-c", script, *(["import"] if load else [])]
    said = answer_of(argv, IMPORT_SECONDS if load else LOOK_SECONDS, {"PYTHONSAFEPATH": "1"})
    if isinstance(said, str):
        return Interpreter(executable=executable, error=said)
    try:
        told: dict[str, Any] = json.loads(said.stdout.strip().splitlines()[-1])
    except (ValueError, IndexError):
        last = (said.stderr.strip().splitlines() or [""])[-1]
        why = f"importing torch ended the process with status {said.returncode}" if load else "no answer"
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
    torch = told["torch"]
    return Interpreter(
        executable=told["executable"] or executable,
        version=told["python"],
        prefix=told["prefix"],
        torch=Torch(**{**torch, "devices": tuple(torch.get("devices", ()))}) if torch else None,
        error=told["error"],
    )


def cards() -> Cards:
    """Look for graphics cards: the driver's own word first, then the bus."""
    named: tuple[str, ...] = ()
    if tool := shutil.which("nvidia-smi"):
        said = answer_of([tool, "-L"])
        if not isinstance(said, str) and said.returncode == 0:
            named = tuple(line.split(" (UUID")[0] for line in said.stdout.splitlines() if line.startswith("GPU"))
    if not named:
        named = tuple(f"NVIDIA {path.name}" for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*")))
    bare = () if named else tuple(_on_the_bus(NVIDIA))
    apple = sys.platform == "darwin" and os.uname().machine == "arm64"
    return Cards(nvidia=named, bare=bare, amd_compute=Path("/dev/kfd").exists(), apple=apple)


def _on_the_bus(vendor: str, root: Path = Path("/sys/bus/pci/devices")) -> list[str]:
    """Give the bus addresses of display devices (class 0x03....) of a vendor."""
    found = []
    for device in sorted(root.glob("*")):
        with contextlib.suppress(OSError):
            kind = (device / "class").read_text(encoding="ascii").strip()
            if (device / "vendor").read_text(encoding="ascii").strip() == vendor and kind.startswith("0x03"):
                found.append(device.name)
    return found


def memory() -> tuple[int | None, int | None]:
    """Give (total, available) bytes that this process may use; None for what can't be known."""
    if sys.platform == "win32":
        return _memory_of_windows()
    total: int | None = None
    available: int | None = None
    with contextlib.suppress(OSError, ValueError):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
    with contextlib.suppress(OSError, ValueError):  # a container's limit; "max" is no number
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text(encoding="ascii"))
        left = limit - int((group / "memory.current").read_text(encoding="ascii"))
        total = min(limit, total or limit)
        available = min(max(left, 0), available if available is not None else left)
    if available is None and sys.platform == "darwin":
        available = _free_pages_of_macos()
    return total, available


def _free_pages_of_macos() -> int | None:
    """Add up what vm_stat calls free, inactive and speculative."""
    said = answer_of(["vm_stat"])
    if isinstance(said, str):
        return None
    pages = 0
    for line in said.stdout.splitlines():
        name, _, count = line.partition(":")
        if name in ("Pages free", "Pages inactive", "Pages speculative"):
            pages += int(count.strip(" ."))
    return pages * os.sysconf("SC_PAGE_SIZE") or None


class _MemoryStatus(ctypes.Structure):
    """Windows' MEMORYSTATUSEX."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("rest", ctypes.c_uint64 * 5),
    )


def _memory_of_windows() -> tuple[int | None, int | None]:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    windll: Any = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return status.total, status.available


def folder(path: Path) -> Folder:
    """Look at a folder that may not exist yet, without leaving anything behind."""
    path = path.absolute()
    there = next(place for place in (path, *path.parents) if place.exists())
    free: int | None = None
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(there).free
    problem = ""
    if not there.is_dir():
        problem = f"{there} is a file"
    else:
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            problem = error.strerror or str(error)
    return Folder(path=path, exists=path.is_dir(), size=size_of(path), free=free, problem=problem)


def size_of(path: Path) -> int:
    """Add up the bytes of the files under a folder; what can't be read counts as nothing."""
    total = 0
    for place, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


def loads(modules: Sequence[str], suspects: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Say which of the suspects each module pulls in.

    A fresh process imports one module after another. The first that pulls something in is known by that; what the
    later ones would have loaded by themselves is seen by another process, without it.
    """
    script = (
        "import importlib, json, sys\n"
        "for at, module in enumerate(json.loads(sys.argv[1])):\n"
        "    try:\n"
        "        importlib.import_module(module)\n"
        "    except BaseException:\n"
        "        continue\n"
        "    if loaded := [name for name in json.loads(sys.argv[2]) if name in sys.modules]:\n"
        "        print(json.dumps([at, loaded]))\n"
        "        break"
    )
    found: dict[str, tuple[str, ...]] = {}
    left = list(modules)
    while left:
        said = answer_of([sys.executable, "-c", script, json.dumps(left), json.dumps(suspects)], IMPORT_SECONDS)
        text = "" if isinstance(said, str) else said.stdout.strip()
        try:
            at, names = json.loads(text.splitlines()[-1])
        except (ValueError, IndexError):  # nothing more is pulled in
            return found
        found[left[at]] = tuple(names)
        left = left[at + 1 :]  # those before it pull in nothing
    return found


def readable(size: int | None) -> str:
    """Write bytes for people: "512 MB", "12.3 GB"."""
    if size is None:
        return "unknown"
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= step:
            return f"{size / step:.1f} {unit}" if size < 100 * step else f"{size / step:.0f} {unit}"
    return f"{size} bytes"
