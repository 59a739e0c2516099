"""What can be wrong with a request, and how it is told: always the same small JSON document."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from benchdog.errors import BadData, BadUsage, BenchdogError


class Rejected(Exception):
    """A request that isn't answered: the status and the two sentences of the error's document."""

    def __init__(self, status: int, message: str, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint
        self.headers = dict(headers or {})


def busy(message: str) -> Rejected:
    """Tell a client to come back: 503 with Retry-After."""
    return Rejected(503, message, "Try again in a second.", {"Retry-After": "1"})


def document(fault: Rejected) -> JSONResponse:
    """Write a fault as {"error": {"message", "hint"}}."""
    body = {"error": {"message": fault.message, "hint": fault.hint}}
    return JSONResponse(body, status_code=fault.status, headers=fault.headers)


def broken() -> Rejected:
    """Tell that the fault is the server's own."""
    return Rejected(500, "The server failed.", "What happened is in the server's terminal.")


def rejected(error: BaseException) -> Rejected:
    """Turn any error into what the client is told; the details of an unforeseen one stay here."""
    if isinstance(error, Rejected):
        return error
    if isinstance(error, BadData | BadUsage):
        return Rejected(422, error.message, error.hint)
    if isinstance(error, BenchdogError):
        return Rejected(500, error.message, error.hint)
    return Rejected(500, "The model failed on this input.", "What it said is in the server's terminal.")
