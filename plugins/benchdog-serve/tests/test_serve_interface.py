"""Everything beside /predict: health, descriptions, pages, the Host."""

import numpy as np
import pytest
from serve_doubles import fault

from benchdog.api import Raw


def test_health_and_about(serving):
    client = serving("row")
    health = client("GET", "/health").json()
    assert (health["status"], health["model"], health["task"]) == ("ok", "double", "classification")
    about = client("GET", "/about").json()
    assert about["classes"] == ["dark", "bright"]
    assert about["metrics"] == {"accuracy": 0.5, "loss": None}
    assert [column["initial"] for column in about["input"]["columns"]] == [3.5, "white"]
    assert about["examples"] == [{"id": "row-7", "target": "bright"}]
    assert about["spec"]["fields"][0]["kind"] == "table"


def test_the_test_splits_metrics_are_told_where_they_lie(serving, monkeypatch, tmp_path):
    monkeypatch.setattr("serve_doubles.Double.path", tmp_path / "artifact")
    told = '{"metrics": {"accuracy": 0.25, "confusion": [[1]]}}'
    (tmp_path / "evaluation-test.json").write_text(told, encoding="utf-8")
    assert serving("row")("GET", "/about").json()["test"] == {"accuracy": 0.25}


def test_plausible_values_without_samples(serving, monkeypatch):
    monkeypatch.setattr("serve_doubles.Double.samples", lambda self: [])
    about = serving("row")("GET", "/about").json()
    assert [column["initial"] for column in about["input"]["columns"]] == [0, "red"]


@pytest.mark.parametrize("way", ["image", "row", "array", "tokens"])
def test_an_example_can_be_sent_back(serving, way):
    client = serving(way)
    example = client("GET", "/about").json()["input"]["example"]
    if way != "image":
        assert client.post(json=example).status_code == 200
    if way in ("image", "row"):
        given = client("GET", "/examples/0")
        response = client.post(content=given.content, headers={"content-type": given.headers["content-type"]})
        assert response.status_code == 200
    fault(client("GET", "/examples/1"), 404)
    fault(client("GET", "/examples/x"), 422)


def test_tokens_of_bytes_are_told_as_text(serving, monkeypatch):
    def bytewise(self):
        return [Raw(id="w", fields={"input": np.frombuffer("aé".encode(), np.uint8)}, target=None)]

    monkeypatch.setattr("serve_doubles.Double.samples", bytewise)
    op = {"op": "tokens", "unit": "byte"}
    monkeypatch.setattr("benchdog.data.decode.decoder._default_decode", lambda field, spec: op)
    client = serving("tokens")
    assert client("GET", "/about").json()["input"]["example"] == {"text": "The "}
    assert client("GET", "/examples/0").json() == {"text": "aé"}


def test_the_interface_is_described(serving):
    for way in ("image", "row", "array", "tokens", "several"):
        told = serving(way)("GET", "/openapi.json").json()
        assert set(told["paths"]) == {"/predict", "/health", "/about", "/examples/{number}"}
        operation = told["paths"]["/predict"]["post"]
        assert "application/json" in operation["requestBody"]["content"]
        assert {"200", "400", "408", "413", "415", "422", "503", "504"} <= set(operation["responses"])


def test_a_rows_schema_takes_its_example(serving):
    from jsonschema import validate

    told = serving("row")("GET", "/openapi.json").json()
    content = told["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    validate(content["example"], content["schema"])


@pytest.mark.parametrize("path", ["/", "/docs", "/page.css", "/page.js", "/docs.js"])
def test_pages_load_nothing_from_elsewhere(serving, path):
    response = serving("image")("GET", path)
    assert response.status_code == 200
    text = response.text.replace("http://www.w3.org/2000/svg", "")  # a name, not an address
    assert "http:" not in text
    assert "https:" not in text
    assert "//cdn" not in text
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "access-control-allow-origin" not in response.headers


def test_other_paths_and_methods(serving):
    client = serving("image")
    assert "/docs" in fault(client("GET", "/nothing"), 404)
    assert "POST" in fault(client("GET", "/predict"), 405)
    assert client("GET", "/favicon.ico").status_code == 204
    assert fault(client("GET", "/redoc"), 404)


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:80", 200), ("LOCALHOST:1", 200), ("evil.example:8000", 421),
     ("127.0.0.1.evil.example", 421), ("", 421)],
)  # fmt: skip
def test_the_host_is_looked_at(serving, host, status):
    client = serving("image", hosts=["localhost", "127.0.0.1", "::1"])
    assert client("GET", "/health", headers={"host": host}).status_code == status
    assert serving("image")("GET", "/health", headers={"host": host}).status_code == 200
