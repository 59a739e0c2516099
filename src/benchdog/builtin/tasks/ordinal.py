"""The task `ordinal`: one of several classes that have an order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchdog.api import BadData, BadUsage, Batch, Meter, MetricSet, Spec
from benchdog.builtin.tasks.class_order import ranks_of
from benchdog.builtin.tasks.losses.class_weights import ClassWeights
from benchdog.builtin.tasks.losses.classes import PerClass, Summed, is_soft, summed, weight_of
from benchdog.builtin.tasks.metrics.ordinal import RankMeter
from benchdog.builtin.tasks.metrics.per_sample import ORDINAL_METRICS, RankStatistics
from benchdog.builtin.tasks.options import OrdinalOptions


class Levels(nn.Module):
    """Turn a score (B, classes - 1) into falling levels: the log-odds that the rank is above 0, above 1, ...

    The score's first entry moves all thresholds; each other one is a gap, which softplus keeps above 0. So no
    answer can say that a rank above 2 is likelier than one above 1. `start` (classes - 1,) is added first.
    """

    start: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start.float())

    def forward(self, score: Tensor) -> Tensor:
        moved = score + self.start
        gaps = F.softplus(moved[:, 1:])
        if gaps.device.type == "cpu":
            fallen = gaps.cumsum(1)
        else:  # a GPU's cumsum isn't the same bits twice
            fallen = gaps @ torch.ones(gaps.shape[1], gaps.shape[1], dtype=gaps.dtype, device=gaps.device).triu()
        return torch.cat([moved[:, :1], moved[:, :1] - fallen], 1)

    def log_shares(self, score: Tensor) -> Tensor:
        """Return the log-probability of each rank (B, classes), exact where they are tiny."""
        levels, gaps = self(score), (score + self.start)[:, 1:]
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), and 1 - exp(-softplus(g)) = sigmoid(g).
        between = F.logsigmoid(levels[:, :-1]) + F.logsigmoid(-levels[:, 1:]) + F.logsigmoid(gaps)
        return torch.cat([F.logsigmoid(-levels[:, :1]), between, F.logsigmoid(levels[:, -1:])], 1)


class Shares(nn.Module):
    """Compute the probability of each class (B, classes), in the order of their codes."""

    ranks: Tensor

    def __init__(self, levels: Levels, ranks: Tensor) -> None:
        super().__init__()
        self.levels = levels
        self.register_buffer("ranks", ranks)

    def forward(self, score: Tensor) -> Tensor:
        shares: Tensor = self.levels.log_shares(score).exp()
        return shares.index_select(1, self.ranks)


class Ordinal:
    """Choose a rank: score (B, classes - 1), answer (B, classes) probabilities, target (B,) codes or shares.

    The thresholds between neighbors begin where the training split's frequencies put them (`fit`), and the
    model moves them. The loss `thresholds` is the mean binary cross-entropy of all thresholds (arXiv:1901.07884),
    `likelihood` the cross-entropy of the class; both are summed over samples, times what their classes count.
    """

    monitor = "mae"
    better = "min"
    weighs = True

    def __init__(self, options: OrdinalOptions | None = None) -> None:
        self.options = options or OrdinalOptions()
        self.weights = ClassWeights(self.options.class_weights)
        self.notes: list[str] = []
        self._start: list[float] = []
        self._ranks: list[int] = []
        self._here: tuple[Levels, Tensor] | None = None

    def check(self, spec: Spec) -> None:
        if spec.target.kind != "class" or spec.classes < 2:
            raise BadUsage(
                f"The task 'ordinal' needs 2 classes or more, but the target is a {spec.target.kind} of "
                f"{spec.classes} classes.",
                "For numbers: regression.",
            )
        self.weights.check(spec, "ordinal")
        self._ranks, sure = ranks_of(spec.target.classes, self.options.order)
        if not sure:
            order = " < ".join(spec.target.classes)
            self.notes.append(f"The classes are taken in the order {order} (another one: option order of the task).")

    def fit(self, targets: Iterable[Tensor]) -> None:
        """Compute the initial thresholds, and balanced weights, if they are wanted."""
        pieces = [piece.detach().cpu().long() for piece in targets if len(piece)]
        if not pieces:
            raise BadData("The training split has no target.", "The thresholds need some to begin with.")
        self.weights.fit(pieces)
        codes = torch.cat(pieces)
        counts = torch.tensor(self._ranks)[codes].bincount(minlength=len(self._ranks)).double() + 1
        self._start, self._here = start_of(counts / counts.sum()).tolist(), None

    def state(self) -> dict[str, Any]:
        """Return what `fit` learned, for `restore`."""
        return {"start": self._start, **self.weights.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what another `fit` learned."""
        self.weights.restore(state)
        self._start, self._here = list(state["start"]), None

    def output(self, spec: Spec) -> tuple[int | None, ...]:
        return (spec.classes - 1,)

    def levels(self, classes: int) -> Levels:
        """Make the thresholds."""
        return Levels(torch.tensor(self._start or [0.0] * (classes - 1)))

    def head(self, spec: Spec) -> nn.Module:
        ranks = self._ranks or ranks_of(spec.target.classes, self.options.order)[0]
        return Shares(self.levels(spec.classes), torch.tensor(ranks))

    def loss(self, score: Tensor, batch: Batch) -> Summed:
        score = score.float()
        levels, ranks = self._on(score)
        if self.options.loss == "likelihood":
            terms = PerClass(lambda s: -levels.log_shares(s).index_select(1, ranks))
            return terms(score, batch.target, self.weights, batch.weight)
        return self._by_thresholds(levels(score), ranks, batch)

    def _by_thresholds(self, levels: Tensor, ranks: Tensor, batch: Batch) -> Summed:
        classes, target = len(ranks), batch.target
        shares = (target if is_soft(levels, target) else F.one_hot(target.long(), classes)).to(levels.dtype)
        places = torch.arange(classes - 1, device=levels.device)
        above = (ranks.unsqueeze(1) > places).to(levels.dtype)  # (classes, thresholds)
        values = self.weights.on(levels.device)
        lost = F.binary_cross_entropy_with_logits(levels, shares @ above, reduction="none").mean(1)
        if values is not None:
            lost = lost * (shares * values).sum(1)
        return summed(lost, batch.weight), weight_of(shares, target, values, None, batch.weight)

    def _on(self, score: Tensor) -> tuple[Levels, Tensor]:
        if self._here is None or self._here[1].device != score.device:
            classes = score.shape[1] + 1
            ranks = torch.tensor(self._ranks or range(classes))
            self._here = self.levels(classes).to(score.device), ranks.to(score.device)
        return self._here

    def meter(self, spec: Spec) -> Meter:
        ranks = self._ranks or ranks_of(spec.target.classes, self.options.order)[0]
        return RankMeter(self.loss, spec.target.classes, ranks, lambda score: self._on(score)[0](score))

    def metrics(self, spec: Spec) -> MetricSet:
        ranks = self._ranks or ranks_of(spec.target.classes, self.options.order)[0]

        def rank_of(score: np.ndarray) -> np.ndarray:
            levels = torch.tensor(score)
            return np.asarray((self._on(levels)[0](levels) > 0).sum(1))

        return MetricSet(metrics=ORDINAL_METRICS, per_sample=RankStatistics(ranks, rank_of))

    def score_of(self, answer: Tensor) -> Tensor:
        """Return the score (B, classes - 1) from which the head makes these probabilities (B, classes)."""
        order = torch.tensor(self._ranks).argsort()
        return (start_of(answer.double()[:, order]) - torch.tensor(self._start, dtype=torch.float64)).float()


def start_of(shares: Tensor) -> Tensor:
    """Return the moved score (..., classes - 1) at which the ranks have these shares (..., classes)."""
    above = shares.double().flip(-1).cumsum(-1).flip(-1)[..., 1:].clamp(1e-9, 1 - 1e-9)
    levels = above.logit()
    gaps = (levels[..., :-1] - levels[..., 1:]).clamp(min=1e-6)
    return torch.cat([levels[..., :1], gaps + torch.log(-torch.expm1(-gaps))], -1)  # softplus, undone
