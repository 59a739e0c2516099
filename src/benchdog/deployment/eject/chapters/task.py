"""The chapter on the task: its loss, and the metrics of an epoch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from benchdog.deployment.eject.bundle import Unbundled
from benchdog.deployment.eject.chapters.data import Inputs
from benchdog.deployment.eject.chapters.writing import indented, listing, number
from benchdog.training.setup import Components


@dataclass(slots=True)
class Judge:
    """A task as text.

    Attributes:
        constants: what it learnt or was given.
        loss: the body of `loss_of(score, target)`: its sum over a batch, and what the batch counts.
        said: what the loss is.
        start: before a split is measured; `add` for each batch, of score, y, loss and weight; `end`: the metrics.
        empty: whether a batch may count nothing.
        helper: a function that the metrics need.
    """

    said: str
    loss: str
    start: str
    add: str
    end: str
    constants: list[str] = field(default_factory=list)
    empty: bool = False
    helper: str = ""


def write_task(parts: Components, inputs: Inputs, held_out: int) -> tuple[str, Judge]:
    """Write loss and evaluation.

    Raises:
        Unbundled: the task has no plain form here.
    """
    name = parts.recipe.task.name
    found = parts.plugins.find("task", name)
    if found.plugin != "builtin" or found.info.name not in WRITERS:
        raise Unbundled(f"the task {name!r} has no plain form; there is one of: {', '.join(WRITERS)}")
    judge = WRITERS[found.info.name](parts)
    constants = "\n".join(judge.constants) + "\n\n\n" if judge.constants else ""
    split, every = f"x, y in zip(inputs.split({held_out}), target.split({held_out}))", ""
    if not inputs.one:
        every = f"\n    columns = [each.split({held_out}) for each in [*inputs, target]]"
        split = "*x, y in zip(*columns)"
    helper = f"{judge.helper}\n\n\n" if judge.helper else ""
    weight = "Tensor" if any("CLASS_WEIGHTS" in line for line in judge.constants) else "float"
    text = f'''{constants}def loss_of(score: Tensor, target: Tensor) -> tuple[Tensor, {weight}]:
    """Give {judge.said}."""
{indented(judge.loss, 4)}


{helper}@torch.inference_mode()
def evaluate(model: nn.Module, inputs: {inputs.kind}, target: Tensor) -> dict[str, float]:
    """Measure the model on held-out samples."""
    model.eval()
{indented(judge.start, 4)}{every}
    for {split}:
        score = model({"*" * (not inputs.one)}{inputs.changed("valid")})
        loss, weight = loss_of(score, y)
        total, counted = total + float(loss), counted + float(weight)
{indented(judge.add, 8)}
    return {_metrics(judge.end)}'''
    return text, judge


def _metrics(more: str) -> str:
    """Write the metrics as a dict: in one line if that is short."""
    line = f'{{"loss": total / counted, {more}}}'
    return (
        line
        if len(line) <= 100
        else '{\n        "loss": total / counted,\n        ' + more.replace(', "', ',\n        "') + ",\n    }"
    )


def _codes(parts: Components) -> str:
    """Give how class codes are made what torch wants: nothing is to do where they are int64."""
    return "target" if parts.spec.target.dtype == "int64" else "target.long()"


def _classification(parts: Components) -> Judge:
    task: Any = parts.task
    options = task.options
    values, smoothing = _weights(task), options.label_smoothing
    soft = bool(parts.augment.mixing)
    target = _codes(parts)
    if soft and target != "target":
        raise Unbundled(f"classes of {parts.spec.target.dtype} that are blended have no plain form")
    if options.criterion == "focal":
        body = _focal(options.gamma, values is not None, smoothing, target)
        said = "the focal loss (arXiv:1708.02002) summed over a batch"
        if soft:
            raise Unbundled("the focal loss of blended samples has no plain form")
    elif options.criterion == "cross-entropy":
        more = [target, *(["CLASS_WEIGHTS"] if values is not None else []), 'reduction="sum"']
        more += [f"label_smoothing={smoothing!r}"] if smoothing else []
        body = f"total = F.cross_entropy(score, {', '.join(more)})"
        said = "the cross-entropy summed over a batch"
    else:
        raise Unbundled(f"the criterion {options.criterion!r} has no plain form; cross-entropy and focal have")
    if values is None:
        body += "\nreturn total, float(len(target))"
        said += ", and how many samples that is"
    else:
        if soft:
            body += "\nif target.ndim == 2:  # shares of samples that were blended\n"
            body += "    return total, (target * CLASS_WEIGHTS).sum()"
        body += f"\nreturn total, CLASS_WEIGHTS[{target}].sum()"
        said += ", and what its classes count together"
    return Judge(
        said,
        body if soft else _joined(body),
        "total = counted = right = 0.0",
        "right += float((score.max(1).indices == y).sum())",
        '"accuracy": right / len(target)',
        [_class_weights(values)] if values is not None else [],
        values is not None and not bool((values > 0).all()),
    )


def _joined(body: str) -> str:
    """Return a total at once where it is only there to be returned."""
    first, _, last = body.partition("\nreturn total, ")
    line = f"return {first.removeprefix('total = ')}, {last}"
    return line if "\n" not in first and len(line) <= 100 else body


def _focal(gamma: float, weighted: bool, smoothing: float, target: str) -> str:
    lines = [
        "log_p = score.log_softmax(1)",
        f"terms = (-torch.expm1(log_p)).clamp(min=1e-12) ** {gamma!r} * -log_p",
    ]
    if weighted:
        lines.append("terms = terms * CLASS_WEIGHTS")
    lines.append(f"lost = terms.gather(1, {target}.unsqueeze(1)).squeeze(1)")
    if smoothing:
        lines.append(f"lost = lost * {1 - smoothing!r} + terms.mean(1) * {smoothing!r}")
    return "\n".join([*lines, "total = lost.sum()"])


def _weights(task: Any) -> torch.Tensor | None:
    values: torch.Tensor | None = task.weights.on(torch.device("cpu"))
    return values


def _class_weights(values: torch.Tensor) -> str:
    return listing([number(v) for v in values.tolist()], "CLASS_WEIGHTS = torch.tensor([", "])")


def _multi_label(parts: Components) -> Judge:
    positive = parts.task.state().get("pos_weight")  # type: ignore[attr-defined]
    more = ", pos_weight=POSITIVE" if positive else ""
    listed = []
    if positive:
        listed = [
            listing([number(v) for v in positive], "POSITIVE = torch.tensor([", "])  # what a true label counts")
        ]
    float_ = "target" if parts.spec.target.dtype == "float32" else "target.float()"
    return Judge(
        "the binary cross-entropy summed over samples and labels, and how many values that is",
        f'total = F.binary_cross_entropy_with_logits(score, {float_}, reduction="sum"{more})\n'
        "return total, float(target.numel())",
        f"total = counted = 0.0\nright, said, true = torch.zeros(3, {parts.spec.classes}, dtype=torch.float64)",
        "answered = score >= 0\n"
        "right += (answered & (y == 1)).sum(0)\n"
        "said, true = said + answered.sum(0), true + (y == 1).sum(0)",
        '"macro_f1": float((2 * right / (said + true))[said + true > 0].mean())',
        listed if positive else [],
    )


def _regression(parts: Components) -> Judge:
    task: Any = parts.task
    name = task.options.loss
    losses = {"mse": ("mse_loss", "squared"), "mae": ("l1_loss", "absolute"), "huber": ("huber_loss", "Huber's")}
    if name not in losses:
        raise Unbundled(f"the loss {name!r} has no plain form; there is one of: {', '.join(losses)}")
    function, said = losses[name]
    mean, std = (", ".join(map(repr, values.tolist())) for values in (task.mean, task.std))
    return Judge(
        f"the {said} error of the standardised target, summed, and how many values that is",
        f"target = (target.view(score.shape) - MEAN_OF_TARGET.float()) * (1 / STD_OF_TARGET).float()\n"
        f'return F.{function}(score, target, reduction="sum"), float(target.numel())',
        "total = counted = squared = absolute = 0.0",
        "error = score.double() * STD_OF_TARGET - (y.double().view(score.shape) - MEAN_OF_TARGET)\n"
        "squared, absolute = squared + error.square().sum(0), absolute + error.abs().sum(0)",
        '"rmse": float((squared / len(target)).sqrt().mean()), "mae": float((absolute / len(target)).mean())',
        [
            "# learnt from the training split",
            f"MEAN_OF_TARGET = torch.tensor([{mean}], dtype=torch.float64)",
            f"STD_OF_TARGET = torch.tensor([{std}], dtype=torch.float64)",
        ],
    )


def _segmentation(parts: Components) -> Judge:
    task: Any = parts.task
    options = task.options
    if options.ignore is not None:
        raise Unbundled("pixels that are ignored (task.ignore) have no plain form")
    values, codes, classes = _weights(task), _codes(parts), parts.spec.classes
    if options.loss in ("cross-entropy", "focal"):
        if options.loss == "focal":
            body = _focal(options.gamma, values is not None, 0.0, codes)
            body = body.replace("CLASS_WEIGHTS", "CLASS_WEIGHTS.view(1, -1, *[1] * (score.ndim - 2))")
        else:
            weights = "CLASS_WEIGHTS, " if values is not None else ""
            body = f'total = F.cross_entropy(score, {codes}, {weights}reduction="sum")'
        counted = "float(target.numel())" if values is None else f"CLASS_WEIGHTS[{codes}].sum()"
        body, said = (
            _joined(f"{body}\nreturn total, {counted}"),
            f"the {options.loss} summed over pixels, and what they count",
        )
    else:
        if values is not None:
            raise Unbundled("Dice with class weights has no plain form")
        body, said = _dice(options.loss, codes)
    return Judge(
        said,
        body,
        f"total = counted = 0.0\ntable = torch.zeros({classes}, {classes}, dtype=torch.float64)  # true, answered",
        f"pairs = y.long() * {classes} + score.max(1).indices\n"
        f"table += torch.bincount(pairs.flatten(), minlength={classes**2}).view({classes}, {classes})",
        '"iou": mean_iou(table)',
        [_class_weights(values)] if values is not None else [],
        values is not None and not bool((values > 0).all()),
        MEAN_IOU,
    )


MEAN_IOU = '''def mean_iou(table: Tensor) -> float:
    """Give the mean over the foreground classes, as far as they occur or were answered, of both / either."""
    right, either = table.diagonal(), table.sum(0) + table.sum(1) - table.diagonal()
    met = either > 0
    met[0] = False
    return float((right / either)[met].mean()) if met.any() else 0.0'''


def _dice(loss: str, codes: str) -> tuple[str, str]:
    over = loss == "batch-dice"
    lines = [
        "answered = score.softmax(1)",
        f"true = F.one_hot({codes}, score.shape[1]).movedim(-1, 1).float()",
        "both, all_ = (answered * true).flatten(2).sum(2), (answered + true).flatten(2).sum(2)  # (B, classes)",
        *(["both, all_ = both.sum(0, keepdim=True), all_.sum(0, keepdim=True)"] if over else []),
        "lost = (1 - (2 * both + 1) / (all_ + 1))[:, 1:].mean(1)  # the background is no region",
    ]
    said = "1 - Dice (arXiv:1606.04797) of each sample, summed, and how many samples that is"
    if over:
        said = "1 - Dice of the whole batch (arXiv:1606.04797), once for each sample, and how many that is"
        lines.append("return (lost * torch.ones(len(score))).sum(), float(len(score))")
    elif loss == "dice+cross-entropy":
        said = "1 - Dice plus the mean cross-entropy of each sample, summed, and how many samples that is"
        lines.append(f'pixels = F.cross_entropy(score, {codes}, reduction="none").flatten(1)')
        lines.append("return (lost + pixels.sum(1) / pixels.shape[1]).sum(), float(len(score))")
    else:
        lines.append("return lost.sum(), float(len(score))")
    return "\n".join(lines), said


def _next_token(parts: Components) -> Judge:
    return Judge(
        "the cross-entropy summed over all tokens, and how many tokens that is",
        "tokens = target.flatten()\n"
        'return F.cross_entropy(score.flatten(0, 1), tokens, reduction="sum"), float(len(tokens))',
        "total = counted = right = 0.0",
        "right += float((score.argmax(-1) == y).sum())",
        '"perplexity": math.exp(total / counted), "accuracy": right / counted',
    )


WRITERS: dict[str, Callable[[Components], Judge]] = {
    "classification": _classification,
    "multi-label": _multi_label,
    "regression": _regression,
    "segmentation": _segmentation,
    "next-token": _next_token,
}
