"""Middleware: Host and Origin checks, paths, body size limit, security headers, last-resort error handling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchdog.cli.output import complain
from benchdog_serve.encodings import Unpacker
from benchdog_serve.errors import Rejected, busy, described, error_response, internal_error, shown, stopping
from benchdog_serve.origins import Origins

SAFE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        "media-src data:; "
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
LINGER_AT_END = 0.3
ACTIVE = 500
"""Most requests in progress; more are 503."""
PAGES = ("/", "/docs/")
"""Paths that end in a slash; elsewhere it makes no difference."""


class Guard:
    """Pure ASGI middleware, so that it sees the raw stream.

    Args:
        hosts: names that a Host header may hold; None allows all. A page of another site whose name
            resolves to this machine (DNS rebinding) sends its own name there.
        origins: decides which web pages may send requests.
        root: the path prefix that a proxy adds, or "".
        largest: bytes of a body, unpacked.

    Attributes:
        stopping: whether new requests are refused.
        cut: requests that were canceled before their response.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Iterable[str] | None, origins: Origins, root: str, largest: int
    ) -> None:
        self.app = app
        self.hosts = None if hosts is None else {host.lower() for host in hosts}
        self.origins = origins
        self.root = root
        self.largest = largest
        self.held = 0
        self.active = 0
        self.stopping = False
        self.cut = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        body = _Body(self, receive, headers)
        reply = _Reply(self, send, body, scope["method"], headers)
        self.active += 1
        try:
            self._admit(scope["method"], headers)
            body.unpack(headers)
            await self._app(scope, headers)(self._inner(scope), body, reply)
        except Rejected as error:
            await error_response(error)(scope, receive, reply)
        except asyncio.CancelledError:  # the server stops, and its time for this request is over
            if not reply.done:
                self.cut += 1
            if not reply.started:
                await error_response(stopping())(scope, receive, reply)
        except Exception as error:
            where = f"{scope['method']} {shown(scope['path'])}"
            complain(f"benchdog: {where} failed: {described(error)}")
            if not reply.started:
                await error_response(internal_error())(scope, receive, reply)
        finally:
            self.held -= body.size
            self.active -= 1

    def _admit(self, method: str, headers: Headers) -> None:
        host = headers.get("host")  # no browser leaves it out
        if host is not None and self.hosts is not None and host_of(host) not in self.hosts:
            raise Rejected(
                421,
                f"This server doesn't serve the host {shown(host_of(host))}.",
                "Use the address that it printed, or start it with --allow-host.",
            )
        self.origins.check(method, headers)
        if self.stopping:
            raise stopping()
        if self.active > ACTIVE:
            raise busy(f"{self.active - 1} requests are in progress already.")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self.largest:
            raise self.too_large()

    def _app(self, scope: Scope, headers: Headers) -> ASGIApp:
        """Return what answers a request: nearly always the application."""
        if scope["method"] == "OPTIONS":
            return self.origins.preflight(
                "POST, OPTIONS" if self._path(scope) == "/predict" else "GET, HEAD, OPTIONS", headers
            )
        if self.root and scope["path"] == self.root:  # the page's links are relative: it needs the slash
            return Response(status_code=308, headers={"Location": f"{self.root.rpartition('/')[2]}/"})
        return self.app

    def _inner(self, scope: Scope) -> Scope:
        """Return the request as the application sees it: a HEAD is a GET whose body isn't sent."""
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return {**scope, "method": method, "path": self._path(scope)}

    def _path(self, scope: Scope) -> str:
        path = str(scope["path"])
        if self.root and path.startswith(f"{self.root}/"):
            path = path.removeprefix(self.root)
        return path if path in PAGES else path.rstrip("/") or "/"

    def too_large(self) -> Rejected:
        """Build the 413 for a body that is too large."""
        return Rejected(
            413,
            f"The body is larger than {size_text(self.largest)}.",
            "Send fewer or smaller samples, or start the server with a larger --max-body.",
        )


class _Body:
    """Count and decompress the body as it arrives, with or without a Content-Length."""

    def __init__(self, guard: Guard, receive: Receive, headers: Headers) -> None:
        self.guard = guard
        self.receive = receive
        self.size = 0
        self.unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
        self._unpacker: Unpacker | None = None
        self._invited = headers.get("expect", "").lower() != "100-continue"

    def unpack(self, headers: Headers) -> None:
        """Unpack what arrives from now on; Rejected (415) for an unknown content encoding."""
        encoding = ", ".join(headers.getlist("content-encoding"))
        if encoding and encoding.strip().lower() != "identity":
            self._unpacker = Unpacker(encoding)

    async def __call__(self) -> Message:
        message = await self._next()
        if message["type"] != "http.request":
            return message
        data = message.get("body", b"")
        if self._unpacker is not None:
            data = self._unpacker(data, self.guard.largest - self.size)
        self.size += len(data)
        self.guard.held += len(data)
        if self.size > self.guard.largest:
            raise self.guard.too_large()
        if self.guard.held > HELD * self.guard.largest:
            raise busy("The requests that are being read are too large together.")
        if self._unpacker is not None and not self.unread:
            self._unpacker.end()
        return {**message, "body": data}

    async def _next(self) -> Message:
        self._invited = True
        message = await self.receive()
        self.unread = bool(message.get("more_body", False))
        return message

    async def drain(self) -> None:
        """Read and discard the rest for a moment; a client waiting for 100 Continue gets none."""
        if not self._invited:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_AT_END if self.guard.stopping else LINGER):
                while self.unread:
                    await self._next()


class _Reply:
    """Adds the security headers, and those for pages of other origins.

    When the response is sent before the whole body was read, the rest is read for a moment: a client that is
    still sending when the connection closes would miss the response.

    Attributes:
        started: whether the response's headers are sent.
        done: whether all of the response is.
    """

    def __init__(self, guard: Guard, send: Send, body: _Body, method: str, request: Headers) -> None:
        self.guard = guard
        self.send = send
        self.body = body
        self.bodiless = method == "HEAD"
        self.request = request
        self.started = False
        self.done = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in SAFE.items():
                headers.setdefault(name, value)
            self.guard.origins.mark(self.request, headers)
            if self.body.unread:
                headers["Connection"] = "close"
            await self.send({**message, "headers": headers.raw})
            return
        if self.bodiless:
            message = {**message, "body": b""}
        last = not message.get("more_body", False)
        if last and self.body.unread:
            await self.send({**message, "more_body": True})
            self.done = True
            await self.body.drain()
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await self.send(message)
        self.done = self.done or last


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
