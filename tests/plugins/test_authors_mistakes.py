"""Mistakes of plugin authors are named: what is wrong, and what to write instead."""

from pathlib import Path

import pytest

from support.in_process import train

PLUGIN = """
from benchdog.api import Answer, Column, Field, Raw, SourceInfo, Spec, Target, TaskInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="rows", summary="Rows.", target=":Rows")]


@hookimpl
def benchdog_tasks():
    return [TaskInfo(name="plain", summary="Classes.", target=":Plain", answer=":answer", models={"table": "linear"})]


class Rows:
    def spec(self):
        field = Field(kind="table", shape=(1,), dtype="float32", columns=(Column(name="x"),))
        return Spec(fields=(field,), target=Target(kind="class", classes=("a", "b")))

    def open(self):
        return [Raw(id=str(i), fields={"input": {"x": i * 0.37 % 1}}, target=i % 2) for i in range(60)]


class Plain:
    monitor, better = "loss", "min"

    def check(self, spec):
        pass

    def output(self, spec):
        return (spec.classes,)

    def head(self, spec):
        from torch import nn

        return nn.Softmax(1)

    def loss(self, score, batch):
        from torch import nn

        return nn.functional.cross_entropy(score, batch.target, reduction="sum"), len(score)

    def meter(self, spec):
        return Meter(self)


class Meter:
    def __init__(self, task):
        self.task, self.sum, self.count = task, 0.0, 0.0

    def add(self, score, batch):
        loss, weight = self.task.loss(score, batch)
        self.sum, self.count = self.sum + float(loss), self.count + weight

    def state(self):
        from torch import tensor

        return {"sums": tensor([self.sum, self.count])}

    def merge(self, state):
        loss, count = state["sums"].tolist()
        self.sum, self.count = self.sum + loss, self.count + count

    def value(self):
        return {"loss": self.sum / max(self.count, 1)}


def answer(call, inputs, spec, options):
    return [Answer({"label": spec.target.classes[int(row.argmax())]}) for row in call(*inputs)[0]]
"""
MISTAKES = [
    ("def spec(", "def specs(", "The source 'rows' can't be used: a Rows has no spec()."),
    ("def meter(", "def meters(", "The task 'plain' can't be used: a Plain has no meter()."),
    ('monitor, better = "loss", "min"', "pass", "Task 'plain' doesn't say by which metric the best epoch is chosen."),
    ("return (spec.classes,)", "return spec.classes", "Task 'plain': output() returns 2, not a tuple."),
    ('reduction="sum"), len(score)', 'reduction="sum")', "Plain.loss() returns a Tensor, not a pair."),
    ('{"loss": self.sum', '{"error": self.sum', "chooses the best epoch by 'loss', which is not among the metrics"),
    (
        'Answer({"label": spec.target.classes[int(row.argmax())]})',
        "{}",
        "returns a list of dict, not a list of Answer",
    ),
    (" for row in call(*inputs)[0]]", " for row in call(*inputs)[0][:1]]", "returns 1 answers for"),
]


def tried(place: Path, text: str, code: int) -> str:
    (place / "mine.py").write_text(text, encoding="utf-8")
    recipe = 'source = "rows"\ntask = "plain"\nmodel = "linear"\nplugins = ["mine.py"]\n'
    (place / "recipe.toml").write_text(recipe, encoding="utf-8")
    return train("recipe.toml", "--epochs", 1, cwd=place, code=code).err


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES, ids=[told[:40] for _, _, told in MISTAKES])
def test_mistake_is_named(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    assert right in PLUGIN
    assert told in tried(tmp_path, PLUGIN.replace(right, wrong), 2)


TRAINER = """
from torch import optim


class Endless:
    def train(self, session):
        optimizer = optim.SGD(session.device.prepare(session.model).parameters(), lr=0.1)
        for _ in session.epochs():
            for batch in session.batches():
                loss, weight = session.task.loss(session.model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                session.device.step(optimizer)
                optimizer.zero_grad()
                session.step_done(loss.detach(), weight)
        return session.model
"""


def test_trainer_that_closes_no_epoch_is_ended(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(TRAINER, encoding="utf-8")
    choice = ("--model", "linear", "--trainer", "loops.py:Endless", "--epochs", 1)
    told = train("digits", *choice, cwd=tmp_path, code=2).err
    assert "loops.py:Endless' does not close epoch 1, and would never end." in told


def test_plugin_without_mistakes_trains(tmp_path: Path) -> None:
    assert "valid.loss" in tried(tmp_path, PLUGIN, 0)
