"""Sentences about three places."""

from __future__ import annotations

import random
from pathlib import Path

NAMES = Path(__file__).parents[3] / "tests" / "support" / "names"
"""Folder that, on the path, defines operators for a torchvision built for another torch."""
WORDS = {
    "sea": ("wave", "ship", "sail", "harbour", "tide", "anchor"),
    "wood": ("tree", "leaf", "root", "moss", "branch", "oak"),
    "town": ("street", "tower", "market", "tram", "square", "bridge"),
}
FUNCTION_WORDS = ("the", "a", "and", "by", "old", "new", "near", "under")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LENGTH = 12


def sentences(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Return `count` sentences, each about one of three places, and copies of the first five."""
    rng = random.Random(seed)
    rows: list[dict[str, object]] = []
    for i in range(count):
        label = i % len(WORDS)
        words = [rng.choice((*WORDS[list(WORDS)[label]], *FUNCTION_WORDS)) for _ in range(7)]
        words[rng.randrange(7)] = rng.choice(WORDS[list(WORDS)[label]])
        rows.append({"text": " ".join(words).capitalize() + ".", "label": label})
    return rows + rows[:5]
