"""One of two ranks that run every case of accumulation_cases: `python -m support.rank_cases RANK FOLDER`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from benchdog.runs import state
from support.accumulation_cases import BATCH_DEPENDENT, SPLITTABLE, Epoch, resolve_case, run_epoch

SAMPLES, BATCH = 11, 5
"""The last batch is a single sample, which goes to both ranks."""


def epoch(name: str, weights: str, accumulate: int, rank: int = 0, world: int = 1) -> Epoch:
    """Run an epoch of a case; its validation split has an odd number of samples, or fewer than ranks."""
    if name in BATCH_DEPENDENT:
        parts = resolve_case(BATCH_DEPENDENT[name], 12, weights, valid=7, **{"loop.allow_batch_dependence": True})
        return run_epoch(parts, 6, accumulate, rank=rank, world=world)
    parts = resolve_case(SPLITTABLE[name], SAMPLES, weights, valid=1 if accumulate > 1 else 7)
    return run_epoch(parts, BATCH, accumulate, rank=rank, world=world)


def runs() -> list[tuple[str, str, int]]:
    """Return (case, weights, micro-batches) of every run; the options alternate."""
    cut = [(name, ("none", "any", "whole")[i % 3], 1 + i % 2) for i, name in enumerate(SPLITTABLE)]
    return [*cut, *((name, "none", 1) for name in BATCH_DEPENDENT)]


def main(rank: int, folder: Path) -> None:
    """Write the results of this rank."""
    found: list[Any] = []
    for number, (name, weights, micro_batches) in enumerate(runs()):
        os.environ["BENCHDOG_RENDEZVOUS"] = (folder / f"meet-{number}").resolve().as_uri()
        got = epoch(name, weights, micro_batches, rank, 2)
        losses = torch.from_numpy(got.losses.copy())
        tensors = {"gradients": got.gradients, "losses": losses, "buffers": got.buffers}
        found.append({**tensors, "metrics": json.dumps(got.metrics)})
    state.write(folder / f"rank-{rank}.safetensors", found)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
