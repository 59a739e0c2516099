"""Every event reaches an observer, with what it promises; every kind of augmentation is a plugin's too."""

import json

import pytest

RECORDER = """
import json
from pathlib import Path

from benchdog.api import AugmentationInfo, TrainerInfo, hookimpl

CONTRACT = 1


def heard(**facts):
    with Path(__file__).with_name("heard.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(facts) + "\\n")


@hookimpl
def benchdog_run_started(run):
    heard(event="run_started", run=run.name, model=run.model)


@hookimpl
def benchdog_step_ended(run, step, loss):
    heard(event="step_ended", run=run.name, step=step, loss=loss)


@hookimpl
def benchdog_epoch_ended(run, epoch, metrics):
    heard(event="epoch_ended", run=run.name, epoch=epoch, metrics=metrics)


@hookimpl
def benchdog_checkpoint_saved(run, step, path):
    heard(event="checkpoint_saved", run=run.name, step=step, there=Path(path).exists())


@hookimpl
def benchdog_artifact_exported(exporter, path):
    heard(event="artifact_exported", exporter=exporter, there=Path(path).is_dir())


@hookimpl
def benchdog_run_failed(run, error):
    heard(event="run_failed", run=run.name, error=error)


@hookimpl
def benchdog_run_ended(run, metrics):
    heard(event="run_ended", run=run.name, metrics=metrics)


@hookimpl
def benchdog_augmentations():
    return [AugmentationInfo(name="nothing", summary="Leaves all as it is.", target=":Nothing")]


class Nothing:
    def check(self, spec):
        heard(event="checked", shape=spec.fields[0].shape)

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

    def heard():
        lines = (tmp_path / "heard.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    return heard


def test_a_run_and_its_export_are_heard(bench, recorder):
    plugin = ("--plugin", "recorder.py")
    short = ("--epochs", 1, "--quiet", "--name", "first", "--model", "linear", "--set", "loader.augment=['nothing']")
    bench(*plugin, "train", "digits", *short, "--set", "loop.log_every=10")
    bench(*plugin, "export", "first", "--to", "safetensors")
    told = recorder()
    by = {each["event"]: each for each in told}
    order = [each["event"] for each in told if each["event"] not in ("step_ended", "checked", "checkpoint_saved")]
    assert order == ["run_started", "epoch_ended", "run_ended", "artifact_exported"]
    assert by["checked"]["shape"] == [1, 8, 8]
    assert by["run_started"]["model"] == "linear"
    assert by["step_ended"]["step"] % 10 == 0
    assert by["step_ended"]["loss"] > 0
    assert by["epoch_ended"]["metrics"]["valid.accuracy"] == by["run_ended"]["metrics"]["valid.accuracy"]
    assert by["checkpoint_saved"]["there"]
    assert by["artifact_exported"] == {"event": "artifact_exported", "exporter": "safetensors", "there": True}


def test_a_run_that_fails_is_heard(bench, recorder):
    bench("--plugin", "recorder.py", "train", "digits", "--trainer", "unlucky", "--quiet", "--name", "bad", code=1)
    (failed,) = (each for each in recorder() if each["event"] == "run_failed")
    assert failed["run"] == "bad"
    assert "out of luck" in failed["error"]
