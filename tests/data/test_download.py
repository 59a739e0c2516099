from __future__ import annotations

import hashlib
import multiprocessing
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from benchdog.data import download
from benchdog.data.download import SourceCache
from benchdog.errors import BadData, BadUsage, Failed, NotAvailable
from benchdog.system.files import size_of
from support import one_download

BODY = bytes(range(256)) * 4096  # 1 MiB
HASH = hashlib.sha256(BODY).hexdigest()


class Server:
    """A file server on the loopback that can be made to misbehave."""

    def __init__(self) -> None:
        self.requests: list[str | None] = []  # the Range header of each
        self.break_after: list[int] = []  # bytes after which the next answers break off
        self.ranges = True
        self.shifted = False
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/data.bin"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        self.requests.append(asked)
        if self.status != 200:
            handler.send_error(self.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if asked and self.ranges and start >= len(BODY):
            handler.send_error(416)
            return
        body = BODY[start:]
        handler.send_response(206 if asked and self.ranges else 200)
        if asked and self.ranges:
            shown = start + 1 if self.shifted else start
            handler.send_header("Content-Range", f"bytes {shown}-{len(BODY) - 1}/{len(BODY)}")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: self.break_after.pop(0)] if self.break_after else body)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    it = Server()
    yield it
    it.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCHDOG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_file_is_downloaded_once_and_its_hash_stored(server: Server, folder: Path) -> None:
    path = SourceCache("demo").download(server.url, sha256=HASH.upper())
    assert path == folder / "demo" / "data.bin"
    assert path.read_bytes() == BODY
    assert (folder / "demo" / "data.bin.sha256").read_text() == f"{HASH}  data.bin\n"
    assert SourceCache("demo").download(server.url, sha256=HASH) == path
    assert server.requests == [None]
    assert download.verify(folder / "demo") == {"data.bin": True}
    assert not list(folder.rglob("*.part"))


def test_manually_placed_file_is_verified_and_used(server: Server, folder: Path) -> None:
    mine = SourceCache("demo").folder / "data.bin"
    mine.write_bytes(BODY)
    assert SourceCache("demo").download(server.url, sha256=HASH) == mine
    assert server.requests == []
    mine.write_bytes(b"other")
    (mine.parent / "data.bin.sha256").unlink()
    assert SourceCache("demo").download(server.url, sha256=HASH).read_bytes() == BODY
    assert server.requests == [None]


def test_interrupted_download_resumes(server: Server, folder: Path) -> None:
    server.break_after = [300_000]
    path = SourceCache("demo").download(server.url, sha256=HASH)
    assert path.read_bytes() == BODY
    assert server.requests[0] is None
    assert server.requests[1] is not None
    assert 0 < int(server.requests[1].removeprefix("bytes=").rstrip("-")) <= 300_000


def test_partial_file_of_an_earlier_process_is_resumed(server: Server, folder: Path) -> None:
    where = SourceCache("demo")
    (where.folder / f"data.bin.{HASH[:8]}.part").write_bytes(BODY[:1000])
    assert where.download(server.url, sha256=HASH).read_bytes() == BODY
    assert server.requests == ["bytes=1000-"]


def test_complete_partial_file_is_used(server: Server, folder: Path) -> None:
    where = SourceCache("demo")
    (where.folder / f"data.bin.{HASH[:8]}.part").write_bytes(BODY)
    assert where.download(server.url, sha256=HASH).read_bytes() == BODY


def test_corrupt_partial_file_is_downloaded_again(server: Server, folder: Path) -> None:
    where = SourceCache("demo")
    (where.folder / f"data.bin.{HASH[:8]}.part").write_bytes(b"x" * 1000)
    assert where.download(server.url, sha256=HASH).read_bytes() == BODY
    assert server.requests == ["bytes=1000-", None]


def test_servers_without_ranges_or_with_wrong_ranges(server: Server, folder: Path) -> None:
    server.ranges = False
    server.break_after = [300_000]
    assert SourceCache("plain").download(server.url, sha256=HASH).read_bytes() == BODY
    server.ranges, server.shifted = True, True
    server.break_after = [300_000]
    assert SourceCache("shifted").download(server.url, sha256=HASH).read_bytes() == BODY


def test_repeatedly_interrupted_download_fails_and_keeps_partial_file(server: Server, folder: Path) -> None:
    server.break_after = [100_000] * download.ATTEMPTS
    with pytest.raises(Failed, match="interrupted") as caught:
        SourceCache("demo").download(server.url, sha256=HASH, name="kept.bin")
    assert "resumes" in caught.value.hint
    (part,) = (folder / "demo").glob("kept.bin.*.part")
    assert 200_000 < part.stat().st_size < 400_001


def test_hash_mismatch_raises_bad_data_and_removes_the_file(server: Server, folder: Path) -> None:
    with pytest.raises(BadData, match=HASH) as caught:
        SourceCache("demo").download(server.url, sha256="0" * 64)
    assert caught.value.code == 5
    assert caught.value.hint
    assert [p.name for p in (folder / "demo").iterdir()] == [".data.bin.lock"]


def test_http_error_status_fails(server: Server, folder: Path) -> None:
    server.status = 404
    with pytest.raises(Failed, match="404"):
        SourceCache("demo").download(server.url, sha256=HASH)


def test_unreachable_server_hint_names_the_file_path(server: Server, folder: Path) -> None:
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(NotAvailable, match=r"can't be reached") as caught:
        SourceCache("demo").download(server.url, sha256=HASH)
    assert str(folder / "demo" / "data.bin") in caught.value.hint
    assert "object at" not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://somewhere/data.bin", "http:///data.bin"])
def test_invalid_url_fails(folder: Path, url: str) -> None:
    with pytest.raises(Failed, match=r"data\.bin"):
        SourceCache("demo").download(url, sha256=HASH)


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "x.part", "x.sha256"])
def test_file_name_outside_the_cache_folder_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(BadUsage, match="name"):
        SourceCache("demo").download("http://127.0.0.1:9/x", sha256=HASH, name=name)


def test_two_processes_download_a_file_once(server: Server, folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(2)
    both = [
        context.Process(target=one_download.download, args=(server.url, HASH, str(folder), gate)) for _ in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert server.requests == [None]
    assert (folder / "demo" / "data.bin").read_bytes() == BODY


def test_unwritable_cache_error_names_the_environment_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BENCHDOG_CACHE", str(tmp_path / "file"))
    with pytest.raises(Failed) as caught:
        SourceCache("demo")
    assert "BENCHDOG_CACHE" in caught.value.hint
    assert str(tmp_path / "file") in caught.value.message
    assert download.cached_sizes() == {}


def test_cache_sizes_verification_and_removal(folder: Path, tmp_path: Path) -> None:
    one = SourceCache("one").folder
    (one / "data").write_bytes(b"1234")
    (one / "data.sha256").write_text(f"{hashlib.sha256(b'1234').hexdigest()}  data\n")
    (one / "gone.sha256").write_text("00  gone\n")
    assert download.verify(one) == {"data": True, "gone": False}
    (one / "data").write_bytes(b"4321")
    assert download.verify(one) == {"data": False, "gone": False}
    assert download.cached_sizes() == {"one": size_of(one)}
    assert download.remove(one) > 4
    assert not one.exists()
    assert download.remove(one) == 0
    with pytest.raises(BadUsage):
        download.remove(tmp_path)


def test_cache_folder_names_are_unique_and_valid(folder: Path) -> None:
    assert download.folder_name("digits") == "digits"
    names = {download.folder_name(name) for name in ("a.b:C", "a.b/C", "./a.b:C", "..", "")}
    assert len(names) == 5
    assert all(not set(name) & set('/\\:*?"<>|') and name not in ("", ".", "..") for name in names)
