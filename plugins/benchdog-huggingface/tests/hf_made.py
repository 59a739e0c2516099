"""Sentences about three places."""

from __future__ import annotations

import random
from pathlib import Path

NAMES = Path(__file__).parents[3] / "tests" / "support" / "names"
"""Put on the path, it defines operators that torchvision asks for where it was built for another torch."""
WORDS = {
    "sea": ("wave", "ship", "sail", "harbour", "tide", "anchor"),
    "wood": ("tree", "leaf", "root", "moss", "branch", "oak"),
    "town": ("street", "tower", "market", "tram", "square", "bridge"),
}
FILLERS = ("the", "a", "and", "by", "old", "new", "near", "under")
MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LENGTH = 12


def sentences(count: int, seed: int = 0) -> list[dict[str, object]]:
    """Make sentences, each about one of three places; now and then one twice."""
    draw = random.Random(seed)
    rows: list[dict[str, object]] = []
    for i in range(count):
        label = i % len(WORDS)
        words = [draw.choice((*WORDS[list(WORDS)[label]], *FILLERS)) for _ in range(7)]
        words[draw.randrange(7)] = draw.choice(WORDS[list(WORDS)[label]])
        rows.append({"text": " ".join(words).capitalize() + ".", "label": label})
    return rows + rows[:5]
