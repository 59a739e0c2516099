"""The session of a custom trainer: checkpoints, stopping, logging and errors on misuse."""

import json

import pytest

from benchdog.errors import BadUsage
from benchdog.plugins import Plugins
from benchdog.system.signals import Signals
from support.in_process import run, same, stop_at

pytestmark = pytest.mark.usefixtures("weights_alone")

TRAINER = '''
"""A trainer with its own momentum, an average of the weights, and options for what to do wrong."""

from dataclasses import dataclass
from typing import Annotated

import torch

from benchdog.api import Doc, TrainerInfo, hookimpl

CONTRACT = 1


@dataclass(frozen=True, kw_only=True)
class Options:
    wrong: Annotated[str, Doc("What to do wrong.")] = ""


class Average:
    def __init__(self, model):
        self.values = [p.detach().clone() for p in model.parameters()]
        self.count = 0

    def update(self, model):
        self.count += 1
        for value, p in zip(self.values, model.parameters()):
            value.lerp_(p.detach(), 0.1)

    def state_dict(self):
        return {"values": self.values, "count": self.count, "note": ("a", 1, None)}

    def load_state_dict(self, state):
        self.values, self.count = state["values"], state["count"]
        assert state["note"] == ("a", 1, None)


class Mine:
    def __init__(self, options):
        self.wrong = options.wrong

    def train(self, session):
        model = session.device.prepare(session.model)
        average = Average(model)
        if self.wrong == "tracks what has no state":
            session.track(average=3)
        if self.wrong == "tracks what can't be stored":
            average.state_dict = lambda: {"deep": [{"here": object()}]}
        session.track(average=average)
        if self.wrong == "returns nothing":
            return None
        if self.wrong == "does nothing":
            return model
        for _ in session.epochs():
            for batch in session.batches():
                loss, weight = session.task.loss(model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                with torch.no_grad():
                    for p in model.parameters():
                        p -= 0.1 * p.grad + 0.001 * torch.randn(p.shape)
                        p.grad = None
                average.update(model)
                session.step_done(loss, weight)
            metrics = session.evaluate("valid")
            if self.wrong == "asks for a split that isn't":
                session.evaluate("vlaid")
            session.epoch_done(metrics)
        with torch.no_grad():
            for value, p in zip(average.values, model.parameters()):
                p.copy_(value)
        return model


@hookimpl
def benchdog_trainers():
    return [
        TrainerInfo(name="mine", summary="My own.", target=":Mine", options=":Options"),
        TrainerInfo(name="in-one-go", summary="Can't resume.", target=":Mine", options=":Options", resumable=False),
    ]
'''
TRAIN = ["train", "digits", "--model", "linear", "--epochs", 2, "--quiet", "--set", "loop.checkpoint_steps=5"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    (folder / "mine.py").write_text(TRAINER, encoding="utf-8")
    run("--plugin", "mine.py", *TRAIN, "--trainer", "mine", "--name", "whole", cwd=folder)
    return folder


def test_third_party_trainer_resumes_bit_identical(place, monkeypatch):
    stop_at(monkeypatch, 23)
    run("--plugin", "mine.py", *TRAIN, "--trainer", "mine", "--name", "cut", cwd=place, code=143)
    monkeypatch.undo()
    run("train", "--resume", "cut", "--quiet", cwd=place)
    assert same(place / "runs" / "cut", place / "runs" / "whole")


def test_non_resumable_trainer_refuses_resume(place, monkeypatch):
    stop_at(monkeypatch, 3)
    run("--plugin", "mine.py", *TRAIN, "--trainer", "in-one-go", "--name", "once", cwd=place, code=143)
    monkeypatch.undo()
    refused = run("train", "--resume", "once", cwd=place, code=2)
    assert "'in-one-go' can't resume" in refused.err
    assert "recipe.toml" in refused.err


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ("tracks what has no state", 2, "tracks 'average', which has no state_dict"),
        ("tracks what can't be stored", 2, "['tracked']['average']['deep'][0]['here']"),
        ("returns nothing", 2, "returned a NoneType"),
        ("asks for a split that isn't", 2, "vlaid"),
    ],
)
def test_session_misuse_is_reported(place, wrong, code, message):
    result = run(
        "--plugin", "mine.py", *TRAIN, "--trainer", "mine", "--set", f"trainer.wrong={wrong}", cwd=place, code=code
    )
    assert message in result.err


def test_trainer_without_steps_keeps_the_untrained_model(place):
    args = [
        "--plugin",
        "mine.py",
        *TRAIN,
        "--trainer",
        "mine",
        "--set",
        "trainer.wrong=does nothing",
        "--name",
        "idle",
    ]
    run(*args, cwd=place)
    run_facts = json.loads((place / "runs" / "idle" / "run.json").read_text())
    assert run_facts["status"] == "finished"
    assert run_facts["steps_done"] == 0
    assert run_facts["best"] is None


def test_observer_and_logging_do_not_change_a_run(place, tmp_path):
    observer = tmp_path / "watcher.py"
    observer.write_text(
        "from benchdog.api import hookimpl\n"
        "@hookimpl\ndef benchdog_step_ended(run, step, loss):\n    raise OSError('watcher')\n"
        "@hookimpl\ndef benchdog_epoch_ended(metrics):\n    metrics.clear()\n",
        encoding="utf-8",
    )
    args = ["--plugin", "mine.py", "--plugin", observer, *TRAIN, "--trainer", "mine", "--set", "loop.log_every=1"]
    result = run(*args, "--name", "observed", cwd=place)
    assert result.err.count("plugin 'watcher'") == 1
    assert "benchdog_step_ended raised OSError: watcher" in result.err
    assert same(place / "runs" / "observed", place / "runs" / "whole")


def test_second_signal_interrupts_immediately():
    with Signals() as signals:
        signals.notice(15, None)
        assert signals.number == 15
        with pytest.raises(KeyboardInterrupt):
            signals.notice(15, None)


def test_trainer_options_are_validated_before_the_run(place):
    with pytest.raises(BadUsage, match="no option 'wrng'"):
        Plugins.discover([place / "mine.py"]).make("trainer", "mine", {"wrng": "x"})
