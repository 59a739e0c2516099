from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_trainers():
    return [TrainerInfo(name="plain-sgd", summary="SGD, nothing else.", target=":PlainSgdTrainer")]


class PlainSgdTrainer:
    def train(self, session):
        from torch.optim import SGD

        sgd = SGD(session.device.prepare(session.model).parameters(), lr=0.1)
        for _ in session.epochs():
            for batch in session.batches():
                loss, weight = session.task.loss(session.model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                if batch.last:
                    session.device.step(sgd)
                    sgd.zero_grad()
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        return session.model
