"""Whether a store can be reached, asked before MLflow is: it would try for minutes, and say so in a page of text."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit, urlunsplit

from benchdog.api import NotAvailable

TIMEOUT = 3.0


def check_reachable(uri: str) -> None:
    """Check that somebody listens where a server is named; a file, or a server behind a proxy, isn't looked at.

    Raises:
        NotAvailable: nobody does.
    """
    from requests.utils import get_environ_proxies

    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname or get_environ_proxies(uri):
        return
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        socket.create_connection((parts.hostname, port), TIMEOUT).close()
    except (OSError, ValueError) as error:
        raise NotAvailable(
            f"no MLflow server answers at {without_password(uri)} ({error}).",
            "Start it, or change MLFLOW_TRACKING_URI; without it nothing is tracked.",
        ) from None


def without_password(uri: str) -> str:
    """Return a store's address without the name and the password in it."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2])) if "@" in parts.netloc else uri
