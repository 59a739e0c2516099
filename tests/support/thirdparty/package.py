"""A third-party plugin, written to disk as a pip-installable package or as a single file.

Both consist of the same components, one of each kind, each at most 25 lines long.
"""

from pathlib import Path

SOURCE = """\
import math
import random

from benchdog.api import Column, Field, Raw, Spec, Target


class Rings:
    def __init__(self, options):
        self.count = options.count

    def spec(self):
        field = Field(kind="table", shape=(2,), dtype="float32", columns=(Column(name="x"), Column(name="y")))
        return Spec(fields=(field,), target=Target(kind="class", name="ring", classes=("inner", "outer")))

    def open(self):
        draw, samples = random.Random(0), []
        for i in range(self.count):
            angle, radius = draw.uniform(0, 2 * math.pi), 1 + i % 2 + draw.gauss(0, 0.1)
            row = {"x": radius * math.cos(angle), "y": radius * math.sin(angle)}
            samples.append(Raw(id=f"ring-{i}", fields={"input": row}, target=i % 2))
        return samples
"""

MODEL = """\
def build(spec, options):
    from torch import nn

    (inputs,) = spec.fields[0].shape
    hidden = nn.Linear(inputs, options.width)
    return nn.Sequential(hidden, nn.Dropout(0.1), nn.Tanh(), nn.Linear(options.width, spec.outputs))
"""

TRAINER = """\
class Noisy:
    def __init__(self, options):
        self.rate = options.rate

    def state_dict(self):
        return {"draws": self.draws.get_state()}

    def load_state_dict(self, state):
        self.draws.set_state(state["draws"])

    def train(self, session):
        import torch

        model, self.draws = session.device.prepare(session.model), torch.Generator().manual_seed(1)
        optimizer = torch.optim.SGD(model.parameters(), lr=self.rate, momentum=0.9)
        session.track(optimizer=optimizer, noise=self)
        for _ in session.epochs():
            for batch in session.batches():
                loss, weight = session.task.loss(model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                if batch.last:
                    for p in model.parameters():
                        p.grad += 0.01 * torch.randn(p.shape, generator=self.draws)
                    optimizer.step()
                    optimizer.zero_grad()
                    session.step_done(loss, weight)
            session.epoch_done(session.evaluate())
        return model
"""

EXPORTER = """\
class Graph:
    def export(self, artifact, folder):
        import torch

        torch.export.save(artifact.program(), folder / "graph.pt2")


class GraphRunner:
    def __init__(self, folder):
        import torch

        self.module = torch.export.load(folder / "graph.pt2").module()

    def __call__(self, *inputs):
        import torch

        return tuple(x.detach().numpy() for x in self.module(*map(torch.from_numpy, inputs)))
"""

BACKEND = """\
from contextlib import nullcontext

from benchdog.api import Probe


class Bench:
    def probe(self):
        return Probe(available=True, why="the CPU", devices=1)

    def open(self, rank, world):
        return Device(rank, world)


class Device:
    def __init__(self, rank, world):
        import torch

        self.torch_device, self.rank, self.world = torch.device("cpu"), rank, world
        self.prepare = self.put = self.sum_ = lambda thing: thing
        self.autocast, self.state_dict = nullcontext, dict
        self.close = self.load_state_dict = lambda *nothing: None

    def backward(self, loss, scale):
        (loss * scale).backward()

    def step(self, optimizer):
        optimizer.step()
"""

OPTIONS = """\
from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc


@dataclass(frozen=True, kw_only=True)
class RingsOptions:
    count: Annotated[int, Doc("Samples in all."), Bounds(ge=10)] = 400


@dataclass(frozen=True, kw_only=True)
class NetOptions:
    width: Annotated[int, Doc("Hidden units."), Bounds(ge=1)] = 16


@dataclass(frozen=True, kw_only=True)
class NoisyOptions:
    rate: Annotated[float, Doc("Learning rate."), Bounds(gt=0)] = 0.3
"""

HOOKS = """\
from benchdog.api import BackendInfo, ExporterInfo, ModelInfo, SourceInfo, TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources():
    info = SourceInfo(name="rings", summary="Two rings.", target="{source}:Rings", options="{options}:RingsOptions")
    return [info]


@hookimpl
def benchdog_models():
    return [ModelInfo(name="ring-net", summary="One layer.", target="{model}:build", options="{options}:NetOptions")]


@hookimpl
def benchdog_trainers():
    target, options = "{trainer}:Noisy", "{options}:NoisyOptions"
    return [TrainerInfo(name="noisy", summary="Momentum and noise.", target=target, options=options)]


@hookimpl
def benchdog_exporters():
    target, runner = "{exporter}:Graph", "{exporter}:GraphRunner"
    return [ExporterInfo(name="ring-graph", summary="A graph.", target=target, runner=runner, program=True)]


@hookimpl
def benchdog_backends():
    return [BackendInfo(name="bench", summary="The CPU.", target="{backend}:Bench")]
"""

PROJECT = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "benchdog-acme"
version = "1.2.3"
dependencies = ["benchdog"]

[project.entry-points.benchdog]
acme = "benchdog_acme"

[tool.setuptools.packages.find]
where = ["src"]
"""

COMPONENTS = {
    "source": SOURCE,
    "model": MODEL,
    "trainer": TRAINER,
    "exporter": EXPORTER,
    "backend": BACKEND,
    "options": OPTIONS,
}


def package(folder: Path) -> Path:
    """Write the package as a project that pip can install."""
    place = folder / "src" / "benchdog_acme"
    place.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    for name, text in COMPONENTS.items():
        (place / f"{name}.py").write_text(text, encoding="utf-8")
    hooks = HOOKS.format(**{name: f"benchdog_acme.{name}" for name in COMPONENTS})
    (place / "__init__.py").write_text(hooks, encoding="utf-8")
    return folder


def single_file(path: Path) -> Path:
    """Write the same components as one file."""
    hooks = HOOKS.format(**dict.fromkeys(COMPONENTS, ""))
    path.write_text("\n\n".join([*COMPONENTS.values(), hooks]), encoding="utf-8")
    return path


def recipe(plugins: str = "", epochs: int = 8, checkpoint_steps: int = 0) -> str:
    """Return a recipe that uses all of them by name."""
    return f"""\
source = "rings"
model = {{ name = "ring-net", width = 12 }}
trainer = "noisy"
backend = "bench"
loop = {{ epochs = {epochs}, batch_size = 32, checkpoint_steps = {checkpoint_steps} }}
{plugins}
"""
