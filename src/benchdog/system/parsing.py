"""Untrusted TOML and JSON, parsed with limits on size, nesting and the length of numbers.

The parsers of the standard library raise ValueError, RecursionError and UnicodeDecodeError, and let pass integers of
4,300 digits, which overflow later, and NUL, which no path contains. Here all of that is a ValueError with a reason.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEPTH = 64
"""How deep lists and tables may be nested; what copies or compares them recurses."""
SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""Range of integers: 64 bits, signed or unsigned."""
MAX_JSON_BYTES = 2**29
"""Largest JSON file; that of a model holds its tokenizer's vocabulary."""


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        OSError: it can't be read, isn't a regular file, or is too large.
        ValueError: it isn't TOML, or is beyond the limits; says why.
    """
    from benchdog.api import MAX_RECIPE_BYTES, read_regular  # here: `doctor` runs without what the contract needs

    return parse_toml(_text(read_regular(path, MAX_RECIPE_BYTES)))


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML; raise ValueError with the reason."""
    found: dict[str, Any] = _parsed(tomllib.loads, text)
    return found


def read_json(path: Path) -> Any:
    """Read a JSON file; raise what `read_toml` raises."""
    from benchdog.api import read_regular

    return parse_json(_text(read_regular(path, MAX_JSON_BYTES)))


def parse_json(text: str) -> Any:
    """Parse JSON; raise ValueError with the reason."""
    return _parsed(json.loads, text)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is not UTF-8 text") from None


def _parsed(parse: Callable[[str], Any], text: str) -> Any:
    try:
        value = parse(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError):
        raise
    except ValueError:  # Python's own limit of digits
        raise ValueError("a number in it has too many digits") from None
    _check(value, DEPTH)
    return value


def _check(value: Any, left: int) -> None:
    """Raise ValueError for a value that later code can't handle, wherever it stands."""
    if isinstance(value, dict | list):
        if not left:
            raise ValueError("it is nested too deep")
        if isinstance(value, dict):
            for key in value:
                _check(key, left)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, left - 1)
    elif isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text in it holds the character NUL")
    elif type(value) is int and not SMALLEST <= value <= LARGEST:
        raise ValueError("a whole number in it has more than 64 bits")
