"""A run: the folder of one training, its lock, its log and its document run.json."""

from __future__ import annotations

import math
import os
import platform
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Unpack

from filelock import FileLock, Timeout

from benchdog import __version__
from benchdog.errors import BadData, BadUsage, Failed, nearest
from benchdog.plugins import Plugins
from benchdog.plugins.neighbors import neighbors
from benchdog.runs import names
from benchdog.runs.document import RunDocument, checked
from benchdog.system import files, format_versions, paths
from benchdog.system.escapes import printable

LONGEST = 200  # bytes of a run's name: file systems hold 255
NOT_IN_NAMES = '/\\:*?"<>|'
NEEDED, DONE = ("name", "status"), ("epochs_done", "steps_done", "best")
"""What every run's facts have, and a finished one's."""
PACKAGES = ("torch", "numpy", "pillow", "safetensors", "pluggy", "pydantic", "typer")


def check_name(name: str) -> None:
    """Refuse a name that some file system or screen can't hold; "" is one that is yet to be found."""
    try:
        fits = len(name.encode()) <= LONGEST
    except UnicodeEncodeError:
        fits = False
    fits = fits and name.isprintable() and name == name.strip()
    if not fits or name == "last" or name.startswith(".") or any(c in name for c in NOT_IN_NAMES):
        shown = name if len(name) <= 40 else f"{name[:40]}..."
        raise BadUsage(
            f"A run can't be named {shown!r}.",
            f"Choose another --name: at most {LONGEST} bytes, printable, no blank at its ends, no / and the like.",
        )


@dataclass(slots=True)
class Run:
    """A run's folder, held by this process while `lock` is."""

    folder: Path
    facts: RunDocument
    lock: FileLock | None = field(default=None, repr=False)
    _lock_file: tuple[int, int] | None = field(default=None, repr=False)

    @classmethod
    def create(cls, runs: Path, name: str, facts: RunDocument, data: Path | None = None) -> Run:
        """Create and lock a new folder. A taken name is refused; an empty one is generated, from `data` if given."""
        check_name(name)
        with files.saving(runs):
            runs.mkdir(parents=True, exist_ok=True)
        stem = names.stem(facts["source"], facts["model"], data)
        for number in range(1, 1_000_000):
            folder = runs / (name or f"{stem}-{number}")
            try:
                with files.saving(folder):
                    folder.mkdir()
                break
            except Failed as error:
                if not folder.exists():
                    raise
                if name:
                    raise BadUsage(f"There is a run {name!r} already.", "Choose another --name.") from error
        run = cls(
            folder,
            {
                "format": format_versions.RUN,
                "name": folder.name,
                "benchdog": __version__,
                "status": "running",
                "created": datetime.now().astimezone().isoformat(),
                "seconds": 0.0,
                "error": None,
                "epochs_done": 0,
                "steps_done": 0,
                "best": None,
                **facts,
            },
        )
        run.hold()
        run.save()
        (folder / "checkpoints").mkdir()
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Read a run's folder without holding it."""
        facts = files.read_json(folder / "run.json")
        if not isinstance(facts, dict):
            raise BadData(f"{folder / 'run.json'} describes no run.", "The file is damaged: train again.")
        again = f"Train it again: benchdog train {folder / 'recipe.toml'}"
        format_versions.check(
            facts.get("format"), format_versions.RUN, folder / "run.json", again, facts.get("benchdog")
        )
        needed = (*NEEDED, *DONE) if facts.get("status") == "finished" else NEEDED
        if missing := [key for key in needed if key not in facts]:
            raise BadData(f"{folder / 'run.json'} has no {missing[0]!r}.", f"The file is damaged. {again}")
        best = facts.get("best")
        if isinstance(best, dict) and best.get("value", 0) is None:
            best["value"] = math.nan  # null in JSON
        try:
            return cls(folder, checked(facts))
        except ValueError as error:
            raise BadData(f"{folder / 'run.json'} is damaged: {error}.", again) from None

    def hold(self) -> None:
        """Lock the run for this process; Failed when another holds it."""
        self.lock = FileLock(self.folder / "lock")
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            raise Failed(f"Run {self.name!r} is used by another process.", "Wait for it, or stop it.") from None
        self.guard()

    def guard(self) -> None:
        """Write nothing from now on if the folder isn't the same any more; a rank guards what its parent holds."""
        self._lock_file = _identity(self.folder / "lock")
        files.guard(self.folder, self.check_there)

    @property
    def taken(self) -> Failed | None:
        """The error for a folder that was removed, moved or replaced since `guard`; None while it is there.

        The lock is compared, not the folder: it is open, so that no new file can get its number.
        """
        if self._lock_file is None or _identity(self.folder / "lock") == self._lock_file:
            return None
        return Failed(
            f"{paths.short(self.folder)} was removed, moved or replaced meanwhile; nothing more was written.",
            "If it was moved, continue there: benchdog train --resume NEW-FOLDER",
        )

    def check_there(self) -> None:
        """Raise what `taken` returns."""
        if (error := self.taken) is not None:
            raise error

    def sweep(self) -> None:
        """Remove what a killed process left half written; only its holder may."""
        for folder in (self.folder, self.folder / "checkpoints"):
            for path in folder.glob(".*"):
                with suppress(OSError):
                    if path.is_dir() and path.name.startswith(".artifact."):
                        shutil.rmtree(path)
                    elif path.suffix == ".tmp" or path.name.startswith((".rendezvous-", ".tmp")):
                        path.unlink()

    def release(self) -> None:
        """Release the lock."""
        if self.lock is not None:
            files.unguard(self.folder)
            self._lock_file = None
            self.lock.release()
            self.lock = None

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def metrics(self) -> Path:
        """The metrics log."""
        return self.folder / "metrics.jsonl"

    def save(self, **facts: Unpack[RunDocument]) -> None:
        """Change some facts and write run.json."""
        self.facts.update(facts)
        files.write_json(self.folder / "run.json", self.facts)

    def log(self, line: str) -> None:
        """Add a dated line to log.txt."""
        self.check_there()
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {printable(line)}\n")

    def keep_files(self, local: list[str]) -> dict[str, str]:
        """Copy local plugin files into the run; give {original: copy}.

        One that imports modules from its folder goes with them into a folder that is named after theirs.
        """
        kept: dict[str, str] = {}
        homes: dict[Path, Path] = {}
        for text in dict.fromkeys(local):
            original = Path(text)
            place = self.folder / "local"
            place.mkdir(exist_ok=True)
            if others := neighbors(original):
                if original.parent not in homes:
                    taken = sum(home.name == original.parent.name for home in homes)
                    homes[original.parent] = place / f"{original.parent.name}{f'-{taken + 1}' if taken else ''}"
                for path in others:
                    copy = homes[original.parent] / path.relative_to(original.parent)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
                place = homes[original.parent]
            copy = place / original.name
            for number in range(2, 100):
                if not copy.exists() or copy.read_bytes() == original.read_bytes():
                    break
                copy = place / f"{original.stem}-{number}.py"
            shutil.copyfile(original, copy)
            kept[text] = str(copy)
        return kept


def _identity(file: Path) -> tuple[int, int] | None:
    """Return the device and the number of a file; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def environment(plugins: Plugins) -> dict[str, Any]:
    """Return what a run's bits can depend on: versions, threads, the processor's instructions."""
    import torch

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    return {
        "benchdog": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "executable": sys.executable,
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "packages": {package: installed(package) for package in PACKAGES},
        "plugins": {plugin.name: f"{plugin.dist} {plugin.version}".strip() for plugin in plugins.healthy},
    }


def runs(folder: Path) -> list[Path]:
    """List the runs in a folder, the newest last."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if (path / "run.json").is_file()]
    return sorted(found, key=lambda path: (_created(path), path.name))


def _created(path: Path) -> str:
    try:
        return str(files.read_json(path / "run.json").get("created", ""))
    except (BadData, AttributeError):
        return ""


def find(name: str, folder: Path) -> Path:
    """Return the folder of a run by its name, its path, or "last".

    Raises:
        BadUsage: there is none; the message says which there are.
    """
    known = runs(folder)
    if name == "last":
        if not known:
            raise BadUsage(f"There are no runs in {folder}.", "Make one: benchdog train digits")
        return known[-1]
    for path in (folder / name, Path(name)):
        if (path / "run.json").is_file():
            return path
    if repeats := [path.name for path in known if path.name.startswith(f"{name}-seed-")]:
        raise BadUsage(
            f"{name!r} names repeated runs; this takes one of them.",
            f"Available: {', '.join(repeats)}. Their summary: {folder / name}.repeats.json.",
        )
    hint = nearest(name, [path.name for path in known]) if known else "Make one: benchdog train digits"
    raise BadUsage(f"There is no run {name!r} in {folder}.", hint)
