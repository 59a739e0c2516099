"""What a client can't send, and what it is told."""

import asyncio
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serve_doubles import JSON, Double, fault, files, png


def test_not_an_image_names_the_file(serving):
    response = serving("image").post(files=files(("a.png", png(0)), ("notes.txt", b"hello")))
    text = fault(response, 422)
    assert "notes.txt" in text
    assert "not an image" in text


def test_an_empty_file_is_named(serving):
    assert "void.png" in fault(serving("image").post(files=files(("void.png", b""))), 422)


@pytest.mark.parametrize("way", ["image", "row", "tokens", "array"])
@pytest.mark.parametrize("body", [b"", b" \n"])
def test_an_empty_body(serving, way, body):
    assert "empty" in fault(serving(way).post(content=body, headers=JSON), 400)


def test_a_form_without_files(serving):
    boundary = {"content-type": "multipart/form-data; boundary=x"}
    assert "no file" in fault(serving("image").post(content=b"--x--\r\n", headers=boundary), 400)
    assert fault(serving("image").post(content=b"nonsense", headers=boundary), 400)
    assert fault(serving("image").post(content=b"--x", headers={"content-type": "multipart/form-data"}), 400)


def test_a_form_of_words(serving):
    part = b'--x\r\nContent-Disposition: form-data; name="word"\r\n\r\nhello\r\n--x--\r\n'
    response = serving("image").post(content=part, headers={"content-type": "multipart/form-data; boundary=x"})
    assert "'word'" in fault(response, 422)


def test_an_answer_that_is_no_number_is_none(serving, monkeypatch):
    def overflowing(self, rows):
        score = np.repeat(rows[:, :1], 2, 1)
        answer = np.where(score > 1e37, np.nan, score)
        return answer, answer

    monkeypatch.setattr(Double, "call", overflowing)
    client = serving("row")
    assert client.post(json={"rows": [{"acid": 1, "colour": "red"}]}).status_code == 200
    text = fault(client.post(json={"rows": [{"acid": 3e38, "colour": "red"}]}), 422)
    assert "the prediction is not a number" in text


@pytest.mark.parametrize(
    ("row", "said"),
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
def test_wrong_columns_are_named(serving, row, said):
    response = serving("row").post(json={"rows": [{"acid": 1, "colour": "red"}, row]})
    text = fault(response, 422)
    assert said in text
    assert "row 2" in text


@pytest.mark.parametrize(
    ("way", "kind"),
    [("row", "image/png"), ("row", "multipart/form-data; boundary=x"), ("image", "text/plain"),
     ("tokens", "image/png"), ("image", "application/x-www-form-urlencoded"), ("image", "")],
)  # fmt: skip
def test_another_content_type_says_which_there_are(serving, way, kind):
    response = serving(way).post(content=b"x", headers={"content-type": kind} if kind else {})
    assert "application/json" in fault(response, 415)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[" * 100_000, 400),
        ('{"instances": [NaN]}', 400),
        ('{"instances": ' + "1" * 10_000 + "}", 400),
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
def test_ill_json(serving, body, status):
    fault(serving("image").post(content=body.encode(), headers=JSON), status)


def test_a_text_of_other_characters(serving):
    assert "'z'" in fault(serving("tokens").post(json={"text": "abz"}), 422)
    latin = {"content-type": "text/plain"}
    assert "UTF-8" in fault(serving("tokens").post(content=b"\xff\xfe", headers=latin), 422)


def test_too_many_samples(serving):
    client = serving("image", samples=2)
    three = [(f"{n}.png", png(0)) for n in range(3)]
    assert client.post(files=files(*three[:2])).status_code == 200
    fault(client.post(files=files(*three)), 413)
    assert "3 samples" in fault(client.post(json={"instances": [[[0]]] * 3}), 413)


def test_too_large_a_body_with_and_without_a_length(serving):
    client = serving("image", body=1000)

    async def chunks():
        for _ in range(30):
            yield b"x" * 100

    headers = {"content-type": "image/png"}
    for content in (b"x" * 3000, chunks()):
        assert "1 kB" in fault(client.post(content=content, headers=headers), 413)
    form = {"content-type": "multipart/form-data; boundary=x"}
    start = b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'

    async def endless():
        yield start
        for _ in range(30):
            yield b"x" * 100

    fault(client.post(content=endless(), headers=form), 413)
    assert client.app.held == 0


def test_bodies_that_are_too_large_together(serving):
    client = serving("image", body=1000)
    client.app.held = 15_990
    response = client.post(content=b"x" * 100, headers={"content-type": "image/png"})
    assert "too large together" in fault(response, 503)
    assert response.headers["retry-after"] == "1"
    assert client.app.held == 15_990


def test_a_full_queue(serving):
    client = serving("image", waiting=1)
    double = client.service.model
    double.gate.clear()
    requests = [("POST", "/predict", {"files": files(("a.png", png(0)))}) for _ in range(3)]
    responses = client.many(requests, meanwhile=double.gate.set)
    assert sorted(each.status_code for each in responses) == [200, 503, 503]
    refused = [each for each in responses if each.status_code == 503]
    assert all(each.headers["retry-after"] == "1" for each in refused)


def test_a_slow_model(serving):
    client = serving("image", timeout=0.1)
    client.service.model.gate.clear()
    assert "--timeout" in fault(client.post(files=files(("a.png", png(0)))), 504)


def test_a_slow_client(serving):
    client = serving("image", timeout=0.1)

    async def drops():
        yield b"x"
        await asyncio.sleep(1)
        yield b"x"

    fault(client.post(content=drops(), headers={"content-type": "image/png"}), 408)


def test_a_broken_model_tells_the_terminal(serving, capsys):
    client = serving("image")
    client.service.model.fault = RuntimeError("/home/somebody/secret is gone")
    text = fault(client.post(files=files(("a.png", png(0)))), 500)
    assert "secret" not in text
    assert "RuntimeError: /home/somebody/secret" in capsys.readouterr().err
    client.service.model.fault = None
    assert client.post(files=files(("a.png", png(0)))).status_code == 200


def test_a_broken_server_too(serving, capsys, monkeypatch):
    client = serving("image")
    monkeypatch.setattr(client.service, "predict", lambda request: 1 / 0)
    text = fault(client.post(files=files(("a.png", png(0)))), 500)
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
    way=st.sampled_from(["image", "row", "array", "tokens", "several"]),
)
def test_any_json_is_answered_or_explained(serving, values, way):
    client = serving(way)
    for key in client.service.reader.keys:
        response = client.post(content=json.dumps({key: values}).encode(), headers=JSON)
        if response.status_code != 200:
            fault(response, response.status_code)
            assert response.status_code in (413, 422)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=200),
    kind=st.sampled_from(["application/json", "image/png", "multipart/form-data; boundary=x"]),
)
def test_any_bytes_are_explained(serving, body, kind):
    response = serving("image").post(content=body, headers={"content-type": kind})
    assert response.status_code in (400, 422)
    fault(response, response.status_code)
