"""The transform: from storage values to what a model learns from, inside the graph, state in buffers.

It is fitted once, on the training split, and travels with every artifact and export.
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
    """Apply each field's operations: forward(*inputs) -> a tuple of tensors (B, ...), in the spec's order.

    Args:
        preprocess: names the operations of each field; a field without any is only made float32.
        spec: what the decoded samples are.

    Raises:
        BadUsage: for an unknown field, operation or parameter, or an operation that doesn't fit a field.
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
        """Give the spec of this transform's output: what a model is built from."""
        fields = []
        for field, steps in zip(spec.fields, self.fields, strict=True):
            for step in steps_of(steps):
                field = step.output(field)
            fields.append(field)
        return replace(spec, fields=tuple(fields))

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Learn means and deviations from the decoded training batches, in one pass and in float64.

        The batches aren't read when nothing is to be learnt. How they are cut changes nothing but the
        last digits. Raises BadData when there is no sample, or values that aren't finite.
        """
        learners = [
            (i, steps[:k], step)
            for i, steps in enumerate(map(steps_of, self.fields))
            for k, step in enumerate(steps)
            if step.fitted
        ]
        if not learners:
            return
        for _, _, step in learners:
            step.reset()
        samples = 0
        for inputs in batches:
            samples += len(inputs[0])
            for i, before, step in learners:
                x = inputs[i]
                for earlier in before:
                    x = earlier(x)
                step.update(x)
        if not samples:
            raise BadData("The training split has no sample.", "The transform is fitted on it: give it some.")
        for _, _, step in learners:
            step.finalize()


class Deployed(nn.Module):
    """Everything from decoded inputs to an answer: forward(*inputs) -> (answer, score), batch first."""

    def __init__(self, transform: nn.Module, model: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.transform = transform
        self.model = model
        self.head = head

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        given = self.model(*self.transform(*inputs))
        score = (given["score"] if isinstance(given, dict) else given).float()
        return self.head(score), score


def with_category_codes(preprocess: Preprocess) -> Preprocess:
    """Let tables keep their categories as codes, for a model that asks for them; artifacts keep it so."""
    transform = {
        name: [{**op, "categories": "codes"} if op.get("op") == "table" else op for op in ops]
        for name, ops in preprocess.transform.items()
    }
    return replace(preprocess, transform=transform)


def build_steps(field: Field, ops: Sequence[Op]) -> nn.Sequential:
    """Build a field's operations in their order."""
    steps: list[Step] = []
    for op in ops or ({"op": "identity"},):
        step = build_step(op, field)
        if step.fitted and any(earlier.fitted for earlier in steps):
            raise BadUsage(
                f"The transform of {field.name!r} has two operations that learn from the data.",
                "One pass over the training split can fit only one: take the other out.",
            )
        steps.append(step)
        field = step.output(field)
    return nn.Sequential(*steps)


def steps_of(steps: nn.Module) -> list[Step]:
    """List a field's operations."""
    return [step for step in steps.children() if isinstance(step, Step)]
