"""Make every mistake of tests/support/bad_input.py and print docs/reference/errors.md.

python scripts/bad_input_table.py > docs/reference/errors.md
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.bad_input import CASES, Case, carry_out

HEAD = """\
# Errors

A mistake ends a command with one sentence of what is wrong and where, and one of what to do. Under `--json` the same
stands on stdout: `{"error": {"message", "hint", "code"}}`. A traceback is a fault of Benchdog: please report it.

| exit code | meaning |
|---|---|
| 0 | done (a resume of a finished run too) |
| 1 | failed: disk full, port in use, run used by another process, a loss that is not a number |
| 2 | wrong usage or recipe: unknown key, component or run; a model that doesn't fit the data |
| 3 | known but not available here: hardware, a package or plugin that is not installed |
| 4 | verification refused |
| 5 | bad data: missing, empty, corrupt, a hash that doesn't match |
| 130, 143 | stopped by Ctrl-C or SIGTERM, after a checkpoint |

What each mistake leads to. `scripts/bad_input_table.py` has made every one of them and wrote down what was said; a
test makes them again. A full disk is tried on a disk of half a megabyte: exit code 1, "The disk is full: ... was not
written", no file half written, and `--resume` goes on when there is room.

| mistake | exit code | what is said |
|---|---|---|"""


def said(case: Case) -> str:
    """Make a mistake; give the lines that speak of it, without this machine's folders."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        told = carry_out(case, place)
        assert told.code == case.code, told.err
        lines = [line for line in told.err.splitlines() if case.code or any(part in line for part in case.said)]
        text = "\n".join(lines).replace(f"{place}{os.sep}", "").replace(str(place), "the folder")
        text = re.sub(r"\b[0-9a-f]{64}\b", "...", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", text))
        text = re.sub(r"\bPort \d+", "Port 8000", text)
    return "<br>".join(line.strip().removeprefix("error: ").replace("|", "\\|") for line in text.splitlines())


def main() -> None:
    """Print the page."""
    with tempfile.TemporaryDirectory() as cache:
        os.environ["BENCHDOG_CACHE"] = cache
        print(HEAD)
        for case in CASES:
            print(f"| {case.name} | {case.code} | {said(case)} |", flush=True)


if __name__ == "__main__":
    main()
