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
SAMPLES = 'return [Raw(id=str(i), fields={"input": {"x": i * 0.37 % 1}}, target=i % 2) for i in range(60)]'
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
    (
        "spec.target.classes[int(row.argmax())]",
        "row.argmax()",
        "the value 'label' is an int64, which JSON doesn't have.",
    ),
    ("return Spec(", "Spec(", "Rows.spec() returns None, not a Spec."),
    ("fields=(field,)", "fields=field", "Spec: fields is a Field, not a tuple such as fields=(Field(...),)"),
    ("shape=(1,)", "shape=1", "Field: shape is 1, not a tuple such as shape=(3, 32, 32)"),
    ('classes=("a", "b")', 'classes="ab"', "Target: classes is 'ab', not a tuple such as"),
    ("return [Raw(", "[Raw(", "Rows.open() returns None."),
    (SAMPLES, "return [({'x': 0.5}, i % 2) for i in range(60)]", "Rows.open(): sample 0 is a tuple, not a Raw."),
    (
        SAMPLES,
        f"return {{'train': [1, 2], 'valid': {SAMPLES[7:]}}}",
        "The split 'train': sample 0 is an int, not a Raw.",
    ),
    (
        "def check(self, spec)",
        "def check(self)",
        "a Plain can't be called as check(spec): too many positional arguments.",
    ),
    ("        pass", "        return False", "The task 'plain': check() returns False, which says nothing."),
    ("return nn.Softmax(1)", "return nn.functional.softmax", "head() returns a function, not a torch.nn.Module."),
    (
        "return nn.Softmax(1)",
        "return nn.Linear(3, 2)",
        "its head, Linear, raises RuntimeError for scores of the shape (2, 2)",
    ),
    (
        "return nn.Softmax(1)",
        "return nn.Flatten(0)",
        "its head, Flatten, returns a tensor of the shape (4,) for scores",
    ),
    (
        'reduction="sum")',
        'reduction="sum").item()',
        "Plain.loss() returns a float and an int, not a tensor and a number.",
    ),
    ("len(score)", "0", "the weight of its loss was 0 in every batch of epoch 1, so nothing was learned."),
    ('reduction="sum")', 'reduction="sum") + batch.inputs[0].sum()', "a batch has no inputs in evaluation."),
    ("return Meter(self)", "return Meter", "The task 'plain': meter() returns the class Meter."),
    ("return Meter(self)", "pass", "The task 'plain': meter() returns None, which has no add()."),
    ('return {"loss"', 'return None and {"loss"', "its meter's value() returns None, not a dict."),
    ('{"loss": self.sum', '{"loss": "low", "sum": self.sum', "value() has loss = 'low', which is not a number."),
    (
        '{"loss": self.sum',
        '{"far": {1, 2}, "loss": self.sum',
        "its meter's value()['far'] is a set, which JSON doesn't have.",
    ),
    (
        'return [SourceInfo(name="rows", summary="Rows.", target=":Rows")]',
        "pass",
        "returns None, not a list of descriptors",
    ),
]


def tried(place: Path, text: str, code: int | None, *more: str) -> str:
    (place / "mine.py").write_text(text, encoding="utf-8")
    recipe = 'source = "rows"\ntask = "plain"\nmodel = "linear"\nplugins = ["mine.py"]\n'
    (place / "recipe.toml").write_text(recipe, encoding="utf-8")
    result = train("recipe.toml", "--epochs", 1, *more, cwd=place, code=code)
    assert result.code in (0, 1, 2)
    return result.err


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES, ids=[told[:40] for _, _, told in MISTAKES])
def test_mistake_is_named(tmp_path: Path, right: str, wrong: str, told: str) -> None:
    assert right in PLUGIN
    err = tried(tmp_path, PLUGIN.replace(right, wrong), None)
    assert told in err
    assert "error: " in err


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
    assert "valid.loss" in tried(tmp_path, PLUGIN + AUGMENTATION, 0, *AUGMENTED)


def test_lists_and_numbers_of_torch_are_taken_as_they_are_meant(tmp_path: Path) -> None:
    text = PLUGIN.replace("fields=(field,)", "fields=[field]").replace('classes=("a", "b")', 'classes=["a", "b"]')
    value = "self.sum / max(self.count, 1)"
    text = text.replace(
        f'return {{"loss": {value}}}', f'import torch\n\n        return {{"loss": torch.tensor({value})}}'
    )
    assert "torch.tensor" in text
    assert "valid.loss" in tried(tmp_path, text, 0)


AUGMENTATION = """
from benchdog.api import AugmentationInfo


@hookimpl
def benchdog_augmentations():
    return [AugmentationInfo(name="nothing", summary="Leaves all as it is.", target=":Nothing")]


class Nothing:
    def check(self, spec):
        pass

    def apply(self, inputs, target, draws):
        return inputs, target
"""
AUGMENTED = ("--set", "loader.augment=['nothing']")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("inputs", "apply() returns a tuple, not a pair."),
        ("None", "apply() returns None, not a pair."),
        ("inputs[0], target", "apply() returns a Tensor and a Tensor, not a tuple of tensors and a tensor."),
        (
            "(inputs[0][:1],), target",
            "apply() returns inputs of the shapes [(1, 1)] and 43 targets; it got [(43, 1)] and 43.",
        ),
    ],
)
def test_augmentations_mistake_is_named(tmp_path: Path, wrong: str, told: str) -> None:
    text = PLUGIN + AUGMENTATION.replace("return inputs, target", f"return {wrong}")
    assert f"The augmentation 'nothing': {told}" in tried(tmp_path, text, 2, *AUGMENTED)
