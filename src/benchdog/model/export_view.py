"""What an exporter sees of an artifact: its module, its graph, example inputs."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchdog.api import Field, Raw, Spec
from benchdog.data.decode.decoder import Decoder, stack
from benchdog.data.synthetic import cycled_rows, generate_inputs
from benchdog.errors import BenchdogError, Failed

if TYPE_CHECKING:
    from torch import Tensor, nn


class View:
    """An artifact for exporters.

    Args:
        folder: the artifact's folder, read only.
        spec: what it takes and gives.
        decoder: decodes raw samples.
        max_batch: largest batch that an export must take.
        load: gives the module (answer, score), in evaluation mode, on the CPU; called once.
        raws: held-out samples; inputs are generated within the spec's range when there are none.
    """

    def __init__(
        self,
        folder: Path,
        spec: Spec,
        decoder: Decoder,
        max_batch: int,
        load: Callable[[], nn.Module],
        raws: Sequence[Raw] = (),
    ) -> None:
        self.folder = folder
        self.spec = spec
        self.max_batch = max_batch
        self._load = load
        self._module: nn.Module | None = None
        self._inputs = inputs(spec, decoder, raws)

    def module(self) -> nn.Module:
        """Return the module: decoded inputs in, (answer, score) out."""
        if self._module is None:
            self._module = self._load()
        return self._module

    def example(self, n: int, /) -> tuple[Tensor, ...]:
        """Return n decoded samples, repeated where there are fewer: tensors (n, ...) in the spec's order."""
        import torch

        return tuple(torch.from_numpy(x) for x in cycled_rows(self._inputs, n))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Return the decoded samples themselves: (samples, ...) per field."""
        return self._inputs

    def program(self) -> Any:
        """Export the module with torch.export: batch and other free axes are dynamic.

        So is the number of tokens below the spec's, for a model that can take fewer; another gets that number fixed.

        Raises:
            Failed: torch.export can't capture the model; the message is torch's first line.
        """
        if not any(map(_limits_tokens, self.spec.fields)):
            return self._program(fewer_tokens=False)
        try:
            return self._program(fewer_tokens=True)
        except Failed:
            return self._program(fewer_tokens=False)

    def _program(self, fewer_tokens: bool) -> Any:
        import torch

        module, example = self.module(), self.example(min(3, self.max_batch))
        try:
            with torch.no_grad(), redirect_stderr(io.StringIO()):  # on failure torch prints half a graph
                return torch.export.export(module, example, dynamic_shapes=self._dynamic(fewer_tokens))
        except BenchdogError:
            raise
        except Exception as error:  # torch.export fails in many ways, nearly all about the model's own code
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            reason = f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"
            if getattr(getattr(error, "error_type", None), "name", "") == "INVALID_INPUT":
                raise Failed(
                    f"torch.export doesn't take the inputs or axes that Benchdog gave it: {reason}",
                    "This is no fault of the model: tell Benchdog's authors.",
                ) from error
            raise Failed(
                f"torch.export can't capture this model: {reason}",
                "Avoid Python decisions on values of tensors.",
            ) from error

    def _dynamic(self, fewer_tokens: bool) -> tuple[Any, ...]:
        """Return the dynamic axes of `*inputs`: one tuple, since the module takes them by star."""
        from torch.export import Dim

        batch = Dim("batch", min=1, max=self.max_batch) if self.max_batch > 1 else None
        shapes = []
        for place, field in enumerate(self.spec.fields):
            axes: dict[int, Any] = {} if batch is None else {0: batch}
            for axis, length in enumerate(field.shape, start=1):
                if length is None:
                    axes[axis] = Dim(f"free_{place}_{axis}", min=1)
                elif fewer_tokens and _limits_tokens(field):
                    axes[axis] = Dim(f"tokens_{place}", min=1, max=length)
            shapes.append(axes)
        return (tuple(shapes),)


def _limits_tokens(field: Field) -> bool:
    """Whether a field has a largest number of tokens; an input may have fewer."""
    return field.kind == "tokens" and len(field.shape) == 1 and (field.shape[0] or 0) > 1


def inputs(spec: Spec, decoder: Decoder, raws: Sequence[Raw]) -> tuple[np.ndarray, ...]:
    """Decode the samples that have the first one's shape; generate eight when there are none."""
    if not raws:
        return generate_inputs(spec, 8)
    decoded = [decoder(raw) for raw in raws]
    shapes = [tuple(x.shape for x in sample) for sample in decoded]
    return stack([sample for sample, shape in zip(decoded, shapes, strict=True) if shape == shapes[0]])


def as_module(graph: nn.Module) -> nn.Module:
    """Wrap a loaded graph in the signature that every artifact's module has: `forward(*inputs)`."""
    from torch import nn

    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = graph

        def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
            answer, score = self.inner(*inputs)
            return answer, score

    return Graph()


def head_of(module: nn.Module) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return the head of an artifact's module, from scores to answers (B, ...); None where it is a graph alone."""
    import torch

    from benchdog.data.transform.transform import Deployed

    if not isinstance(module, Deployed):
        return None
    head = module.head

    def call(score: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            answer: np.ndarray = head(torch.from_numpy(np.array(score))).numpy()
        return answer

    return call
