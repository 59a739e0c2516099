"""The task `classification`: one of several classes per sample."""

from __future__ import annotations

from torch import Tensor, nn

from benchdog.api import BadUsage, Batch, Meter, MetricSet, Spec
from benchdog.builtin.tasks.losses.class_weights import Balanced, ClassWeights
from benchdog.builtin.tasks.losses.classes import ClassLoss, CrossEntropy, PerClass, focal_terms
from benchdog.builtin.tasks.losses.named import CODES, ROWS, Criterion, NamedLoss
from benchdog.builtin.tasks.metrics.meters import ClassMeter
from benchdog.builtin.tasks.metrics.per_sample import CLASS_METRICS, ClassStatistics
from benchdog.builtin.tasks.options import ClassificationOptions


class Classification(Balanced):
    """Choose a class: score (B, classes), answer its softmax, target (B,) int64 codes or (B, classes) shares.

    The loss is summed over samples, each times what its class counts; its weight is the sum of these.
    """

    monitor = "accuracy"
    better = "max"
    weighs = True
    usual_scores = True

    def __init__(self, options: ClassificationOptions | None = None) -> None:
        self.options = options or ClassificationOptions()
        self.weights = ClassWeights(self.options.class_weights)
        self.adds_up = True
        self._loss: ClassLoss | None = None

    def check(self, spec: Spec) -> None:
        if spec.target.kind != "class":
            raise BadUsage(
                f"The task 'classification' needs a class to answer, but the target is a {spec.target.kind}.",
                "Leave the task out, and the one that fits the source is taken.",
            )
        if spec.classes < 2:
            raise BadUsage(
                f"The task 'classification' needs at least 2 classes, but the source names {spec.classes}.",
                "List them in the spec: Target(kind='class', classes=('cat', 'dog')).",
            )
        self.weights.check(spec, "classification")
        self._loss = self._made()
        if isinstance(self._loss, NamedLoss):
            self.adds_up = self._loss.probe(spec.classes)

    def _made(self) -> ClassLoss:
        """Make the loss; a class that the options name is imported only here, where it is needed."""
        options = self.options
        if options.criterion_options and options.criterion in ("cross-entropy", "focal"):
            raise BadUsage(
                f"{options.criterion!r} takes no criterion_options.", "They are for a criterion named by its class."
            )
        if options.criterion == "cross-entropy":
            return CrossEntropy(options.label_smoothing)
        if options.criterion == "focal":
            return PerClass(focal_terms(options.gamma), options.label_smoothing)
        own, known = ("cross-entropy", "focal"), (*CODES, *ROWS)
        criterion = Criterion(options.criterion, options.criterion_options, known, own, "criterion_options")
        return NamedLoss(criterion, options.label_smoothing)

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (spec.classes,)

    def head(self, spec: Spec) -> nn.Module:
        return nn.Softmax(dim=1)

    def loss(self, score: Tensor, batch: Batch) -> tuple[Tensor, float | Tensor]:
        if self._loss is None:
            self._loss = self._made()
        return self._loss(score, batch.target, self.weights, batch.weight)

    def meter(self, spec: Spec) -> Meter:
        return ClassMeter(self.loss, spec.target.classes)

    def metrics(self, spec: Spec) -> MetricSet:
        return MetricSet(metrics=CLASS_METRICS, per_sample=ClassStatistics(spec.classes))
