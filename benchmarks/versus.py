"""Interleave two or more programs (A B B A) and compare the medians of what they print."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

BOOTSTRAPS = 4000


@dataclass
class Entry:
    """A program under test: `run` performs one round and returns the number to compare."""

    name: str
    run: Callable[[], float]
    numbers: list[float] = field(default_factory=list)


def interleave(entries: Sequence[Entry], rounds: int) -> None:
    """Run all entries `rounds` times, every second round in reverse order."""
    for number in range(rounds):
        for entry in entries if number % 2 == 0 else reversed(entries):
            entry.numbers.append(entry.run())
        numbers = "  ".join(f"{e.name} {e.numbers[-1]:.5g}" for e in entries)
        print(f"round {number + 1}/{rounds}: {numbers}", file=sys.stderr, flush=True)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Return the ratio of medians with a 95 % bootstrap CI, resampling paired rounds."""
    draw = random.Random(0)
    pairs = list(zip(ours, theirs, strict=True))
    found = []
    for _ in range(BOOTSTRAPS):
        sample = [draw.choice(pairs) for _ in pairs]
        found.append(statistics.median(a for a, _ in sample) / statistics.median(b for _, b in sample))
    found.sort()
    middle = statistics.median(ours) / statistics.median(theirs)
    return middle, found[int(0.025 * BOOTSTRAPS)], found[int(0.975 * BOOTSTRAPS)]


def table(entries: Sequence[Entry], unit: str) -> str:
    """Return a Markdown table: medians, and the ratio of the first entry to each other one."""
    ours = entries[0]
    lines = [f"| program | median {unit} | Benchdog / it | 95 % interval |", "|---|---|---|---|"]
    for entry in entries:
        middle = statistics.median(entry.numbers)
        if entry is ours:
            lines.append(f"| {entry.name} | {middle:.5g} | | |")
        else:
            value, low, high = ratio(ours.numbers, entry.numbers)
            lines.append(f"| {entry.name} | {middle:.5g} | {value:.3f} | {low:.3f} to {high:.3f} |")
    return "\n".join(lines)


def output_of(command: Sequence[str], env: dict[str, str] | None = None) -> str:
    """Run a command and return its standard output; exit if it fails."""
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return done.stdout
