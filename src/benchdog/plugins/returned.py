"""What components return, checked where it is used: a mistake names the component and says what to return.

Each function raises BadUsage where the value can't be used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchdog.api import Answer, BadUsage, Meter, Raw, Source, Spec, Task

if TYPE_CHECKING:
    from torch import Tensor, nn

METER = ("add", "state", "merge", "value")
PLAIN = (str, int, float, bool, type(None))
PLAIN_TYPES = frozenset(PLAIN)


def kind(value: Any) -> str:
    """Return the name of a value's type with its article: "an int64"."""
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    if isinstance(value, type):
        return f"the class {name}"
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def spec(found: Any, source: Source) -> Spec:
    """Check what `spec()` of a source returned."""
    if not isinstance(found, Spec):
        raise BadUsage(
            f"{type(source).__name__}.spec() returns {kind(found)}, not a Spec.",
            "Return Spec(fields=(Field(...),), target=Target(...)) of benchdog.api.",
        )
    return found


def opened(found: Any, source: Source) -> Any:
    """Check what `open()` of a source returned: a mapping, or samples, which a generator may yield."""
    name = f"{type(source).__name__}.open()"
    if isinstance(found, Mapping):
        return found
    if not isinstance(found, Iterable) or isinstance(found, str | bytes):
        raise BadUsage(
            f"{name} returns {kind(found)}.",
            'Return the splits, {"train": ..., "valid": ...}, or one list of Raw of benchdog.api.',
        )
    return samples(list(found), name)


def samples(found: Sequence[Any], name: str) -> Sequence[Raw]:
    """Check a list of samples."""
    for number, each in enumerate(found):
        if not isinstance(each, Raw):
            raise BadUsage(
                f"{name}: sample {number} is {kind(each)}, not a Raw.",
                'A sample is Raw(id="7", fields={"input": ...}, target=...) of benchdog.api.',
            )
    return found


def checked(found: Any, task: Task, name: str) -> None:
    """Check what `check()` of a task returned: it raises what is wrong, and returns nothing."""
    if found is not None:
        raise BadUsage(
            f"The task {name!r}: check() returns {found!r}, which says nothing.",
            f"{type(task).__name__}.check() raises BadUsage of benchdog.api for data that it can't use.",
        )


def head(found: Any, name: str) -> nn.Module:
    """Check what `head()` of a task returned."""
    from torch import nn

    if not isinstance(found, nn.Module):
        raise BadUsage(
            f"The task {name!r}: head() returns {kind(found)}, not a torch.nn.Module.",
            "Return the module that turns scores into predictions, such as nn.Softmax(dim=1); nn.Identity() if "
            "they are the same.",
        )
    return found


def prediction(module: nn.Module, score: Tensor, name: str) -> Tensor:
    """Return what a task's head predicts for scores (B, ...)."""
    from torch import Tensor, no_grad

    subject = f"The task {name!r}: its head, {type(module).__name__},"
    hint = "It gets a batch of scores, and returns the prediction of each."
    training = module.training
    try:
        with no_grad():
            found = module.eval()(score)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise BadUsage(
            f"{subject} raises {type(error).__name__} for scores of the shape {tuple(score.shape)}: {text}.", hint
        ) from error
    finally:
        module.train(training)
    if not isinstance(found, Tensor) or found.ndim == 0 or len(found) != len(score):
        shape = f"a tensor of the shape {tuple(found.shape)}" if isinstance(found, Tensor) else kind(found)
        raise BadUsage(f"{subject} returns {shape} for scores of the shape {tuple(score.shape)}.", hint)
    return found


def loss(found: Any, task: Task) -> tuple[Tensor, float | Tensor]:
    """Check what `loss()` of a task returned: the sum over a batch, and its weight."""
    from torch import Tensor

    if isinstance(found, tuple | list) and len(found) == 2:
        total, weight = found
        if isinstance(total, Tensor) and isinstance(weight, int | float | Tensor):
            return total, weight
        what = f"{kind(total)} and {kind(weight)}, not a tensor and a number"
    else:
        what = f"{kind(found)}, not a pair"
    raise BadUsage(
        f"{type(task).__name__}.loss() returns {what}.",
        "Return the sum of the batch's losses, and its weight: the number of samples or terms.",
    )


def meter(found: Any, name: str) -> Meter:
    """Check what `meter()` of a task returned."""
    missing = [name for name in METER if not callable(getattr(found, name, None))]
    if missing or isinstance(found, type):
        lacks = "" if isinstance(found, type) else f", which has no {missing[0]}()"
        raise BadUsage(
            f"The task {name!r}: meter() returns {kind(found)}{lacks}.",
            "Return a new object with add(score, batch), state(), merge(state) and value(): a Meter of benchdog.api.",
        )
    result: Meter = found
    return result


def metrics(found: Any, monitor: str, name: str) -> dict[str, Any]:
    """Return what `value()` of a task's meter returned, numbers of numpy and torch as Python's."""
    if not isinstance(found, Mapping):
        raise BadUsage(
            f"The task {name!r}: its meter's value() returns {kind(found)}, not a dict.",
            'Return the metrics by name: {"loss": 0.7, "accuracy": 0.5}.',
        )
    values = {key: _number(value) for key, value in found.items()}
    for key in ("loss", monitor):
        value = values.get(key, 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadUsage(
                f"The task {name!r}: its meter's value() has {key} = {value!r}, which is not a number.",
                "The loss and the monitor are numbers: the best epoch is chosen by them.",
            )
    for key, value in values.items():
        _json(value, f"The task {name!r}: its meter's value()[{key!r}]")
    return values


def _number(value: Any) -> Any:
    """Return a number of numpy or torch as Python's, anything else as it is."""
    single = getattr(value, "ndim", None) == 0 or getattr(value, "shape", None) == (1,)
    return value.item() if single and hasattr(value, "item") else value


def augmented(found: Any, before: tuple[Tensor, ...], target: Any, name: str) -> tuple[tuple[Tensor, ...], Any]:
    """Check what `apply()` of an augmentation returned: (inputs, target), of the same shapes."""
    from torch import Tensor

    subject, hint = (
        f"The augmentation {name!r}: apply() returns",
        "Return (inputs, target), as it gets them: inputs is a tuple.",
    )
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise BadUsage(f"{subject} {kind(found)}, not a pair.", hint)
    inputs, goal = found
    if not isinstance(inputs, tuple | list) or not all(isinstance(each, Tensor) for each in (*inputs, goal)):
        raise BadUsage(f"{subject} {kind(inputs)} and {kind(goal)}, not a tuple of tensors and a tensor.", hint)
    shapes, wanted = ([tuple(each.shape) for each in several] for several in (inputs, before))
    if shapes != wanted or len(goal) != len(target):
        raise BadUsage(
            f"{subject} inputs of the shapes {shapes} and {len(goal)} targets; it got {wanted} and {len(target)}.",
            hint,
        )
    return tuple(inputs), goal


def answers(found: Any, samples: int, task: str) -> list[Answer]:
    """Check what the answer function of a task returned: an Answer of JSON's types and arrays for each sample."""
    subject = f"The answer function of the task {task!r}"
    if not isinstance(found, list | tuple) or not all(isinstance(each, Answer) for each in found):
        kinds = {type(each).__name__ for each in found} if isinstance(found, list | tuple) else set()
        what = f"a list of {' and '.join(sorted(kinds))}" if kinds else kind(found)
        raise BadUsage(
            f"{subject} returns {what}, not a list of Answer.",
            "Return [Answer({...}), ...] of benchdog.api, one for each sample.",
        )
    if len(found) != samples:
        raise BadUsage(
            f"{subject} returns {len(found)} answers for {samples} samples.",
            "Return one for each row of call(*inputs).",
        )
    for answer in found:
        if not isinstance(answer.values, Mapping):
            raise BadUsage(
                f"{subject}: an Answer holds {kind(answer.values)}, not a dict.", 'Answer({"label": "cat"})'
            )
        for key, value in answer.values.items():
            if not isinstance(value, PLAIN):
                _json(value, f"{subject}: the value {key!r}", arrays=True)
    return list(found)


def _json(value: Any, what: str, *, arrays: bool = False) -> None:
    """Refuse what JSON doesn't have, but for arrays where they are written to files."""
    if isinstance(value, PLAIN):
        return
    if isinstance(value, Mapping):
        if not PLAIN_TYPES.issuperset(map(type, value.values())):  # the probabilities of 1,000 classes take no time
            for key, each in value.items():
                _json(each, f"{what}[{key!r}]", arrays=arrays)
        return
    if isinstance(value, list | tuple):
        if not PLAIN_TYPES.issuperset(map(type, value)):
            for each in value:
                _json(each, what, arrays=arrays)
        return
    if arrays and type(value).__module__ == "numpy" and type(value).__name__ == "ndarray":
        return
    convert = "float(...), int(...) or .tolist()" if hasattr(value, "tolist") else "str(...)"
    raise BadUsage(f"{what} is {kind(value)}, which JSON doesn't have.", f"Convert it: {convert}.")
