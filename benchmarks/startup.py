"""Start-up: `benchdog --help` against a Python process that only imports typer, interleaved."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable

from versus import Entry, interleave, table


def timed(command: list[str]) -> Callable[[], float]:
    """Return a function that measures the wall time of a command, in milliseconds."""

    def run() -> float:
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return 1000 * (time.perf_counter() - begun)

    return run


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args()
    code = "from benchdog.cli import main; main()"
    entries = [
        Entry("benchdog --help", timed([sys.executable, "-c", code, "--help"])),
        Entry("import typer", timed([sys.executable, "-c", "import typer"])),
        Entry("benchdog plugins list", timed([sys.executable, "-c", code, "plugins", "list"])),
        Entry("python -c pass", timed([sys.executable, "-c", "pass"])),
    ]
    interleave(entries, options.rounds)
    print(table(entries, "ms"))


main()
