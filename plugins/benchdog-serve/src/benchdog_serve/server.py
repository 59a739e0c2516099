"""The socket, and uvicorn's server loop."""

from __future__ import annotations

import errno
import ipaddress
import logging
import socket
from collections.abc import Callable, Sequence

import uvicorn

from benchdog.api import BadUsage, Failed
from benchdog_serve.connections import HEAD_BYTES, Connection, most_connections
from benchdog_serve.middleware import Guard
from benchdog_serve.shutdown import Server

LOCAL = "Leave out --host to serve this machine only."
KEEP_ALIVE = 75
"""Seconds for which a connection waits for its next request: longer than proxies keep theirs."""


def bind(host: str, port: int) -> socket.socket:
    """Bind the address before the model is loaded, so that a port in use is reported at once.

    Raises:
        Failed: the port is in use, or this user may not bind it.
        BadUsage: the host isn't an address of this machine.
    """
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise BadUsage(f"There is no host {host!r}.", LOCAL) from None
    family, kind, protocol, _, address = min(addresses, key=lambda each: each[0] != socket.AF_INET)
    taken = socket.socket(family, kind, protocol)
    try:
        # On Windows SO_REUSEADDR lets two processes share a port; elsewhere it skips the wait after an end.
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        taken.setsockopt(socket.SOL_SOCKET, exclusive, 1)
        taken.bind(address)
        taken.listen()
    except OSError as error:
        taken.close()
        raise _cannot(error, host, port) from None
    taken.setblocking(False)
    return taken


def _cannot(error: OSError, host: str, port: int) -> Failed | BadUsage:
    if error.errno in (errno.EADDRINUSE, getattr(errno, "WSAEADDRINUSE", errno.EADDRINUSE)):
        return Failed(f"Port {port} is in use.", "Choose another with --port, or 0 for any that is free.")
    if error.errno in (errno.EACCES, getattr(errno, "WSAEACCES", errno.EACCES)):
        return Failed(f"Port {port} is not allowed to this user.", "Choose one above 1023 with --port.")
    if error.errno in (errno.EADDRNOTAVAIL, getattr(errno, "WSAEADDRNOTAVAIL", errno.EADDRNOTAVAIL)):
        return BadUsage(f"{host!r} is not an address of this machine.", LOCAL)
    what = f"{host}:{port} can't be served: {error.strerror or error}."
    return Failed(what, "Choose another --host or --port.")


def is_loopback(taken: socket.socket) -> bool:
    """Whether only this machine can reach a socket."""
    address = ipaddress.ip_address(taken.getsockname()[0].partition("%")[0])
    return address.is_loopback


def url_of(taken: socket.socket, host: str) -> str:
    """Return the URL to open on this machine."""
    address, port = taken.getsockname()[:2]
    if ipaddress.ip_address(address.partition("%")[0]).is_unspecified:
        host = "127.0.0.1" if taken.family == socket.AF_INET else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def allowed(taken: socket.socket, host: str, more: Sequence[str]) -> list[str] | None:
    """List the names that a Host header may hold; None allows all, since a network knows a machine by many."""
    if not is_loopback(taken):
        return list(more) or None
    return ["localhost", "127.0.0.1", "::1", host, taken.getsockname()[0], *more]


def make(app: Guard, started: Callable[[], None]) -> Server:
    """Build the server: its `run(sockets=[...])` serves until Ctrl-C or SIGTERM, and finishes requests in progress.

    Args:
        started: called once when requests are accepted.
    """
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL,  # the guard prints what fails, on one line
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=HEAD_BYTES,
        backlog=most_connections() // 2,  # asyncio accepts as many at once, before any can give way
    )
    return Server(config, app, started)
