"""Error responses: always the same small JSON document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from benchdog.api import BadData, BadUsage, BenchdogError

LONG = 80
MESSAGE = 2000
"""Most characters of a message or hint: it may quote what the client sent."""


class Rejected(Exception):
    """A rejected request: the HTTP status, and the message and hint of the error document."""

    def __init__(self, status: int, message: str, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})


def busy(message: str) -> Rejected:
    """Build a 503 with Retry-After."""
    return Rejected(503, message, "Try again in a second.", {"Retry-After": "1"})


def stopping() -> Rejected:
    """Build the 503 response of a server that is stopping."""
    return Rejected(503, "The server is stopping.", "Try again later.", {"Retry-After": "5", "Connection": "close"})


def error_response(error: Rejected) -> JSONResponse:
    """Build the response {"error": {"message", "hint"}}."""
    body = {"error": {"message": _short(error.message), "hint": _short(error.hint)}}
    return JSONResponse(body, status_code=error.status, headers=error.headers)


def internal_error() -> Rejected:
    """Build the 500 for a fault of the server itself."""
    return Rejected(500, "The server failed.", "The server's terminal shows why.")


def as_rejected(error: BaseException) -> Rejected:
    """Convert any error to a rejection; the details of an unexpected one stay on the server."""
    if isinstance(error, Rejected):
        return error
    if isinstance(error, BadData | BadUsage):
        return Rejected(422, error.message, error.hint)
    if isinstance(error, BenchdogError):
        return Rejected(500, error.message, error.hint)
    return Rejected(500, "The model failed on this input.", "The server's terminal shows why.")


def shown(value: Any) -> str:
    """Quote what a client sent, without its control characters and all of its length."""
    text = repr(value)
    return text if len(text) <= LONG else f"{text[:LONG]}…"


def described(error: BaseException) -> str:
    """Describe an unexpected error on one line for the server's terminal."""
    text = " ".join(str(error).split())[:500]
    return f"{type(error).__name__}: {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in text)}"


def _short(text: str) -> str:
    """Shorten a message; lone surrogates, which UTF-8 can't encode, are escaped."""
    text = text if len(text) <= MESSAGE else f"{text[:MESSAGE]}…"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
