"""Characters of a text file, each to be predicted from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchdog.api import BadData, Field, Raw, Spec, Target
from benchdog.builtin.sources.options import CharactersOptions
from benchdog.builtin.sources.wording import existing, read_text

Array = np.ndarray[Any, np.dtype[Any]]


class Characters:
    """The text is cut into three parts, train first, test last; no window crosses a cut."""

    def __init__(self, options: CharactersOptions) -> None:
        self.options = options
        self.notes: list[str] = []
        self._loaded: tuple[tuple[str, ...], Array] | None = None

    def spec(self) -> Spec:
        """Describe windows (T,) of codes; the classes are the text's characters in order."""
        vocabulary, _ = self._load()
        context = self.options.context
        field = Field(kind="tokens", shape=(context,), dtype="int64", range=(0, len(vocabulary) - 1))
        target = Target(kind="next-token", name="next", classes=vocabulary, shape=(context,))
        return Spec(fields=(field,), target=target)

    def open(self) -> dict[str, TextSplit]:
        """Give training windows that overlap by half, and windows side by side for the others."""
        vocabulary, codes = self._load()
        context, n = self.options.context, len(codes)
        first = round(n * (1 - self.options.valid - self.options.test))
        second = round(n * (1 - self.options.test))
        cuts = {"train": (0, first), "valid": (first, second), "test": (second, n)}
        for name, (start, end) in cuts.items():
            if end - start <= context:
                raise BadData(
                    f"{self.options.path}: the {name} part has {max(end - start, 0)} characters, "
                    f"a window needs {context + 1}.",
                    "Give a longer text, a smaller context or another share.",
                )
        strides = {"train": self.options.stride or max(1, context // 2), "valid": context, "test": context}
        return {
            name: TextSplit(codes, vocabulary, np.arange(start, end - context, strides[name]), context)
            for name, (start, end) in cuts.items()
        }

    def _load(self) -> tuple[tuple[str, ...], Array]:
        if self._loaded is None:
            path = existing(self.options.path, "characters", "a text file")
            text = read_text(path)
            if not text.strip():
                raise BadData(f"{path} is empty.", "Give a file with text in it.")
            points = np.frombuffer(text.encode("utf-32-le"), "<u4")
            different, codes = np.unique(points, return_inverse=True)
            self._loaded = tuple(chr(point) for point in different), codes.astype(np.int32)
        return self._loaded


class TextSplit:
    """Windows of a text by position; the target is the window one character later."""

    def __init__(self, codes: Array, vocabulary: tuple[str, ...], starts: Array, context: int) -> None:
        self.codes = codes
        self.vocabulary = vocabulary
        self.starts = starts
        self.window = np.arange(context)

    def __len__(self) -> int:
        return len(self.starts)

    def raw(self, i: int) -> Raw:
        """Give a window as text, and its target int64 (T,)."""
        start, context = int(self.starts[i]), len(self.window)
        text = "".join(self.vocabulary[code] for code in self.codes[start : start + context])
        target = self.codes[start + 1 : start + 1 + context].astype(np.int64)
        return Raw(id=f"character-{start}", fields={"input": text}, target=target)

    def batch(self, indices: Sequence[int]) -> tuple[tuple[Array, ...], Array]:
        """Give codes ((B, T),) and those one character later (B, T), int64."""
        at = self.starts[np.asarray(indices)][:, None] + self.window
        return (self.codes[at].astype(np.int64),), self.codes[at + 1].astype(np.int64)
