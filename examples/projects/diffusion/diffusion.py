"""Denoising diffusion of small images, by class: the task adds the noise, predict takes it away step by step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from benchdog.api import Answer, BadUsage, Bounds, Doc, Field, ModelInfo, Spec, Target, TaskInfo, hookimpl

CONTRACT = 1
LEVELS = 100
KEPT = np.cumprod(1 - np.linspace(1e-3, 0.12, LEVELS)).astype(np.float32)  # share of the image's variance left


@hookimpl
def benchdog_tasks() -> list[TaskInfo]:
    more: Mapping[str, Any] = {"answer": ":draw", "options": ":Options", "asked": ("steps", "seed", "label")}
    more = {**more, "values": {"image": "image"}}
    return [TaskInfo(name="diffusion", summary="Predict the noise in an image.", target=":Diffusion", **more)]


@hookimpl
def benchdog_models() -> list[ModelInfo]:
    return [
        ModelInfo(name="denoiser", summary="An MLP with residual blocks that knows the time.", target=":denoiser")
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of diffusion."""

    steps: Annotated[int, Doc("Steps of sampling."), Bounds(ge=1, le=LEVELS)] = 50
    seed: Annotated[int, Doc("Seed of the noise that sampling begins with."), Bounds(ge=0)] = 0
    label: Annotated[int, Doc("Number of the class to draw; -1: any."), Bounds(ge=-1)] = -1


class Diffusion:
    """Predict the noise that was added to an image, from the noisy image, its noise level and its class."""

    monitor, better = "error", "min"

    def __init__(self, options: Options) -> None:
        self.options = options

    def check(self, spec: Spec) -> None:
        if spec.target.kind != "class" or spec.fields[0].dtype != "uint8":
            raise BadUsage("The task 'diffusion' needs images of 8 bits with a class.", "Choose another source.")

    def prepared_spec(self, spec: Spec) -> Spec:
        shape = spec.fields[0].shape
        noisy = Field(name="noisy", kind="image", shape=shape, dtype="float32")
        time = Field(name="time", kind="number", shape=(), dtype="int64", range=(0, LEVELS - 1))
        label = Field(name="label", kind="number", shape=(), dtype="int64", range=(0, spec.classes - 1))
        target = Target(kind="noise", name="noise", shape=shape, dtype="float32", classes=spec.target.classes)
        return Spec(fields=(noisy, time, label), target=target)

    def prepare(self, inputs: Any, target: Any, draws: Any) -> Any:
        import torch

        clean = inputs[0].float() / 127.5 - 1
        time = (draws.uniform() * LEVELS).long()
        noise = draws.normal(*clean.shape[1:])
        kept = torch.from_numpy(KEPT).to(clean.device)[time].view(-1, 1, 1, 1)
        return (kept.sqrt() * clean + (1 - kept).sqrt() * noise, time, target), noise

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return spec.target.shape

    def head(self, spec: Spec) -> Any:
        from torch import nn

        return nn.Identity()

    def loss(self, score: Any, batch: Any) -> tuple[Any, float]:
        return (score - batch.target).square().flatten(1).mean(1).sum(), len(score)

    def meter(self, spec: Spec) -> "Meter":
        return Meter(self)


class Meter:
    """Mean squared error of the noise."""

    def __init__(self, task: Diffusion) -> None:
        import torch

        self.task, self.sums = task, torch.zeros(2, dtype=torch.float64)

    def add(self, score: Any, batch: Any) -> None:
        total, count = self.task.loss(score, batch)
        self.sums += self.sums.new_tensor([float(total), count])

    def state(self) -> dict[str, Any]:
        return {"sums": self.sums}

    def merge(self, state: Mapping[str, Any]) -> None:
        self.sums += state["sums"]

    def value(self) -> dict[str, float]:
        error = float(self.sums[0] / max(self.sums[1], 1))
        return {"error": error, "loss": error}


def draw(call: Any, inputs: Any, spec: Spec, options: Options | None) -> list[Answer]:
    """Draw an image per input, by DDIM; the pixels of the input only seed its noise."""
    options = options or Options()
    names, shape = spec.target.classes, [axis or 1 for axis in spec.fields[0].shape]
    if options.label >= len(names):
        raise BadUsage(f"There is no class {options.label}.", f"The last one is {len(names) - 1}.")
    draws = [np.random.default_rng([options.seed, *image.tobytes()]) for image in inputs[0]]
    label = np.array([options.label if options.label >= 0 else each.integers(len(names)) for each in draws])
    x = np.stack([each.standard_normal(shape) for each in draws]).astype(np.float32)
    levels = np.linspace(LEVELS - 1, 0, options.steps).round().astype(int)
    for now, after in zip(levels, [*KEPT[levels[1:]], np.float32(1)], strict=True):
        noise, _ = call(x, np.full(len(x), now), label)
        clean = ((x - np.sqrt(1 - KEPT[now]) * noise) / np.sqrt(KEPT[now])).clip(-1, 1)
        noise = (x - np.sqrt(KEPT[now]) * clean) / np.sqrt(1 - KEPT[now])
        x = np.sqrt(after) * clean + np.sqrt(1 - after) * noise
    pixels = ((x + 1) * 127.5).round().astype(np.uint8)
    return [Answer({"label": names[k], "image": image}) for k, image in zip(label, pixels, strict=True)]


def denoiser(spec: Spec, options: None) -> Any:
    import torch
    from torch import nn

    size, classes = int(np.prod(spec.target.shape)), spec.classes

    class Denoiser(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.time, self.label = nn.Embedding(LEVELS, 64), nn.Embedding(classes, 64)
            self.first, self.last = nn.Linear(size, 256), nn.Linear(256, size)
            blocks = [nn.Sequential(nn.LayerNorm(256), nn.Linear(256, 256), nn.SiLU()) for _ in range(3)]
            self.blocks, self.condition = nn.ModuleList(blocks), nn.Linear(64, 256)

        def forward(self, noisy: torch.Tensor, time: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            x = self.first(noisy.flatten(1))
            condition = self.condition(self.time(time.long()) + self.label(label.long()))
            for block in self.blocks:
                x = x + block(x + condition)
            return self.last(x).view_as(noisy)

    return Denoiser()
