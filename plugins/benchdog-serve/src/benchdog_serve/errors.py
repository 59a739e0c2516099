"""Error responses: always the same small JSON document."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from benchdog.api import BadData, BadUsage, BenchdogError


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


def error_response(error: Rejected) -> JSONResponse:
    """Build the response {"error": {"message", "hint"}}."""
    body = {"error": {"message": error.message, "hint": error.hint}}
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
