"""The transform: preprocessing inside the model's graph, from storage values to model inputs; state in buffers.

It is fitted once on the training split, and is part of every artifact and export.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from benchdog.api import Field, Op, Preprocess, Spec
from benchdog.data.transform.operations import Step, build_step
from benchdog.errors import BadData, BadUsage, nearest

__all__ = ["Deployed", "Transform"]


class Transform(nn.Module):
    """The operations of all fields: forward(*inputs) -> a tuple of tensors (B, ...), in the spec's order.

    Args:
        preprocess: the operations of each field; a field without any is converted to float32.
        spec: of the decoded samples.

    Raises:
        BadUsage: an unknown field, operation or parameter, or an operation that doesn't fit its field.
    """

    def __init__(self, preprocess: Preprocess, spec: Spec) -> None:
        super().__init__()
        known = [field.name for field in spec.fields]
        for name in preprocess.transform:
            if name not in known:
                raise BadUsage(f"The transform names a field {name!r}.", nearest(name, known))
        self.fields = nn.ModuleList(
            build_steps(field, preprocess.transform.get(field.name, ())) for field in spec.fields
        )

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(steps(x) for steps, x in zip(self.fields, inputs, strict=True))

    def spec(self, spec: Spec) -> Spec:
        """Return the spec of the transform's output, which a model is built from."""
        fields = []
        for field, steps in zip(spec.fields, self.fields, strict=True):
            for step in steps_of(steps):
                field = step.output(field)
            fields.append(field)
        return replace(spec, fields=tuple(fields))

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit means and standard deviations on the decoded training batches, in one pass in float64.

        The batches aren't read when no operation is fitted; batch sizes affect only rounding.

        Raises:
            BadData: there are no samples, or statistics aren't finite.
        """
        fitted = [
            (i, steps[:k], step)
            for i, steps in enumerate(map(steps_of, self.fields))
            for k, step in enumerate(steps)
            if step.fitted
        ]
        if not fitted:
            return
        for _, _, step in fitted:
            step.reset()
        samples = 0
        for inputs in batches:
            samples += len(inputs[0])
            for i, before, step in fitted:
                x = inputs[i]
                for earlier in before:
                    x = earlier(x)
                step.update(x)
        if not samples:
            raise BadData("The training split is empty.", "The transform is fitted on it: provide samples.")
        for _, _, step in fitted:
            step.finalize()


class Deployed(nn.Module):
    """Transform, model and head in one module: forward(*inputs) -> (answer, score), each (B, ...)."""

    def __init__(self, transform: nn.Module, model: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.transform = transform
        self.model = model
        self.head = head

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        output = self.model(*self.transform(*inputs))
        score = (output["score"] if isinstance(output, dict) else output).float()
        return self.head(score), score


def with_category_codes(preprocess: Preprocess) -> Preprocess:
    """Return a preprocess whose tables keep categories as codes, for models with embeddings."""
    transform = {
        name: [{**op, "categories": "codes"} if op.get("op") == "table" else op for op in ops]
        for name, ops in preprocess.transform.items()
    }
    return replace(preprocess, transform=transform)


def build_steps(field: Field, ops: Sequence[Op]) -> nn.Sequential:
    """Build the operations of a field in order.

    Raises:
        BadUsage: two of them are fitted: one pass over the training split can fit only one.
    """
    steps: list[Step] = []
    for op in ops or ({"op": "identity"},):
        step = build_step(op, field)
        if step.fitted and any(earlier.fitted for earlier in steps):
            raise BadUsage(
                f"The transform of {field.name!r} has two operations that are fitted on the data.",
                "One pass over the training split can fit only one: remove the other.",
            )
        steps.append(step)
        field = step.output(field)
    return nn.Sequential(*steps)


def steps_of(steps: nn.Module) -> list[Step]:
    """Return the operations of a field."""
    return [step for step in steps.children() if isinstance(step, Step)]
