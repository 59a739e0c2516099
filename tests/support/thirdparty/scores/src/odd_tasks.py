"""A plugin file: tasks whose scores mean something else than those of Benchdog's tasks for the same target."""

import random
from typing import ClassVar

from benchdog.api import Answer, Column, Field, Raw, SourceInfo, Spec, Target, TaskInfo, hookimpl

CONTRACT = 1
NAMES = (
    "poisson", "rates", "wrongly", "quantiles", "steps", "margins", "ranking", "percent", "own", "monitorless",
    "higher",
)  # fmt: skip


@hookimpl
def benchdog_sources():
    return [
        SourceInfo(name="counts", summary="Counts.", target=":Counts"),
        SourceInfo(name="places", summary="Places in an order.", target=":Places"),
        SourceInfo(name="relevance", summary="A target of its own kind.", target=":Relevance"),
    ]


@hookimpl
def benchdog_tasks():
    return [
        TaskInfo(
            name=name,
            summary=f"The task {name}.",
            target=":rates" if name == "rates" else f":{name.title()}",
            answer=":answer",
            models={"table": "linear"},
            targets=("relevance",) if name == "ranking" else (),
        )
        for name in NAMES
    ]


def answer(call, inputs, spec, options):
    return [Answer({"value": [float(value) for value in row.ravel()]}) for row in call(*inputs)[0]]


class Counts:
    target = Target(kind="number", name="count", dtype="float32")

    def spec(self):
        columns = (Column(name="a"), Column(name="b"))
        return Spec(fields=(Field(kind="table", shape=(2,), dtype="float32", columns=columns),), target=self.target)

    def open(self):
        draw = random.Random(0)
        rows = [{"a": draw.gauss(0, 1), "b": draw.gauss(0, 1)} for _ in range(160)]
        return [Raw(id=f"row {i}", fields={"input": row}, target=self.value(row)) for i, row in enumerate(rows)]

    def value(self, row):
        return round(20 + 3 * row["a"])


class Places(Counts):
    target = Target(kind="class", name="place", classes=("low", "middle", "high"))

    def value(self, row):
        return (row["a"] > -0.5) + (row["a"] > 0.5)


class Relevance(Counts):
    target = Target(kind="relevance", name="relevance", dtype="float32")

    def value(self, row):
        return max(0.0, row["a"])


class Base:
    monitor, better = "loss", "min"
    scores = 1
    more: ClassVar = {}

    def check(self, spec):
        pass

    def output(self, spec):
        return (self.scores,)

    def head(self, spec):
        from torch import nn

        return nn.Identity()

    def meter(self, spec):
        return Mean(self)


class Mean:
    def __init__(self, task):
        self.task, self.total, self.count = task, 0.0, 0.0

    def add(self, score, batch):
        loss, weight = self.task.loss(score, batch)
        self.total, self.count = self.total + float(loss), self.count + float(weight)

    def state(self):
        from torch import float64, tensor

        return {"sums": tensor([self.total, self.count], dtype=float64)}

    def merge(self, state):
        total, count = state["sums"].tolist()
        self.total, self.count = self.total + total, self.count + count

    def value(self):
        return {"loss": self.total / max(self.count, 1.0), **self.task.more}


class Poisson(Base):
    """The score is the logarithm of the rate."""

    def loss(self, score, batch):
        score = score[:, 0]
        return (score.exp() - batch.target * score).sum(), len(score)


def rates():
    """Subclass a built-in task with another loss: what that declares of its scores is no longer true."""
    from benchdog.builtin.tasks.options import RegressionOptions
    from benchdog.builtin.tasks.regression import Regression

    class Rates(Regression):
        monitor = "loss"
        loss, meter, more = Poisson.loss, Poisson.meter, {}

    return Rates(RegressionOptions())


class Wrongly(Poisson):
    usual_scores = True


class Quantiles(Base):
    scores = 3

    def loss(self, score, batch):
        import torch

        shares = torch.tensor([0.1, 0.5, 0.9])
        gap = batch.target[:, None] - score
        return torch.maximum(shares * gap, (shares - 1) * gap).sum(), len(score)


class Steps(Base):
    """Ordinal regression: two thresholds for three places."""

    scores = 2

    def head(self, spec):
        from torch import nn

        return nn.Sigmoid()

    def loss(self, score, batch):
        import torch

        reached = (batch.target[:, None] > torch.arange(2)).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score, reached, reduction="sum")
        return loss, len(score)


class Margins(Base):
    """A score per class, but no probabilities."""

    scores = 3

    def loss(self, score, batch):
        import torch

        return torch.nn.functional.multi_margin_loss(score, batch.target, reduction="sum"), len(score)


class Ranking(Base):
    adds_up = False

    def losses(self, score, batch):
        return (batch.target - score[:, 0]).square()

    def loss(self, score, batch):
        import torch

        score, target = score[:, 0], batch.target
        order = (target[:, None] > target).float()
        return (torch.nn.functional.softplus(score - score[:, None]) * order).sum(), order.sum().clamp(min=1)


class Percent(Ranking):
    """A metric with a known name, in other units."""

    more: ClassVar = {"accuracy": 87.0, "mae": 3.0}


class Own(Poisson):
    def baselines(self, inputs):
        import torch

        rate = torch.tensor(20.0).log()
        return {"rate of 20": lambda given: rate.expand(len(given[0]), 1)}


class Monitorless(Poisson):
    monitor, better = "ndcg", "max"


class Higher(Poisson):
    better = "higher"
