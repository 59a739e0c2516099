"""Offer the task brier."""

from benchdog.api import TaskInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_tasks() -> list[TaskInfo]:
    """Say what there is; the strings are imported when somebody uses it."""
    return [
        TaskInfo(
            name="brier",
            summary="Choose a class by the Brier score, the squared error of its probabilities.",
            target="benchdog_brier.task:BrierTask",
            answer="benchdog_brier.answers:answer",
            models={"image": "cnn", "table": "mlp"},
        )
    ]
