"""The plain training loop."""

from __future__ import annotations

from torch import nn

from benchdog.api import Session, Trial
from benchdog.builtin.trainers.checkpointing import recomputing
from benchdog.builtin.trainers.compiling import compiled
from benchdog.builtin.trainers.freezing import Tuning
from benchdog.builtin.trainers.lora import Lora
from benchdog.builtin.trainers.optimizers import make_limit, make_optimizer, try_optimizer
from benchdog.builtin.trainers.options import Supervised as Options
from benchdog.builtin.trainers.schedules import make_schedule, tried
from benchdog.builtin.trainers.weight_averaging import make_average


class Supervised:
    """Learn from samples with known targets, by gradient descent."""

    weighs = True

    def __init__(self, options: Options) -> None:
        self.options = options

    def check(self, trial: Trial, /) -> None:
        """See what a run would trip over: names of parts, arguments of optimizer and schedule."""
        model, stages, task = trial.model, trial.stages, trial.task
        lora = Lora(self.options, model, stages[-1] if stages else "", 0)
        tuning = Tuning(self.options, model, stages, lora.parameters)
        optimizer = make_optimizer(self.options, model, tuning.groups())
        try_optimizer(self.options)
        schedule = make_schedule(self.options, optimizer, trial.steps, task.monitor, task.better)
        tried(schedule, optimizer, task.monitor)

    def train(self, session: Session, /) -> nn.Module:
        """Train the session's model until its last epoch."""
        device, task, options = session.device, session.task, self.options
        stages = session.stages
        lora = Lora(options, session.model, stages[-1] if stages else "", session.seed)
        tuning = Tuning(options, session.model, stages, lora.parameters)
        model = device.prepare(session.model)
        parameters = list(model.parameters())
        optimizer = make_optimizer(options, model, tuning.groups())
        schedule = make_schedule(options, optimizer, session.total_steps, task.monitor, task.better)
        average = make_average(options, model, session.total_epochs)
        limit = make_limit(options, parameters)
        session.track(optimiser=optimizer, schedule=schedule, average=average, lora=lora)
        call = compiled(model, session.spec, options.compile == "yes")
        with recomputing(model, options.activation_checkpointing):
            for epoch in session.epochs():
                tuning.begin(epoch)
                for batch in session.batches():
                    with device.autocast():
                        score = call(*batch.inputs)
                        loss, weight = task.loss(score, batch)
                    session.backward(loss, weight, batch)
                    if batch.last:
                        device.step(optimizer, limit)
                        for parameter in parameters:
                            parameter.grad = None  # what zero_grad() does, in a tenth of its time
                        schedule.step()
                        average.step()
                        session.step_done(loss, weight)
                average.epoch_done()
                with lora.merged():
                    metrics = session.evaluate("valid", average.model)
                    schedule.epoch_done(metrics)
                    session.epoch_done(metrics, average.model)
        lora.finish()
        return model
