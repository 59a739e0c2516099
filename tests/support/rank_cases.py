"""One rank of two that go through every case of accumulation_cases: `python -m support.rank_cases RANK FOLDER`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from benchdog.runs import state
from support.accumulation_cases import CUTS, MIXED, Epoch, an_epoch, parts_of

SAMPLES, BATCH = 11, 5
"""The last batch is one sample, which goes to both ranks."""


def epoch(name: str, weights: str, accumulate: int, rank: int = 0, world: int = 1) -> Epoch:
    """Go through a case's epoch; its valid split has an odd number of samples, or fewer than there are ranks."""
    if name in MIXED:
        parts = parts_of(MIXED[name], 12, weights, valid=7, **{"loop.allow_batch_dependence": True})
        return an_epoch(parts, 6, accumulate, rank=rank, world=world)
    parts = parts_of(CUTS[name], SAMPLES, weights, valid=1 if accumulate > 1 else 7)
    return an_epoch(parts, BATCH, accumulate, rank=rank, world=world)


def runs() -> list[tuple[str, str, int]]:
    """List (case, weights, pieces): what goes with ranks, in turns."""
    cut = [(name, ("none", "any", "whole")[i % 3], 1 + i % 2) for i, name in enumerate(CUTS)]
    return [*cut, *((name, "none", 1) for name in MIXED)]


def main(rank: int, folder: Path) -> None:
    """Write what this rank found."""
    found: list[Any] = []
    for number, (name, weights, pieces) in enumerate(runs()):
        os.environ["BENCHDOG_RENDEZVOUS"] = (folder / f"meet-{number}").resolve().as_uri()
        got = epoch(name, weights, pieces, rank, 2)
        losses = torch.from_numpy(got.losses.copy())
        told = {"gradients": got.gradients, "losses": losses, "buffers": got.buffers}
        found.append({**told, "metrics": json.dumps(got.metrics)})
    state.write(folder / f"rank-{rank}.safetensors", found)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
