"""The trainer distill: a small model learns the probabilities of a trained one (arXiv:1503.02531)."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc, TrainerInfo, hookimpl

CONTRACT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of distill."""

    lr: Annotated[float, Doc("Learning rate of Adam."), Bounds(gt=0)] = 0.005
    temperature: Annotated[float, Doc("Divides the scores; above 1 softer."), Bounds(gt=0)] = 4.0
    share: Annotated[float, Doc("Share of the teacher in the loss, the labels' is the rest."), Bounds(ge=0, le=1)] = (
        0.9
    )


@hookimpl
def benchdog_trainers():
    summary = "Trains on the scores of another model."
    return [TrainerInfo(name="distill", summary=summary, target=":Distill", options=":Options")]


class Distill:
    models = ("teacher",)  # session.models["teacher"]

    def __init__(self, options):
        self.options = options

    def train(self, session):
        import torch
        from torch.nn.functional import kl_div

        heat, share, device = self.options.temperature, self.options.share, session.device
        model, teacher = device.prepare(session.model), session.models["teacher"]
        optimizer = torch.optim.Adam(model.parameters(), lr=self.options.lr)
        session.track(optimizer=optimizer)
        for _ in session.epochs():
            for batch in session.batches():
                score = model(*batch.inputs)
                with torch.no_grad():
                    wanted = (teacher(*batch.inputs) / heat).log_softmax(1)
                alike = kl_div((score / heat).log_softmax(1), wanted, log_target=True, reduction="batchmean")
                loss, weight = session.task.loss(score, batch)
                session.backward((1 - share) * loss + share * heat**2 * alike * weight, weight, batch)
                if batch.last:
                    device.step(optimizer)
                    optimizer.zero_grad()
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        return model
