"""Classes: their names in order, one for all spellings, and notes on those that a split lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from benchdog.api.reading.cells import number, spelling
from benchdog.errors import shortlist

SHOWN = 5
"""Classes or spellings that a note lists."""
DIGITS = 1000
"""Digits of a number that names are sorted by; Python refuses to read some thousands."""


def natural_key(name: str) -> tuple[list[str | int], str]:
    """Return a natural sort key: 2 comes before 10."""
    # split with a group alternates text and digits, so texts are never compared with numbers
    parts = enumerate(re.split(r"([0-9]+)", name))
    return [int(part[:DIGITS]) if i % 2 else part.casefold() for i, part in parts], name


def class_spellings(words: Iterable[str]) -> dict[str, str]:
    """Return the class name of each different word.

    1, 1.0 and 1.00 are the class 1, composed and decomposed characters are equal. Where all words are numbers
    without leading zeros, 1e3 is 1000 as well.
    """
    different = dict.fromkeys(words)
    plain = all(_is_plain_number(word) for word in different)
    return {word: spelling(f"{Decimal(word):f}" if plain and "e" in word.lower() else word) for word in different}


def _is_plain_number(word: str) -> bool:
    """Whether a word is a number of at most 53 bits, without leading zeros or a long exponent."""
    value = number(word) if word.isascii() else None
    odd = re.match(r"[+-]?0[0-9]", word) or re.search(r"[eE][+-]?[0-9]{3}", word)
    return value is not None and not odd and (value == 0 or 1e-18 < abs(value) < 2**53)


def class_names(words: Iterable[str]) -> tuple[str, ...]:
    """Return the different class names in order: numbers by value, else natural order."""
    names = {*class_spellings(words).values()}
    if all(number(name) is not None for name in names):
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    return tuple(sorted(names, key=natural_key))


def spelling_notes(names: Mapping[str, str], what: str = "Class") -> list[str]:
    """Return notes on classes with several spellings, and on those that differ in upper and lower case only.

    Args:
        names: class name by spelling, as `class_spellings` returns it.
        what: what a name is, for the notes.
    """
    merged: dict[str, list[str]] = {}
    for word, name in names.items():
        merged.setdefault(name, []).append(word)
    several = {name: sorted(words) for name, words in merged.items() if len(words) > 1}
    alike: dict[str, list[str]] = {}
    for name in sorted(merged):
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    notes, plural = [], f"{what}es" if what.endswith("s") else f"{what}s"
    if several:
        listed = [f"{name!r} ({', '.join(map(ascii, words))})" for name, words in several.items()]
        notes.append(f"{plural} with several spellings, merged: {shortlist(listed, SHOWN)}.")
    if near := [" and ".join(map(repr, group)) for group in alike.values() if len(group) > 1]:
        notes.append(f"{plural} that differ only in case or spaces, kept separate: {shortlist(near, SHOWN)}.")
    return notes


def lacking_notes(
    names: Sequence[str], counts: Mapping[str, Sequence[int]], *, what: str = "Class", unit: str = "row"
) -> list[str]:
    """Return notes on classes that a split has no sample of.

    Args:
        names: the classes.
        counts: by split, the number of samples of each class.
        what: what a name is: "Class" or "Label".
        unit: what a sample is.
    """
    notes = []
    for code, name in enumerate(names):
        lacking = [split for split, count in counts.items() if not count[code]]
        if lacking:
            total = sum(int(count[code]) for count in counts.values())
            samples = f"1 {unit}" if total == 1 else f"{total:,} {unit}s"
            notes.append(f"{what} {name!r} has {samples}: none in {' and '.join(lacking)}.")
    more = len(notes) - SHOWN
    return [*notes[:SHOWN], f"{more:,} more are missing in a split."] if more > 1 else notes
