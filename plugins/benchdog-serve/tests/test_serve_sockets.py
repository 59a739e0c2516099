"""A real socket in this process: clients that are odd, slow or gone, too many of them, and the end of the server."""

import contextlib
import json
import socket
import threading
import time
from typing import Any

import pytest
from serve_doubles import Double, png

from benchdog_serve import connections, server, shutdown
from benchdog_serve.app import Limits, Service, build

PREDICT = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"


class Running:
    """A server in a thread."""

    def __init__(self, **limits):
        double: Any = Double("image")
        self.model = double
        self.service = Service(double, Limits(**limits))
        self.guard = build(self.service)
        self.bound = server.bind("127.0.0.1", 0)
        self.address = self.bound.getsockname()
        started = threading.Event()
        self.server = server.make(self.guard, started.set)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.bound]})
        self.thread.start()
        assert started.wait(10)

    def connect(self, data=b""):
        connection = socket.create_connection(self.address, timeout=10)
        connection.sendall(data)
        return connection

    def ask(self, data):
        """Send bytes; return the status and the body of the response."""
        with self.connect(data) as connection:
            return response_on(connection)

    def post(self, content=b"", headers=b""):
        length = b"Content-Length: %d\r\n" % len(content)
        return self.ask(PREDICT + headers + length + b"Connection: close\r\n\r\n" + content)

    def stop(self):
        self.server.should_exit = True

    def close(self):
        self.model.gate.set()
        self.stop()
        self.thread.join(10)
        self.service.close()
        self.bound.close()
        assert not self.thread.is_alive()


def response_on(connection):
    """Read until the server closes or all of a response is there; (0, b"") for a connection without one."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while more := connection.recv(65536):
            data += more
            head, _, body = data.partition(b"\r\n\r\n")
            length = [
                int(each.split(b":")[1]) for each in head.lower().split(b"\r\n") if each.startswith(b"content-l")
            ]
            if length and len(body) >= length[0]:
                return int(head.split()[1]), body
    return 0, data


def message(body):
    return json.loads(body)["error"]["message"]


@pytest.fixture
def running(monkeypatch):
    monkeypatch.setattr(shutdown, "QUIET", 0.05)
    monkeypatch.setattr(shutdown, "GRACE", 0.4)
    made = []

    def make(**limits):
        made.append(Running(**limits))
        return made[-1]

    yield make
    for each in made:
        each.close()


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_requests_that_are_no_http_get_one_sentence(running, capfd):
    served = running()
    status, body = served.ask(b"GET /health HTTP/1.0\r\n\r\n")  # without Host, which browsers send
    assert (status, json.loads(body)["status"]) == (200, "ok")
    status, body = served.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n")
    assert (status, message(body)) == (431, "The headers are longer than 64 KiB.")
    status, body = served.ask(b"\x16\x03\x01\x02\x00\x01")
    assert (status, json.loads(body)["error"]["hint"]) == (400, "Use http://, not https://.")
    for odd in (b"hello\r\n\r\n", b"GET /health HTTP/1.1\r\n\r\n", PREDICT + b"Content-Length: x\r\n\r\n"):
        status, body = served.ask(odd)
        assert status == 400
        assert "bytearray" not in message(body)
    chunked = PREDICT + b"Transfer-Encoding: chunked\r\n\r\n"
    assert served.ask(chunked + b"zz\r\n")[0] == 400
    assert served.ask(PREDICT + b"Transfer-Encoding: gzip\r\n\r\n")[0] == 501
    content = png(255)
    assert served.ask(chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content))[0] == 200
    upgrade = b"Connection: Upgrade\r\nUpgrade: h2c\r\n"
    assert served.ask(PREDICT + upgrade + b"Content-Length: %d\r\n\r\n%s" % (len(content), content))[0] == 200
    assert capfd.readouterr().err == ""


def test_client_that_waits_before_it_sends_a_large_body_is_refused_at_once(running):
    served, start = running(), time.monotonic()
    status, body = served.ask(PREDICT + b"Expect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
    assert (status, message(body)) == (413, "The body is larger than 20 MB.")
    assert time.monotonic() - start < 1.5
    with served.connect(PREDICT + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n") as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 100")
        connection.sendall(b"abc")
        assert response_on(connection)[0] == 422


def test_slow_headers_have_a_time_limit(running, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    served = running()
    with served.connect(b"GET / HTTP/1.1\r\n") as slow, served.connect() as silent:
        slow.sendall(b"X: ")
        status, body = response_on(slow)
        assert status == 408
        assert "0.3 s" in message(body)
        assert response_on(silent) == (0, b"")
    with served.connect(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n") as kept:
        assert response_on(kept)[0] == 200
        time.sleep(0.5)  # a connection may wait for its next request, but not for the rest of one
        kept.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert response_on(kept)[0] == 200
        kept.sendall(b"GET /hea")
        assert response_on(kept)[0] == 408


def test_connection_that_has_waited_longest_gives_way(running, monkeypatch):
    monkeypatch.setattr(connections, "most_connections", lambda: 4)
    served = running()
    idle = [served.connect() for _ in range(8)]
    assert served.post(png(255))[0] == 200
    until(lambda: len(served.server.server_state.connections) <= 4)
    assert response_on(idle[0]) == (0, b"")
    idle[-1].sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert response_on(idle[-1])[0] == 200
    for each in idle:
        each.close()


def test_too_many_requests_at_once(running, monkeypatch):
    monkeypatch.setattr("benchdog_serve.middleware.ACTIVE", 1)
    served = running()
    served.model.gate.clear()
    with served.connect(PREDICT + b"Content-Length: %d\r\n\r\n%s" % (len(png(0)), png(0))) as first:
        until(lambda: served.guard.active == 1)
        assert served.post(png(255))[0] == 503
        served.model.gate.set()
        assert response_on(first)[0] == 200


def test_decoding_ends_when_its_client_is_gone(running, monkeypatch):
    decoded, gate = [], threading.Event()
    served = running()

    def decode(raw):
        decoded.append(raw.id)
        assert gate.wait(10)
        return original(raw)

    original = served.model.decoder
    monkeypatch.setattr(served.model, "decoder", decode)
    part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="%d"\r\n\r\n' + png(0) + b"\r\n"
    form = b"".join(part % n for n in range(9)) + b"--x--"
    head = PREDICT.replace(b"image/png", b"multipart/form-data; boundary=x")
    abandoned = [served.connect(head + b"Content-Length: %d\r\n\r\n%s" % (len(form), form)) for _ in range(4)]
    until(lambda: len(decoded) == 2)  # both threads are at their first image, two requests wait
    for each in abandoned:
        each.close()
    until(lambda: served.guard.active == 0)
    gate.set()
    assert served.post(png(255))[0] == 200
    assert len(decoded) == 3
    assert served.model.sizes == [1]


def test_end_answers_what_was_accepted_and_cuts_off_what_is_unfinished(running, capfd):
    served = running()
    served.model.gate.clear()
    upload = served.connect(PREDICT + b"Content-Length: 1000\r\n\r\nx")
    waiting = served.connect(PREDICT + b"Content-Length: %d\r\n\r\n%s" % (len(png(0)), png(0)))
    idle = served.connect()
    until(lambda: served.service.batcher.load == 1)
    served.stop()
    until(lambda: served.guard.stopping)
    status, body = served.post(png(255))  # while the server waits for the other two
    assert (status, message(body)) == (503, "The server is stopping.")
    served.model.gate.set()
    assert response_on(waiting)[0] == 200
    status, body = response_on(upload)
    assert (status, message(body)) == (503, "The server is stopping.")
    idle.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert response_on(idle)[0] in (0, 503)
    served.thread.join(5)
    assert served.guard.cut == 1
    assert capfd.readouterr().err == ""
    for each in (upload, waiting, idle):
        each.close()


def test_end_does_not_wait_for_the_model_or_a_decoder(running, monkeypatch):
    served = running()
    served.model.gate.clear()
    with served.connect(PREDICT + b"Content-Length: %d\r\n\r\n%s" % (len(png(0)), png(0))) as waiting:
        until(lambda: served.service.batcher.load == 1)
        start = time.monotonic()
        served.stop()
        assert response_on(waiting)[0] == 503
        served.thread.join(5)
    served.service.close()
    assert time.monotonic() - start < 4
    names = {"benchdog-decode-any", "benchdog-decode-light", "benchdog-model"}
    assert all(thread.daemon for thread in threading.enumerate() if thread.name in names)


def test_second_signal_ends_at_once(running):
    served = running()
    upload = served.connect(PREDICT + b"Content-Length: 1000\r\n\r\nx")
    until(lambda: served.guard.active == 1)
    served.server.handle_exit(15, None)
    until(lambda: served.guard.stopping)
    served.server.handle_exit(15, None)
    served.thread.join(5)
    assert not served.thread.is_alive()
    upload.close()
