"""The decode operation `tokens`: tokenization of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchdog.api import Op, encoder, plain_newlines, words
from benchdog.api.tokens import UNITS, Encode
from benchdog.data.decode.errors import Array, DecodeError, Step, require

NEEDED = {"character": "vocabulary", "wordpiece": "vocabulary", "bpe": "merges", "tokenizer": "definition"}
WHOLE = ("wordpiece", "tokenizer")
"""Units whose encoder truncates and pads itself."""
SHOWN = 40
"""Characters of a vocabulary that a message lists."""


def is_character_vocabulary(words: Sequence[str]) -> bool:
    """Whether the words are distinct single characters."""
    return len(words) > 0 and len(set(words)) == len(words) and all(len(word) == 1 for word in words)


def make_tokens(parameters: Op) -> Step:
    """Build the step from a text, or token codes, to int64 (T,).

    With `length` a text is truncated or padded to that many tokens: 0 is padding, codes begin at 1, and a character
    out of vocabulary has the last code. Without it such a character raises DecodeError. WordPiece has its padding
    and unknown token in the vocabulary. For a tokenizer, `first` is the code of its first token, 0 or 1.

    A text is prepared as those of training were: with `newlines` line ends become \\n, with `strip` it is stripped.
    `quote` is "none" when quotation marks in the training table were text; for who reads a table.
    """
    newlines, strip = (parameters.get(key, False) for key in ("newlines", "strip"))
    for key, value in (("newlines", newlines), ("strip", strip)):
        require(isinstance(value, bool), "tokens", key, value, "true or false")
    require(parameters.get("quote", "auto") in ("auto", "none"), "tokens", "quote", parameters.get("quote"), "none")
    unit, length = parameters.get("unit", "character"), parameters.get("length")
    require(unit in UNITS, "tokens", "unit", unit, f"one of {', '.join(UNITS)}")
    needed = NEEDED.get(unit)
    for key in ("vocabulary", "merges", "definition"):
        value = parameters.get(key)
        wanted = f"given with unit {unit!r}" if key == needed else f"left out with unit {unit!r}"
        require((value is not None) == (key == needed), "tokens", key, value, wanted)
    count = 256
    if needed == "vocabulary":
        vocabulary = parameters["vocabulary"]
        ok = isinstance(vocabulary, list | tuple)
        if unit == "character":
            ok = ok and is_character_vocabulary([str(word) for word in vocabulary])
        what = "single characters" if unit == "character" else "WordPiece tokens"
        require(ok, "tokens", "vocabulary", vocabulary, f"a list of different {what}")
        count = len(vocabulary)
    if unit == "bpe":
        merges = parameters["merges"]
        ok = isinstance(merges, list | tuple) and all(isinstance(merge, list | tuple) for merge in merges)
        require(ok, "tokens", "merges", merges, "a list of pairs of codes")
        count += len(merges)
    require(length is None or (type(length) is int and length > 0), "tokens", "length", length, "a number of tokens")
    first = parameters.get("first", 1)
    require(type(first) is int and first in (0, 1), "tokens", "first", first, "0 or 1")
    require("first" not in parameters or unit == "tokenizer", "tokens", "first", first, "left out with this unit")
    if unit == "tokenizer":
        count = len(words(parameters)) + first
    encode = encoder({**parameters, "unit": unit})
    known = {}
    if unit == "character":
        known = {str(character): code for code, character in enumerate(parameters["vocabulary"])}
    padded_length = length if unit not in WHOLE else None

    def step(value: Any) -> Array:
        if isinstance(value, np.ndarray):
            return _stored_tokens(value, count + (2 if known else 1) if padded_length else count)
        if not isinstance(value, str):
            raise DecodeError(f"a text is needed, not {type(value).__name__}")
        value = plain_newlines(value) if newlines else value
        value = value.strip() if strip else value
        if not (value.strip() if unit in WHOLE else value):
            raise DecodeError("the text is empty")
        if padded_length:
            return _padded(value, padded_length, encode, known)
        try:
            codes = encode(value)
        except KeyError as error:
            at = value.index(error.args[0])
            few = "".join(list(known)[:SHOWN]) + ("..." if len(known) > SHOWN else "")
            message = f"character {error.args[0]!r} at {at} is not in the vocabulary"
            raise DecodeError(f"{message}: the model knows those of its training text, {few!r}") from None
        return np.array(list(codes), np.int64)

    return step


def _padded(text: str, length: int, encode: Encode, known: dict[str, int]) -> Array:
    """Return codes from 1 on, truncated or zero-padded to the length."""
    out = np.zeros(length, np.int64)
    if known:
        place = [known.get(character, len(known)) for character in text[:length]]
    else:
        place = list(encode(text)[:length])
    out[: len(place)] = np.array(place, np.int64) + 1
    return out


def _stored_tokens(value: Array, count: int) -> Array:
    if value.ndim != 1 or value.dtype.kind not in "iu" or not value.size:
        raise DecodeError(f"tokens must be integers (T,), not {value.dtype} {value.shape}")
    if value.min() < 0 or value.max() >= count:
        raise DecodeError(f"its tokens go from {value.min()} to {value.max()}; there are {count}")
    return value.astype(np.int64)
