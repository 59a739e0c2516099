"""Server addresses, host names and size options."""

import socket

import pytest

from benchdog.api import BadUsage, Failed
from benchdog_serve import server
from benchdog_serve.command import size_of
from benchdog_serve.middleware import host_of, size_text


@pytest.fixture
def bound_socket():
    bound = server.bind("127.0.0.1", 0)
    yield bound
    bound.close()


def test_port_in_use_is_reported(bound_socket):
    port = bound_socket.getsockname()[1]
    with pytest.raises(Failed, match=f"Port {port} is in use") as caught:
        server.bind("127.0.0.1", port)
    assert "--port" in caught.value.hint
    assert caught.value.code == 1


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "x" * 300, "é" * 70])
def test_address_of_another_machine_is_refused(host):
    with pytest.raises((BadUsage, Failed)) as caught:
        server.bind(host, 0)
    assert "--host" in caught.value.hint


def test_loopback_allows_its_own_names(bound_socket):
    assert server.is_loopback(bound_socket)
    assert server.url_of(bound_socket, "127.0.0.1") == f"http://127.0.0.1:{bound_socket.getsockname()[1]}"
    names = server.allowed(bound_socket, "127.0.0.1", ["model.example"])
    assert names is not None
    assert {"localhost", "127.0.0.1", "::1", "model.example"} <= set(names)


def test_wildcard_address_allows_any_host():
    bound = server.bind("0.0.0.0", 0)
    try:
        assert not server.is_loopback(bound)
        assert server.url_of(bound, "0.0.0.0").startswith("http://127.0.0.1:")
        assert server.allowed(bound, "0.0.0.0", []) is None
        assert server.allowed(bound, "0.0.0.0", ["a"]) == ["a"]
    finally:
        bound.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 here")
def test_ipv6_loopback():
    try:
        bound = server.bind("::1", 0)
    except BadUsage:
        pytest.skip("no IPv6 here")
    try:
        assert server.is_loopback(bound)
        assert server.url_of(bound, "::1") == f"http://[::1]:{bound.getsockname()[1]}"
    finally:
        bound.close()


@pytest.mark.parametrize(
    ("text", "count"),
    [("20MB", 20_000_000), ("512 KiB", 524_288), ("1000", 1000), ("1.5g", 1_500_000_000), ("7b", 7)],
)
def test_sizes_are_parsed(text, count):
    assert size_of(text, "--max-body") == count


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "20 MBit", "1e3", "9" * 400])
def test_invalid_sizes_are_refused(text):
    with pytest.raises(BadUsage, match="not a size"):
        size_of(text, "--max-body")


def test_size_text_and_host_of():
    assert [size_text(n) for n in (12, 1000, 20_000_000, 1_500_000_000)] == ["12 bytes", "1 kB", "20 MB", "1.5 GB"]
    assert [host_of(h) for h in ("a:1", "A", "[::1]:80", "[::1]", "")] == ["a", "a", "::1", "::1", ""]
