"""Register the task brier."""

from benchdog.api import TaskInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_tasks() -> list[TaskInfo]:
    """Return the components; a target is imported on first use."""
    return [
        TaskInfo(
            name="brier",
            summary="Choose a class by the Brier score, the squared error of its probabilities.",
            target="benchdog_settler.brier_task:BrierTask",
            answer="benchdog_settler.brier_answers:answer",
            models={"image": "cnn", "table": "mlp"},
        )
    ]
