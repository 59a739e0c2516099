"""The decode operation `tokens`: tokenization of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchdog.api import encoder, plain_newlines, words
from benchdog.api.tokens import Encode
from benchdog.data.decode.errors import Array, DecodeError, Step
from benchdog.data.decode.options import NEEDED, TokensOptions
from benchdog.errors import BadUsage

WHOLE = ("wordpiece", "tokenizer")
"""Units whose encoder truncates and pads itself."""
SHOWN = 40
"""Characters of a vocabulary that a message lists."""


def is_character_vocabulary(words: Sequence[str]) -> bool:
    """Whether the words are distinct single characters."""
    return len(words) > 0 and len(set(words)) == len(words) and all(len(word) == 1 for word in words)


def tokens(options: TokensOptions) -> Step:
    """Build the step from a text, or token codes, to int64 (T,).

    With `length` a text is truncated or padded to that many tokens: 0 is padding, codes begin at 1, and a character
    out of vocabulary has the last code. Without it such a character raises DecodeError. WordPiece has its padding
    and unknown token in the vocabulary.
    """
    unit, length, vocabulary = options.unit, options.length, options.vocabulary or ()
    if unit == "character" and not is_character_vocabulary(vocabulary):
        raise BadUsage("Decode operation 'tokens': vocabulary must be a list of different single characters.")
    op: dict[str, Any] = {key: getattr(options, key) for key in ("unit", *NEEDED.values(), "length", "first")}
    op = {key: value for key, value in op.items() if value is not None}
    count = len(vocabulary) or 256 + len(options.merges or ())
    if unit == "tokenizer":
        count = len(words(op)) + (1 if options.first is None else options.first)
    encode = encoder(op)
    known = {character: code for code, character in enumerate(vocabulary)} if unit == "character" else {}
    padded_length = length if unit not in WHOLE else None

    def step(value: Any) -> Array:
        if isinstance(value, np.ndarray):
            return _stored_tokens(value, count + (2 if known else 1) if padded_length else count)
        if not isinstance(value, str):
            raise DecodeError(f"a text is needed, not {type(value).__name__}")
        value = plain_newlines(value) if options.newlines else value
        value = value.strip() if options.strip else value
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
