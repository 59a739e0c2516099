"""Progress on stderr: a bar on a terminal, a line per epoch elsewhere; nothing when quiet."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tqdm import tqdm

from benchdog.recipe.steps import ceil_div
from benchdog.system import terminal

INTERVAL = 0.1
"""Seconds between two updates of the bar."""
MANY, LINES = 200, 100
"""Of more than MANY epochs only about LINES get a line; metrics.jsonl has all."""


class Progress:
    """A progress bar that is redrawn at most ten times a second."""

    def __init__(self, epochs: int, batch_size: int, quiet: bool = False) -> None:
        self.epochs, self.batch_size, self.quiet = epochs, batch_size, quiet
        self._terminal = not quiet and terminal.draws()
        self._bar: tqdm[Any] | None = None
        self._next = 0.0
        self._loss = ""
        self._every = ceil_div(epochs, LINES) if epochs > MANY else 1
        self._best = self._last = ""  # the lines of these epochs, as long as they aren't printed
        self._numbered = False
        self._begun = time.perf_counter()

    def epoch(self, epoch: int, done: int, steps: int | None) -> None:
        """Start the bar of an epoch."""
        self._numbered = True
        self._begun = time.perf_counter()
        if self._terminal:
            name = f"epoch {epoch + 1}/{self.epochs}"
            self._bar = tqdm(total=steps, initial=done, desc=name, unit="step", leave=False, file=terminal.MESSAGES)

    def step(self, done: int, now: float) -> None:
        """Show how far the epoch is; `now` is time.perf_counter()."""
        if self._bar is not None and now >= self._next:
            self._next = now + INTERVAL
            self._bar.set_postfix_str(self._loss, refresh=False)
            self._bar.update(done - self._bar.n)

    def loss(self, mean: float) -> None:
        """Show the mean loss of the last steps."""
        self._loss = f"loss {mean:.4f}"

    def epoch_done(self, epoch: int, metrics: Mapping[str, float], better: bool) -> None:
        """Print the metrics of an epoch in a line."""
        self._hide()
        if self.quiet:
            return
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        seconds = time.perf_counter() - self._begun
        mark = "  *" if better and self._numbered else ""
        width = len(str(self.epochs))
        count = f"epoch {epoch:>{width}}/{self.epochs}  " if self._numbered else ""  # some trainers know no epochs
        line = f"{count}{numbers}  {seconds:.1f} s{mark}"
        self._last = line
        if better:
            self._best = line
        if self._every == 1 or epoch == 1 or (epoch % self._every == 0 and epoch < self.epochs):
            self._print(line)

    def close(self) -> None:
        """Remove the bar; print the best and the last epoch's lines if they weren't."""
        self._hide()
        for line in dict.fromkeys((self._best, self._last)):
            self._print(line)

    def _print(self, line: str) -> None:
        if line:
            terminal.show(line)
        self._best = "" if line == self._best else self._best
        self._last = "" if line == self._last else self._last

    def _hide(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def silent() -> Progress:
    """Return a progress that prints nothing."""
    return Progress(0, 0, quiet=True)


def say(text: str, quiet: bool = False) -> None:
    """Print a line on stderr, unless quiet."""
    if not quiet:
        terminal.show(text)
