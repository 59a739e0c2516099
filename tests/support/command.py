"""Run `benchdog ...` in a separate process, as users do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import json_schemas

TESTS = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class Result:
    """Output and exit code of a command."""

    out: str
    err: str
    code: int

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Return the JSON lines of `train --json`: events, then the result."""
        return [json.loads(line) for line in self.out.splitlines()]


Bench = Callable[..., Result]


def run_bench(
    *args: object,
    cwd: Path,
    env: dict[str, str] | None = None,
    code: int | None = 0,
    stdin: str = "",
    module: str = "benchdog",
) -> Result:
    """Run `benchdog ...` in a subprocess.

    Args:
        args: the words after `benchdog`.
        cwd: the working folder.
        env: environment variables to change.
        code: the expected exit code; None for any.
        stdin: the standard input.
        module: "support.bare" for training without graph and report.
    """
    full = {**os.environ, "PYTHONWARNINGS": "error::DeprecationWarning:benchdog", **(env or {})}
    if module == "support.bare":
        full["PYTHONPATH"] = os.pathsep.join(filter(None, (TESTS, full.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, args)],
        cwd=cwd,
        env=full,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    result = Result(done.stdout, done.stderr, done.returncode)
    assert code is None or result.code == code, f"exit {result.code}\n{result.out}\n{result.err}"
    assert "Traceback" not in result.err, result.err
    json_schemas.check(args, result.out)
    return result
