"""What a task's answer function returned, checked before it is used."""

from __future__ import annotations

from typing import Any

from benchdog.api import Answer, BadUsage


def checked(found: Any, samples: int, task: str) -> list[Answer]:
    """Return the predictions of a batch.

    Raises:
        BadUsage: they are no list of `Answer`, or not one for each sample.
    """
    if not isinstance(found, list | tuple) or not all(isinstance(each, Answer) for each in found):
        kinds = {type(each).__name__ for each in found} if isinstance(found, list | tuple) else set()
        what = f"a list of {' and '.join(sorted(kinds))}" if kinds else f"a {type(found).__name__}"
        raise BadUsage(
            f"The answer function of the task {task!r} returns {what}, not a list of Answer.",
            "Return [Answer({...}), ...] of benchdog.api, one for each sample.",
        )
    if len(found) != samples:
        raise BadUsage(
            f"The answer function of the task {task!r} returns {len(found)} answers for {samples} samples.",
            "Return one for each row of call(*inputs).",
        )
    return list(found)
