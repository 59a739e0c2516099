"""A run as one plain PyTorch file: the same weights, bit for bit, without Benchdog."""

from __future__ import annotations

import pprint
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchdog import files, state
from benchdog.api import Batch
from benchdog.best import Best
from benchdog.builtin.trainers.supervised import Supervised
from benchdog.bundling import OWN, Bundle
from benchdog.data import HELD_OUT
from benchdog.draws import draws_of
from benchdog.errors import BadUsage
from benchdog.loading import load_resident, mix
from benchdog.recipe import local_files
from benchdog.settle import Parts
from benchdog.transforms import Transform

HEAD = '''"""{title}

Made by `benchdog eject`; it needs torch and numpy, and {data} beside it (the decoded samples, and what the transform
was fitted to). Run it, and it writes the best epoch's weights to model.pt: the same bits as the run's, with
torch {torch} on a processor with {capability} and {threads} threads.
"""

from __future__ import annotations

'''
MAIN = '''
SEED, ORDER_SEED, MODEL_SEED = {seed}, {order_seed}, {model_seed}
EPOCHS, BATCH, PIECES, HELD_OUT, PATIENCE = {epochs}, {batch}, {pieces}, {held_out}, {patience}
RAW_SPEC = {raw_spec}
SPEC = {spec}  # after the transform: what the model is built from


def split(data, name):
    """Read a split: inputs, each (N, ...), and target (N, ...)."""
    inputs = [torch.from_numpy(data[f"{{name}}.input.{{i}}"]) for i in range(len(RAW_SPEC.fields))]
    return inputs, torch.from_numpy(data[f"{{name}}.target"])


def evaluate(model, transform, task, inputs, target):
    """Measure the model on held-out samples."""
    model.eval()
    meter = task.meter(RAW_SPEC)
    with torch.inference_mode():
        for first in range(0, len(target), HELD_OUT):
            part = slice(first, first + HELD_OUT)
            score = model(*transform(*(x[part] for x in inputs)))
            meter.add(score.float(), Batch((), target[part], range(first, first + len(target[part]))))
    return meter.value()


def main():
    torch.set_num_threads({threads})
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    data = np.load(Path(__file__).with_name("{data}"))
    train, target = split(data, "train")
    valid, valid_target = split(data, "valid")

    transform = Transform(Preprocess(decode={{}}, transform={transform}), RAW_SPEC)
    transform.load_state_dict({{name: torch.from_numpy(data[f"transform.{{name}}"]) for name in transform.state_dict()}})
    task = {task}
{restore}
    torch.manual_seed(MODEL_SEED)
    model = {model}
    if any(isinstance(module, nn.Conv2d) for module in model.modules()):
        model = model.to(memory_format=torch.channels_last)
{augment}
    options = {options}
    parameters = list(model.parameters())
    steps = EPOCHS * -(-len(target) // BATCH)
    optimiser = make_optimiser(options, model)
    schedule = make_schedule(options, optimiser, steps, task.monitor, task.better)
    average = make_average(options, model, EPOCHS)
    limit = make_limit(options, parameters)

    best, kept, step = Best(task.monitor, task.better, PATIENCE), None, 0
    for epoch in range(EPOCHS):
        if best.enough:
            break
        model.train()
        order = torch.randperm(len(target), generator=torch.Generator().manual_seed(mix(ORDER_SEED, epoch, salt=1)))
        total = 0.0
        for batch in order.split(BATCH):
            torch.default_generator.manual_seed(mix(SEED, step))  # dropout and the like
{step}
            if limit is not None:
                limit()
            optimiser.step()
            optimiser.zero_grad()
            schedule.step()
            average.step()
            total += float(loss.detach()) / weight / -(-len(target) // BATCH)
            step += 1
        average.epoch_done()
        metrics = evaluate(average.model, transform, task, valid, valid_target)
        schedule.epoch_done(metrics)
        if best.judge(epoch + 1, float(metrics.get(task.monitor, math.nan))):
            kept = {{name: tensor.clone() for name, tensor in average.model.state_dict().items()}}
        print(f"epoch {{epoch + 1}}/{{EPOCHS}}  loss {{total:.4f}}  {{task.monitor}} {{metrics[task.monitor]:.4f}}")
    torch.save(kept, Path(__file__).with_name("model.pt"))


if __name__ == "__main__":
    main()
'''
TAKE = """x, y = [x[{index}] for x in train], target[{index}]{augmented}
score = model(*transform(*x))
loss, weight = task.loss(score, Batch((), y, {index}))"""
AUGMENTED = """
for number, augmentation in enumerate(augmentations):
    x, y = augmentation.apply(tuple(x), y, draws_of({index}, ORDER_SEED, epoch, number, y.device))"""
WHOLE = """{take}
loss.backward(torch.tensor(1.0 / weight))  # the gradient of the mean"""
PIECEWISE = """losses, weights = [], []
pieces = batch.tensor_split(min(PIECES, len(batch)))
for piece in pieces:
{take}
    loss.backward()
    losses.append(loss.detach())
    weights.append(weight)
weight = torch.tensor(0.0) + sum(weights)
gradients = [p.grad for p in model.parameters() if p.grad is not None]
if len(pieces) > 1:
    torch._foreach_div_(gradients, weight)
loss, weight = torch.stack(losses).sum(), float(weight)"""


def eject(parts: Parts, folder: Path, environment: dict[str, Any], data: str = "data.npz") -> tuple[str, dict[str, Any]]:
    """Give a run as a program's text, and the arrays that it reads.

    Raises:
        BadUsage: the run has something that can't be written down in this way; says what.
    """
    _refuse(parts)
    recipe = parts.recipe
    parts.fit(folder, going_on=False)
    bundle = Bundle(own=(OWN, *_local_modules(parts)))
    lines = {"options": _made(bundle, parts, "trainer", Supervised)}
    for value in (Batch, Best, Transform, mix):
        bundle.add(value)
    from benchdog.api import Preprocess
    from benchdog.builtin.trainers import averages, optimisers, schedules

    for value in (
        Preprocess,
        averages.make_average,
        optimisers.make_optimiser,
        optimisers.make_limit,
        schedules.make_schedule,
    ):
        bundle.add(value)
    lines |= {"task": _made(bundle, parts, "task"), "model": _model(bundle, parts), "augment": _augment(bundle, parts)}
    saved = getattr(parts.task, "state", None)
    restore = f"    task.restore({saved()!r})\n" if saved is not None else ""
    loop = recipe.loop
    bundle.imports |= {n: f"import {n}" for n in ("math", "torch")} | {
        "np": "import numpy as np",
        "nn": "from torch import nn",
        "Path": "from pathlib import Path",
    }
    spec = parts.transform.spec(parts.spec)
    for value in (type(spec), *(type(f) for f in spec.fields), *(type(c) for f in spec.fields for c in f.columns)):
        bundle.add(value)
    bundle.add(type(spec.target))
    title = f"{recipe.task.name} with {recipe.model.name} on {recipe.source.name}."
    text = HEAD.format(
        title=title,
        data=data,
        torch=torch.__version__,
        capability=environment.get("cpu_capability"),
        threads=environment.get("threads"),
    )
    text += bundle.text() + "\n" + MAIN.format(
        seed=recipe.seed, order_seed=int(recipe.loader.seed), model_seed=mix(recipe.seed, 0, salt=4),
        epochs=loop.epochs, batch=loop.batch, pieces=loop.accumulate, patience=loop.patience,
        held_out=max(loop.batch, min(4 * loop.batch, HELD_OUT)), threads=environment.get("threads"), data=data,
        raw_spec=pprint.pformat(parts.spec, width=116), spec=pprint.pformat(spec, width=116),
        transform=repr({k: [dict(op) for op in v] for k, v in parts.data.preprocess.transform.items()}),
        step=_step(bundle, parts), restore=restore, **lines,
    )  # fmt: skip
    return text, _arrays(parts)


def _refuse(parts: Parts) -> None:
    recipe = parts.recipe
    reasons = {
        f"its trainer is {recipe.trainer.name!r}": recipe.trainer.name != "supervised",
        "its data is a stream": None in parts.data.sizes().values(),
        "it ran on several ranks": int(recipe.backend.options.get("ranks", 1)) > 1,
        f"it ran on {recipe.backend.name!r}": recipe.backend.name != "cpu",
        "it recomputed activations": bool(recipe.trainer.options.get("recompute")),
        "it trained in another precision": recipe.backend.options.get("precision", "fp32") != "fp32",
    }
    why = [reason for reason, holds in reasons.items() if holds]
    if why:
        raise BadUsage(
            f"This run can't be ejected: {', '.join(why)}.",
            "A run of the trainer 'supervised' on one processor can be, with data that has positions.",
        )


def _local_modules(parts: Parts) -> list[str]:
    from benchdog.importing import load_file

    return [load_file(Path(file)).__name__ for file in local_files(parts.recipe)]


def _made(bundle: Bundle, parts: Parts, kind: str, cls: Any = None) -> str:
    """Give the expression that makes a component, its class in the bundle; of a trainer, its options alone."""
    part = getattr(parts.recipe, kind)
    found = parts.plugins.find(kind, part.name)
    options = parts.plugins.options(found, part.options)
    told = _literal(bundle, options) if options is not None else ""
    if cls is not None:
        return told
    return f"{bundle.add(found.resolve(found.info.target))}({told})"


def _literal(bundle: Bundle, options: Any) -> str:
    name = bundle.add(type(options))
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in _fields(options).items())})"


def _fields(options: Any) -> dict[str, Any]:
    return {key: getattr(options, key) for key in asdict(options)}


def _model(bundle: Bundle, parts: Parts) -> str:
    """Give the expression that builds the model: its layers where they are torch's own, else its builder's call."""
    import inspect

    part = parts.recipe.model
    found = parts.plugins.find("model", part.name)
    build = found.resolve(found.info.target)
    name = bundle.add(build)
    if not found.info.options:
        wanted = inspect.signature(build).parameters
        given = ", ".join(f"{k}={v!r}" for k, v in part.options.items())
        return f"{name}({', '.join(x for x in ('SPEC' if 'spec' in wanted else '', given) if x)})"
    return f"{name}(SPEC, {_literal(bundle, parts.plugins.options(found, part.options))})"


def _augment(bundle: Bundle, parts: Parts) -> str:
    if not parts.augment:
        return ""
    bundle.add(draws_of)
    made = []
    for part in parts.recipe.augment:
        found = parts.plugins.find("augmentation", part.name)
        options = parts.plugins.options(found, part.options)
        made.append(f"{bundle.add(found.resolve(found.info.target))}({_literal(bundle, options) if options else ''})")
    return (
        f"    augmentations = [{', '.join(made)}]\n    for augmentation in augmentations:\n"
        "        augmentation.check(RAW_SPEC)\n"
    )


def _step(bundle: Bundle, parts: Parts) -> str:
    """Give the lines of a step up to the gradient."""

    def take(index: str) -> str:
        augmented = AUGMENTED.format(index=index) if parts.augment else ""
        return TAKE.format(index=index, augmented=augmented)

    def indented(text: str, by: int) -> str:
        return "\n".join(" " * by + line if line else line for line in text.split("\n"))

    if parts.recipe.loop.accumulate > 1:
        return indented(PIECEWISE.format(take=indented(take("piece"), 4)), 12)
    return indented(WHOLE.format(take=take("batch")), 12)


def _arrays(parts: Parts) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {f"transform.{k}": v.numpy() for k, v in parts.transform.state_dict().items()}
    for name in ("train", "valid"):
        resident = load_resident(parts.data.splits[name])  # type: ignore[arg-type]
        arrays |= {f"{name}.input.{i}": x.numpy() for i, x in enumerate(resident.inputs)}
        arrays[f"{name}.target"] = resident.target.numpy()
    return arrays


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays of an ejected run."""
    with files.fresh_file(path) as place, place.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


__all__ = ["eject", "state", "write_arrays"]
