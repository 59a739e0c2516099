"""The chapter on training: optimiser, schedule, averages, the loop, and the best epoch."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

from benchdog.deployment.eject.bundle import Unbundled
from benchdog.deployment.eject.chapters.data import Inputs, in_pieces
from benchdog.deployment.eject.chapters.task import Judge
from benchdog.deployment.eject.chapters.writing import indented
from benchdog.recipe.steps import ceil_div
from benchdog.training.setup import Components

MIX = '''def mix(seed: int, number: int, salt: int) -> int:
    """Give well-mixed bits for each pair of a seed and a number: every epoch and step has a seed of its own."""
    z = (seed + 0x9E3779B97F4A7C15 * (number + 1) + (salt << 32)) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (z ^ (z >> 31)) & 0x7FFFFFFFFFFFFFFF'''
FOLLOW = '''@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, share: float) -> None:
    """Move an average of weights a share of the way to the model; counters are taken as they are."""
    pairs = zip([*average.parameters(), *average.buffers()], [*model.parameters(), *model.buffers()])
    for mine, theirs in pairs:
        if mine.is_floating_point():
            mine.lerp_(theirs, share)
        else:
            mine.copy_(theirs)'''


@dataclass(slots=True)
class Facts:
    """What the loop depends on, beside the recipe.

    Attributes:
        samples: of the training split.
        random: whether a training step draws random numbers.
        auxiliary: whether the model gives a dict with auxiliary scores in training.
        threads: of the processor, that the run had.
        flat: whether the model has convolutions in two dimensions.
    """

    samples: int
    random: bool
    auxiliary: bool
    threads: int
    flat: bool


class Training:
    """Writes the loop of one run."""

    def __init__(self, parts: Components, inputs: Inputs, judge: Judge, facts: Facts) -> None:
        self.parts, self.inputs, self.judge, self.facts = parts, inputs, judge, facts
        self.options: Any = parts.plugins.options(
            parts.plugins.find("trainer", parts.recipe.trainer.name), parts.recipe.trainer.options
        )
        self.loop = parts.recipe.loop
        self.steps = ceil_div(facts.samples, self.loop.batch)
        self.average = {"none": "model"}.get(self.options.average, "average")
        self.schedule, self.every, self.rate = self._schedule()

    def text(self) -> str:
        """Give the chapter."""
        helpers = [self.rate, FOLLOW if self.average == "average" else "", AUXILIARY if self.facts.auxiliary else ""]
        before = "".join(f"{helper}\n\n\n" for helper in helpers if helper)
        return f"{before}{self._main()}"

    def _main(self) -> str:
        lines = [
            f"torch.set_num_threads({self.facts.threads})",
            "torch.use_deterministic_algorithms(True)  # the same bits every time",
            'x_train, y_train = load("train")',
            'x_valid, y_valid = load("valid")',
        ]
        train_late = "train" not in self.inputs.ready
        if self.inputs.changes and train_late and "valid" in self.inputs.ready:
            lines.append(f"x_valid = {in_pieces('x_valid', self.inputs)}")
        lines.append("model = new_model()")
        if self.facts.flat:
            lines.append("model = model.to(memory_format=torch.channels_last)  # convolutions are faster so")
        lines.append(f"optimiser = {self._optimiser()}")
        if self.schedule:
            lines.append(f"schedule = {self.schedule}")
        if self.average == "average":
            lines.append("average = copy.deepcopy(model).requires_grad_(False)")
        lines.append(
            f"best, kept{', waited' if self.loop.patience else ''} = None, {{}}{', 0' if self.loop.patience else ''}"
        )
        text = "\n".join(lines) + "\n\nfor epoch in range(EPOCHS):\n" + indented(self._epoch(), 4)
        text += "\n\nmodel.load_state_dict(kept)\nsave(model)"
        return f'def main() -> None:\n    """Train, and keep the best epoch\'s weights."""\n{indented(text, 4)}'

    def _epoch(self) -> str:
        seed = "SEED" if int(self.parts.recipe.loader.seed) == self.parts.recipe.seed else "ORDER_SEED"
        shuffled = (
            f"torch.randperm(len(y_train), generator=torch.Generator().manual_seed(mix({seed}, epoch, salt=1)))"
        )
        lines = ["model.train()", f"order = {shuffled}"]
        lines += [self._head(), indented(self._step(), 4)]
        monitor, better = self.parts.task.monitor, self.parts.task.better
        if self.options.average == "swa":
            from benchdog.builtin.trainers.weight_averaging import swa_start

            start = swa_start(self.options, self.loop.epochs)
            lines.append(f"follow(average, model, 1 / max(1, epoch + 1 - {start}))")
        lines.append(f"metrics = evaluate({self.average}, x_valid, y_valid)")
        if self.every == "epoch":
            lines.append("schedule.step()")
        elif self.every == "metric":
            lines.append(f'schedule.step(metrics["{monitor}"])')
        lines.append('print(f"epoch {epoch + 1}/{EPOCHS}:", ", ".join(f"{k} {v:.4f}" for k, v in metrics.items()))')
        sign = ">" if better == "max" else "<"
        lines.append(f'if best is None or metrics["{monitor}"] {sign} best:')
        kept = f"{self.average}.state_dict()"
        waited, none = (", waited", ", 0") if self.loop.patience else ("", "")
        lines.append(f'    best, kept{waited} = metrics["{monitor}"], copy.deepcopy({kept}){none}')
        if self.loop.patience:
            lines += ["else:", "    waited += 1", f"    if waited == {self.loop.patience}:", "        break"]
        return "\n".join(lines)

    @property
    def _pieces(self) -> int:
        return int(self.loop.accumulate)

    @property
    def _counted(self) -> bool:
        """Whether steps are counted."""
        return self.facts.random or self.options.average == "ema"

    @property
    def _views(self) -> bool:
        """Whether an epoch's samples are put in order at once."""
        ready = "train" in self.inputs.ready or (not self.inputs.changes and not self.parts.augment)
        return ready and self._pieces == 1 and not self.parts.augment

    def _head(self) -> str:
        """Give the line that begins a step."""
        steps = f", epoch * {self.steps})" if self._counted else ""
        if not self._views:
            return (
                f"for step, batch in enumerate(order.split(BATCH){steps}:"
                if steps
                else "for batch in order.split(BATCH):"
            )
        pairs, given, before = "zip(x_train[order].split(BATCH), y_train[order].split(BATCH))", "x, y", ""
        if not self.inputs.one:
            before = "columns = [each[order].split(BATCH) for each in [*x_train, y_train]]\n"
            pairs, given = "zip(*columns)", "*x, y"
        return before + (f"for step, ({given}) in enumerate({pairs}{steps}:" if steps else f"for {given} in {pairs}:")

    def _step(self) -> str:
        lines = []
        if self.facts.random:
            lines.append("torch.manual_seed(mix(SEED, step, salt=0))")
        lines.append(self._piecewise() if self._pieces > 1 else self._whole())
        limits = {"clip_value": "clip_grad_value_", "clip_norm": "clip_grad_norm_"}
        for key, function in limits.items():
            if math.isfinite(value := getattr(self.options, key)) and value:  # an infinite one limits nothing
                lines.append(f"nn.utils.{function}(model.parameters(), {value!r})")
        lines += ["optimiser.step()", "optimiser.zero_grad()"]
        if self.every == "step":
            lines.append("schedule.step()")
        if self.options.average == "ema":
            lines.append(f"follow(average, model, 1 - min({self.options.ema_decay!r}, (1 + step) / (10 + step)))")
        return "\n".join(lines)

    def _forward(self, batch: str) -> list[str]:
        """Give the lines from positions to a loss."""
        lines = []
        if not self._views:
            x = f"x_train[{batch}]" if self.inputs.one else f"[x[{batch}] for x in x_train]"
            lines.append(f"x, y = {x}, y_train[{batch}]")
        if self.parts.augment:
            lines.append(f"x, y = augment(x, y, {batch}, epoch)")
        given = self.inputs.changed("train")
        score = f"model({given if self.inputs.one else '*' + given})"
        judged = "judged" if self.facts.auxiliary else "loss_of"
        return [*lines, f"loss, weight = {judged}({score}, y)"]

    def _whole(self) -> str:
        lines = self._forward("batch")
        if self.judge.empty:
            return "\n".join(
                [
                    *lines,
                    "if weight > 0:  # else nothing counts",
                    "    loss = loss / weight",
                    "else:",
                    "    loss = 0 * loss",
                    "loss.backward()",
                ]
            )
        return "\n".join([*lines, "(loss / weight).backward()"])

    def _piecewise(self) -> str:
        if self.judge.empty:
            raise Unbundled("a class that counts nothing, and batches in pieces, have no plain form together")
        if self.facts.samples % self.loop.batch == 1:
            raise Unbundled("the last batch is a single sample, which can't be cut into pieces like the others")
        return "\n".join(
            [
                "total = 0.0",
                f"for piece in batch.tensor_split(min({self._pieces}, len(batch))):",
                *(f"    {line}" for line in self._forward("piece")),
                "    loss.backward()",
                "    total = total + weight",
                "for parameter in model.parameters():",
                "    if parameter.grad is not None:",
                "        parameter.grad /= total  # the gradient of the whole batch's mean",
            ]
        )

    # --- optimiser and schedule

    def _optimiser(self) -> str:
        import torch

        options = self.options
        name = options.optimiser
        if ":" in name:
            raise Unbundled(f"the optimiser {name!r} is none of torch's")
        cls = getattr(torch.optim, name)
        more = {key: tuple(v) if isinstance(v, list) else v for key, v in options.optimiser_options.items()}
        taken = inspect.signature(cls).parameters
        own = taken["weight_decay"].default if "weight_decay" in taken else 0.0
        if options.weight_decay or own:  # as the trainer, which says it always
            more["weight_decay"] = options.weight_decay
        if "fused" in taken and not {"foreach", "fused", "differentiable", "capturable"} & set(more):
            more["fused"] = True
        given = ", ".join(f"{key}={value!r}" for key, value in {"lr": options.lr, **more}.items())
        return f"torch.optim.{name}(model.parameters(), {given})"

    def _schedule(self) -> tuple[str, str, str]:
        """Give the expression of the schedule, when it moves, and the function that it needs."""
        options, total = self.options, self.steps * self.loop.epochs
        name, more = (
            options.schedule,
            {k: tuple(v) if isinstance(v, list) else v for k, v in options.schedule_options.items()},
        )
        if name in ("constant", "linear", "cosine"):
            rise = round(options.warmup * total) if options.warmup < 1 else round(options.warmup)
            if name == "constant" and not rise:
                return "", "", ""
            return "lr_scheduler.LambdaLR(optimiser, rate)", "step", _rate(name, rise, total)
        if ":" in name:
            raise Unbundled(f"the schedule {name!r} is none of torch's")
        name = {"one-cycle": "OneCycleLR", "plateau": "ReduceLROnPlateau"}.get(name, name)
        import torch

        taken = inspect.signature(getattr(torch.optim.lr_scheduler, name)).parameters
        if "total_steps" in taken and not {"total_steps", "epochs"} & set(more):
            more["total_steps"] = total
        if name == "OneCycleLR":
            more.setdefault("max_lr", options.lr)
        if name == "ReduceLROnPlateau":
            more.setdefault("mode", self.parts.task.better)
        every = "metric" if name == "ReduceLROnPlateau" else "step" if name in ("OneCycleLR", "CyclicLR") else "epoch"
        return f"lr_scheduler.{name}(optimiser, {', '.join(f'{k}={v!r}' for k, v in more.items())})", every, ""


AUXILIARY = '''def judged(given: dict, target: Tensor) -> tuple[Tensor, float]:
    """Give the mean loss of a score and of the auxiliary scores beside it, each of which counts its share."""
    loss, weight = loss_of(given["score"], target)
    shares = 1.0
    for share, score in given["auxiliary"]:
        loss = loss + share * loss_of(score, target)[0]
        shares += share
    return loss / shares, weight'''


def _rate(curve: str, rise: int, total: int) -> str:
    """Write the factor of the learning rate at a step."""
    names = {"cosine": "half a cosine down to 0", "linear": "a straight line down to 0", "constant": "1"}
    begun = f"a rise over {rise} steps, then " if rise else ""
    lines = [f"if step < {rise}:", f"    return (step + 1) / {rise}"] if rise else []
    done = f"min(1.0, (step - {rise}) / {max(1, total - rise)})" if rise else f"min(1.0, step / {max(1, total)})"
    last = {
        "cosine": f"return 0.5 * (1 + math.cos(math.pi * {done}))",
        "linear": f"return 1 - {done}",
        "constant": "return 1.0",
    }[curve]
    said = f'"""Give the factor of the learning rate: {begun}{names[curve]}."""'
    return "def rate(step: int) -> float:\n" + indented("\n".join([said, *lines, last]), 4)
