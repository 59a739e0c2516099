"""Why a loss or weight became NaN: the steps since the last checkpoint are replayed, and one is inspected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchdog.api import Batch, Trainer
from benchdog.data.dataset import DecodedSplit
from benchdog.errors import Failed, Stopped
from benchdog.runs.metrics_log import NotFinite
from benchdog.training.session import Session

NAMED = 8
"""Samples of a batch that are named."""


class Inspected(Exception):
    """The step was inspected; the text is the result."""


class Replay(Session):
    """A session that trains from the newest checkpoint to the step `watch`, inspects it, and writes nothing."""

    writes = False

    def __init__(self, *, watch: int, **parts: Any) -> None:
        super().__init__(**parts)
        self.watch = watch
        self._seen: list[Any] = []
        self._before: list[Any] = []
        self._at = -1
        self._first = ""

    def checkpoint(self) -> None:
        """Write nothing."""

    def batches(self, split: str = "train", /) -> Iterator[Batch]:
        """Yield batches as a session does, with hooks on the layers in the step that is inspected."""
        for batch in super().batches(split):
            if split == "train":
                self._inspect(batch)
            yield batch

    def _inspect(self, batch: Batch) -> None:
        if self.step + 1 < self.watch:
            self._before = [*self._before, batch.ids] if self._at == self.step else [batch.ids]
            self._at = self.step
            return
        if not self._seen:
            self._check_weights()
            for name, module in self.model.named_modules():
                module.register_forward_hook(partial(self._check_output, name))
        self._seen.append(batch.ids)
        for field, values in zip(self.spec.fields, batch.inputs, strict=True):
            self._check_samples(f"field {field.name!r} of", values, batch.ids)
        if batch.target.is_floating_point():
            self._check_samples("target of", batch.target, batch.ids)

    def _check_weights(self) -> None:
        for name, parameter in self.model.named_parameters():
            if not bool(parameter.isfinite().all()):
                step = self.watch - 1
                raise Inspected(
                    f"Step {step} made the weight {name!r} so: its gradient was too large. "
                    f"{self._batch_of(self._before)}"
                )

    def _check_samples(self, what: str, values: Tensor, ids: Any) -> None:
        fine = values.flatten(1).isfinite().all(1) if values.ndim > 1 else values.isfinite()
        if not bool(fine.all()):
            bad = torch.nonzero(~fine).flatten().tolist()
            raise Inspected(
                f"The {what} sample {', '.join(self._names([ids[i] for i in bad[:NAMED]]))} is not finite."
            )

    def _check_output(self, name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        values = output.values() if isinstance(output, dict) else [output] if isinstance(output, Tensor) else output
        tensors = [v for v in values if isinstance(v, Tensor) and v.is_floating_point()]
        if not self._first and not all(bool(v.isfinite().all()) for v in tensors):
            self._first = (
                f"module {name!r} ({type(module).__name__})" if name else f"the model {type(module).__name__}"
            )

    def step_done(self, loss: Tensor, weight: float | Tensor, /) -> None:
        """Count a step; in the inspected one, raise the result."""
        if self.step + 1 == self.watch:
            if self._first:
                raise Inspected(f"It came first out of {self._first}. {self._batch_of(self._seen)}")
            what = "the loss of finite scores" if not bool(loss.isfinite().all()) else "the step's gradient"
            raise Inspected(f"It came out of {what}. {self._batch_of(self._seen)}")
        super().step_done(loss, weight)

    def _batch_of(self, batches: list[Any]) -> str:
        ids = [each for some in batches for each in (some.tolist() if isinstance(some, Tensor) else some)]
        more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
        return f"Its batch: samples {', '.join(self._names(ids[:NAMED]))}{more}." if ids else ""

    def _names(self, ids: list[Any]) -> list[str]:
        split = self.feed.data.splits.get("train")
        return split.ids([int(i) for i in ids]) if isinstance(split, DecodedSplit) else [str(i) for i in ids]


def diverged(
    error: NotFinite, trainer: Trainer, session: Replay | None, kept: bool, epoch: int, how: str = ""
) -> Failed:
    """Return an error that says where a run became NaN, after a replay of the step.

    Args:
        error: what was detected.
        trainer: one without state of the failed training.
        session: at the newest checkpoint; None if the steps can't be replayed here.
        kept: whether there is a checkpoint.
        epoch: in which it was detected, from 1.
        how: a prefix of the replay's result.
    """
    seen = ""
    if session is not None:
        with suppress(NotFinite, Stopped):
            try:
                trainer.train(session)
            except Inspected as inspected:
                seen = f" {how}{inspected}"
    last = "The last good checkpoint is kept. " if kept else ""
    return Failed(
        f"{error.what} at step {error.step} (epoch {epoch}).{seen}",
        f"{last}Try a lower --lr, --set trainer.clip_norm=1, or look for wild values in the data.",
    )
