"""What a request tells a task, and what it says of several inputs that are asked for at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from benchdog.api import Answer, TaskInfo
from benchdog.errors import BadUsage, nearest

if TYPE_CHECKING:
    from benchdog.model.load import LoadedModel
    from benchdog.plugins import Plugins
    from benchdog.plugins.types import RegisteredComponent


def with_request_options(opened: LoadedModel, plugins: Plugins, given: Mapping[str, Any]) -> LoadedModel:
    """Return the model with other options of its task, for what is asked of it now.

    Raises:
        BadUsage: the task has no such option, or takes it in training only; another type or value.
    """
    if not given:
        return opened
    found, info = _task(opened, plugins)
    for name in given:
        if name not in info.asked:
            hint = (
                nearest(name, info.asked) if info.asked else "Leave --set out: this task takes no inference options."
            )
            raise BadUsage(f"The task {info.name!r} has no inference option {name!r}.", hint)
    task = opened.meta["task"]
    options = {**(task["options"] or {}), **given}
    plugins.options(found, options)
    return type(opened)(opened.path, {**opened.meta, "task": {**task, "options": options}}, plugins, opened.trusted)


def together(opened: LoadedModel, plugins: Plugins, batches: Iterable[list[Answer]]) -> Iterator[list[Answer]]:
    """Add to the answers of one question what can be said only of several; these are kept until all are there.

    Most tasks say nothing more: their answers come as they are.
    """
    found, info = _task(opened, plugins)
    if not info.together:
        yield from batches
        return
    answers = [answer for batch in batches for answer in batch]
    options = plugins.options(found, opened.meta["task"]["options"])
    if len(answers) > 1:
        answers = found.resolve(info.together)(answers, opened.model_spec, options)
    if answers:
        yield answers


def _task(opened: LoadedModel, plugins: Plugins) -> tuple[RegisteredComponent, TaskInfo]:
    found = plugins.find("task", opened.task_name)
    assert isinstance(found.info, TaskInfo)
    return found, found.info
