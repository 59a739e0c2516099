"""One run's event files: a copy of its own log, so that no resume doubles a step and no full queue loses one."""

from __future__ import annotations

import json
import math
import re
import threading
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import MetricsLog, RunFacts

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
CREATED = re.compile(r"events\.out\.tfevents\.(\d+)\.")
FLUSH = 2.0
"""Seconds after which steps are on the disk at the latest: a killed run has lost no more."""


class Board:
    """Writes a run's events; opened at the first of them, in whichever process that happens."""

    def __init__(self, run: RunFacts) -> None:
        self.run = Path(run.folder)
        self._log = MetricsLog(self.run)
        self._writer: SummaryWriter | None = None
        self._flushed = time.monotonic()

    def catch_up(self, now: bool) -> None:
        """Draw what the run's log has more of; see at once, or soon, that it is on the disk."""
        writer = self._open()
        for line in self._log.new():
            if line["kind"] == "step":
                writer.add_scalar("train/step_loss", line["loss"], line["step"])
                if "lr" in line:
                    writer.add_scalar("train/lr", line["lr"], line["step"])
            elif line["kind"] == "epoch":
                for name, value in line.items():
                    if "." in name:
                        writer.add_scalar(tag(name), value, line["epoch"])
        if now or time.monotonic() - self._flushed > FLUSH:
            writer.flush()
            self._flushed = time.monotonic()

    def end(self, metrics: Mapping[str, float], error: str = "") -> None:
        """Write the recipe's values and the result, which TensorBoard shows as a row of its table HPARAMS."""
        from torch.utils.tensorboard import summary

        self.catch_up(now=False)
        writer: Any = self._open()
        table: Any = summary
        if error:
            writer.add_text("error", error)
        result = {f"best/{tag(name)}": value for name, value in metrics.items() if math.isfinite(value)}
        for row in table.hparams(values(tomllib.loads(self._recipe())), result):
            writer._get_file_writer().add_summary(row)
        for name, value in result.items():
            writer.add_scalar(name, value, 0)
        writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self) -> SummaryWriter:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            hush()
            recipe = self._recipe()  # before anything is written: the run's folder is there
            folder = self.run / FOLDER
            again = any(folder.glob("events.out.*"))
            _wait_for_a_later_name(folder)
            # Step 0 of a new file takes back all that files before it say: they may go further than the checkpoint.
            self._writer = SummaryWriter(str(folder), purge_step=0 if again else None)
            self._writer.add_text("recipe", f"```toml\n{recipe}\n```", 0)
        return self._writer

    def _recipe(self) -> str:
        return (self.run / "recipe.toml").read_text(encoding="utf-8")


def _wait_for_a_later_name(folder: Path) -> None:
    """Wait, less than a second, until a new file's name is sorted after those that exist.

    TensorBoard reads files in the order of their names, which hold the second of their creation; in another order
    a resumed run's curves would be drawn twice.
    """
    seconds = [int(found[1]) for path in folder.glob("events.out.*") if (found := CREATED.match(path.name))]
    while seconds and int(time.time()) == max(seconds):
        time.sleep(0.02)


def hush() -> None:
    """Let TensorBoard's writing thread end without a trace: its error is raised here too, when more is written."""
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not type(args.thread).__module__.startswith("tensorboard."):
            before(args)

    if getattr(before, "__module__", "") != __name__:
        threading.excepthook = hook


def tag(metric: str) -> str:
    """Return the tag of a metric: "valid.loss" and "valid.accuracy" share a group, "valid"."""
    return metric.replace(".", "/", 1)


def values(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, bool | str | float]:
    """Return a recipe's values by dotted key, as TensorBoard takes them: numbers, truths, texts."""
    found: dict[str, bool | str | float] = {}
    for key, value in recipe.items():
        if isinstance(value, Mapping):
            found |= values(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float | str):
            found[f"{prefix}{key}"] = value
        else:
            found[f"{prefix}{key}"] = json.dumps(value, default=str)
    return found
