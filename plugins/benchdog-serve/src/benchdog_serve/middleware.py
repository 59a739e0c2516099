"""Middleware: Host check, body size limit, security headers, last-resort error handling."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchdog_serve.errors import Rejected, busy, error_response, internal_error

SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
HELD = 16
"""Bodies of the largest size that may be in memory at once; more is 503."""
LINGER = 2.0
"""Seconds for which the rest of a body that is too large is read and dropped."""


class Guard:
    """Pure ASGI middleware, so that it sees the raw stream.

    Args:
        hosts: names that a Host header may hold; None allows all. A page of another site whose name
            resolves to this machine (DNS rebinding) sends its own name there.
        largest: bytes of a body.
    """

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] | None, largest: int) -> None:
        self.app = app
        self.hosts = None if hosts is None else {host.lower() for host in hosts}
        self.largest = largest
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(self, receive, headers)
        reply = _Reply(send, body)
        try:
            self._admit(headers)
            await self.app(scope, body, reply)
        except Rejected as error:
            await error_response(error)(scope, receive, reply)
        except Exception as error:
            message = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
            print(f"benchdog: {scope['method']} {scope['path']} failed: {message}", file=sys.stderr, flush=True)
            if not reply.started:
                await error_response(internal_error())(scope, receive, reply)
        finally:
            self.held -= body.size

    def _admit(self, headers: Headers) -> None:
        host = host_of(headers.get("host", ""))
        if self.hosts is not None and host not in self.hosts:
            raise Rejected(
                421,
                f"This server doesn't serve the host {host!r}.",
                "Use the address that it printed, or start it with --allow-host.",
            )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self.largest:
            raise self.too_large()

    def too_large(self) -> Rejected:
        """Build the 413 for a body that is too large."""
        return Rejected(
            413,
            f"The body is larger than {size_text(self.largest)}.",
            "Send fewer or smaller samples, or start the server with a larger --max-body.",
        )


class _Body:
    """Counts what arrives, whether or not the client announced its length."""

    def __init__(self, guard: Guard, receive: Receive, headers: Headers) -> None:
        self.guard = guard
        self.receive = receive
        self.size = 0
        self.unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    async def __call__(self) -> Message:
        message = await self._next()
        count = len(message.get("body", b""))
        self.size += count
        self.guard.held += count
        if self.size > self.guard.largest:
            raise self.guard.too_large()
        if self.guard.held > HELD * self.guard.largest:
            raise busy("The requests that are being read are too large together.")
        return message

    async def _next(self) -> Message:
        message = await self.receive()
        self.unread = bool(message.get("more_body", False))
        return message

    async def drain(self) -> None:
        """Read and drop the rest, for a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while self.unread:
                    await self._next()


class _Reply:
    """Adds the security headers.

    When the response is sent before the whole body was read, the rest is read for a moment: a client that is
    still sending when the connection closes would miss the response.
    """

    def __init__(self, send: Send, body: _Body) -> None:
        self.send = send
        self.body = body
        self.started = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in SAFE.items():
                headers.setdefault(name, value)
            if self.body.unread:
                headers["Connection"] = "close"
            message = {**message, "headers": headers.raw}
        elif self.body.unread and not message.get("more_body", False):
            await self.send({**message, "more_body": True})
            await self.body.drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self.send(message)


def host_of(header: str) -> str:
    """Return a Host header's name without its port: "[::1]:80" is "::1"."""
    text = header.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if ":" in text else text


def size_text(count: int) -> str:
    """Format a number of bytes."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count} bytes"
