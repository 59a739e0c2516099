"""Tasks with faults."""

import numpy as np
import torch
from torch import nn

from benchdog.api import BadUsage


class Good:
    monitor, better = "accuracy", "max"

    def __init__(self, options=None):
        pass

    def check(self, spec):
        if spec.target.kind != "class":
            raise BadUsage("It needs a class.", "Choose another task.")

    def output(self, spec):
        return (spec.classes,)

    def head(self, spec):
        return nn.Softmax(dim=1)

    def loss(self, score, batch):
        return nn.functional.cross_entropy(score, batch.target, reduction="sum"), len(score)

    def meter(self, spec):
        return Meter()


class Meter:
    def __init__(self):
        self.sums = torch.zeros(2, dtype=torch.float64)

    def add(self, score, batch):
        target = batch.target.argmax(1) if batch.target.ndim > 1 else batch.target
        self.sums += torch.tensor([float((score.argmax(1) == target).sum()), len(score)], dtype=torch.float64)

    def state(self):
        return {"sums": self.sums}

    def merge(self, state):
        self.sums += state["sums"]

    def value(self):
        return {"accuracy": float(self.sums[0] / self.sums[1].clamp(min=1)), "loss": 0.0}


class RawCheck(Good):
    def check(self, spec):
        {"class": 1}[spec.target.kind]


class MeanLoss(Good):
    def loss(self, score, batch):
        return nn.functional.cross_entropy(score, batch.target), 1


class LossInPlace(Good):
    def loss(self, score, batch):
        total = nn.functional.cross_entropy(score, batch.target, reduction="sum")
        batch.target.clamp_(max=0)
        return total, len(score)


class RandomLoss(Good):
    def loss(self, score, batch):
        total, weight = super().loss(score, batch)
        return total * (1 + torch.rand(())), weight


class DetachedLoss(Good):
    def loss(self, score, batch):
        return super().loss(score.detach(), batch)


class WrongHead(Good):
    def head(self, spec):
        return nn.Softmax(dim=0)


class Means(Meter):
    def __init__(self):
        self.means = torch.zeros(0)

    def add(self, score, batch):
        mean = (score.argmax(1) == batch.target).float().mean()
        self.means = torch.cat([self.means, mean[None]])

    def state(self):
        return {"means": self.means}

    def merge(self, state):
        self.means = torch.cat([self.means, state["means"]])

    def value(self):
        return {"accuracy": float(self.means.mean())}


class MeterOfMeans(Good):
    def meter(self, spec):
        return Means()


class OtherMetric(Good):
    monitor = "f1"


class IgnoresWeights(Good):
    weighs = True


class CodesOnly(Good):
    def loss(self, score, batch):
        picked = score.log_softmax(1)[torch.arange(len(score)), batch.target]
        return -picked.sum(), len(score)


class Forgets(Good):
    factor = 1.0

    def fit(self, targets):
        self.factor = 1 + float(sum(piece.sum() for piece in targets))

    def state(self):
        return {}

    def restore(self, state):
        pass

    def loss(self, score, batch):
        total, weight = super().loss(score, batch)
        return total * self.factor, weight


class AnswersByBatch(Good):
    pass


class NoJson(Good):
    pass


class NoWriter(Good):
    pass


class LosesAnswers(Good):
    pass


class Counting(Good):
    """It predicts a probability per class, for the share of an image's boxes that are of the class."""

    def check(self, spec):
        if spec.target.kind != "boxes":
            raise BadUsage("It needs boxes.", "Choose another task.")
        self.target = spec.target

    def shares(self, batch, classes):
        real = self.target.real_rows(batch.target)
        codes = nn.functional.one_hot(batch.target[..., 4].long().clamp(min=0), classes).float()
        return (codes * real[..., None]).sum(1) / real.sum(1).clamp(min=1)[:, None]

    def loss(self, score, batch):
        return (score.softmax(1) - self.shares(batch, score.shape[1])).square().sum(), len(score)

    def meter(self, spec):
        return CountingMeter(lambda batch: self.shares(batch, spec.classes))


class CountingMeter(Meter):
    def __init__(self, shares):
        super().__init__()
        self.shares = shares

    def add(self, score, batch):
        right = (score.argmax(1) == self.shares(batch).argmax(1)).sum()
        self.sums += torch.tensor([float(right), len(score)], dtype=torch.float64)


class CountsPadding(Counting):
    def shares(self, batch, classes):
        codes = nn.functional.one_hot(batch.target[..., 4].long().clamp(min=0), classes).float()
        return codes.mean(1)


class Collating(Good):
    def collate(self, targets, spec):
        return np.stack(targets).astype("int64")


class CollatesTogether(Collating):
    def collate(self, targets, spec):
        codes = super().collate(targets, spec)
        return codes - codes.min()


class LostLosses(Good):
    def losses(self, score, batch):
        return self.loss(score, batch)[0]


class ClaimsScores(Good):
    usual_scores = True

    def loss(self, score, batch):
        """Take the score for the logarithm of a rate of each class."""
        target = batch.target if batch.target.ndim > 1 else nn.functional.one_hot(batch.target, score.shape[1])
        return ((-score).exp() + target * score).sum(), len(score)

    def meter(self, spec):
        return Losses(self)


class Losses(Meter):
    def __init__(self, task):
        super().__init__()
        self.task, self.total = task, 0.0

    def add(self, score, batch):
        super().add(score, batch)
        self.total += float(self.task.loss(score, batch)[0])

    def state(self):
        return {"sums": self.sums, "total": torch.tensor(self.total)}

    def merge(self, state):
        super().merge(state)
        self.total += float(state["total"])

    def value(self):
        return {**super().value(), "loss": self.total / float(self.sums[1].clamp(min=1))}


class ShortBaselines(Good):
    def baselines(self, inputs):
        return {"mean": lambda given: torch.zeros(len(given[0]))}
