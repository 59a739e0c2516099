"""`benchdog serve` in a subprocess, with a real socket."""

import signal
import socket
import subprocess
import sys
import threading
import time
from importlib.util import find_spec

import httpx
import pytest
from serve_doubles import Server, environment, run

from benchdog.model.load import open_model
from benchdog.plugins import Plugins
from support.in_process import run_export

SCRIPT = """
import sys
from benchdog.cli import main
try:
    main()
finally:
    print("TORCH" if "torch" in sys.modules else "NO TORCH", file=sys.stderr)
"""


@pytest.fixture(scope="module")
def server(place, digits):
    with Server(place, "digits") as running:
        yield running


@pytest.fixture(scope="module")
def opened(digits):
    return open_model(digits, Plugins.discover())


def test_predictions_match_the_artifact(server, opened):
    raws = opened.samples()
    expected = [answer.values for answer in opened.predict(raws)]
    files = [("files", (raw.id, raw.fields["input"], "image/png")) for raw in raws]
    got = httpx.post(f"{server.url}/predict", files=files, timeout=30).json()["answers"]
    assert [each["label"] for each in got] == [each["label"] for each in expected]
    for actual, reference in zip(got, expected, strict=True):
        assert actual["probabilities"] == pytest.approx(reference["probabilities"], abs=1e-5)


def test_json_line_matches_its_schema(server):
    from support.json_schemas import assert_matches_schema

    assert_matches_schema("serve", server.document)


def test_concurrent_clients_receive_their_own_predictions(server, opened):
    raws = opened.samples()
    expected = [answer.values["label"] for answer in opened.predict(raws)]
    got = [None] * len(raws)

    def work(index):
        headers = {"content-type": "image/png"}
        content = raws[index].fields["input"]
        reply = client.post(f"{server.url}/predict", content=content, headers=headers, timeout=30)
        got[index] = reply.json()["answers"][0]["label"]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(len(raws))]
    with httpx.Client(verify=False) as client:  # shared: each client would read the system's certificates
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == expected


def test_health_about_and_page_name_the_model(server):
    assert httpx.get(f"{server.url}/health").json()["model"] == "digits"
    assert httpx.get(f"{server.url}/about").json()["classes"] == list("0123456789")
    assert "<title>" in httpx.get(server.url).text


def test_body_over_the_limit_is_rejected_with_413(server):
    def chunks():
        for _ in range(250):
            yield b"x" * 100_000

    headers = {"content-type": "image/png"}
    for content in (b"x" * 25_000_000, chunks()):
        reply = httpx.post(f"{server.url}/predict", content=content, headers=headers, timeout=30)
        assert reply.status_code == 413
        assert "--max-body" in reply.json()["error"]["hint"]
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_unknown_host_header_is_refused(server):
    reply = httpx.get(f"{server.url}/about", headers={"host": "evil.example"})
    assert reply.status_code == 421
    assert "--allow-host" in reply.json()["error"]["hint"]


def start_request(url, content):
    """Open a connection; send the headers and half of the body of a request."""
    host, _, port = url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    head = (
        f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content[: len(content) // 2])
    time.sleep(0.3)
    return connection


def test_server_on_the_network_warns_hides_samples_and_finishes_open_requests(place, digits, opened):
    content = opened.samples()[0].fields["input"]
    with Server(place, digits / "artifact", "--host", "0.0.0.0") as running:
        about = httpx.get(f"{running.url}/about", headers={"host": "my-machine"}).json()
        assert about["examples"] == []  # held-out samples can be private
        with start_request(running.url, content) as connection:
            if sys.platform == "win32":
                running.process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                running.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            connection.sendall(content[len(content) // 2 :])
            reply = b"".join(iter(lambda: connection.recv(4096), b""))
        assert reply.startswith(b"HTTP/1.1 200")
        assert b'"label"' in reply
        _, err = running.process.communicate(timeout=20)
        assert running.process.returncode == 0
        assert "warning: anyone on the network" in err


def test_signals_stop_with_exit_code_0_and_one_line_for_what_was_cut_off(place, digits, opened):
    with Server(place, "last") as running:
        assert httpx.get(f"{running.url}/health").status_code == 200
        # A client that disconnects is not logged.
        start_request(running.url, opened.samples()[0].fields["input"]).close()
        upload = start_request(running.url, b"x" * 1000)
        if sys.platform == "win32":
            running.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # it waits for the upload; a second signal ends that
        code, out, err = running.stop(signal.SIGINT)
        upload.close()
        assert (code, out) == (0, "")
        started = f"Serving digits at {running.url} (Ctrl-C stops)"
        assert err.splitlines() == [started, "1 request was cut off.", "Stopped."]
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/health")


def test_port_in_use(place, digits):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = run("serve", "digits", "--port", port, place=place, code=1)
        assert f"Port {port} is in use" in done.err
        assert "--port" in done.err
        done = run("serve", "digits", "--port", port, "--json", place=place, code=1)
        assert done.json["error"]["code"] == 1


def test_usage_errors(place, digits):
    assert "digits" in run("serve", "digit", "--port", 0, place=place, code=2).err
    for option, value in (("--max-body", "much"), ("--max-pixels", "0"), ("--timeout", "nan"), ("--root-path", "a b"),
                          ("--allow-origin", "*")):  # fmt: skip
        assert option in run("serve", "digits", option, value, place=place, code=2).err
    assert "--host" in run("serve", "digits", "--host", "192.0.2.1", place=place, code=2).err


def test_help_imports_no_heavy_libraries(place):
    code = (
        "import sys; sys.argv = ['benchdog', 'serve', '--help']\n"
        "from benchdog.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'torch', 'numpy', 'fastapi', 'uvicorn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(find_spec("benchdog_onnx") is None, reason="benchdog-onnx is not installed")
def test_export_is_served_without_torch(place, digits, opened):
    run_export("digits", "--to", "onnx", cwd=place, env=environment(place))
    with Server(place, digits / "exports" / "onnx", command=[sys.executable, "-c", SCRIPT]) as running:
        about = httpx.get(f"{running.url}/about").json()
        assert (about["kind"], about["exporter"], about["name"]) == ("export", "onnx", "digits")
        raws = opened.samples()[:3]
        files = [("files", (raw.id, raw.fields["input"], "image/png")) for raw in raws]
        got = httpx.post(f"{running.url}/predict", files=files, timeout=30).json()["answers"]
        assert [each["label"] for each in got] == [a.values["label"] for a in opened.predict(raws)]
        _, _, err = running.stop()
        assert "NO TORCH" in err
