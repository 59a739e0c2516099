"""Trainers with faults."""

import torch

from benchdog.api import Batch


class Good:
    momentum = 0.9

    def __init__(self, options=None):
        pass

    def optimizer(self, session):
        return torch.optim.SGD(session.model.parameters(), lr=0.1, momentum=self.momentum)

    def track(self, session, optimizer):
        session.track(optimizer=optimizer)

    def epochs(self, session):
        return session.epochs()

    def change(self, session, batch):
        pass

    def count(self, session, loss, weight):
        session.step_done(loss.detach(), weight)

    def learn(self, session, batch, loss, weight):
        return loss

    def is_step(self, batch):
        return batch.last

    def close(self, session):
        session.epoch_done(session.evaluate())

    def train(self, session):
        optimizer = self.optimizer(session)
        self.track(session, optimizer)
        for _ in self.epochs(session):
            for batch in session.batches():
                self.change(session, batch)
                loss, weight = session.task.loss(session.model(*batch.inputs), batch)
                loss = self.learn(session, batch, loss, weight)
                session.backward(loss, weight, batch)
                if self.is_step(batch):
                    optimizer.step()
                    optimizer.zero_grad()
                if batch.last:
                    self.count(session, loss, weight)
            self.close(session)
        return session.model


class Semi(Good):
    """Also learns from samples without a target, from another source and from a trained model."""

    unlabeled, sources, models = True, ("photos",), ("teacher",)

    def others(self, session):
        return session.batch("unlabeled"), session.batch("photos", 6)

    def teacher(self, session):
        return session.models["teacher"]

    def learn(self, session, batch, loss, weight):
        for other in self.others(session):
            guess = session.model(*other.inputs)
            loss = loss + 0.1 * (guess - self.teacher(session)(*other.inputs)).square().mean() * weight
        return loss


class OwnPlace(Semi):
    def __init__(self, options=None):
        self.draws = torch.Generator().manual_seed(0)

    def others(self, session):
        rows = torch.randint(20, (8,), generator=self.draws)
        (batch,) = session.batches("unlabeled")
        return [Batch(tuple(x[rows] for x in batch.inputs), batch.target[rows])]


class ChangesOthers(Semi):
    def others(self, session):
        batch = session.batch("unlabeled")
        batch.inputs[0].mul_(0.9)
        return [batch]


class TrainsTeacher(Semi):
    def teacher(self, session):
        teacher = session.models["teacher"]
        with torch.no_grad():
            for p, q in zip(teacher.parameters(), session.model.parameters(), strict=True):
                p.lerp_(q, 0.1)
        return teacher


class Endless(Good):
    def epochs(self, session):
        return iter(int, 1)


class Swallows(Good):
    def count(self, session, loss, weight):
        try:
            super().count(session, loss, weight)
        except Exception:
            return


class ForgetsMomentum(Good):
    def track(self, session, optimizer):
        pass


class UnseededNoise(Good):
    def __init__(self, options=None):
        self.draws = torch.Generator()
        self.draws.seed()

    def change(self, session, batch):
        with torch.no_grad():
            for p in session.model.parameters():
                p.add_(0.01 * torch.randn(p.shape, generator=self.draws))


class CountsNothing(Good):
    def count(self, session, loss, weight):
        pass


class IgnoresLast(Good):
    def is_step(self, batch):
        return True


class ChangesBatches(Good):
    def change(self, session, batch):
        batch.inputs[0].mul_(0.9)


class NoEpoch(Good):
    def epochs(self, session):
        return range(3)

    def close(self, session):
        pass


class Deaf(Good):
    def epochs(self, session):
        return range(session.epoch, session.total_epochs)


class Blind(Good):
    def close(self, session):
        session.epoch_done({})
