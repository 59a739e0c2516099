"""Byte-pair encoding: training with the package tokenizers, which inference doesn't need."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from benchdog.api import NotAvailable, pieces, words


def train_bpe(texts: Iterable[str], vocabulary: int) -> list[list[int]]:
    """Learn merges until there are `vocabulary` tokens, the 256 bytes among them, or nothing comes twice.

    Returns:
        pairs of codes, as the decode operation `tokens` takes them.

    Raises:
        NotAvailable: tokenizers isn't installed.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    except ImportError:
        raise NotAvailable(
            'source.unit = "bpe" learns its tokens with the package tokenizers, which is not installed.',
            "Install it: pip install tokenizers (conda install -c conda-forge tokenizers); "
            "or take unit = byte or character.",
        ) from None
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = bytewise
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator((piece for text in texts for piece in pieces(text)), trainer)
    return merges_as_codes(json.loads(tokenizer.to_str())["model"]["merges"])


def merges_as_codes(merges: Iterable[Any]) -> list[list[int]]:
    """Convert the merges of tokenizers, which spell bytes as printable characters, to pairs of codes."""
    byte = {sign: value for value, sign in enumerate(printable_bytes())}
    code = {word: i for i, word in enumerate(words({"unit": "byte"}))}
    result = []
    for merge in merges:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        first, second = (bytes(byte[sign] for sign in part) for part in (left, right))
        if first + second not in code:  # another way to a token that is there already
            code[first + second] = len(code)
            result.append([code[first], code[second]])
    return result


def printable_bytes() -> list[str]:
    """Return the printable character of each byte: itself, else one from 256 on, in order."""
    own = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(value if value in own else next(others)) for value in range(256)]
