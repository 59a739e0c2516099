"""Events that a local plugin observes, with their arguments; its augmentation and trainer are used."""

import json

import pytest

pytestmark = pytest.mark.usefixtures("weights_alone")

RECORDER = """
import json
from pathlib import Path

from benchdog.api import AugmentationInfo, TrainerInfo, hookimpl

CONTRACT = 1


def record(**facts):
    with Path(__file__).with_name("events.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\\n")


@hookimpl
def benchdog_run_started(run):
    record(event="run_started", run=run.name, model=run.model)


@hookimpl
def benchdog_step_ended(run, step, loss):
    record(event="step_ended", run=run.name, step=step, loss=loss)


@hookimpl
def benchdog_epoch_ended(run, epoch, metrics):
    record(event="epoch_ended", run=run.name, epoch=epoch, metrics=metrics)


@hookimpl
def benchdog_checkpoint_saved(run, step, path):
    record(event="checkpoint_saved", run=run.name, step=step, there=Path(path).exists())


@hookimpl
def benchdog_artifact_exported(exporter, path):
    record(event="artifact_exported", exporter=exporter, there=Path(path).is_dir())


@hookimpl
def benchdog_run_failed(run, error):
    record(event="run_failed", run=run.name, error=error)


@hookimpl
def benchdog_run_ended(run, metrics):
    record(event="run_ended", run=run.name, metrics=metrics)


@hookimpl
def benchdog_augmentations():
    return [AugmentationInfo(name="nothing", summary="Leaves all as it is.", target=":Nothing")]


class Nothing:
    def check(self, spec):
        record(event="checked", shape=spec.fields[0].shape)

    def apply(self, inputs, target, draws):
        return inputs, target


@hookimpl
def benchdog_trainers():
    return [TrainerInfo(name="unlucky", summary="Fails.", target=":Unlucky")]


class Unlucky:
    def train(self, session):
        raise RuntimeError("out of luck")
"""


@pytest.fixture
def recorder(tmp_path):
    (tmp_path / "recorder.py").write_text(RECORDER, encoding="utf-8")

    def read_events():
        lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return read_events


def test_observer_receives_events_of_a_run_and_its_export(bench, recorder):
    plugin = ("--plugin", "recorder.py")
    short = ("--epochs", 1, "--quiet", "--name", "first", "--model", "linear", "--set", "loader.augment=['nothing']")
    bench(*plugin, "train", "digits", *short, "--set", "loop.log_every=10")
    bench(*plugin, "export", "first", "--to", "safetensors")
    events = recorder()
    by = {each["event"]: each for each in events}
    order = [each["event"] for each in events if each["event"] not in ("step_ended", "checked", "checkpoint_saved")]
    assert order == ["run_started", "epoch_ended", "run_ended", "artifact_exported"]
    assert by["checked"]["shape"] == [1, 8, 8]
    assert by["run_started"]["model"] == "linear"
    assert by["step_ended"]["step"] % 10 == 0
    assert by["step_ended"]["loss"] > 0
    assert by["epoch_ended"]["metrics"]["valid.accuracy"] == by["run_ended"]["metrics"]["valid.accuracy"]
    assert by["checkpoint_saved"]["there"]
    assert by["artifact_exported"] == {"event": "artifact_exported", "exporter": "safetensors", "there": True}


def test_observer_receives_run_failed(bench, recorder):
    bench("--plugin", "recorder.py", "train", "digits", "--trainer", "unlucky", "--quiet", "--name", "bad", code=1)
    (failed,) = (each for each in recorder() if each["event"] == "run_failed")
    assert failed["run"] == "bad"
    assert "out of luck" in failed["error"]
