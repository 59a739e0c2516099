"""The task `next-token`: which token comes next, at each position of a text."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadUsage, Batch, Meter, MetricSet, Spec, spellings
from benchdog.builtin.tasks.losses.class_weights import ClassWeights
from benchdog.builtin.tasks.losses.classes import CrossEntropy
from benchdog.builtin.tasks.metrics.per_sample import TOKEN_METRICS, TokenStatistics
from benchdog.builtin.tasks.metrics.tokens import TokenMeter, sizes_of
from benchdog.builtin.tasks.options import NextTokenOptions


class NextToken:
    """Guess the next token: score (B, T, vocabulary), answer its softmax, target (B, T) int64.

    The target is the input one position on; its classes are the vocabulary. The model must not look
    ahead: its score at t may depend on the tokens 0 to t alone. The loss is the cross-entropy summed over
    tokens, its weight their number. `ignore` is a code that counts nowhere as a target.
    """

    monitor = "loss"
    better = "min"
    weighs = True
    usual_scores = True

    def __init__(self, options: NextTokenOptions) -> None:
        self.options = options
        self.ignore = options.ignore
        self._loss = CrossEntropy(ignore=options.ignore)
        self._same = ClassWeights("none")

    def check(self, spec: Spec) -> None:
        if spec.target.kind != "next-token" or spec.fields[0].kind != "tokens":
            raise BadUsage(
                f"The task 'next-token' needs tokens and their successors, but the data is "
                f"{spec.fields[0].kind} with a target that is a {spec.target.kind}.",
                "Leave the task out, and the one that fits the source is taken.",
            )
        if spec.classes < 2:
            raise BadUsage(
                f"The task 'next-token' needs a vocabulary, but the source names {spec.classes} tokens.",
                "List it in the spec: Target(kind='next-token', classes=tuple(vocabulary)).",
            )

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (spec.fields[0].shape[0], spec.classes)

    def head(self, spec: Spec) -> nn.Module:
        return nn.Softmax(dim=-1)

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        if self.ignore is None and batch.weight is None:
            tokens = batch.target.flatten()
            return F.cross_entropy(score.flatten(0, 1), tokens, reduction="sum"), float(len(tokens))
        return self._loss(score.transpose(1, 2), batch.target, self._same, batch.weight)

    def meter(self, spec: Spec) -> Meter:
        return TokenMeter(self.loss, spellings(spec.target), self.ignore)

    def metrics(self, spec: Spec) -> MetricSet:
        sizes = sizes_of(spellings(spec.target))
        return MetricSet(metrics=TOKEN_METRICS, per_sample=TokenStatistics(spec.classes, self.ignore, sizes))
