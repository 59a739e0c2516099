"""The chapter on augmentation: each as a class of its own, with the random numbers that belong to a sample."""

from __future__ import annotations

from benchdog.settle import Parts


def write_augmentation(parts: Parts, own: tuple[str, ...]) -> tuple[str, set[str]]:
    return "", set()
