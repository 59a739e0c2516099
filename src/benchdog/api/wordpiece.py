"""BERT's WordPiece tokenization: lower case, accents stripped, the longest piece first. Standard library only.

The decode operation `tokens` with unit "wordpiece" runs it. It is part of the core and not of benchdog-huggingface,
because artifacts and exports that hold this operation predict without any plugin and without the library tokenizers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchdog.api.data import Op
from benchdog.errors import BadUsage

PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
LONGEST = 100
"""Characters of a word; a longer one is unknown."""
HAN = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
"""Characters that are words of their own."""


def encoder(parameters: Op) -> Callable[[str], list[int]]:
    """Return the function from a text to its codes: `length` of them, padded with 0, or all.

    Raises:
        BadUsage: the vocabulary lacks a special token, or the padding token isn't its first word.
    """
    vocabulary: Sequence[str] = parameters["vocabulary"]
    codes = {word: i for i, word in enumerate(vocabulary)}
    lacking = [token for token in (PAD, UNKNOWN, START, END) if token not in codes]
    if lacking or codes[PAD] != 0 or len(codes) != len(vocabulary):
        fault = f"it lacks {', '.join(lacking)}" if lacking else "words occur twice, or [PAD] is not the first"
        raise BadUsage(
            f"The vocabulary is not one of word pieces: {fault}.",
            "It is a list of different words that begins with [PAD] and has [UNK], [CLS] and [SEP].",
        )
    length = parameters.get("length")
    if length is not None and (type(length) is not int or length < 2):
        raise BadUsage(f"Decode operation 'tokens': length must be a number from 2, not {length!r}.")

    def encode(text: str) -> list[int]:
        inner = [code for word in words(text) for code in pieces(word, codes)]
        if length is not None:
            inner = inner[: length - 2]
        row = [codes[START], *inner, codes[END]]
        return row + [0] * ((length or 0) - len(row))

    return encode


def words(text: str) -> Iterator[str]:
    """Split a text at white space; punctuation and Han characters are words of their own."""
    clean = "".join(_cleaned(character) for character in text)
    for word in clean.split():
        # Accents go before lower case, as in BERT: the reverse order differs for "İ".
        plain = "".join(c for c in unicodedata.normalize("NFD", word) if unicodedata.category(c) != "Mn").lower()
        begin = 0
        for i, character in enumerate(plain):
            if _is_punctuation(character):
                if begin < i:
                    yield plain[begin:i]
                yield character
                begin = i + 1
        if begin < len(plain):
            yield plain[begin:]


def pieces(word: str, codes: Mapping[str, int]) -> list[int]:
    """Split a word into the longest pieces that the vocabulary has, from its beginning; all or [UNK]."""
    result: list[int] = []
    begin = 0
    while begin < len(word) <= LONGEST:
        for end in range(len(word), begin, -1):
            code = codes.get(word[begin:end] if begin == 0 else f"##{word[begin:end]}")
            if code is not None:
                result.append(code)
                begin = end
                break
        else:
            return [codes[UNKNOWN]]
    return result if len(word) <= LONGEST else [codes[UNKNOWN]]


def _cleaned(character: str) -> str:
    """Return what a character becomes: a blank, nothing, itself, or itself between blanks."""
    point = ord(character)
    if character in "\t\n\r" or unicodedata.category(character) == "Zs":
        return " "
    if point in (0, 0xFFFD) or unicodedata.category(character).startswith("C"):
        return ""
    if any(low <= point <= high for low, high in HAN):
        return f" {character} "
    return character


def _is_punctuation(character: str) -> bool:
    point = ord(character)
    # ASCII symbols such as $ and ^ count, though Unicode has them in other categories.
    ascii_marks = 33 <= point <= 47 or 58 <= point <= 64 or 91 <= point <= 96 or 123 <= point <= 126
    return ascii_marks or unicodedata.category(character).startswith("P")
