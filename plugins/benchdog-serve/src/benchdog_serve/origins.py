"""Web pages that may use the server: its own, and those of the origins that its user allows (CORS)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from benchdog.api import BadUsage
from benchdog_serve.errors import Rejected, shown

PORTS = {"http": 80, "https": 443}
FILES = "null"
"""The origin of a page that was opened from a file."""
HOUR = "3600"


class Origins:
    """Decides by a request's headers whether it comes from a page that may send it.

    A program sends no Origin header, so it may. A browser names the origin of the page that sends a request to
    another site, or a POST; without this check any page could keep this machine busy.

    Args:
        allowed: origins of other sites, as `origin_of` returns them.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(allowed)

    def check(self, method: str, headers: Headers) -> None:
        """Raise Rejected (403) for a request that a page of another origin sends, unless it only reads."""
        origin = headers.get("origin")
        if origin is None or method in ("GET", "HEAD") or self.allows(headers) or _is_own(origin, headers):
            return
        raise Rejected(
            403,
            f"Pages of the origin {shown(origin)} may not use this server.",
            f"To let them, start the server with --allow-origin {origin[:80]}.",
        )

    def allows(self, headers: Headers) -> bool:
        """Whether a request comes from one of the allowed origins."""
        return headers.get("origin", "") in self._allowed

    def preflight(self, methods: str, headers: Headers) -> Response:
        """Answer OPTIONS: what is allowed, and for a page of an allowed origin that it may send its request."""
        response = Response(status_code=204, headers={"Allow": methods})
        if self.allows(headers):
            response.headers["Access-Control-Allow-Methods"] = methods
            response.headers["Access-Control-Allow-Headers"] = headers.get(
                "access-control-request-headers", "Content-Type"
            )
            response.headers["Access-Control-Max-Age"] = HOUR
            if headers.get("access-control-request-private-network") == "true":
                response.headers["Access-Control-Allow-Private-Network"] = "true"
        return response

    def mark(self, request: Headers, response: MutableHeaders) -> None:
        """Add the headers with which a browser lets a page of an allowed origin read the response."""
        if not self._allowed:
            return
        response.add_vary_header("Origin")
        if self.allows(request):
            response["Access-Control-Allow-Origin"] = request["origin"]
            response["Access-Control-Expose-Headers"] = "Retry-After"


def _is_own(origin: str, headers: Headers) -> bool:
    """Whether an origin is this server's: the browser says so, or it is that of the Host header.

    Behind a proxy that encrypts, the scheme differs.
    """
    if headers.get("sec-fetch-site") == "same-origin":
        return True
    scheme, _, place = origin.partition("://")
    host = headers.get("host", "").lower()
    default = f":{PORTS.get(scheme, 0)}"
    return bool(place) and place.lower().removesuffix(default) == host.removesuffix(default)


def origin_of(text: str) -> str:
    """Parse the value of --allow-origin, as browsers write it: scheme, host, and a port that isn't the usual one.

    Raises:
        BadUsage: it isn't an origin.
    """
    if text == FILES:
        return FILES
    hint = "For example --allow-origin https://app.example, or null for pages opened from files."
    try:
        parts = urlsplit(text)
        port, host = parts.port, (parts.hostname or "").encode("idna").decode()
    except (ValueError, UnicodeError):
        raise BadUsage(f"--allow-origin {text!r} is not an origin.", hint) from None
    if parts.scheme not in PORTS or not host or parts.path not in ("", "/") or parts.query or "*" in host:
        raise BadUsage(f"--allow-origin {text!r} is not an origin.", hint)
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" if port in (None, PORTS[parts.scheme]) else f"{parts.scheme}://{host}:{port}"
