"""What a task says of several inputs that are asked for at once: how they lie to each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from benchdog.api import Answer, TaskInfo

if TYPE_CHECKING:
    from benchdog.opening import Opened
    from benchdog.plugins import Plugins


def together(opened: Opened, plugins: Plugins, batches: Iterable[list[Answer]]) -> Iterator[list[Answer]]:
    """Add to the answers of one question what can be said only of several; these are kept until all are there.

    Most tasks say nothing more: their answers come as they are.
    """
    found = plugins.find("task", opened.task_name)
    assert isinstance(found.info, TaskInfo)
    if not found.info.together:
        yield from batches
        return
    answers = [answer for batch in batches for answer in batch]
    options = plugins.options(found, opened.meta["task"]["options"])
    if len(answers) > 1:
        answers = found.resolve(found.info.together)(answers, opened.spec, options)
    if answers:
        yield answers
