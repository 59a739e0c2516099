"""The trainer mean-teacher: a moving average of the model labels samples that have no label (arXiv:1703.01780)."""

from dataclasses import dataclass
from typing import Annotated

from benchdog.api import Bounds, Doc, TrainerInfo, hookimpl

CONTRACT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """Options of mean-teacher."""

    lr: Annotated[float, Doc("Learning rate of Adam."), Bounds(gt=0)] = 0.002
    decay: Annotated[float, Doc("Share of the average that stays at each step."), Bounds(gt=0, lt=1)] = 0.97
    sure: Annotated[float, Doc("Smallest probability of a label that is learned from."), Bounds(ge=0, lt=1)] = 0.9


@hookimpl
def benchdog_trainers():
    summary = "Learns from samples without a label, too."
    return [TrainerInfo(name="mean-teacher", summary=summary, target=":MeanTeacher", options=":Options")]


class MeanTeacher:
    unlabeled = True  # session.batch("unlabeled")

    def __init__(self, options):
        self.options = options

    def train(self, session):
        import torch
        from torch.nn.functional import cross_entropy
        from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

        device, options = session.device, self.options
        model = device.prepare(session.model)
        teacher = AveragedModel(model, avg_fn=get_ema_avg_fn(options.decay), use_buffers=True)
        optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
        session.track(optimizer=optimizer, teacher=teacher)
        for _ in session.epochs():
            for batch in session.batches():
                seen, other = (session.batch("unlabeled", 256, view=view) for view in (0, 1))
                with torch.no_grad():
                    chance, label = teacher(*seen.inputs).softmax(1).max(1)
                sure = (chance > options.sure).float()
                learned = (cross_entropy(model(*other.inputs), label, reduction="none") * sure).mean()
                loss, weight = session.task.loss(model(*batch.inputs), batch)
                session.backward(loss + learned * weight, weight, batch)
                if batch.last:
                    device.step(optimizer)
                    optimizer.zero_grad()
                    teacher.update_parameters(model)
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate("valid", teacher.module), teacher.module)
        return model
