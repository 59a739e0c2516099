"""A model whose input a plugin decodes: bodies of its media types, forms, base64 and broken files, over a socket."""

import base64
import http.client
import json
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from benchdog import load_model
from benchdog_serve import server
from benchdog_serve.app import Limits, Service, build
from support.in_process import run
from support.sounds import SOURCE, install_wav, tone, write_tones


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Serve a model trained on WAV files."""
    folder = tmp_path_factory.mktemp("served")
    site = install_wav(folder / "site")
    sys.path.insert(0, str(site))
    (folder / "sounds.py").write_text(SOURCE, encoding="utf-8")
    write_tones(folder / "tones")
    train = ("--plugin", "sounds.py", "train", "sounds", "--set", "source.path=tones", "--epochs", 3)
    run(*train, "--name", "heard", cwd=folder)
    service = Service(load_model(folder / "runs" / "heard"), Limits(body=100_000))
    bound = server.bind("127.0.0.1", 0)
    started = threading.Event()
    running = server.make(build(service), started.set)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [bound]})
    thread.start()
    assert started.wait(30)
    yield bound.getsockname()
    running.should_exit = True
    thread.join(10)
    service.close()
    bound.close()
    sys.path.remove(str(site))
    for name in [name for name in sys.modules if name.startswith("benchdog_wav")]:
        del sys.modules[name]


def ask(address: tuple[str, int], body: bytes = b"", kind: str = "", path: str = "/predict") -> tuple[int, Any, str]:
    """Return status, document (or bytes) and content type of a response."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    connection.request("POST" if kind else "GET", path, body, {"Content-Type": kind} if kind else {})
    response = connection.getresponse()
    content, kind = response.read(), response.headers.get("Content-Type", "")
    connection.close()
    return response.status, json.loads(content) if "json" in kind else content, kind


@pytest.mark.parametrize("kind", ["audio/wav", "audio/x-wav", "application/octet-stream"])
def test_body_of_a_media_type_of_the_operation_is_decoded(address: tuple[str, int], kind: str) -> None:
    status, document, _ = ask(address, tone(3), kind)
    assert status == 200
    assert document["answers"][0]["label"] == "low"


def test_form_and_base64_hold_several_files(address: tuple[str, int]) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
    body = part % (b"a.wav", tone(3)) + part % (b"b.wav", tone(12)) + b"--x--\r\n"
    status, document, _ = ask(address, body, "multipart/form-data; boundary=x")
    assert status == 200
    assert [each["label"] for each in document["answers"]] == ["low", "high"]
    instances = [{"b64": base64.b64encode(tone(pitch)).decode()} for pitch in (12, 3)]
    status, document, _ = ask(address, json.dumps({"instances": instances}).encode(), "application/json")
    assert [each["label"] for each in document["answers"]] == ["high", "low"]


@pytest.mark.parametrize(
    ("body", "kind", "status", "why"),
    [
        (tone(3), "image/png", 415, "audio/wav"),
        (tone(3)[:-3], "audio/wav", 422, "Sample 'the body': it was cut"),
        (b"ID3", "audio/wav", 422, "not a WAV file"),
        (b'{"instances": [[1, 2]]}', "application/json", 422, "instance 1 is not a file."),
        (b'{"instances": [{"b64": "%%"}]}', "application/json", 422, "not base64"),
        (bytes(200_000), "audio/wav", 413, "larger than 100 kB"),
    ],
)
def test_other_and_damaged_bodies_are_refused(
    address: tuple[str, int], body: bytes, kind: str, status: int, why: str
) -> None:
    got, document, _ = ask(address, body, kind)
    assert got == status
    assert why in json.dumps(document)


def test_about_openapi_and_examples_describe_the_files(address: tuple[str, int]) -> None:
    about = ask(address, path="/about")[1]["input"]
    assert (about["way"], about["called"], about["suffix"]) == ("file", "WAV files", ".wav")
    assert about["types"][:2] == ["multipart/form-data", "audio/wav"]
    assert about["example"] == {"instances": [{"b64": "..."}]}
    content = ask(address, path="/openapi.json")[1]["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert content["audio/wav"] == {"schema": {"type": "string", "format": "binary"}}
    status, example, kind = ask(address, path="/examples/0")
    assert (status, kind, example[:4]) == (200, "audio/wav", b"RIFF")
    assert ask(address, example, kind)[0] == 200
