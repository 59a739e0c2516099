"""The trainer: the loop. Checkpoints, resume, events and signals come with the session."""

import torch
from benchdog.api import Session
from torch import nn

from .options import Options


class MyThingTrainer:
    """Learn by stochastic gradient descent."""

    weighs = True  # the loss is the task's, which honours the weights of samples

    def __init__(self, options: Options) -> None:
        self.options = options

    def train(self, session: Session) -> nn.Module:
        """Train until the last epoch, or until the session says so."""
        device, task = session.device, session.task
        model = device.prepare(session.model)
        optimiser = torch.optim.SGD(model.parameters(), lr=self.options.lr, momentum=self.options.momentum)
        session.track(optimiser=optimiser)  # in every checkpoint from here on; restored on a resume
        for _ in session.epochs():
            for batch in session.batches():
                with device.autocast():
                    loss, weight = task.loss(model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                if batch.last:  # a batch may come in pieces
                    device.step(optimiser)
                    optimiser.zero_grad()
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        return model
