"""Seeds and per-sample random numbers: pure functions of (seed, epoch, position), on any device.

They don't depend on the process, the batch or the number of ranks.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

STEP = 0x9E3779B97F4A7C15
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def derive_seed(seed: int, number: int, salt: int = 0) -> int:
    """Hash seed, number and salt to 63 bits (splitmix64): torch's CPU generator uses only a seed's low 32 bits."""
    z = (seed + 0x9E3779B97F4A7C15 * (number + 1) + (salt << 32)) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (z ^ (z >> 31)) & 0x7FFFFFFFFFFFFFFF


def derive_seeds(seed: int, first: int, count: int) -> list[int]:
    """Return derive_seed(seed, number) for `count` numbers from `first`, vectorized: a tenth of the time each."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed & 0xFFFFFFFFFFFFFFFF) + np.uint64(0x9E3779B97F4A7C15) * np.arange(
            first + 1, first + count + 1, dtype=np.uint64
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = (z ^ (z >> np.uint64(31))) & np.uint64(0x7FFFFFFFFFFFFFFF)
    return [int(value) for value in z.tolist()]


def _signed(value: int) -> int:
    """Reinterpret an unsigned 64-bit number as int64, the only 64-bit integer of torch."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _shift_right(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right; torch's own is arithmetic, it fills with the sign."""
    return (z >> bits) & ((1 << (64 - bits)) - 1)


def splitmix(z: Tensor) -> Tensor:
    """Mix the bits of int64 numbers: the finalizer of splitmix64."""
    z = (z ^ _shift_right(z, 30)) * _signed(FIRST)
    z = (z ^ _shift_right(z, 27)) * _signed(SECOND)
    return z ^ _shift_right(z, 31)


def reseeder(device: torch.device) -> Callable[[int], Any]:
    """Return a function that seeds the generators of the CPU and of one device.

    torch.manual_seed looks for devices of every kind at each call, which takes 300 times as long.
    """
    cpu = torch.default_generator
    if device.type == "cpu":
        return cpu.manual_seed
    if device.type != "cuda":
        return torch.manual_seed
    torch.cuda.init()  # type: ignore[no-untyped-call]
    generator = torch.cuda.default_generators[device.index or 0]

    def reseed(seed: int) -> None:
        cpu.manual_seed(seed)
        generator.manual_seed(seed)

    return reseed


class Draws:
    """The random numbers of a batch: row b belongs to sample b. Each call returns new ones.

    Attributes:
        keys: (B,) int64, one per sample.
    """

    def __init__(self, keys: Tensor) -> None:
        self.keys = keys
        self._used = 0

    def __len__(self) -> int:
        return len(self.keys)

    def uniform(self, *shape: int) -> Tensor:
        """Draw from [0, 1), 24 bits each: (B, *shape) float32."""
        count = math.prod(shape)
        number = torch.arange(self._used + 1, self._used + count + 1, device=self.keys.device)
        self._used += count
        bits = splitmix(self.keys[:, None] + number * _signed(STEP))
        return (_shift_right(bits, 40).float() / (1 << 24)).view(len(self.keys), *shape)

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution: (B, *shape) float32."""
        radius = (-2 * torch.log1p(-self.uniform(*shape))).sqrt()  # the argument of the log is above 0
        return radius * torch.cos(2 * math.pi * self.uniform(*shape))


def sample_draws(ids: Any, seed: int, epoch: int, salt: int, device: torch.device) -> Draws:
    """Return the random numbers of a batch.

    Args:
        ids: positions in the split, or the ids of a stream's samples.
        seed: the loader's seed.
        epoch: counted from 0.
        salt: different salts give independent numbers.
        device: where they are generated.
    """
    numbers = _numbers(ids)
    base = _signed(derive_seed(seed, epoch, salt=100 + salt))
    return Draws(splitmix(splitmix(numbers.to(device) * _signed(STEP)) + base))


def _numbers(ids: Any) -> Tensor:
    if isinstance(ids, Tensor):
        return ids.long()
    if isinstance(ids, Sequence) and not isinstance(ids, range) and ids and isinstance(ids[0], str):
        codes = [
            int.from_bytes(hashlib.blake2b(i.encode(), digest_size=8).digest(), "little", signed=True) for i in ids
        ]
        return torch.tensor(codes, dtype=torch.int64)
    return torch.from_numpy(np.asarray(ids, dtype=np.int64))
