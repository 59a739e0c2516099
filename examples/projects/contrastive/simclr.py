"""The trainer simclr: two views of a sample become neighbors, without any label (arXiv:2002.05709)."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Batch, Bounds, Doc, TrainerInfo, hookimpl

CONTRACT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of simclr."""

    lr: Annotated[float, Doc("Learning rate of Adam."), Bounds(gt=0)] = 0.002


@hookimpl
def benchdog_trainers():
    summary = "Contrastive learning without labels."
    return [TrainerInfo(name="simclr", summary=summary, target=":SimClr", options=":Options")]


class SimClr:
    def __init__(self, options):
        self.options = options

    def train(self, session):
        import torch

        device, task = session.device, session.task
        model = device.prepare(session.model)
        optimizer = torch.optim.Adam(model.parameters(), lr=self.options.lr)
        session.track(optimizer=optimizer)
        for _ in session.epochs():
            for batch in session.batches():
                other = session.batch("train", view=1)  # the same samples, augmented differently
                pairs = tuple(torch.cat(pair) for pair in zip(batch.inputs, other.inputs, strict=True))
                own = torch.arange(len(batch.target), device=batch.target.device).repeat(2)
                # The task embedding is contrastive: here a sample's class is the sample itself.
                loss, weight = task.loss(model(*pairs), Batch(pairs, own, last=batch.last))
                session.backward(loss, weight, batch)
                if batch.last:
                    device.step(optimizer)
                    optimizer.zero_grad()
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        return model
