"""Plain SGD; its check has the signature of contract 0, and it tracks `optimiser`, the old key."""

import torch

from benchdog.api import BadUsage


class Veteran:
    """SGD that skips the last steps."""

    weighs = True

    def __init__(self, options):
        self.options = options

    def check(self, model, stages, steps, task):
        """Refuse a `rest` that leaves no step."""
        if steps is not None and self.options.rest >= steps:
            message = f"rest is {self.options.rest}; the run has {steps} steps, the model {len(stages)} parts"
            raise BadUsage(f"{message} and {sum(p.numel() for p in model.parameters())} weights ({task.monitor}).")

    def train(self, session):
        """Train to the end."""
        optimiser = torch.optim.SGD(session.model.parameters(), lr=self.options.rate)
        session.track(optimiser=optimiser)
        for _ in session.epochs():
            for batch in session.batches():
                loss, weight = session.task.loss(session.model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                if batch.last:
                    if session.step < session.total_steps - self.options.rest:
                        session.device.step(optimiser)
                    optimiser.zero_grad()
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        return session.model
