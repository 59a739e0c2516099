"""What an exporter sees of an artifact: its module, its graph, example inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchdog.api import Preprocess, Raw, Spec
from benchdog.data.decode.decoder import decode, stack
from benchdog.errors import BadData, BenchdogError, Failed

if TYPE_CHECKING:
    from torch import Tensor, nn

FREE = 8  # length of a free axis in generated inputs, where neither spec nor samples say any


class View:
    """An artifact for exporters.

    Args:
        folder: the artifact's folder, read only.
        spec: what it takes and gives.
        max_batch: largest batch that an export must take.
        load: gives the module (answer, score), in evaluation mode, on the CPU; called once.
        raws: held-out samples; inputs are generated within the spec's range when there are none.
    """

    def __init__(
        self,
        folder: Path,
        spec: Spec,
        preprocess: Preprocess,
        max_batch: int,
        load: Callable[[], nn.Module],
        raws: Sequence[Raw] = (),
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.max_batch = max_batch
        self._load = load
        self._module: nn.Module | None = None
        self._inputs = inputs(spec, preprocess, raws)

    def module(self) -> nn.Module:
        """Give the module: decoded inputs in, (answer, score) out."""
        if self._module is None:
            self._module = self._load()
        return self._module

    def example(self, n: int, /) -> tuple[Tensor, ...]:
        """Give n decoded samples, repeated where there are fewer: tensors (n, ...) in the spec's order."""
        import torch

        return tuple(torch.from_numpy(x) for x in take(self._inputs, n))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Give the decoded samples themselves: (samples, ...) per field."""
        return self._inputs

    def program(self) -> Any:
        """Export the module with torch.export: batch and other free axes are dynamic.

        Raises:
            Failed: torch.export can't capture the model; the message is torch's first line.
        """
        import torch

        module, example = self.module(), self.example(min(3, self.max_batch))
        try:
            with torch.no_grad():
                return torch.export.export(module, example, dynamic_shapes=self._dynamic())
        except BenchdogError:
            raise
        except Exception as error:  # torch.export fails in many ways, nearly all about the model's own code
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            said = f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
            if getattr(getattr(error, "error_type", None), "name", "") == "INVALID_INPUT":
                raise Failed(
                    f"torch.export doesn't take the inputs or axes that Benchdog gave it: {said}",
                    "This is no fault of the model: tell Benchdog's authors.",
                ) from error
            raise Failed(
                f"torch.export can't capture this model: {said}",
                "Avoid Python decisions on values of tensors.",
            ) from error

    def _dynamic(self) -> tuple[Any, ...]:
        """Give the dynamic axes of `*inputs`: one tuple, since the module takes them by star."""
        from torch.export import Dim

        batch = Dim("batch", min=1, max=self.max_batch) if self.max_batch > 1 else None
        shapes = []
        for place, field in enumerate(self.spec.fields):
            axes: dict[int, Any] = {} if batch is None else {0: batch}
            for axis, length in enumerate(field.shape, start=1):
                if length is None:
                    axes[axis] = Dim(f"free_{place}_{axis}", min=1)
                elif field.kind == "tokens" and length > 1:
                    axes[axis] = Dim(f"tokens_{place}", min=1, max=length)
            shapes.append(axes)
        return (tuple(shapes),)


def inputs(spec: Spec, preprocess: Preprocess, raws: Sequence[Raw]) -> tuple[np.ndarray, ...]:
    """Decode the samples that have the first one's shape; generate eight when there are none."""
    decoded = [decode(raw, spec, preprocess) for raw in raws]
    if not decoded:
        return generated(spec, 8)
    shapes = [tuple(x.shape for x in sample) for sample in decoded]
    return stack([sample for sample, shape in zip(decoded, shapes, strict=True) if shape == shapes[0]])


def generated(spec: Spec, n: int, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Draw n inputs within the spec's ranges: (n, ...) per field, free axes of length 8."""
    draw = np.random.default_rng(seed)
    arrays = []
    for field in spec.fields:
        shape = (n, *(FREE if length is None else length for length in field.shape))
        dtype = np.dtype(field.dtype)
        if field.kind == "table" and field.columns:
            array = np.empty(shape, dtype)
            for i, column in enumerate(field.columns):
                codes = len(column.categories) + 1
                array[:, i] = draw.integers(codes, size=n) if column.categories else draw.normal(size=n)
        else:
            codes = len(spec.target.classes) - 1 if spec.target.kind == "next-token" else 1
            low, high = field.range or ((0, max(codes, 1)) if dtype.kind in "iu" else (-1, 1))
            whole = dtype.kind in "iub"
            array = (
                draw.integers(int(low), int(high), shape, endpoint=True) if whole else draw.uniform(low, high, shape)
            )
        arrays.append(array.astype(dtype))
    return tuple(arrays)


def take(arrays: tuple[np.ndarray, ...], n: int, start: int = 0) -> tuple[np.ndarray, ...]:
    """Take n rows from `start`, beginning again at the end."""
    return tuple(x[(start + np.arange(n)) % len(x)] for x in arrays)


def check_shapes(arrays: Sequence[np.ndarray], spec: Spec) -> None:
    """Refuse inputs that a model with this spec doesn't take.

    Raises:
        BadData: another number of inputs, another type, another shape.
    """
    if len(arrays) != len(spec.fields):
        raise BadData(f"The model takes {len(spec.fields)} inputs, not {len(arrays)}.")
    for x, field in zip(arrays, spec.fields, strict=True):
        shape = x.shape[1:]
        longest = [length if field.kind == "tokens" else None for length in field.shape]
        fits = len(shape) == len(field.shape) and all(
            want is None or have == want or (most is not None and 0 < have <= most)
            for have, want, most in zip(shape, field.shape, longest, strict=True)
        )
        if not fits or x.dtype != np.dtype(field.dtype) or not all(shape):
            wanted = " x ".join("any" if length is None else str(length) for length in field.shape)
            raise BadData(
                f"Input {field.name!r} is {' x '.join(map(str, shape))} {x.dtype}; "
                f"the model takes {wanted} {field.dtype}.",
                "Decode samples with the model's own preprocessing.",
            )
