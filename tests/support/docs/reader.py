"""Runs a page's blocks in order, in an empty folder with an empty home."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from support.docs import sample_files
from support.docs.pages import Block, blocks, differs

PATIENCE = 1800.0
"""Seconds until a block times out."""
MEANT = re.compile(r"127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, kw_only=True)
class Done:
    """Result of a block."""

    block: Block
    printed: str = ""
    fault: str = ""
    seconds: float = 0.0


class Reader:
    """Runs blocks in `folder`; stops its servers on close.

    Args:
        folder: gets the working folder and the home.
        programs: a folder to put first on PATH.
        cache: Benchdog's cache, which pages share as they do for a reader; by default one in the home.
    """

    def __init__(self, folder: Path, programs: str = "", cache: Path | None = None) -> None:
        self.folder = folder / "work"
        home = folder / "home"
        for place in (self.folder, home):
            place.mkdir(parents=True)
        own = {
            "HOME": home,
            "PATH": os.pathsep.join(filter(None, (programs, str(Path(sys.executable).parent), os.environ["PATH"]))),
            "BENCHDOG_CACHE": cache or home / "cache",
            "XDG_CACHE_HOME": home / "xdg",
            "MPLCONFIGDIR": home / "mpl",
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
            "COLUMNS": "100",
            "PYTHONIOENCODING": "utf-8",
        }
        kept = {key: value for key, value in os.environ.items() if not key.startswith("BENCHDOG_")}
        self.env = {**kept, **{key: str(value) for key, value in own.items()}}
        self.servers: list[subprocess.Popen[bytes]] = []
        self.ports: dict[str, int] = {}

    def do(self, block: Block) -> Done:
        """Write a file or run commands, and compare the output with the page."""
        for name in " ".join(block.marks.get("given", [])).split():
            sample_files.make(name, self.folder)
        if block.file:
            (self.folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / block.file).write_text(block.text + "\n", encoding="utf-8")
            if "run" not in block.marks:
                return Done(block=block)
        for before in block.marks.get("first", []):
            code, printed = self._shell(before)
            if code != 0:
                return Done(block=block, printed=printed, fault=f"what comes first ended with {code}: {before}")
        if "server" in block.marks:
            return self._serve(block)
        began = time.monotonic()
        code, printed = self._shell(block.typed)
        expected = int(block.marks.get("ends with", ["0"])[0])
        fault = "" if code == expected else f"it ended with {code}, not {expected}"
        if not fault and block.output is not None and not block.otherwise:
            fault = differs(block.output.text, printed)
        return Done(block=block, printed=printed, fault=fault, seconds=time.monotonic() - began)

    def close(self) -> None:
        """Stop the servers as Ctrl-C does."""
        for server in self.servers:
            os.killpg(server.pid, signal.SIGINT)
            server.wait(timeout=30)

    def _shell(self, text: str) -> tuple[int, str]:
        for meant, port in self.ports.items():
            text = text.replace(f"127.0.0.1:{meant}", f"127.0.0.1:{port}")
        argv = [shutil.which("bash") or "bash", "-euo", "pipefail", "-c", text]
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        try:
            done = subprocess.run(argv, cwd=self.folder, env=self.env, timeout=PATIENCE, check=False, **both)  # type: ignore[call-overload]
        except subprocess.TimeoutExpired as late:
            return 124, f"{(late.output or b'').decode(errors='replace')}\nstopped after {PATIENCE:.0f} s"
        printed = done.stdout.decode("utf-8", "replace").replace(f"{self.folder}{os.sep}", "")
        printed = re.sub(r"[^\n]*\r(?!\n)", "", printed)  # what a progress bar drew over
        for meant, port in self.ports.items():
            printed = printed.replace(f"127.0.0.1:{port}", f"127.0.0.1:{meant}")
        return done.returncode, printed

    def _serve(self, block: Block) -> Done:
        """Start a server on a free port instead of the page's, and wait until it responds."""
        meant = MEANT.search(block.output.text if block.output else "")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.ports[meant[1] if meant else "8000"] = port
        log = self.folder.parent / f"server-{port}.txt"
        text = re.sub(r"\bserve\b", f"serve --port {port}", re.sub(r" --port \d+", "", block.typed), count=1)
        with log.open("wb") as out:
            argv = [shutil.which("bash") or "bash", "-c", f"exec {text}"]
            server = subprocess.Popen(
                argv, cwd=self.folder, env=self.env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.servers.append(server)
        began = time.monotonic()
        while server.poll() is None and time.monotonic() - began < 60:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
            except OSError:
                time.sleep(0.2)
            else:
                printed = log.read_text(encoding="utf-8").replace(str(port), next(iter(self.ports)))
                fault = differs(block.output.text, printed) if block.output else ""
                return Done(block=block, printed=printed, fault=fault, seconds=time.monotonic() - began)
        return Done(block=block, printed=log.read_text(encoding="utf-8"), fault="the server doesn't answer")


def read(page: Path, folder: Path, programs: str = "", cache: Path | None = None, stop: bool = True) -> list[Done]:
    """Run a page's blocks; `stop` at the first fault."""
    reader = Reader(folder, programs, cache)
    done: list[Done] = []
    try:
        for block in blocks(page):
            if block.why_not or not (block.file or block.language == "sh" or "run" in block.marks):
                continue
            done.append(reader.do(block))
            if stop and done[-1].fault:
                break
    finally:
        reader.close()
    return done
