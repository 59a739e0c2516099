"""Register the task my-thing."""

from benchdog.api import TaskInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_tasks() -> list[TaskInfo]:
    """Return the components; a target is imported on first use."""
    return [
        TaskInfo(
            name="my-thing",
            summary="Choose a class by the Brier score, the squared error of its probabilities.",
            target="benchdog_my_thing.task:MyThingTask",
            answer="benchdog_my_thing.answers:answer",
            models={"image": "cnn", "table": "mlp"},
        )
    ]
