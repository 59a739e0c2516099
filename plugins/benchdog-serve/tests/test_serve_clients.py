"""Ordinary HTTP clients: content encodings, character sets, base64 as tools write it, web pages, proxies."""

import base64
import gzip
import json
import zlib

import pytest
from serve_doubles import JSON, error_text, files, png

from benchdog.api import BadUsage
from benchdog_serve.command import root_of
from benchdog_serve.origins import origin_of

BODY = json.dumps({"rows": [{"acid": 900, "colour": "red"}]}).encode()


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def labels(response):
    assert response.status_code == 200, response.text
    return [each["label"] for each in response.json()["answers"]]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("GZIP", gzip.compress), ("deflate", zlib.compress),
     ("deflate", raw_deflate), ("identity", bytes),
     ("gzip", lambda data: gzip.compress(data[:9]) + gzip.compress(data[9:]))],
)  # fmt: skip
def test_packed_bodies_are_unpacked(make_client, encoding, pack):
    headers = {**JSON, "content-encoding": encoding}
    assert labels(make_client("row").post(content=pack(BODY), headers=headers)) == ["bright"]


def test_packed_form(make_client):
    client = make_client("image")
    form = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + png(255) + b"\r\n--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x", "content-encoding": "gzip"}
    assert labels(client.post(content=gzip.compress(form, mtime=0), headers=headers)) == ["bright"]


@pytest.mark.parametrize(
    ("encoding", "body", "status", "said"),
    [("br", BODY, 415, "Content-Encoding is 'br'"), ("gzip, gzip", BODY, 415, "gzip or deflate"),
     ("gzip", BODY, 400, "not gzip"), ("gzip", gzip.compress(BODY, mtime=0)[:-9], 400, "ends too early"),
     ("gzip", b"", 400, "too early"),
     ("deflate", b"\xff\xff", 400, "not deflate"), ("", gzip.compress(BODY, mtime=0), 400, "Content-Encoding: gzip")],
)  # fmt: skip
def test_bodies_that_cannot_be_unpacked(make_client, encoding, body, status, said):
    headers = {**JSON, **({"content-encoding": encoding} if encoding else {})}
    assert said in error_text(make_client("row").post(content=body, headers=headers), status)


def test_limit_of_a_packed_body_is_on_what_it_unpacks_to(make_client):
    client = make_client("row", body=100_000)
    padded = b" " * (100_000 - len(BODY)) + BODY
    headers = {**JSON, "content-encoding": "gzip"}
    assert labels(client.post(content=gzip.compress(padded, mtime=0), headers=headers)) == ["bright"]
    for more in (1, 50_000_000):
        response = client.post(content=gzip.compress(b" " * more + padded), headers=headers)
        assert "100 kB" in error_text(response, 413)
    assert client.app.held == 0


@pytest.mark.parametrize(
    "spelled",
    [
        base64.encodebytes,
        lambda data: base64.encodebytes(data).replace(b"\n", b"\r\n"),
        lambda data: b" " + base64.b64encode(data),
        base64.urlsafe_b64encode,
        lambda data: b"data:image/png;base64," + base64.b64encode(data),
        lambda data: b"data:;base64," + base64.encodebytes(data),
    ],
)
def test_base64_as_tools_write_it(make_client, spelled):
    text = spelled(png(255, size=40)).decode()
    client = make_client("image")
    assert labels(client.post(json={"instances": [{"b64": text}]})) == ["bright"]
    if text.startswith("data:"):
        assert labels(client.post(json={"instances": [text]})) == ["bright"]


@pytest.mark.parametrize(
    ("value", "said"),
    [({"b64": "abc*"}, "the character '*'"), ({"b64": "YWJjZA"}, "padding"),
     ({"b64": "data:image/png,x"}, "data: URL"),
     ("YWJjZA==", '{"b64": "..."}')],
)  # fmt: skip
def test_faults_of_base64_are_named(make_client, value, said):
    assert said in error_text(make_client("image").post(json={"instances": [value]}), 422)


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("", "utf-8"), ("", "utf-8-sig"), ("", "utf-16"), ("utf-8", "utf-8-sig"), ('"UTF-8"', "utf-8"),
     ("iso-8859-1", "latin-1"), ("utf-16", "utf-16"), ("us-ascii", "ascii")],
)  # fmt: skip
def test_charsets(make_client, charset, codec):
    kind = f"application/json; charset={charset}" if charset else "application/json"
    body = BODY.decode().encode(codec)
    assert labels(make_client("row").post(content=body, headers={"content-type": kind})) == ["bright"]


def test_text_in_its_charset(make_client, monkeypatch):
    client = make_client("tokens")
    for kind, body in (
        ("text/plain; charset=latin-1", "ab\xe9".encode("latin-1")),
        ("text/plain", "ab\xe9".encode()),
    ):
        assert "'\xe9'" in error_text(client.post(content=body, headers={"content-type": kind}), 422)
    prompt = client.post(content=b"\xef\xbb\xbfab", headers={"content-type": "text/plain"}).json()["answers"][0][
        "prompt"
    ]
    assert prompt == "ab"
    odd = {"content-type": "text/plain; charset=punycode"}
    assert "'punycode'" in error_text(client.post(content=b"ab", headers=odd), 415)
    ascii_only = {"content-type": "text/plain; charset=us-ascii"}
    assert "byte 2 is 0xe9" in error_text(client.post(content=b"a\xe9", headers=ascii_only), 400)


def test_form_that_ends_too_early_is_not_taken_for_a_shorter_one(make_client):
    part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n' + png(255) + b"\r\n"
    headers = {"content-type": 'multipart/form-data; boundary="x"'}
    client = make_client("image")
    assert labels(client.post(content=part + part + b"--x--", headers=headers)) == ["bright", "bright"]
    for cut in (part + part, part + part[:-20], part[:-20]):
        assert "too early" in error_text(client.post(content=cut, headers=headers), 400)


@pytest.mark.parametrize("name", ['a"b.png', "ü.png", "a;b=c.png", "\x1b[31m.png", "n" * 900])
def test_names_of_files_are_quoted_in_messages(make_client, name):
    text = error_text(make_client("image").post(files=files((name, b"no image"))), 422)
    assert "not an image" in text
    assert "\x1b" not in text
    assert len(text) < 400


def test_form_with_an_odd_charset_or_a_part_without_a_name(make_client):
    client = make_client("image")
    part = b"--x\r\nContent-Disposition: form-data; %s\r\n\r\nabc\r\n--x--\r\n"
    kind = "multipart/form-data; boundary=x"
    for disposition, options in ((b'name="f"; filename="f"', "; charset=undefined"), (b'filename="f"', "")):
        response = client.post(content=part % disposition, headers={"content-type": kind + options})
        assert "form" in error_text(response, 400)


def test_two_files_for_one_input(make_client):
    part = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="f"\r\n\r\nabc\r\n'
    body = part % b"left" + part % b"left" + part % b"sound" + b"--x--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert "two files" in error_text(make_client("several").post(content=body, headers=headers), 422)


# --- methods and paths


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/page.js", "/health", "/about", "/examples/0", "/openapi.json", "/no"]
)
def test_head_is_get_without_the_body(make_client, path):
    client = make_client("image")
    head, get = client("HEAD", path), client("GET", path)
    assert head.status_code == get.status_code
    assert head.headers == get.headers
    assert head.content == b""


def test_slashes_at_the_end(make_client):
    client = make_client("row")
    assert client("GET", "/health/").json()["status"] == "ok"
    assert labels(client("POST", "/predict/?debug=1", content=BODY, headers=JSON)) == ["bright"]
    assert labels(client("POST", "/%70redict", content=BODY, headers=JSON)) == ["bright"]
    assert client("GET", "/docs/").headers["location"] == "../docs"


def test_proxy_that_puts_a_path_before_all_others(make_client):
    client = make_client("image", root="/models/digits")
    for path in ("/", "/docs", "/page.css", "/health", "/openapi.json"):
        assert client("GET", f"/models/digits{path}").text == client("GET", path).text
    response = client("GET", "/models/digits")
    assert (response.status_code, response.headers["location"]) == (308, "digits/")
    assert client("GET", "/models/digitsx/health").status_code == 404
    assert client("GET", "/openapi.json").json()["servers"] == [{"url": "."}]


@pytest.mark.parametrize("path", ["/", "/docs", "/page.js", "/docs.js"])
def test_pages_have_relative_links(make_client, path):
    text = make_client("image")("GET", path).text
    for absolute in ('href="/', 'src="/', 'fetch("/', "fetch(`/", ": `/"):
        assert absolute not in text


def test_root_path_option():
    assert [root_of(text) for text in ("", "/", "/a/", "/models/my-model_2")] == ["", "", "/a", "/models/my-model_2"]
    for text in ("a", "/a b", "//", "http://x/a", "/a?b"):
        if text.rstrip("/"):
            with pytest.raises(BadUsage, match="--root-path"):
                root_of(text)


# --- web pages of other origins


@pytest.mark.parametrize(
    ("origin", "more", "status"),
    [
        ("http://127.0.0.1:8000", {}, 200),
        ("HTTP://127.0.0.1:8000", {}, 200),
        ("https://127.0.0.1", {"host": "127.0.0.1"}, 200),
        ("https://127.0.0.1", {"host": "127.0.0.1:443"}, 200),
        ("https://model.example", {"sec-fetch-site": "same-origin"}, 200),  # behind a proxy that changes the host
        ("http://127.0.0.1:8001", {}, 403),
        ("http://evil.example", {}, 403),
        ("http://evil.example", {"sec-fetch-site": "cross-site"}, 403),
        ("null", {}, 403),
        ("", {}, 403),
    ],
)
def test_pages_of_other_origins_may_not_post(make_client, origin, more, status):
    client = make_client("row")
    response = client.post(content=BODY, headers={**JSON, "origin": origin, **more})
    if status == 200:
        assert labels(response) == ["bright"]
    else:
        assert "--allow-origin" in error_text(response, status)
        assert client.service.model.sizes == []
    assert client("GET", "/health", headers={"origin": origin}).status_code == 200
    assert "access-control-allow-origin" not in response.headers


def test_page_of_an_allowed_origin(make_client):
    client = make_client("row", origins=["http://app.example"], samples=1)
    origin = {"origin": "http://app.example"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-own"}
    before = client("OPTIONS", "/predict", headers={**origin, **asked})
    assert before.status_code == 204
    assert "POST" in before.headers["access-control-allow-methods"]
    assert before.headers["access-control-allow-headers"] == "content-type,x-own"
    responses = [
        before,
        client.post(content=BODY, headers={**JSON, **origin}),
        client.post(content=b"[", headers={**JSON, **origin}),
        client.post(content=b"x", headers={**JSON, **origin, "content-length": "99999999"}),
        client("GET", "/health", headers=origin),
    ]
    assert [each.status_code for each in responses] == [204, 200, 400, 413, 200]
    for each in responses:  # the page can read errors too
        assert each.headers["access-control-allow-origin"] == "http://app.example"
        assert each.headers["vary"] == "Origin"
    refused = client("OPTIONS", "/predict", headers={"origin": "http://evil.example", **asked})
    assert "--allow-origin http://evil.example" in error_text(refused, 403)
    assert "access-control-allow-origin" not in client("GET", "/health", headers={"origin": "null"}).headers


def test_options_of_a_program(make_client):
    client = make_client("row")
    assert [client("OPTIONS", p).headers["allow"] for p in ("/predict", "/health")] == [
        "POST, OPTIONS",
        "GET, HEAD, OPTIONS",
    ]


def test_allow_origin_option():
    given = ["https://App.example", "http://a:80", "http://a:8080/", "http://[::1]:3000", "null"]
    parsed = ["https://app.example", "http://a", "http://a:8080", "http://[::1]:3000", "null"]
    assert [origin_of(text) for text in given] == parsed
    for text in (
        "*",
        "app.example",
        "http://*.example",
        "ftp://a",
        "http://a/path",
        "http://a:x",
        "",
        "http://" + "é" * 70,
    ):
        with pytest.raises(BadUsage, match="--allow-origin"):
            origin_of(text)
