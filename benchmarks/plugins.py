"""Cost of installed plugins: `benchdog --help` and `plugins list` with none and with 27, interleaved.

Each of the 27 provides a model and a command, with the metadata that an installer writes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from versus import Entry, interleave, ratio

HOOKS = """\
from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models():
    return [ModelInfo(name="{name}", summary="A net.", target="{module}_nets:build")]
"""
METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nSummary: Shine.\n\n" + "A long description.\n" * 200


def install(site: Path, number: int) -> None:
    """Write a distribution as an installer does."""
    name, module = f"star-{number}", f"star_{number}"
    (site / f"{module}.py").write_text(HOOKS.format(name=name, module=module), encoding="utf-8")
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA.format(name=name), encoding="utf-8")
    entries = f"[benchdog]\n{module} = {module}\n\n[benchdog.commands]\nshine-{number} = {module}_cli:command\n"
    (info / "entry_points.txt").write_text(entries, encoding="utf-8")
    (info / "RECORD").write_text(f"{module}.py,,\n", encoding="utf-8")


def timed(site: Path, *words: str) -> Callable[[], float]:
    """Return a function that measures a command's wall time in milliseconds, with the packages in `site`."""
    code = "from benchdog.cli import main; main()"
    env = {**os.environ, "PYTHONPATH": str(site)}

    def run() -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *words], check=True, stdout=subprocess.DEVNULL, env=env)
        return 1000 * (time.perf_counter() - begun)

    return run


def main() -> None:
    """Run the rounds; print the table and the ratios of the medians."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--plugins", type=int, default=27)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        none, many = Path(place, "none"), Path(place, "many")
        none.mkdir()
        many.mkdir()
        for number in range(options.plugins):
            install(many, number)
        entries = [
            Entry(f"{' '.join(words)}, {label}", timed(site, *words))
            for words in (("--help",), ("plugins", "list"))
            for label, site in (("none", none), (f"{options.plugins} plugins", many))
        ]
        interleave(entries, options.rounds)
    for alone, other in pairwise(entries):
        if alone.name.split(",")[0] == other.name.split(",")[0]:
            middle, low, high = ratio(other.numbers, alone.numbers)
            print(f"{alone.name}: {statistics.median(alone.numbers):.1f} ms; {other.name}: ", end="")
            print(f"{statistics.median(other.numbers):.1f} ms; ratio {middle:.3f} ({low:.3f} to {high:.3f})")


main()
