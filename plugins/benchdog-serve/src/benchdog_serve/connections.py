"""Connections: uvicorn's HTTP/1.1 protocol with time limits, a limit on their number, and errors as JSON."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from benchdog_serve.errors import Rejected, error_response

HEAD_SECONDS = 10.0
"""Time for a request's line and headers to arrive: a client that sends them byte by byte holds a connection."""
HEAD_BYTES = 65_536
TLS = b"\x16\x03"
"""First bytes of a TLS connection."""
STALLED_SECONDS = 30.0
"""Time for a client to read some of its response."""
CONNECTIONS = 1000
"""Most connections, if the system allows twice as many open files."""


class Connection(H11Protocol):
    """A client's connection.

    Attributes:
        since: time of the loop at which it began or ended its last request.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start waiting for a request; if there are too many connections, close the one idle longest."""
        super().connection_made(transport)
        self.since = self.loop.time()
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._watch_head()
        if len(self.connections) > most_connections():
            idle: list[Any] = [each for each in self.connections if each is not self and is_idle(each)]
            if idle:
                longest = min(idle, key=lambda each: each.since)
                longest.transport.abort()
                self.connections.discard(longest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived."""
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        """Start waiting for the next request."""
        self.since = self.loop.time()
        super().on_response_complete()
        self._watch_head()

    def pause_writing(self) -> None:
        """Wait for the client to read, up to a time limit."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Continue to write."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def send_400_response(self, msg: str) -> None:
        """Refuse what isn't HTTP with a JSON error, not uvicorn's plain text; called while h11's error is handled."""
        error = sys.exception()
        status = getattr(error, "error_status_hint", 400)
        if status == 431:
            self._refuse(Rejected(431, f"The headers are longer than {HEAD_BYTES // 1024} KiB."))
        else:
            hint = "Use http://, not https://." if self.conn.trailing_data[0].startswith(TLS) else ""
            why = str(error or msg).partition(": bytearray")[0]
            self._refuse(Rejected(status, f"The request is not HTTP: {why}.", hint))

    def _watch_head(self) -> None:
        """Start the timer of a request's head when one is expected, stop it when it is there."""
        waiting = self.conn.their_state is h11.IDLE and (self.cycle is None or bool(self.conn.trailing_data[0]))
        if waiting and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._slow_head)
        elif not waiting and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _slow_head(self) -> None:
        if self.conn.trailing_data[0]:
            self._refuse(Rejected(408, f"The headers took more than {HEAD_SECONDS:g} s to arrive."))
        else:
            self.transport.close()  # browsers open connections in advance: they expect no response

    def _refuse(self, error: Rejected) -> None:
        """Send an error outside of the application, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and not self.transport.is_closing():
            response = error_response(error)
            headers = [*response.raw_headers, (b"connection", b"close")]
            reason = STATUS_PHRASES.get(error.status, b"")
            events: list[Any] = [h11.Response(status_code=error.status, headers=headers, reason=reason)]
            for event in (*events, h11.Data(data=bytes(response.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def is_idle(connection: Any) -> bool:
    """Whether a connection has no request in progress."""
    return connection.cycle is None or bool(connection.cycle.response_complete)


def most_connections() -> int:
    """Return the most connections at a time: half of the files that the process may open, for the rest needs some."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS if soft == resource.RLIM_INFINITY else max(16, min(CONNECTIONS, soft // 2))
