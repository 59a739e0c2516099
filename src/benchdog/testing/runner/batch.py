"""What components are tried with: tiny data, a base for relative paths, and a second process that does it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchdog.testing.fixtures.tiny_files import Tiny
from benchdog.testing.runner.results import Fault


@dataclass(slots=True)
class Twin:
    """A process that makes components again from their names and options, as a worker does, and tells a digest.

    It has another hash seed and another working folder than this one.

    Attributes:
        request: which plugin it loads, as the child's own request says.
    """

    request: dict[str, Any]
    _process: subprocess.Popen[bytes] | None = None

    def ask(self, kind: str, name: str, plugin: str, options: dict[str, Any]) -> Any:
        """Return the digest of a component that the other process made.

        Raises:
            Fault: it can't make it.
        """
        if self._process is None or self._process.poll() is not None:
            self._process = self._started()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        question = {"kind": kind, "name": name, "plugin": plugin, "options": options}
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            answer = json.loads(line)
        except (OSError, ValueError):
            answer = {"error": "it ends the process"}
        if "error" in answer:
            raise Fault(
                f"A worker process, which makes it again from its options, fails: {answer['error']}.",
                "Depend on the options alone: not on the working folder, the environment or what was done before.",
                answer.get("where", ""),
            )
        return answer["digest"]

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-X", "utf8", "-m", "benchdog.testing.runner.twin"]
        env = {**os.environ, "PYTHONHASHSEED": "17"}
        folder = Path(self.request["place"], "twin")
        folder.mkdir(exist_ok=True)
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, cwd=folder
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self.request).encode() + b"\n")
        return process

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@dataclass(frozen=True, slots=True)
class GivenArtifact:
    """An artifact of the author's, for exporters to be tried with in place of the kit's.

    Attributes:
        folder: where it is; it is copied, never touched.
        trust: whether code that it names may run though it wasn't made on this machine.
    """

    folder: str
    trust: bool = False


@dataclass(slots=True)
class Bench:
    """Where components are tried.

    Attributes:
        tiny: the kit's tiny data.
        base: the folder that relative paths in options are meant from.
        place: a folder for what trials write.
        local: the plugin file, if it is one.
        twin: the second process.
        given: an artifact to try exporters with.
        samples: of each plugin's own sources, once they were opened.
    """

    tiny: Tiny
    base: Path
    place: Path
    local: str = ""
    twin: Twin | None = None
    given: GivenArtifact | None = None
    samples: dict[tuple[str, str], list[Any]] = field(default_factory=dict)
    _count: int = field(default=0)

    def folder(self, name: str) -> Path:
        """Make a new folder."""
        self._count += 1
        path = self.place / f"{name}-{self._count}"
        path.mkdir(parents=True)
        return path
