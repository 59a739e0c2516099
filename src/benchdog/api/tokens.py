"""How texts become tokens and tokens texts: bytes, characters, byte pairs, word pieces. Standard library only.

A decode operation says how: {"op": "tokens", "unit": "byte"}, {"unit": "character", "vocabulary": [...]},
{"unit": "wordpiece", "vocabulary": [...]} or {"unit": "bpe", "merges": [[104, 101], [256, 32], ...]}. Byte pairs
begin with the 256 bytes; the merge of two tokens is a new one, the next number, and they are merged in that order
within each of `pieces`. {"unit": "tokenizer", "definition": {...}} is somebody's tokenizer.json (see
benchdog.api.tokenizer).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final

from benchdog.api import tokenizer, wordpiece
from benchdog.api.data import Op, Target
from benchdog.errors import BadUsage

UNITS: Final = ("byte", "character", "bpe", "wordpiece", "tokenizer")
BYTES: Final = tuple(bytes([value]) for value in range(256))
PIECE: Final = re.compile(r" ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")
"""Words, numbers, signs, each with the space before it, and other white space: no token spans two of them."""
KEPT: Final = 1 << 18
"""Pieces whose tokens are remembered."""

Encode = Callable[[str], Sequence[int]]


def words_of(merges: Sequence[Sequence[int]]) -> tuple[bytes, ...]:
    """Return the bytes of each token of byte pairs, in the order of their codes.

    Raises:
        BadUsage: a merge names a token that isn't there yet, or one that is made already.
    """
    words, known = list(BYTES), set(BYTES)
    for merge in merges:
        whole = len(merge) == 2 and all(type(code) is int and 0 <= code < len(words) for code in merge)
        word = b"".join(words[code] for code in merge) if whole else b""
        if not word or word in known:
            raise BadUsage(
                f"Decode operation 'tokens': merge {len(words) - 256} is {list(merge)}, "
                f"not two of the {len(words)} tokens before it that make a new one."
            )
        words.append(word)
        known.add(word)
    return tuple(words)


def pieces(text: str) -> list[str]:
    """Cut a text into what byte pairs are learned and merged within; joined they are the text."""
    return PIECE.findall(text)


def words(op: Op) -> tuple[bytes, ...]:
    """Return the bytes of each token of an operation, in the order of their codes."""
    unit = op.get("unit", "character")
    if unit == "tokenizer":
        return tuple(word.encode("utf-8", "surrogatepass") for word in tokenizer.words(op))
    if unit in ("character", "wordpiece"):
        return tuple(str(character).encode("utf-8", "surrogatepass") for character in op["vocabulary"])
    return words_of(op["merges"]) if unit == "bpe" else BYTES


def encoder(op: Op) -> Encode:
    """Return the function from a text to its codes. KeyError names a character that isn't in the vocabulary."""
    unit = op.get("unit", "character")
    if unit == "byte":
        return lambda text: text.encode("utf-8", "surrogatepass")
    if unit == "character":
        codes = {character: code for code, character in enumerate(op["vocabulary"])}
        return lambda text: [codes[character] for character in text]
    if unit == "wordpiece":
        return wordpiece.encoder(op)
    if unit == "tokenizer":
        return tokenizer.encoder(op)
    words_of(op["merges"])
    pairs = {(merge[0], merge[1]): 256 + rank for rank, merge in enumerate(op["merges"])}
    seen: dict[str, list[int]] = {}

    def encode(text: str) -> list[int]:
        result: list[int] = []
        for piece in pieces(text):
            codes = seen.get(piece)
            if codes is None:
                codes = merged(list(piece.encode("utf-8", "surrogatepass")), pairs)
                if len(seen) < KEPT:
                    seen[piece] = codes
            result += codes
        return result

    return encode


def merged(codes: list[int], pairs: dict[tuple[int, int], int]) -> list[int]:
    """Merge neighbors, the earliest rule first, until none applies; a rule's places from left to right."""
    while len(codes) > 1:
        new = min((pairs[pair] for pair in pairwise(codes) if pair in pairs), default=0)
        if not new:
            break
        result: list[int] = []
        at = 0
        while at < len(codes):
            both = pairs.get((codes[at], codes[at + 1])) if at + 1 < len(codes) else None
            result.append(new if both == new else codes[at])
            at += 2 if both == new else 1
        codes = result
    return codes


def spellings(target: Target) -> tuple[bytes, ...]:
    """Return the UTF-8 bytes that each token of a target stands for."""
    if target.spelling == "hex":
        return tuple(bytes.fromhex(name) for name in target.classes)
    return tuple(name.encode("utf-8", "surrogatepass") for name in target.classes)
