"""The trainer: the training loop. The session handles checkpoints, resume, events and signals."""

import torch
from benchdog.api import Session
from torch import nn

from .options import Options


class MyThingTrainer:
    """Train by stochastic gradient descent."""

    weighs = True  # the task's loss applies the sample weights

    def __init__(self, options: Options) -> None:
        self.options = options

    def train(self, session: Session) -> nn.Module:
        """Train until the last epoch or until the session stops the loop."""
        device, task = session.device, session.task
        model = device.prepare(session.model)
        optimizer = torch.optim.SGD(model.parameters(), lr=self.options.lr, momentum=self.options.momentum)
        session.track(optimizer=optimizer)  # saved in every checkpoint from here on, restored on resume
        for _ in session.epochs():
            for batch in session.batches():
                with device.autocast():
                    loss, weight = task.loss(model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                if batch.last:  # a batch may come as micro-batches
                    device.step(optimizer)
                    optimizer.zero_grad()
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        return model
