"""Arrays in answers as files: each is encoded by the writer of its kind."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchdog.api import Answer, ArrayValue, Spec, Writer, WriterInfo
from benchdog.errors import BadUsage, nearest
from benchdog.plugins import Plugins

ARRAY = "array"
SMALL = 64
"""Elements of an array that is given as a list rather than as a file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """The file of an array. `refused` says why the writer of its kind couldn't write it, so that it is .npy."""

    data: bytes
    suffix: str
    media_type: str
    refused: str = ""


class ValueFiles:
    """Encodes the arrays of a model's answers.

    Args:
        plugins: where writers are looked up.
        spec: the model's.
        kinds: of the arrays that the task declares, by key.
        chosen: options of writers by name, which take the place of the default ones of their kind.

    Raises:
        BadUsage: there is no such writer, it has no such option, or two are of one kind.
    """

    def __init__(
        self,
        plugins: Plugins,
        spec: Spec,
        kinds: Mapping[str, str],
        chosen: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self._plugins, self._spec, self._kinds = plugins, spec, kinds
        self._default: dict[str, str] = {}
        self._made: dict[str, Writer] = {}
        self._used: set[str] = set()
        for name, options in (chosen or {}).items():
            kind = plugins.info(WriterInfo, name).writes
            if kind in self._default:
                raise BadUsage(f"{self._default[kind]!r} and {name!r} both write {kind!r}.", "Choose one of them.")
            self._default[kind], self._made[name] = name, plugins.make("writer", name, options)

    def kind(self, name: str, array: np.ndarray) -> str:
        """Return the kind of an array: what the task declares, else "array"."""
        if name in self._kinds:
            return self._kinds[name]
        # A task from before kinds were declared: its masks have always been images.
        is_mask = self._spec.target.kind == "mask" and array.ndim == 2 and array.dtype == np.uint8
        return "mask" if is_mask else ARRAY

    def as_list(self, name: str, array: np.ndarray) -> bool:
        """Whether an array is given as a list: a short one, and one that isn't made of numbers."""
        return array.dtype.kind not in "buifc" or (self.kind(name, array) == ARRAY and array.size <= SMALL)

    def media_types(self, name: str, array: np.ndarray) -> list[str]:
        """Return the media types of an array's files, the default first; none for a kind without a writer."""
        kind = self.kind(name, array)
        names = [name for name in (self._default.get(kind), *self._offered(kind)) if name]
        return list(dict.fromkeys(self._plugins.info(WriterInfo, each).media_type for each in names))

    def encode(self, name: str, array: np.ndarray, answer: Answer, media_type: str = "") -> Encoded:
        """Return an array as a file.

        Args:
            name: its key in the answer.
            array: the array.
            answer: what it is a part of.
            media_type: of the file, one of `media_types`; "" for the default.

        Raises:
            BadUsage: its kind has no writer, or none can write it.
        """
        value = ArrayValue(name=name, array=array, answer=answer, spec=self._spec)
        kind = self.kind(name, array)
        try:
            return self._encoded(self._writer_of(kind, media_type), value)
        except BadUsage as error:
            if kind == ARRAY or media_type:
                raise
            return replace(
                self._encoded(self._writer_of(ARRAY), value), refused=f"{error.message} {error.hint}".strip()
            )

    def unused(self) -> dict[str, str]:
        """Return the chosen writers that have encoded nothing, {name: the kind that it writes}."""
        return {name: kind for kind, name in self._default.items() if name not in self._used}

    def _encoded(self, name: str, value: ArrayValue) -> Encoded:
        if name not in self._made:
            self._made[name] = self._plugins.make("writer", name)
        self._used.add(name)
        info = self._plugins.info(WriterInfo, name)
        file = io.BytesIO()  # nothing is on disk of what a writer refuses halfway
        self._made[name].write(value, file)
        return Encoded(data=file.getvalue(), suffix=info.suffix, media_type=info.media_type)

    def _writer_of(self, kind: str, media_type: str = "") -> str:
        """Return the name of the writer for a kind: the chosen one, else the first that has the media type."""
        chosen = self._default.get(kind, "")
        if chosen and media_type in ("", self._plugins.info(WriterInfo, chosen).media_type):
            return chosen
        for name in self._offered(kind):
            if media_type in ("", self._plugins.info(WriterInfo, name).media_type):
                return name
        known = set(self._writers().values())
        raise BadUsage(
            f"The prediction has a value of the kind {kind!r}, which no writer makes a file of.",
            f"Install the plugin that has one. {nearest(kind, known)}",
        )

    def _offered(self, kind: str) -> list[str]:
        """Return the names of the writers for a kind, Benchdog's own first."""
        return [name for name, writes in self._writers().items() if writes == kind]

    def _writers(self) -> dict[str, str]:
        """Return what each writer writes, by its name."""
        every = self._plugins.all("writer").items()
        return {name: each.info.writes for name, each in every if isinstance(each.info, WriterInfo)}


def arrays_in(value: Any) -> Iterator[np.ndarray]:
    """Yield the arrays of a value, also those in lists and mappings."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from arrays_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from arrays_in(each)
