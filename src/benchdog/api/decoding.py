"""Decode operations: from a raw value (a file's bytes, a text, a row) to an array in its storage type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    import numpy as np

TAKES: Final = ("bytes", "text", "row")
"""What a raw value can be: a file's content, a text, or a mapping from columns to cells."""


class Decode(Protocol):
    """A decode operation; made as `Target(options)`, or `Target()` if its descriptor names no options.

    It depends on its options and the value alone, and is called in several threads and processes at once.
    """

    def __call__(self, value: Any, /) -> np.ndarray:
        """Decode one raw value, or what the operation before it returned, to a new array without a batch axis.

        Raises:
            BadData: the value is damaged or isn't of this format. The message says what is wrong with it; the
                sample's name is put before it.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodeExample:
    """A raw value and what a decode operation must make of it, for the conformance kit.

    Attributes:
        value: bytes, a text or a mapping.
        options: the operation's parameters, in JSON's types.
        shape: of the array.
        dtype: numpy's name of its type.
    """

    value: Any
    shape: tuple[int, ...]
    dtype: str
    options: Mapping[str, Any] = field(default_factory=dict)
