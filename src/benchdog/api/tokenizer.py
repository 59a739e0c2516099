"""Tokens by somebody's own tokenizer: the contents of its tokenizer.json, carried out by the library `tokenizers`.

{"op": "tokens", "unit": "tokenizer", "definition": {...}, "length": 128, "first": 0}. A text is cut to `length`
tokens, its marks for begin and end among them, and filled up with 0. `first` is the code of the vocabulary's first
token: 0 where that is the filler already, else 1, so that 0 is free.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchdog.api.data import Op
from benchdog.errors import BadUsage, NotAvailable


def words(op: Op) -> list[str]:
    """Return the vocabulary in the order of its codes; "" where a code is nobody's.

    Raises:
        BadUsage: the definition holds none.
    """
    try:
        model, added = op["definition"]["model"], op["definition"].get("added_tokens") or ()
        listed = model["vocab"]
        codes = {word: i for i, (word, _) in enumerate(listed)} if isinstance(listed, list) else dict(listed)
        codes |= {token["content"]: token["id"] for token in added}
        found = [""] * (max(codes.values()) + 1)
        for word, code in codes.items():
            found[code] = word
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, MemoryError):
        raise BadUsage(
            "Decode operation 'tokens': definition holds no vocabulary.",
            "It is the contents of a tokenizer.json, as the library tokenizers writes it.",
        ) from None
    return found


def load(op: Op) -> Any:
    """Make the library's tokenizer of an operation: it cuts to the length, and fills up nothing.

    Raises:
        NotAvailable: the library isn't installed.
        BadUsage: it can't make a tokenizer of the definition.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise NotAvailable("These tokens need the package tokenizers.", "pip install tokenizers") from None
    definition: Mapping[str, Any] = op["definition"]
    # A tokenizer that drops merges at random is for training alone, and would give other tokens each time.
    model = {**definition["model"], **({"dropout": None} if "dropout" in definition["model"] else {})}
    try:
        made = Tokenizer.from_str(json.dumps({**definition, "model": model}))
        made.no_padding()
        made.enable_truncation(op["length"]) if op.get("length") else made.no_truncation()
    except Exception as error:  # the library raises plain exceptions
        said = " ".join(str(error).split())[:200]
        raise BadUsage(
            f"The tokenizer's definition can't be used: {said}.", "Save it again as tokenizer.json."
        ) from None
    return made


def encoder(op: Op) -> Callable[[str], list[int]]:
    """Return the function from a text to its codes: `length` of them, filled up with 0, or all."""
    rows = encoder_of_many(op)
    return lambda text: rows([text])[0]


def encoder_of_many(op: Op) -> Callable[[Sequence[str]], list[list[int]]]:
    """Return the function from texts to their codes. The library is loaded when it is first called."""
    first, length = op.get("first", 1), op.get("length") or 0
    made: list[Any] = []

    def encode(texts: Sequence[str]) -> list[list[int]]:
        if not made:
            made.append(load(op))
        rows = [[code + first for code in found.ids] for found in made[0].encode_batch_fast(list(texts))]
        return [row + [0] * (length - len(row)) for row in rows]

    return encode
