"""Requests that are rejected, and their error messages."""

import asyncio
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serve_doubles import JSON, Double, error_text, files, png


def test_file_that_is_not_an_image_is_named(make_client):
    response = make_client("image").post(files=files(("a.png", png(0)), ("notes.txt", b"hello")))
    text = error_text(response, 422)
    assert "notes.txt" in text
    assert "not an image" in text


def test_empty_file_is_named(make_client):
    assert "void.png" in error_text(make_client("image").post(files=files(("void.png", b""))), 422)


@pytest.mark.parametrize("variant", ["image", "row", "tokens", "array"])
@pytest.mark.parametrize("body", [b"", b" \n"])
def test_empty_body(make_client, variant, body):
    assert "empty" in error_text(make_client(variant).post(content=body, headers=JSON), 400)


def test_form_without_files(make_client):
    boundary = {"content-type": "multipart/form-data; boundary=x"}
    assert "no file" in error_text(make_client("image").post(content=b"--x--\r\n", headers=boundary), 400)
    assert error_text(make_client("image").post(content=b"nonsense", headers=boundary), 400)
    assert error_text(make_client("image").post(content=b"--x", headers={"content-type": "multipart/form-data"}), 400)


def test_form_field_that_is_not_a_file(make_client):
    part = b'--x\r\nContent-Disposition: form-data; name="word"\r\n\r\nhello\r\n--x--\r\n'
    response = make_client("image").post(content=part, headers={"content-type": "multipart/form-data; boundary=x"})
    assert "'word'" in error_text(response, 422)


def test_nan_prediction_is_an_error(make_client, monkeypatch):
    def overflowing(self, rows):
        score = np.repeat(rows[:, :1], 2, 1)
        answer = np.where(score > 1e37, np.nan, score)
        return answer, answer

    monkeypatch.setattr(Double, "call", overflowing)
    client = make_client("row")
    assert client.post(json={"rows": [{"acid": 1, "colour": "red"}]}).status_code == 200
    text = error_text(client.post(json={"rows": [{"acid": 3e38, "colour": "red"}]}), 422)
    assert "the prediction is not a number" in text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"acid": 1}, "lacks the column 'colour'"),
        ({"acid": 1, "color": "red"}, "Did you mean 'colour'?"),
        ({"acid": 1, "colour": "red", "size": 2}, "unknown column 'size'"),
        ({}, "'acid', 'colour'"),
        ({"acid": "much", "colour": "red"}, "column 'acid': 'much' is not a number"),
        ({"acid": [1], "colour": "red"}, "'acid' is neither a number nor a text"),
        ([1, "red"], "row 2 is not an object"),
    ],
)
def test_invalid_columns_are_named(make_client, row, message):
    response = make_client("row").post(json={"rows": [{"acid": 1, "colour": "red"}, row]})
    text = error_text(response, 422)
    assert message in text
    assert "row 2" in text


@pytest.mark.parametrize(
    ("variant", "kind"),
    [("row", "image/png"), ("row", "multipart/form-data; boundary=x"), ("image", "text/plain"),
     ("tokens", "image/png"), ("image", "application/x-www-form-urlencoded"), ("image", "")],
)  # fmt: skip
def test_unsupported_content_type_lists_supported_ones(make_client, variant, kind):
    response = make_client(variant).post(content=b"x", headers={"content-type": kind} if kind else {})
    assert "application/json" in error_text(response, 415)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[" * 100_000, 400),
        ('{"instances": [NaN]}', 400),
        ('{"instances": [1e999]}', 422),
        ('{"instances": ' + "1" * 10_000 + "}", 400),
        ('{"instances": [' + "1" * 4000 + "]}", 422),
        ('{"instances": ' + "[" * 900 + "]" * 900 + "}", 422),
        ('{"instances": [1], "instances": [2]}', 400),
        ('{"instances": [{"b64": "", "b64": ""}]}', 400),
        ('{"\\ud800": [1]}', 400),
        ('{"instances": ["\\udfff"]}', 400),
        ('{"instances": [' + "[]," * 500_000 + "[]]}", 413),
        ('{"' + "k" * 5_000_000 + '": 1}', 422),
        ("{" + ",".join(f'"{n}": 1' for n in range(50_000)) + "}", 422),
        ("[1]", 422),
        ("{}", 422),
        ('{"rows": [{}]}', 422),
        ('{"instances": []}', 422),
        ('{"instances": 3}', 422),
        ('{"instances": [null]}', 422),
        ('{"instances": [{"b64": "§"}]}', 422),
        ('{"instances": [{"b64": "aGVsbG8="}]}', 422),
        ('{"instances": [[[0, 1], [2]]]}', 422),
        ('{"instances": [[[256]]]}', 422),
        ('{"instances": [[[0.5]]]}', 422),
    ],
)
def test_invalid_json(make_client, body, status):
    assert len(error_text(make_client("image").post(content=body.encode(), headers=JSON), status)) < 600


@pytest.mark.parametrize(
    "row",
    [
        {"acid": "9" * 1_000_000, "colour": "red"},
        {"acid": 10**4000, "colour": "red"},
        {"acid": 1, "colour": "red", "k" * 1_000_000: 1},
        {f"{n}": n for n in range(20_000)},
        {"acid": 1, "colour": {"x": ["y"] * 100_000}},
    ],
)
def test_messages_stay_short_however_long_the_input_is(make_client, row):
    text = error_text(make_client("row").post(json={"rows": [row]}), 422)
    assert len(text) < 4100
    assert "row 1" in text


def test_text_that_no_encoding_holds(make_client):
    client = make_client("tokens")
    for body in (b'{"text": "a\\ud800"}', b'{"text": "a\xed\xa0\x80"}'):
        error_text(client.post(content=body, headers=JSON), 400)
    pair = client.post(content=b'{"text": "\\ud83d\\ude00"}', headers=JSON)  # together they are a character
    assert "\U0001f600" in error_text(pair, 422)


def test_text_with_unknown_characters(make_client):
    assert "'z'" in error_text(make_client("tokens").post(json={"text": "abz"}), 422)
    latin = {"content-type": "text/plain"}
    assert "UTF-8" in error_text(make_client("tokens").post(content=b"\xff\xfe", headers=latin), 400)


def test_too_many_samples(make_client):
    client = make_client("image", samples=2)
    three = [(f"{n}.png", png(0)) for n in range(3)]
    assert client.post(files=files(*three[:2])).status_code == 200
    error_text(client.post(files=files(*three)), 413)
    assert "3 samples" in error_text(client.post(json={"instances": [[[0]]] * 3}), 413)


def test_body_too_large_with_and_without_content_length(make_client):
    client = make_client("image", body=1000)

    async def chunks():
        for _ in range(30):
            yield b"x" * 100

    headers = {"content-type": "image/png"}
    for content in (b"x" * 3000, chunks()):
        assert "1 kB" in error_text(client.post(content=content, headers=headers), 413)
    form = {"content-type": "multipart/form-data; boundary=x"}
    start = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'

    async def endless():
        yield start
        for _ in range(30):
            yield b"x" * 100

    error_text(client.post(content=endless(), headers=form), 413)
    assert client.app.held == 0


def test_bodies_too_large_together(make_client):
    client = make_client("image", body=1000)
    client.app.held = 15_990
    response = client.post(content=b"x" * 100, headers={"content-type": "image/png"})
    assert "too large together" in error_text(response, 503)
    assert response.headers["retry-after"] == "1"
    assert client.app.held == 15_990


def test_full_queue(make_client):
    client = make_client("image", waiting=1)
    double = client.service.model
    double.gate.clear()
    requests = [("POST", "/predict", {"files": files(("a.png", png(0)))}) for _ in range(3)]
    responses = client.many(requests, meanwhile=double.gate.set)
    assert sorted(each.status_code for each in responses) == [200, 503, 503]
    refused = [each for each in responses if each.status_code == 503]
    assert all(each.headers["retry-after"] == "1" for each in refused)


def test_slow_model_times_out(make_client):
    client = make_client("image", timeout=0.1)
    client.service.model.gate.clear()
    assert "--timeout" in error_text(client.post(files=files(("a.png", png(0)))), 504)


def test_slow_client_times_out(make_client):
    client = make_client("image", timeout=0.1)

    async def chunks():
        yield b"x"
        await asyncio.sleep(1)
        yield b"x"

    error_text(client.post(content=chunks(), headers={"content-type": "image/png"}), 408)


def test_exception_in_the_model_is_logged_but_not_sent(make_client, capsys):
    client = make_client("image")
    client.service.model.error = RuntimeError("/home/somebody/secret is gone")
    text = error_text(client.post(files=files(("a.png", png(0)))), 500)
    assert "secret" not in text
    assert "RuntimeError: /home/somebody/secret" in capsys.readouterr().err
    client.service.model.error = None
    assert client.post(files=files(("a.png", png(0)))).status_code == 200


def test_exception_in_the_server_is_logged_but_not_sent(make_client, capsys, monkeypatch):
    client = make_client("image")
    monkeypatch.setattr(client.service, "predict", lambda request: 1 / 0)
    text = error_text(client.post(files=files(("a.png", png(0)))), 500)
    assert "division" not in text
    assert "ZeroDivisionError" in capsys.readouterr().err


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-300, 300)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["b64", "acid", "colour", "x"]), inner)
        ),
        max_leaves=8,
    ),
    variant=st.sampled_from(["image", "row", "array", "tokens", "several"]),
)
def test_any_json_is_predicted_or_rejected_with_a_reason(make_client, values, variant):
    client = make_client(variant)
    for key in client.service.reader.keys:
        response = client.post(content=json.dumps({key: values}).encode(), headers=JSON)
        if response.status_code != 200:
            error_text(response, response.status_code)
            assert response.status_code in (413, 422)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(["application/json", "image/png", "multipart/form-data; boundary=x"]),
)
def test_any_bytes_are_rejected_with_a_reason(make_client, body, kind):
    response = make_client("image").post(content=body, headers={"content-type": kind})
    assert response.status_code in (400, 422)
    error_text(response, response.status_code)
