"""One run's event files. What is written is a copy of the run's own log: a resume writes it anew, none is doubled."""

from __future__ import annotations

import json
import math
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import RunFacts

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
FLUSH = 2.0
"""Seconds after which steps are on the disk at the latest: a killed run has lost no more."""


class Board:
    """Writes a run's events; opened at the first of them, in whichever process that happens."""

    def __init__(self, run: RunFacts) -> None:
        self.run = Path(run.folder)
        self._writer: SummaryWriter | None = None
        self._flushed = time.monotonic()

    def step(self, step: int, loss: float) -> None:
        """Draw a step's loss."""
        self._open("step", step).add_scalar("train/step_loss", loss, step)
        if time.monotonic() - self._flushed > FLUSH:
            self._flush()

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Draw an epoch's metrics, over the epoch's number."""
        writer = self._open("epoch", epoch)
        for name, value in metrics.items():
            writer.add_scalar(tag(name), value, epoch)
        self._flush()

    def end(self, metrics: Mapping[str, float], error: str = "") -> None:
        """Write the recipe's values and the result, which TensorBoard shows as a row of its table HPARAMS."""
        from torch.utils.tensorboard.summary import hparams

        writer = self._open("", 0)
        if error:
            writer.add_text("error", error)
        result = {tag(name): value for name, value in metrics.items() if math.isfinite(value)}
        for summary in hparams(values(self._recipe()), {f"best/{name}": value for name, value in result.items()}):
            writer._get_file_writer().add_summary(summary)
        for name, value in result.items():
            writer.add_scalar(f"best/{name}", value, 0)
        self._flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _flush(self) -> None:
        self._flushed = time.monotonic()
        if self._writer is not None:
            self._writer.flush()

    def _open(self, kind: str, at: int) -> SummaryWriter:
        """Open a file; where a resume begins one, tell anew what the run's log holds up to the first event."""
        if self._writer is not None:
            return self._writer
        from torch.utils.tensorboard import SummaryWriter

        folder = self.run / FOLDER
        again = bool(kind) and any(folder.glob("events.out.*"))
        # Step 0 of a new file takes back everything in the files before it: they may go further than the checkpoint.
        self._writer = SummaryWriter(str(folder), purge_step=0 if again else None)
        if kind:
            self._writer.add_text("recipe", f"```toml\n{self._recipe_text()}\n```", 0)
        for line in self._before(kind, at) if again else ():
            self._tell(line)
        return self._writer

    def _tell(self, line: Mapping[str, Any]) -> None:
        assert self._writer is not None
        if line["kind"] == "step":
            self._writer.add_scalar("train/step_loss", line["loss"], line["step"])
        elif line["kind"] == "epoch":
            for name, value in line.items():
                if "." in name:
                    self._writer.add_scalar(tag(name), value, line["epoch"])

    def _before(self, kind: str, at: int) -> Iterator[dict[str, Any]]:
        """Yield the lines of the run's log that come before an event."""
        with (self.run / "metrics.jsonl").open(encoding="utf-8") as log:
            for text in log:
                line = json.loads(text)
                if line["kind"] == kind and line[kind] >= at:
                    return
                yield line

    def _recipe_text(self) -> str:
        return (self.run / "recipe.toml").read_text(encoding="utf-8")

    def _recipe(self) -> dict[str, Any]:
        return tomllib.loads(self._recipe_text())


def tag(metric: str) -> str:
    """Give the tag of a metric: "valid.loss" and "valid.accuracy" share a group, "valid"."""
    return metric.replace(".", "/", 1)


def values(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, bool | str | float]:
    """Give a recipe's values by dotted key, as TensorBoard takes them: numbers, truths, texts."""
    found: dict[str, bool | str | float] = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            found |= values(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float | str):
            found[f"{prefix}{key}"] = value
        else:
            found[f"{prefix}{key}"] = json.dumps(value, default=str)
    return found
