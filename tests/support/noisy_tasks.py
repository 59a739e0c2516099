"""A local plugin file with a task that prepares its batches, an endless stream, and a trainer with its own data."""

from pathlib import Path

CODE = """
import os
from dataclasses import replace

import numpy as np
from benchdog.api import (Answer, Batch, Field, ModelInfo, Raw, Shard, SourceInfo, Spec, Target, TaskInfo,
                          TrainerInfo, hookimpl)

CONTRACT = 1


@hookimpl
def benchdog_sources():
    names = ("sums", "endless", "turning", "endless-valid", "bare")
    return [SourceInfo(name=n, summary="A test.", target=f":{n.title().replace('-', '')}") for n in names]


@hookimpl
def benchdog_tasks():
    return [
        TaskInfo(name="denoise", summary="A test.", target=":Denoise", answer=":answer"),
        TaskInfo(name="reshape", summary="A test.", target=":Reshape", answer=":answer"),
        TaskInfo(name="lie", summary="A test.", target=":Lie", answer=":answer"),
        TaskInfo(name="half", summary="A test.", target=":Half", answer=":answer"),
    ]


@hookimpl
def benchdog_models():
    return [ModelInfo(name=n, summary="A test.", target=f":{n}") for n in ("net", "flat")]


@hookimpl
def benchdog_trainers():
    return [
        TrainerInfo(name="own-data", summary="A test.", target=":OwnData", uses_data=False),
        TrainerInfo(name="noting", summary="A test.", target=":noting"),
    ]


def row(name, number):
    draws = np.random.default_rng([number, len(name)])
    values = draws.normal(3, 2, 3).astype("float32")
    return Raw(id=f"{name}-{number}", fields={"input": values}, target=float(values.sum()))


class Finite:
    def __init__(self, name, count, shards=3, endless=False):
        self.name, self.count, self.number, self.endless = name, count, shards, endless

    def shards(self):
        return [Shard(name=f"{self.name}{i}", endless=self.endless) for i in range(self.number)]

    def read(self, shard, start):
        number = start
        while self.endless or number < self.count:
            yield row(shard.name, number)
            number += 1


class Sums:
    def spec(self):
        field = Field(kind="table", shape=(3,), dtype="float32")
        return Spec(fields=(field,), target=Target(kind="number", name="sum", dtype="float32"))

    def open(self):
        return {name: [row(name, i) for i in range(n)] for name, n in (("train", 90), ("valid", 30), ("test", 20))}


class Endless(Sums):
    def open(self):
        return {"train": Finite("train", 0, endless=True), "valid": Finite("valid", 20)}


class Turning(Sums):
    def open(self):
        return {"train": Finite("train", 11), "valid": Finite("valid", 20)}


class EndlessValid(Sums):
    def open(self):
        return {"train": Finite("train", 11), "valid": Finite("valid", 0, endless=True)}


class Bare(Sums):
    def open(self):
        raise AssertionError("not opened for a trainer that brings its data")


class Denoise:
    monitor, better = "error", "min"

    def check(self, spec):
        pass

    def prepared_spec(self, spec):
        level = Field(name="level", kind="number", shape=(), dtype="float32", range=(0, 1))
        target = Target(kind="noise", name="noise", shape=(3,), dtype="float32")
        return Spec(fields=(level, *spec.fields), target=target)

    def prepare(self, inputs, target, draws):
        level, noise = draws.uniform(), draws.normal(3)
        return (level, inputs[0] + level[:, None] * noise), noise

    def output(self, spec):
        return spec.target.shape

    def head(self, spec):
        from torch import nn
        return nn.Identity()

    def loss(self, score, batch):
        return (score - batch.target).square().sum(), len(score)

    def meter(self, spec):
        return Meter(self)


class Meter:
    def __init__(self, task):
        import torch
        self.task, self.sums = task, torch.zeros(2, dtype=torch.float64)

    def add(self, score, batch):
        self.sums += self.sums.new_tensor([float(x) for x in self.task.loss(score, batch)])

    def state(self):
        return {"sums": self.sums}

    def merge(self, state):
        self.sums += state["sums"]

    def value(self):
        error = float(self.sums[0] / self.sums[1].clamp(min=1))
        return {"error": error, "loss": error}


class Reshape(Denoise):
    def prepared_spec(self, spec):
        return replace(spec, fields=(replace(spec.fields[0], shape=(4,)),))


class Lie(Denoise):
    def prepare(self, inputs, target, draws):
        return inputs, target


class Half(Denoise):
    prepared_spec = None


def answer(call, inputs, spec, options):
    level = np.full(len(inputs[0]), 0.5, "float32")
    _, noise = call(level, inputs[0])
    return [Answer({f"x{k}": float(v) for k, v in enumerate(row)}) for row in inputs[0] - 0.5 * noise]


def net(spec, options):
    return flat(spec, options, 0.1)


def flat(spec, options, dropout=0.0):
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(len(spec.fields) + 2, 16), nn.ReLU(), nn.Dropout(dropout))
            self.last = nn.Linear(16, spec.outputs)

        def forward(self, *inputs):
            return self.last(self.layers(torch.cat([x.flatten(1) if x.ndim > 1 else x[:, None] for x in inputs], 1)))

    return Net()


def noting():
    from benchdog.builtin.trainers.options import Supervised as Options
    from benchdog.builtin.trainers.supervised import Supervised

    class Noting(Supervised):
        def train(self, session):
            batches = session.batches

            def noted():
                for batch in batches():
                    with open(os.environ["NOTED"], "a") as file:
                        file.write(" ".join(batch.ids) + "\\n")
                    yield batch

            session.batches = noted
            return super().train(session)

    return Noting(Options())


class OwnData:
    def train(self, session):
        import torch

        model = session.device.prepare(session.model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        session.track(optimizer=optimizer)
        for _ in session.epochs():
            for step in session.steps():
                values = np.random.default_rng((session.seed, step)).normal(3, 2, (16, 3)).astype("float32")
                inputs = session.transformed(values)
                batch = Batch(inputs, torch.from_numpy(values.sum(1)) + 0.1 * torch.randn(16))
                loss, weight = session.task.loss(model(*inputs), batch)
                session.backward(loss, weight, batch)
                session.device.step(optimizer)
                optimizer.zero_grad()
                session.step_done(loss.detach(), weight)
            session.epoch_done({"mse": float(loss.detach() / 16), session.task.monitor: float(loss.detach())})
        return model
"""


def write(folder: Path) -> Path:
    """Write the plugin file into a folder; return its path."""
    path = folder / "noisy.py"
    path.write_text(CODE, encoding="utf-8")
    return path
