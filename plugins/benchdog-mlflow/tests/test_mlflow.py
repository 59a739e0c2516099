"""Runs tracked in MLflow, read back with its client."""

import ast
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchdog.api import NotAvailable
from benchdog_mlflow.reachability import check_reachable, without_password
from benchdog_mlflow.track import client_of, flat
from support import in_process
from support.bare import bare
from support.command import run_bench
from support.stalling import NET

# MLflow uses what a newer SQLAlchemy deprecates
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
TRAIN = ("train", "digits", "--model", "linear", "--quiet", "--set", "loop.log_every=1", "--name")
KILLED = (
    *("train", "digits", "--model", "net.py:Net", "--quiet", "--epochs", "2", "--batch-size", "64"),
    *("--set", "loop.log_every=2", "--set", "loop.checkpoint_steps=5", "--name"),
)


def environment(cwd: Path, more: dict[str, str]) -> dict[str, str]:
    """Return environment variables that enable this plugin alone, with a tracking store in `cwd`."""
    return {
        "BENCHDOG_PLUGINS": "benchdog-mlflow",
        "BENCHDOG_CACHE": str(cwd / "cache"),
        "MLFLOW_TRACKING_URI": uri(cwd),
        "BENCHDOG_PATIENCE": "120",  # seconds; enough on a busy machine
        **more,
    }


def start(*args: object, cwd: Path, **env: str) -> subprocess.Popen[str]:
    command, environ = [sys.executable, "-m", "benchdog", *map(str, args)], {**os.environ, **environment(cwd, env)}
    return subprocess.Popen(command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench(*args: object, cwd: Path, code: int = 0, **env: str) -> str:
    with bare():
        return in_process.run(*args, cwd=cwd, code=code, env=environment(cwd, env)).err


def uri(place: Path) -> str:
    return f"sqlite:///{(place / 'mlflow.db').as_posix()}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an existing store: creating its tables takes longer than a short run waits."""
    place = tmp_path_factory.mktemp("tracked")
    client_of(uri(place)).search_experiments()
    return place


@pytest.fixture(scope="module")
def finished_run(place: Path) -> Path:
    assert "plugin 'mlflow'" not in bench(*TRAIN, "one", "--epochs", 3, cwd=place)
    return place / "runs" / "one"


def tracked_run(run: Path) -> tuple[Any, Any]:
    note = json.loads((run / "mlflow.json").read_text(encoding="utf-8"))
    client = client_of(uri(run.parent.parent))
    return client, client.get_run(note["run_id"])


def read_log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def history(run: Path, name: str) -> list[tuple[int, float]]:
    client, tracked = tracked_run(run)
    return [(metric.step, metric.value) for metric in client.get_metric_history(tracked.info.run_id, name)]


def test_metrics_match_the_metrics_log(finished_run):
    lines = read_log(finished_run)
    steps = [[line["step"], line["loss"]] for line in lines if line["kind"] == "step"]
    assert np.array(history(finished_run, "train.step_loss")) == pytest.approx(np.array(steps))
    epochs = [line for line in lines if line["kind"] == "epoch"]
    for name in ("train.loss", "valid.loss", "valid.accuracy"):
        expected = np.array([[line["epoch"], line[name]] for line in epochs])
        assert np.array(history(finished_run, name)) == pytest.approx(expected)


def test_parameters_tags_and_status(finished_run):
    client, run = tracked_run(finished_run)
    assert client.get_experiment(run.info.experiment_id).name == "benchdog"
    assert run.info.run_name == "one"
    assert run.info.status == "FINISHED"
    assert run.data.params["loop.epochs"] == "3"
    assert run.data.params["model.name"] == "linear"
    assert run.data.tags["benchdog.model.artifact"] == str(finished_run / "artifact")
    assert run.data.tags["benchdog.folder"] == str(finished_run)
    assert Path(run.data.tags["benchdog.checkpoint"]).is_file()
    best = json.loads((finished_run / "run.json").read_text(encoding="utf-8"))["best"]
    assert run.data.metrics["best.valid.accuracy"] == pytest.approx(best["value"])


def test_export_is_logged_as_a_tag(finished_run, place):
    in_process.run_export("one", "--to", "safetensors", cwd=place, env=environment(place, {}))
    _, run = tracked_run(finished_run)
    assert run.data.tags["benchdog.export.safetensors"] == str(finished_run / "exports" / "safetensors")


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_killed_and_resumed_run_is_one_run_with_each_step_once(place):
    (place / "net.py").write_text(NET, encoding="utf-8")
    process = start(*KILLED, "killed", cwd=place, STALL_AT="12")
    run, end = place / "runs" / "killed", time.monotonic() + 120
    while len(list((run / "checkpoints").glob("step-*"))) < 2 or not (run / "mlflow.json").is_file():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    while not history(run, "train.step_loss"):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.kill()
    process.communicate()
    _, before = tracked_run(run)
    assert before.info.status == "RUNNING"
    bench("train", "--resume", "killed", "--quiet", cwd=place)
    _, after = tracked_run(run)
    assert after.info.run_id == before.info.run_id
    assert after.info.status == "FINISHED"
    for name, kind in (("train.step_loss", "step"), ("valid.accuracy", "epoch")):
        assert [step for step, _ in history(run, name)] == [
            line[kind] for line in read_log(run) if line["kind"] == kind
        ]


@pytest.mark.slow
def test_two_ranks_are_one_run(place):
    bench(*TRAIN, "ranks", "--epochs", 1, "--backend", "cpu", "--set", "backend.ranks=2", cwd=place)
    run = place / "runs" / "ranks"
    client, tracked = tracked_run(run)
    assert tracked.info.status == "FINISHED"
    assert [step for step, _ in history(run, "train.step_loss")] == [
        x["step"] for x in read_log(run) if x["kind"] == "step"
    ]
    named = [each for each in client.search_runs([tracked.info.experiment_id]) if each.info.run_name == "ranks"]
    assert len(named) == 1


def test_failed_run_has_status_failed(place):
    arguments = [*TRAIN, "nan", "--epochs", 2, "--lr", "1e38", "--set", "trainer.optimizer=SGD"]
    bench(*arguments, cwd=place, code=1, MLFLOW_EXPERIMENT_NAME="others")
    client, run = tracked_run(place / "runs" / "nan")
    assert run.info.status == "FAILED"
    assert run.data.tags["benchdog.error"]
    assert client.get_experiment(run.info.experiment_id).name == "others"


def test_mlflow_is_not_imported_without_a_tracking_uri(place, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
        monkeypatch.delitem(sys.modules, name)
    bench(*TRAIN, "silent", "--epochs", 1, cwd=place, MLFLOW_TRACKING_URI="")
    assert "mlflow" not in sys.modules
    assert not (place / "runs" / "silent" / "mlflow.json").exists()


@pytest.fixture
def unresponsive_port() -> Iterator[int]:
    """Yield the port of a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_unreachable_server_is_reported_immediately(place):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    start_time = time.monotonic()
    err = bench(*TRAIN, "dead", "--epochs", 1, cwd=place, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    assert err.count("benchdog: plugin 'mlflow'") == 1
    assert f"no MLflow server answers at http://127.0.0.1:{port}" in err
    assert time.monotonic() - start_time < 60
    facts = json.loads((place / "runs" / "dead" / "run.json").read_text(encoding="utf-8"))
    assert facts["status"] == "finished"


@pytest.mark.slow
def test_unresponsive_server_does_not_block_the_run(place, unresponsive_port):
    env = environment(
        place, {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{unresponsive_port}", "BENCHDOG_PATIENCE": "2"}
    )
    # A process of its own, since it exits without waiting for the server.
    err = run_bench(*TRAIN, "mute", "--epochs", 1, cwd=place, env=env, module="support.bare").err
    assert err.count("benchdog: plugin 'mlflow'") == 1
    assert "still busy with benchdog_run_started" in err
    bench(*TRAIN, "untracked", "--epochs", 1, cwd=place, BENCHDOG_PLUGINS="-mlflow")
    assert in_process.same(place / "runs" / "mute", place / "runs" / "untracked")


def test_unreachable_error_hides_the_password(unresponsive_port):
    check_reachable(f"http://127.0.0.1:{unresponsive_port}")
    check_reachable("sqlite:///somewhere.db")
    assert without_password("https://me:secret@tracking.example:81/x") == "https://tracking.example:81/x"
    assert without_password("sqlite:///a.db") == "sqlite:///a.db"
    with pytest.raises(NotAvailable, match="MLFLOW_TRACKING_URI") as caught:
        check_reachable("http://me:secret@127.0.0.1:1")
    assert "secret" not in str(caught.value)


def test_flat_joins_keys_and_truncates_values():
    flattened = flat({"a": {"b c": [1, 2], "{}": {}}, "long": "x" * 9000})
    assert flattened == {"a.b c": "[1, 2]", "a.__": "{}", "long": "x" * 5000}


def test_hook_module_is_lightweight_and_declares_its_contract():
    spec = find_spec("benchdog_mlflow")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert any(isinstance(n, ast.Assign) and ast.unparse(n) == "CONTRACT = 1" for n in tree.body)
    script = "import sys, benchdog_mlflow; print(sorted({'torch', 'mlflow', 'requests', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
