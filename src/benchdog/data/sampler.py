"""The sampler: the shuffled order of an epoch, and the micro-batches of a rank."""

from __future__ import annotations

import torch
from torch import Tensor

from benchdog.data.randomness import derive_seed


def epoch_order(samples: int, seed: int, epoch: int) -> Tensor:
    """Return the shuffled positions (samples,) of the training split in an epoch."""
    return torch.randperm(samples, generator=torch.Generator().manual_seed(derive_seed(seed, epoch, salt=1)))


def micro_batch_sizes(samples: int, batch: int, world: int, accumulate: int) -> set[int]:
    """Return the sizes of all micro-batches of an epoch, on all ranks; those of its last batch may be smaller."""
    sizes = {min(batch, samples), samples % batch} - {0}
    parts = (micro_batches(torch.arange(size), rank, world, accumulate) for size in sizes for rank in range(world))
    return {len(part) for each in parts for part in each}


def micro_batches(batch: Tensor, rank: int, world: int, accumulate: int) -> list[Tensor]:
    """Split a global batch of positions into this rank's micro-batches for gradient accumulation.

    A batch with fewer samples than ranks goes whole to every rank: the sums of loss and weight are then both
    multiplied by the number of ranks, so their ratio stays.
    """
    if world > 1 and len(batch) >= world:
        batch = batch.tensor_split(world)[rank]
    if accumulate == 1:
        return [batch]
    return list(batch.tensor_split(min(accumulate, len(batch))))
