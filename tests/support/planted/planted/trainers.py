"""Trainers with faults."""

import torch


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
                session.backward(loss, weight, batch)
                if self.is_step(batch):
                    optimizer.step()
                    optimizer.zero_grad()
                if batch.last:
                    self.count(session, loss, weight)
            self.close(session)
        return session.model


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
