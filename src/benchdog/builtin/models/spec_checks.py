"""Whether a model fits the data: questions that every model asks of the spec, answered in words."""

from __future__ import annotations

from math import prod

from torch import nn

from benchdog.api import BadUsage, Field, Spec

MODELS = {
    "image": "linear, mlp, cnn, resnet and vit for a class or numbers, unet for a mask or an image",
    "volume": "linear, mlp, cnn and resnet for a class or numbers, unet for a mask",
    "table": "linear, mlp and tabular",
    "tokens": "transformer for a class or numbers, gpt for the task next-token",
    "audio": "linear and mlp, when its length is fixed",
}


def describe(field: Field) -> str:
    """Return what a field is: "an image of 3 x 32 x 32"; a free axis is a question mark."""
    size = " x ".join("?" if axis is None else str(axis) for axis in field.shape)
    article = "an" if field.kind[:1] in "aeiou" else "a"
    return f"{article} {field.kind} of {size}"


def misfit(model: str, needs: str, spec: Spec) -> BadUsage:
    """Make the error for data that a model can't take."""
    data = " and ".join(describe(field) for field in spec.fields)
    kind = spec.fields[0].kind
    hint = f"Available for {kind}: {MODELS[kind]}." if kind in MODELS else "Name a model of your own for it."
    return BadUsage(f"The model {model!r} needs {needs}, but the data is {data}.", hint)


def flat_width(model: str, spec: Spec) -> int:
    """Count the values of all fields together; BadUsage unless they are numbers of a fixed count."""
    for field in spec.fields:
        if field.kind == "tokens" or None in field.shape:
            raise misfit(model, "numbers of a fixed size", spec)
    return sum(prod(axis or 0 for axis in field.shape) for field in spec.fields)


def flat_outputs(model: str, spec: Spec) -> int:
    """Return the length of a score that is one row; BadUsage when the task wants another shape."""
    if len(spec.output) != 1 or not spec.outputs:
        raise BadUsage(
            f"The model {model!r} gives one row of values per sample, but the task wants {shape(spec.output)}.",
            "For a mask or an image: unet. For next-token: gpt.",
        )
    return spec.outputs


def single_picture(model: str, spec: Spec, kinds: tuple[str, ...]) -> Field:
    """Return the one image or volume that there is; BadUsage for anything else."""
    if len(spec.fields) != 1 or spec.fields[0].kind not in kinds or not spec.channels:
        raise misfit(model, f"one {' or '.join(kinds)} with a fixed number of channels", spec)
    return spec.fields[0]


def shape(axes: tuple[int | None, ...]) -> str:
    """Write a shape for people."""
    return " x ".join("?" if axis is None else str(axis) for axis in axes) or "nothing"


def positive(model: str, option: str, values: tuple[int, ...]) -> None:
    """Refuse a layer without values."""
    if any(value < 1 for value in values):
        raise BadUsage(f"The model {model!r} has {option} = {list(values)}.", "Each layer needs at least 1 value.")


def convolutions(field: Field) -> tuple[type[nn.Module], type[nn.Module], type[nn.Module]]:
    """Return convolution, max-pooling and transposed convolution for an image or a volume."""
    if field.kind == "image":
        return nn.Conv2d, nn.MaxPool2d, nn.ConvTranspose2d
    return nn.Conv3d, nn.MaxPool3d, nn.ConvTranspose3d
