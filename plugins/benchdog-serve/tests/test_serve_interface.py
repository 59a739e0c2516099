"""Endpoints other than /predict: health, descriptions, pages; the Host header."""

import numpy as np
import pytest
from serve_doubles import error_text

from benchdog.api import Raw


def test_health_and_about(make_client):
    client = make_client("row")
    health = client("GET", "/health").json()
    assert (health["status"], health["model"], health["task"]) == ("ok", "double", "classification")
    about = client("GET", "/about").json()
    assert about["classes"] == ["dark", "bright"]
    assert about["metrics"] == {"accuracy": 0.5, "loss": None}
    assert [column["initial"] for column in about["input"]["columns"]] == [3.5, "white"]
    assert about["examples"] == [{"id": "row-7", "target": "bright"}]
    assert about["spec"]["fields"][0]["kind"] == "table"


def test_about_includes_test_metrics_next_to_the_artifact(make_client, monkeypatch, tmp_path):
    monkeypatch.setattr("serve_doubles.Double.path", tmp_path / "artifact")
    evaluation = '{"metrics": {"accuracy": 0.25, "confusion": [[1]]}}'
    (tmp_path / "evaluation-test.json").write_text(evaluation, encoding="utf-8")
    assert make_client("row")("GET", "/about").json()["test"] == {"accuracy": 0.25}


def test_initial_form_values_without_samples(make_client, monkeypatch):
    monkeypatch.setattr("serve_doubles.Double.samples", lambda self: [])
    about = make_client("row")("GET", "/about").json()
    assert [column["initial"] for column in about["input"]["columns"]] == [0, "red"]


@pytest.mark.parametrize("variant", ["image", "row", "array", "tokens"])
def test_examples_are_valid_requests(make_client, variant):
    client = make_client(variant)
    example = client("GET", "/about").json()["input"]["example"]
    if variant != "image":
        assert client.post(json=example).status_code == 200
    if variant in ("image", "row"):
        sample = client("GET", "/examples/0")
        response = client.post(content=sample.content, headers={"content-type": sample.headers["content-type"]})
        assert response.status_code == 200
    error_text(client("GET", "/examples/1"), 404)
    error_text(client("GET", "/examples/x"), 422)


def test_byte_tokens_are_returned_as_text(make_client, monkeypatch):
    def byte_samples(self):
        return [Raw(id="w", fields={"input": np.frombuffer("aé".encode(), np.uint8)}, target=None)]

    monkeypatch.setattr("serve_doubles.Double.samples", byte_samples)
    op = {"op": "tokens", "unit": "byte"}
    monkeypatch.setattr("benchdog.data.decode.decoder._default_decode", lambda field, spec: op)
    client = make_client("tokens")
    assert client("GET", "/about").json()["input"]["example"] == {"text": "The "}
    assert client("GET", "/examples/0").json() == {"text": "aé"}


def test_openapi_document_describes_the_interface(make_client):
    for variant in ("image", "row", "array", "tokens", "several"):
        document = make_client(variant)("GET", "/openapi.json").json()
        assert set(document["paths"]) == {"/predict", "/health", "/about", "/examples/{number}"}
        operation = document["paths"]["/predict"]["post"]
        assert "application/json" in operation["requestBody"]["content"]
        assert {"200", "400", "408", "413", "415", "422", "503", "504"} <= set(operation["responses"])


def test_row_example_matches_its_schema(make_client):
    from jsonschema import validate

    document = make_client("row")("GET", "/openapi.json").json()
    content = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    validate(content["example"], content["schema"])


@pytest.mark.parametrize("path", ["/", "/docs", "/page.css", "/page.js", "/docs.js"])
def test_pages_load_no_external_resources(make_client, path):
    response = make_client("image")("GET", path)
    assert response.status_code == 200
    text = response.text.replace("http://www.w3.org/2000/svg", "")  # a namespace, not a URL
    assert "http:" not in text
    assert "https:" not in text
    assert "//cdn" not in text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "access-control-allow-origin" not in response.headers


def test_unknown_paths_and_methods(make_client):
    client = make_client("image")
    assert "/docs" in error_text(client("GET", "/nothing"), 404)
    assert "POST" in error_text(client("GET", "/predict"), 405)
    assert client("GET", "/favicon.ico").status_code == 204
    assert error_text(client("GET", "/redoc"), 404)


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:80", 200), ("LOCALHOST:1", 200), ("evil.example:8000", 421),
     ("127.0.0.1.evil.example", 421), ("", 421)],
)  # fmt: skip
def test_host_header_is_checked(make_client, host, status):
    client = make_client("image", hosts=["localhost", "127.0.0.1", "::1"])
    assert client("GET", "/health", headers={"host": host}).status_code == status
    assert make_client("image")("GET", "/health", headers={"host": host}).status_code == 200
