"""The chapter on data: how samples are read, and the transform with what it learnt as numbers in sight."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from benchdog.api import Field
from benchdog.data.dataset import CHUNK, InMemorySplit
from benchdog.data.splits import TRANSFORM_ONCE_BYTES
from benchdog.data.transform.operations import Identity, Normalize, Scale, Standardize, Table
from benchdog.data.transform.transform import steps_of
from benchdog.deployment.eject.bundle import Unbundled
from benchdog.deployment.eject.chapters.writing import indented, listing, tensor
from benchdog.training.setup import Components


@dataclass(slots=True)
class Inputs:
    """What the other chapters need to know of the data.

    Attributes:
        keys: names of the arrays of each input, without the split.
        ready: splits that are transformed once and not at every step.
        changes: whether the transform does anything at all.
    """

    keys: tuple[str, ...]
    ready: frozenset[str]
    changes: bool

    @property
    def one(self) -> bool:
        """Whether a model gets one input alone."""
        return len(self.keys) == 1

    @property
    def x(self) -> str:
        """How inputs are given to a function of all of them."""
        return "x" if self.one else "*x"

    @property
    def kind(self) -> str:
        """The type of inputs."""
        return "Tensor" if self.one else "list[Tensor]"

    def changed(self, split: str, what: str = "x") -> str:
        """Give inputs as a model wants them: transformed here, or long ago."""
        return what if split in self.ready or not self.changes else f"transform({what})"


def describe(parts: Components, splits: dict[str, InMemorySplit]) -> Inputs:
    """See how the run treats its data."""
    names = [re.sub(r"\W", "_", field.name) for field in parts.spec.fields]
    if "target" in names or len(set(names)) < len(names):
        names = [f"input{i}" for i in range(len(names))]
    small = parts.data.fits(parts.recipe.loader.memory)
    ready = {n for n, s in splits.items() if small and sum(x.numel() * 4 for x in s.inputs) <= TRANSFORM_ONCE_BYTES}
    ready -= {"train"} if parts.augment else set()
    changes = any(not (isinstance(s, Identity) and s.keep) for f in parts.transform.fields for s in steps_of(f))
    return Inputs(tuple(names), frozenset(ready), changes)


def write_data(parts: Components, inputs: Inputs, file: str, splits: dict[str, InMemorySplit]) -> str:
    """Write the transform and the function that reads a split."""
    text = ""
    if inputs.changes:
        texts = [
            _transform(field, steps_of(steps), name)
            for field, steps, name in zip(parts.spec.fields, parts.transform.fields, inputs.keys, strict=True)
        ]
        if not inputs.one:
            texts = [_renamed(each, key.upper()) for each, key in zip(texts, inputs.keys, strict=True)]
        text = texts[0].replace(f"transform_{inputs.keys[0]}(", "transform(") if inputs.one else _all(texts, inputs)
        text += "\n\n\n"
    train = splits["train"]
    shapes = " and ".join(f"{tuple(x.shape[1:])} {_name(x)}".replace("()", "one") for x in train.inputs)
    read = [f'torch.from_numpy(data[f"{{split}}.{key}"])' for key in inputs.keys]
    every = read[0] if inputs.one else '[torch.from_numpy(data[f"{split}.{name}"]) for name in INPUTS]'
    constants = "" if inputs.one else f"INPUTS = {inputs.keys!r}\n\n\n"
    given = "x"
    once = inputs.changes and inputs.ready == frozenset(splits)
    if once:
        given = in_pieces("x", inputs)
    said = f"inputs of {shapes}{', transformed once' if once else ''}, and targets"
    return f'''{text}{constants}def load(split: str) -> tuple[{inputs.kind}, Tensor]:
    """Read a split: {said}."""
    with np.load(Path(__file__).parent / {file!r}, allow_pickle=False) as data:
        x = {every}
        y = torch.from_numpy(data[f"{{split}}.target"])
    return {given}, y
'''.replace(repr(file), f'"{file}"')


def _renamed(text: str, key: str) -> str:
    """Give a field's constants names of their own."""
    return re.sub(r"\b(SCALE|SHIFT|MEAN|NUMBERS|GAPS|CATEGORIES)\b", rf"\1_{key}", text)


def in_pieces(x: str, inputs: Inputs) -> str:
    """Write how a whole split is transformed: in pieces, as the run did it."""
    if inputs.one:
        return f"torch.cat([transform(piece) for piece in {x}.split({CHUNK})])"
    return f"transform_all({x})"


def _name(x: Any) -> str:
    return str(x.dtype).removeprefix("torch.")


def _all(texts: list[str], inputs: Inputs) -> str:
    """Write the transform of several inputs."""
    calls = ", ".join(f"transform_{key}(x[{i}])" for i, key in enumerate(inputs.keys))
    every = f'def transform(x: list[Tensor]) -> list[Tensor]:\n    """Transform each input."""\n    return [{calls}]'
    whole = f'''def transform_all(x: list[Tensor]) -> list[Tensor]:
    """Transform a whole split, {CHUNK} samples at a time."""
    pieces = [transform(piece) for piece in zip(*(each.split({CHUNK}) for each in x))]
    return [torch.cat(column) for column in zip(*pieces)]'''
    return "\n\n\n".join([*texts, every, *([whole] if inputs.ready else [])])


Writer = Callable[[Any, Field], tuple[str, str, str]]


def _transform(field: Field, steps: list[Any], key: str) -> str:
    """Write a field's transform: constants, and a function of its steps."""
    constants, said, lines = [], [], []
    for step in steps:
        if type(step) not in WRITERS:
            raise Unbundled(f"the transform's operation {type(step).__name__} has no plain form")
        constant, sentence, line = WRITERS[type(step)](step, field)
        constants += [constant] if constant else []
        said.append(sentence)
        lines.append(line)
    body = "\n".join([*(f"x = {line}" if "\n" not in line else line for line in lines[:-1]), lines[-1]])
    first, _, last = body.rpartition("\n")
    body = f"{first}\n" * bool(first) + (last if last.startswith("return ") else f"return {last}")
    before = "\n".join(constants) + "\n\n\n" if constants else ""
    return f'{before}def transform_{key}(x: Tensor) -> Tensor:\n    """{" ".join(said)}"""\n{indented(body, 4)}'


def _identity(step: Identity, field: Field) -> tuple[str, str, str]:
    return ("", "Leave tokens as they are.", "x") if step.keep else ("", "Make numbers float32.", "x.float()")


def _scale(step: Scale, field: Field) -> tuple[str, str, str]:
    low = -float(step.shift / step.scale)
    said = f"Bring {low:g} ... {low + 1 / float(step.scale):g} to 0 ... 1."
    return "", said, f"torch.addcmul({tensor(step.shift)}, x.float(), {tensor(step.scale)})"


def _standardise(step: Any, field: Field) -> tuple[str, str, str]:
    means, deviations = (-step.shift / step.scale).flatten().tolist(), (1 / step.scale).flatten().tolist()
    if len(means) == 1:
        learnt = f"# the training split's mean is {means[0]:.4g}, its deviation {deviations[0]:.4g}"
    else:
        learnt = "# of each channel: 1 / deviation, and -mean / deviation, of the training split"
    if isinstance(step, Normalize):
        learnt = learnt.replace("the training split's mean", "the mean").replace(", of the training split", "")
    constants = f"{learnt}\nSCALE = {tensor(step.scale)}\nSHIFT = {tensor(step.shift)}"
    return constants, "Give each channel mean 0 and deviation 1.", "torch.addcmul(SHIFT, x.float(), SCALE)"


def _table(step: Table, field: Field) -> tuple[str, str, str]:
    names = [column.name for column in step.columns]
    kinds = [(i, c) for i, c in enumerate(step.columns) if c.kind != "number"]
    constants, lines, parts, said = [], [], [], []
    if step.has_numbers:
        places = step.numbers.tolist()
        constants += [_column_list("NUMBERS", places, names), "# learnt from the training split"]
        constants += [f"MEAN = {tensor(step.mean)}", f"SCALE = {tensor(step.scale)}  # 1 / deviation"]
        lines.append("numbers = x[:, NUMBERS]")
        lines.append("known = torch.where(numbers.isnan(), MEAN, numbers)  # what is missing counts as the mean")
        parts.append("(known - MEAN) * SCALE")
        said.append("standardise numbers")
    if step.missing:
        constants.append(_column_list("GAPS", step.flags.tolist(), names))
        lines.append("gaps = x[:, GAPS].isnan().float()")
        parts.append("gaps")
        said.append("tell which are missing")
    if step.has_codes and step.as_codes:
        constants.append(_column_list("CATEGORIES", [i for i, _ in kinds], names))
        parts.append("x[:, CATEGORIES]")
        said.append("keep codes of categories")
    elif step.has_codes:
        counts = ", ".join(f"{i}: {len(c.categories)}" for i, c in kinds)
        constants.append(
            f"CATEGORIES = {{{counts}}}  # column: how many there are; {', '.join(c.name for _, c in kinds)}"
        )
        lines.append(
            "ones = [(x[:, [column]] == torch.arange(1, count + 1)).float() for column, count in CATEGORIES.items()]"
        )
        parts.append("*ones")
        said.append("give each category a column")
    sentence = ", ".join(said)
    first = "x = x.float()\n" if field.dtype != "float32" else ""
    body = first + "\n".join([*lines, f"return torch.cat([{', '.join(parts)}], 1)"])
    return "\n".join(constants), f"{sentence[:1].upper()}{sentence[1:]}.", body


def _column_list(name: str, places: list[int], names: list[str]) -> str:
    told = ", ".join(names[i] for i in places)
    text = listing([str(i) for i in places], f"{name} = [", "]")
    comment = f"columns: {told}"
    return f"{text}  # {comment}" if len(text) + len(comment) < 110 and "\n" not in text else text


WRITERS: dict[type[nn.Module], Writer] = {
    Identity: _identity,
    Scale: _scale,
    Standardize: _standardise,
    Normalize: _standardise,
    Table: _table,
}
