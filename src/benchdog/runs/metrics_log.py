"""Metrics log: lines in metrics.jsonl, and every step's mean loss in losses.f32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchdog.api import json_text
from benchdog.system import files

LINES, LOSSES = "metrics.jsonl", "losses.f32"
RECORDS = {LINES: None, LOSSES: np.array(np.nan, "<f4").tobytes()}
"""The files, and what stands in each for a record that was lost."""


class NotFinite(Exception):
    """A step's loss, or a weight after it, is not a finite number.

    Attributes:
        step: its number, from 1.
        what: what was found, for people.
    """

    def __init__(self, step: int, what: str) -> None:
        super().__init__(what)
        self.step, self.what = step, what


class Appended:
    """A file that grows, and is cut back to a checkpoint's length on a resume.

    Args:
        record: what stands for each record that a crash of the machine took from its end; None: it has lines, and the
            torn one goes.

    Attributes:
        lost: the bytes that were there at the checkpoint, and aren't now.
    """

    def __init__(self, path: Path, length: int = 0, record: bytes | None = None) -> None:
        with path.open("ab+") as file:
            there = file.tell()
            self.lost = max(0, length - there)
            if not self.lost:
                file.truncate(length)
            elif record is None:
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
            else:
                file.truncate(there // len(record) * len(record))
                file.write(record * (length // len(record) - there // len(record)))
        self._file = path.open("ab")
        self.length = self._file.tell()

    def add(self, data: bytes) -> None:
        """Append and hand it to the system."""
        with files.saving(Path(self._file.name)):
            files.check_guards(Path(self._file.name))
            self._file.write(data)
            self._file.flush()
        self.length += len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Losses:
    """Sums of losses and their weights, at most `capacity` of them, kept on the device so that no step waits.

    They are in one tensor: a list of small ones would pin the memory between the large ones around them.
    """

    def __init__(self, capacity: int, device: torch.device) -> None:
        self._values = torch.zeros(capacity, device=device)
        self._slots = list(self._values.unbind())
        self._weights: list[float | Tensor] = []

    def __len__(self) -> int:
        return len(self._weights)

    def add(self, loss: Tensor, weight: float | Tensor) -> None:
        """Keep a step's loss, summed over its batch, and the batch's weight."""
        self._slots[len(self._weights)].copy_(loss.detach())
        self._weights.append(weight)

    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums and the weights so far, float64: the only point where the loop waits for the device."""
        values = self._values[: len(self)].cpu().double().numpy()
        return values, np.array([float(weight) for weight in self._weights])

    def clear(self) -> None:
        """Start again."""
        self._weights = []

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        return {"values": self._values[: len(self)], "weights": list(self._weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self._values[: len(state["weights"])].copy_(state["values"])
        self._weights = list(state["weights"])


class MetricsLogWriter:
    """The steps' losses on their way from the device to the run's folder.

    Args:
        folder: the run's folder; None on a rank that writes nothing.
        every: how many steps are kept at most before `take`.
        device: where the losses are.
        stored: the state to continue from.
    """

    def __init__(self, folder: Path | None, every: int, device: torch.device, stored: dict[str, Any] | None) -> None:
        self._losses = Losses(every, device)
        self._epoch = [0.0, 0.0]
        if stored:
            self._losses.load_state_dict(stored["losses"])
            self._epoch = list(stored["epoch"])
        lengths = stored["lengths"] if stored else {}
        self._files = {n: Appended(folder / n, lengths.get(n, 0), r) for n, r in RECORDS.items()} if folder else {}

    def lost(self) -> list[str]:
        """Name the files that lost their end since the checkpoint."""
        return [name for name, file in self._files.items() if file.lost]

    def add(self, loss: Tensor, weight: float | Tensor) -> None:
        """Keep a step's loss and weight."""
        self._losses.add(loss, weight)

    def check(self, step: int) -> None:
        """Check that the losses up to `step`, the last, are finite.

        Raises:
            NotFinite: one isn't.
        """
        values, _ = self._losses.numbers()
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise NotFinite(step - len(values) + int(bad[0]) + 1, f"The loss is {values[bad[0]]}")

    def take(self, step: int) -> float | None:
        """Write down the losses up to `step` and give their mean; None when there are none.

        Raises:
            NotFinite: one isn't a finite number.
        """
        if not self._losses:
            return None
        self.check(step)
        values, weights = self._losses.numbers()
        self._losses.clear()
        self._epoch = [self._epoch[0] + float(values.sum()), self._epoch[1] + float(weights.sum())]
        means = np.divide(values, weights, out=np.full(len(values), np.nan), where=weights != 0)
        if self._files:
            self._files[LOSSES].add(means.astype("<f4").tobytes())
        return float(values.sum() / weights.sum()) if weights.sum() else float("nan")

    def epoch(self) -> dict[str, float]:
        """Return the epoch's mean loss, where it has one, and begin another."""
        (total, weight), self._epoch = self._epoch, [0.0, 0.0]
        return {"train.loss": total / weight} if weight else {}

    def line(self, **values: Any) -> None:
        """Add a line to the metrics log."""
        if self._files:
            self._files[LINES].add((json_text(values) + "\n").encode())

    def state_dict(self) -> dict[str, Any]:
        """Return what a resume needs."""
        lengths = {name: file.length for name, file in self._files.items()}
        return {"losses": self._losses.state_dict(), "epoch": self._epoch, "lengths": lengths}

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
