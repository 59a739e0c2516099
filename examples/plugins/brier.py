from benchdog.api import TaskInfo, hookimpl

CONTRACT = 1  # try: benchdog --plugin brier.py train digits --task brier


@hookimpl
def benchdog_tasks():
    more = {
        "answer": "benchdog.builtin.tasks.answers:classification",
        "models": {"image": "cnn", "table": "mlp"},
    }
    return [TaskInfo(name="brier", summary="Squared error of probabilities.", target=":task", **more)]


def task():
    from benchdog.builtin.tasks.classification import Classification, nn

    class BrierTask(Classification):  # only the loss differs from `classification`
        usual_scores = True  # scores are logits still

        def loss(self, score, batch):
            shares = nn.functional.one_hot(batch.target, score.shape[1]) if batch.target.ndim == 1 else batch.target
            error = (score.softmax(1) - shares).square().sum(1)
            weight = error.new_ones(len(error)) if batch.weight is None else batch.weight
            return (error * weight).sum(), weight.sum()

    return BrierTask()
