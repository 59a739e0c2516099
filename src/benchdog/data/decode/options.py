"""Parameters of the built-in decode operations. Nothing heavy is imported here, so that help is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOptions:
    """Parameters of image."""

    mode: Annotated[Literal["L", "RGB"], Doc("L: 8-bit grayscale (1, H, W). RGB: 8-bit color (3, H, W).")]
    height: Annotated[
        int | None, Doc("Height to resize to, with width; null: as it is."), Bounds(ge=1, le=65_535)
    ] = None
    width: Annotated[int | None, Doc("Width to resize to, with height."), Bounds(ge=1, le=65_535)] = None
    middle: Annotated[
        float | None,
        Doc("Share of the shorter side of the center crop that is resized; null: all of the image."),
        Bounds(gt=0, le=1),
    ] = None
    resample: Annotated[Literal["bilinear", "bicubic"], Doc("Interpolation.")] = "bilinear"

    def __post_init__(self) -> None:
        if (self.height is None) != (self.width is None):
            raise ValueError("width must be given with height, or neither")
        if self.middle is not None and self.height is None:
            raise ValueError("middle must be given with height and width")


@dataclass(frozen=True, kw_only=True, slots=True)
class ArrayOptions:
    """Parameters of array."""

    dtype: Annotated[str, Doc("Type of a number in numpy's words, such as uint8; values must fit it.")]
    shape: Annotated[tuple[int | None, ...], Doc("Lengths of the axes, null for a free one.")]

    def __post_init__(self) -> None:
        if any(axis is not None and axis < 0 for axis in self.shape):
            raise ValueError("shape must be a list of lengths, null for a free one")


@dataclass(frozen=True, kw_only=True, slots=True)
class RowOptions:
    """Parameters of row."""

    columns: Annotated[
        tuple[Mapping[str, Any], ...],
        Doc('The columns: {"name", "kind": "number" or "category", "categories": [...]}.'),
    ]
    missing: Annotated[tuple[str, ...], Doc("Words for a missing value, in any case.")] = ("",)
    canonical: Annotated[
        bool,
        Doc('Read a cell as in a file: 1, 1.0 and "1.00" are one category; true is "True", and no number.'),
    ] = False
    booleans: Annotated[
        tuple[str, ...], Doc("With canonical, columns of numbers in which true is 1 and false is 0.")
    ] = ()
    quote: Annotated[Literal["auto", "none"], Doc("none: quotation marks in the training table were text.")] = "auto"


@dataclass(frozen=True, kw_only=True, slots=True)
class TokensOptions:
    """Parameters of tokens."""

    unit: Annotated[
        Literal["byte", "character", "bpe", "wordpiece", "tokenizer"],
        Doc("What a token is; bpe: byte pairs, tokenizer: as a tokenizer.json says."),
    ] = "character"
    vocabulary: Annotated[
        tuple[str, ...] | None, Doc("For character and wordpiece: the tokens, in the order of their codes.")
    ] = None
    merges: Annotated[
        tuple[tuple[int, ...], ...] | None, Doc("For bpe: pairs of codes that become a new one, in their order.")
    ] = None
    definition: Annotated[Mapping[str, Any] | None, Doc("For tokenizer: the content of its tokenizer.json.")] = None
    length: Annotated[
        int | None,
        Doc("Truncate and pad to this many tokens: 0 is padding, codes begin at 1; null: as long as the text."),
        Bounds(ge=1),
    ] = None
    first: Annotated[Literal[0, 1] | None, Doc("For tokenizer: the code of its first token; null: 1.")] = None
    newlines: Annotated[bool, Doc("Turn line ends into \\n first.")] = False
    strip: Annotated[bool, Doc("Strip white space at both ends first.")] = False
    quote: Annotated[Literal["auto", "none"], Doc("none: quotation marks in the training table were text.")] = "auto"

    def __post_init__(self) -> None:
        needed = NEEDED.get(self.unit)
        for key in ("vocabulary", "merges", "definition"):
            if (getattr(self, key) is not None) != (key == needed):
                wanted = "given" if key == needed else "left out"
                raise ValueError(f"{key} must be {wanted} with unit {self.unit!r}")
        if self.first is not None and self.unit != "tokenizer":
            raise ValueError(f"first must be left out with unit {self.unit!r}")


NEEDED = {"character": "vocabulary", "wordpiece": "vocabulary", "bpe": "merges", "tokenizer": "definition"}
"""The parameter that holds the tokens of a unit."""
