"""The score of a model whose forward returns something else: several tensors, probabilities, one logit.

A hook on the model reads it, so the names of parameters and layers are those that the model's author chose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.api import Spec
from benchdog.errors import BadUsage, nearest, shortlist
from benchdog.recipe.recipe import AUTO, OutputConfig

ONE = ("logit", "probability")
"""Forms with one value for two classes."""
SMALLEST = 1e-7
"""Probabilities are kept this far from 0 and 1, whose logarithms are infinite."""
NEAR = 1e-4
SHAKEN = 4
"""Other weights that are tried to tell a logit from a probability."""
SHOWN = 4


@dataclass(frozen=True, slots=True)
class Reading:
    """How the score is read from what a model returns; a forward hook of the model.

    Attributes:
        key: of the output that is the score: a position, or a name; "" for the only tensor, or that named "score".
        form: what it is: "score" (as the task takes it), "probabilities", or for two classes one "logit" or
            "probability".
        positive: the class, 0 or 1, whose logit or probability it is.
        axes: of a sample's score.
        why: a sentence on what was chosen unasked; "" for nothing.
    """

    key: str = ""
    form: str = "score"
    positive: int = 1
    axes: int = 1
    why: str = field(default="", compare=False)

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        score = self.of(output)
        if module.training and isinstance(output, Mapping) and "auxiliary" in output:
            return {"score": score, "auxiliary": [(share, self.score(x)) for share, x in output["auxiliary"]]}
        return score

    def of(self, output: Any) -> Tensor:
        """Return the score (B, ...) of what the model returned."""
        return self.score(_entry(output, self.key))

    def score(self, x: Tensor) -> Tensor:
        """Return the score (B, ...) that stands for an output of this form."""
        if self.form == "score":
            return x
        if self.form == "probabilities":
            return x.float().clamp_min(SMALLEST).log()
        if self.form == "probability":
            x = x.float().clamp(SMALLEST, 1 - SMALLEST).logit()
        x = x.unsqueeze(1) if x.dim() == self.axes else x
        pair = [torch.zeros_like(x), x]
        return torch.cat(pair if self.positive else pair[::-1], 1)

    def to_json(self) -> dict[str, Any]:
        """Return the form that an artifact stores with its model."""
        return {key: value for key, value in asdict(self).items() if key != "why"}


def reading_of(model: nn.Module) -> Reading | None:
    """Return how a model's score is read; None where its output is the score."""
    return next((hook for hook in model._forward_hooks.values() if isinstance(hook, Reading)), None)


def attach(model: nn.Module, reading: Reading | None) -> None:
    """Let a model return its score, read in this way and no other."""
    for number, hook in list(model._forward_hooks.items()):
        if isinstance(hook, Reading):
            del model._forward_hooks[number]
    if reading is not None:
        model.register_forward_hook(reading)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a model returned, and what the task needs.

    Attributes:
        output: for a few samples.
        spec: with the shape of the score.
        name: the model's, for messages.
        head: makes the task's head; called where the score may have to be made of probabilities.
        shaken: runs the model with other weights, wild ones, of this seed; None where it can't be copied.
    """

    output: Any
    spec: Spec
    name: str
    head: Callable[[], nn.Module]
    shaken: Callable[[int], Any]

    def whole(self, x: Tensor) -> bool:
        """Whether an output has the score's shape."""
        return len(x.shape) > 0 and _fits(x.shape[1:], self.spec.output)

    def one(self, x: Tensor) -> bool:
        """Whether an output has one value where the score has one for each of two classes, on an axis or without."""
        rest = self.spec.output[1:]
        shapes = ((1, *rest), rest)
        return self.binary and len(x.shape) > 0 and any(_fits(x.shape[1:], shape) for shape in shapes)

    @property
    def binary(self) -> bool:
        """Whether the score has one value for each of two classes."""
        return self.spec.target.kind in ("class", "mask") and self.spec.classes == self.spec.outputs == 2

    def softmax(self) -> bool:
        """Whether the task's head makes probabilities, or the likeliest class, of logits: measured on some."""
        sizes = [4 if size is None else size for size in self.spec.output]
        logits = 3 * torch.randn(4, *sizes, generator=torch.Generator().manual_seed(0))
        try:
            answer = self.head().eval()(logits)
        except Exception:  # a head that must be fitted first, say: then it isn't known
            return False
        if answer.is_floating_point():
            return answer.shape == logits.shape and torch.allclose(answer, logits.softmax(1), atol=NEAR)
        return answer.shape == logits[:, 0].shape and torch.equal(answer.long(), logits.argmax(1))


def choose(seen: Observed, config: OutputConfig) -> Reading | None:
    """Choose how the score is read: as the recipe says, else in the only way that fits.

    Returns:
        How; None where the output is the score.

    Raises:
        BadUsage: nothing fits, or several things do; the message lists the outputs and what to type.
    """
    found = _outputs(seen.output)
    key, why = _key(seen, config, found)
    x = found[key] if key or "" in found else found["score"]
    form, because = _form(seen, config, x, key, found)
    why = "; ".join(part for part in (why, because) if part)
    if config.positive and form not in ONE:
        raise BadUsage(
            "output.positive is for a model with one output for two classes, and this one has one for each.",
            "Leave it out.",
        )
    classes, positive = seen.spec.target.classes, str(config.positive)
    if positive and positive not in classes:
        raise BadUsage(f"There is no class {positive!r} (output.positive).", nearest(positive, classes))
    reading = Reading(
        key=key,
        form=form,
        positive=classes.index(positive) if positive else 1,
        axes=len(seen.spec.output),
        why=why,
    )
    return None if isinstance(seen.output, Tensor) and form == "score" else reading


def _key(seen: Observed, config: OutputConfig, found: Mapping[str, Tensor]) -> tuple[str, str]:
    """Return the key of the output that is the score, and a sentence where it was chosen among several."""
    if name := str(config.score):
        if name not in found:
            raise BadUsage(
                f"The model {seen.name!r} returns no output {name!r} (output.score).",
                f"It returns {_listed(found) or type(seen.output).__name__}.",
            )
        return name, ""
    if "" in found or "score" in found:
        return "", ""
    candidates = {key: x for key, x in found.items() if seen.whole(x)}
    to_probabilities: Callable[[Tensor], Tensor] = _softmax
    if not candidates:
        candidates = {key: x for key, x in found.items() if seen.one(x)}
        to_probabilities = torch.sigmoid
    if not candidates:
        raise _unfit(seen, found)
    why = "no other has its shape"
    if len(candidates) > 1:
        candidates = {
            key: x
            for key, x in candidates.items()
            if all(other == key or _near(to_probabilities(x), y) for other, y in candidates.items())
        }
        why = "the others are its probabilities"
    if len(candidates) != 1:
        raise BadUsage(
            f"The model {seen.name!r} returns {_listed(found)}: which one is the score isn't clear.",
            f"Name it: --set output.score={next(iter(found))}",
        )
    key = next(iter(candidates))
    return key, f"of {_listed(found)}, which the model returns, {key!r} is the score: {why} (output.score)"


def _form(seen: Observed, config: OutputConfig, x: Tensor, key: str, found: Mapping[str, Tensor]) -> tuple[str, str]:
    """Return the form of the output that is the score, and a sentence where it was recognized."""
    form = config.form
    if form != AUTO:
        if form in ONE and not seen.binary:
            count = seen.spec.classes
            has = f"this data has {count}" if count else f"the target is a {seen.spec.target.kind}"
            raise BadUsage(f"output.form = {form!r} is for two classes, and {has}.", 'Set output.form = "score".')
        if not (seen.one(x) if form in ONE else seen.whole(x)):
            raise _unfit(seen, found, f" (output.form = {form!r})")
        if form in ("probabilities", "probability") and not _unit(x):
            low, high = x.min().item(), x.max().item()
            raise BadUsage(
                f"The model {seen.name!r} returns values from {low:.3g} to {high:.3g}, which are no probabilities.",
                f'Set output.form = "{"logit" if form in ONE else "score"}".',
            )
        return form, ""
    if seen.whole(x):
        classes = seen.spec.target.kind in ("class", "mask") and seen.spec.outputs == seen.spec.classes > 1
        if classes and _unit(x) and _near(x.sum(1), torch.ones(())) and seen.softmax():
            return (
                "probabilities",
                "the model returns probabilities, which add up to 1: their logarithm is the score (output.form)",
            )
        return "score", ""
    if not seen.one(x) or not seen.softmax():
        raise _unfit(seen, found)
    if any(other != key and y.shape == x.shape and _near(torch.sigmoid(x), y) for other, y in found.items()):
        return "logit", _positive(seen, config, "logit")
    recognized = _logit_or_probability(seen, key, x)
    return recognized, _positive(seen, config, recognized)


def _logit_or_probability(seen: Observed, key: str, x: Tensor) -> str:
    """Return which of the two one output is: no weights lead a probability out of 0 to 1, wild ones lead a logit."""
    if _outside(x):
        return "logit"
    for seed in range(SHAKEN):
        output = seen.shaken(seed)
        if output is None:
            choices = " or ".join(f"--set output.form={form}" for form in ("probability", "logit"))
            raise BadUsage(
                f"The model {seen.name!r} has one output for two classes: a probability or a logit.",
                f"Say which: {choices}",
            )
        if _outside(_entry(output, key)):
            return "logit"
    return "probability"


def _positive(seen: Observed, config: OutputConfig, what: str) -> str:
    positive = config.positive or seen.spec.target.classes[1]
    return f"the model's one output for two classes is the {what} of {positive!r} (output.form, output.positive)"


def _unfit(seen: Observed, found: Mapping[str, Tensor], said: str = "") -> BadUsage:
    needed = "(2, " + ", ".join("any" if n is None else str(n) for n in seen.spec.output) + ")"
    several = _listed(found) or type(seen.output).__name__
    got = tuple(seen.output.shape) if isinstance(seen.output, Tensor) else several
    hint = "The size of the last layer is spec.outputs."
    if seen.binary and seen.softmax():
        hint += " One output for two classes is taken, too: output.form is logit or probability."
    return BadUsage(f"The model {seen.name!r} returns {got} for two samples; the task needs {needed}{said}.", hint)


def _outputs(output: Any) -> dict[str, Tensor]:
    """Return the tensors of an output by their keys; a single tensor has the key ""."""
    if isinstance(output, Tensor):
        return {"": output}
    if isinstance(output, Mapping):
        items = [(key, x) for key, x in output.items() if isinstance(key, str)]
    elif isinstance(output, tuple | list):
        names = getattr(output, "_fields", range(len(output)))  # those of a named tuple
        items = [(str(name), x) for name, x in zip(names, output, strict=True)]
    elif is_dataclass(output):
        items = [(each.name, getattr(output, each.name)) for each in fields(output)]
    else:
        items = []
    return {key: x for key, x in items if isinstance(x, Tensor)}


def _entry(output: Any, key: str) -> Tensor:
    """Return the tensor of a key; "" for the only one, or that named "score"."""
    found: Any = output
    if key == "" and not isinstance(output, Tensor):
        key = "score"
    if key:
        named = isinstance(output, Mapping) or not key.isdigit()
        found = output[key] if isinstance(output, Mapping) else getattr(output, key) if named else output[int(key)]
    tensor: Tensor = found
    return tensor


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, have) for want, have in zip(wanted, shape, strict=True))


def _softmax(x: Tensor) -> Tensor:
    return x.softmax(1)


def _near(a: Tensor, b: Tensor) -> bool:
    return bool(torch.isclose(a.float(), b.float(), atol=NEAR).all())


def _unit(x: Tensor) -> bool:
    """Whether all values lie between 0 and 1."""
    return x.is_floating_point() and bool(((x >= 0) & (x <= 1)).all())


def _outside(x: Tensor) -> bool:
    """Whether a value lies below 0 or above 1."""
    return bool(((x < 0) | (x > 1)).any())


def _listed(found: Mapping[str, Tensor]) -> str:
    return shortlist([f"{key!r} {tuple(x.shape)}" for key, x in found.items()], SHOWN)
