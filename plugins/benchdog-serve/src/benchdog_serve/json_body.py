"""JSON bodies of requests: strict JSON, nothing that parsers disagree on."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

from benchdog_serve.encodings import text_of
from benchdog_serve.errors import Rejected, shown

HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""An escaped surrogate; a lone one is not a character."""
DATA_URL = re.compile(r"data:[^,]{0,200},", re.IGNORECASE)
CONTAINERS = 500_000
"""Most lists and objects in a document: nothing else runs while it is parsed."""
URL_SAFE = str.maketrans("-_", "+/")


def parse(body: bytes, content_type: str, hint: str) -> Any:
    """Parse a JSON document.

    Raises:
        Rejected: 400, it isn't JSON, or readers differ in what it means: a key twice, NaN, half a character.
            413, it has too many lists.
    """
    if (count := body.count(b"[") + body.count(b"{")) > CONTAINERS:
        what = f"The body has {count:,} lists and objects; {CONTAINERS:,} are allowed."
        raise Rejected(413, what, "Send fewer samples per request, or files in place of nested lists.")
    text = text_of(body, content_type, json.detect_encoding(body))
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_unique)
        if HALF.search(text):
            json.dumps(data, ensure_ascii=False).encode()
    except RecursionError:
        raise Rejected(400, "The body is not JSON: it is nested too deeply.", hint) from None
    except UnicodeEncodeError:
        raise Rejected(400, "The body has a lone surrogate (\\ud800 to \\udfff) in a text.", hint) from None
    except json.JSONDecodeError as error:
        raise Rejected(400, f"The body is not JSON: {error}.", hint) from None
    except ValueError as error:
        why = str(error) if isinstance(error, _Invalid) else "a number has more digits than can be read"
        raise Rejected(400, f"The body is not JSON: {why}.", hint) from None
    return data


class _Invalid(ValueError):
    pass


def _no_constant(word: str) -> NoReturn:
    raise _Invalid(f"{word} is not a JSON value; write null for a missing one")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Invalid(f"the key {shown(twice)} is there twice")
    return found


def decode_base64(name: str, text: str) -> bytes:
    """Decode the bytes of a file in base64: with line breaks, in the URL-safe alphabet, or as a data: URL.

    Args:
        name: the sample, for messages.

    Raises:
        Rejected: 422, it isn't base64.
    """
    if match := DATA_URL.match(text):
        if not match[0].lower().endswith(";base64,"):
            raise Rejected(422, f"{name} is a data: URL without base64.", "Write it as data:image/png;base64,...")
        text = text[match.end() :]
    packed = "".join(text.split()).translate(URL_SAFE)
    try:
        return base64.b64decode(packed, validate=True)
    except (ValueError, binascii.Error) as error:
        why = "its padding (=) is missing or it was cut" if "padding" in str(error).lower() else _stray(packed)
        raise Rejected(422, f"{name} is not base64: {why}.", 'Send {"b64": "..."}, or numbers.') from None


def _stray(text: str) -> str:
    stray = re.search(r"[^A-Za-z0-9+/=]", text)
    return f"it has the character {shown(stray[0])}" if stray else "its length or padding (=) is wrong"
