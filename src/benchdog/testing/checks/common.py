"""What is asked of every component: its options, its target, silence, and a clean working folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchdog.errors import BenchdogError
from benchdog.plugins.options import to_json, validate
from benchdog.testing.runner.locations import raised, said, shown, stands
from benchdog.testing.runner.results import Fault, Skip
from benchdog.testing.runner.trial import Trial

METHODS: dict[str, dict[str, int]] = {
    "source": {"spec": 0, "open": 0},
    "task": {"check": 1, "output": 1, "head": 1, "loss": 2, "meter": 1},
    "trainer": {"train": 1},
    "exporter": {"export": 2},
    "backend": {"probe": 0, "open": 2},
    "augmentation": {"check": 1, "apply": 3},
    "writer": {"write": 2},
}
"""What a component of each kind can do, and how many arguments it is given."""


def options(trial: Trial) -> str:
    """Check that each option is documented, has a default that it allows itself, and survives JSON."""
    if not trial.info.options:
        return "none"
    described = trial.described
    cls = trial.found.resolve(trial.info.options)
    where = stands(cls)
    for name, option in described.items():
        if not option.doc.strip():
            raise Fault(
                f"The option {name!r} has no documentation.",
                f'Write {name}: Annotated[..., Doc("What it does.")]; benchdog.api has Doc.',
                where,
            )
        if not option.required:
            _default(trial, cls, name, option, where)
    required = [name for name, option in described.items() if option.required]
    if required:
        missing = [name for name in required if name not in trial.given]
        if missing:
            return f"{len(trial.described)}, all documented; required: {', '.join(required)}"
    made = trial.options()
    stored = to_json(made)
    again = validate(type(made), stored, "options")
    if again != made:
        raise Fault(
            "The options differ after JSON: a recipe, and so a worker process, would have others.",
            "Use types that JSON has: numbers, texts, tuples, mappings, paths.",
            where,
        )
    return f"{len(trial.described)}, all documented"


def _default(trial: Trial, cls: type, name: str, option: Any, where: str) -> None:
    """Check that a default is a value that the option's own type and bounds allow."""
    try:
        stored = option.adapter.dump_python(option.default, mode="json")
        option.adapter.validate_python(stored if option.default is not None else None)
        if option.default is not None:
            option.adapter.validate_json(option.adapter.dump_json(option.default))
    except Exception as error:
        raise Fault(
            f"The option {name!r} has a default that it doesn't allow itself: {option.default!r}.",
            "Set a default of its type, within its bounds.",
            where,
        ) from error


def target(trial: Trial) -> str:
    """Check that the target resolves and does what its kind needs."""
    cls = trial.cls
    if not callable(cls):
        raise Fault(f"target {trial.info.target!r} is a {type(cls).__name__}.", "Name a class or function.")
    for key in ("answer", "together", "runner", "pretrained", "examples"):
        name = getattr(trial.info, key, "")
        if name:
            _resolved(trial, key, name)
    for method, count in METHODS.get(trial.kind, {}).items():
        _takes(trial, cls, method, count)
    if trial.kind == "model":
        _builds(cls)
    else:
        _made(trial)
    return shown(trial.info.target)


def _resolved(trial: Trial, key: str, name: str) -> None:
    try:
        trial.found.resolve(name)
    except BenchdogError as error:
        raise Fault(
            f"{key} {shown(name)!r} doesn't resolve: {said(error.__cause__ or error)}.",
            f'Name what is there: {key}="package.module:attribute".',
            raised(error.__cause__ or error),
        ) from error


def _takes(trial: Trial, cls: Any, method: str, count: int) -> None:
    """Check that a component has a method that takes what it is given."""
    owner = cls if inspect.isclass(cls) and hasattr(cls, method) else _instance(trial)
    if owner is None:
        return  # reported by another check
    function = getattr(owner, method, None)
    name = getattr(cls, "__name__", trial.name)
    if not callable(function):
        raise Fault(
            f"{name} has no {method}().", f"Write it: see {trial.kind.capitalize()} in benchdog.api.", stands(cls)
        )
    static = inspect.isclass(owner) and isinstance(inspect.getattr_static(owner, method), staticmethod | classmethod)
    accepts(function, count + (inspect.isclass(owner) and not static), f"{name}.{method}", trial.kind)


def _instance(trial: Trial) -> Any:
    """Make the component for a look at its methods; None where it can't be made."""
    try:
        return trial.make(trial.given)
    except Exception:
        return None


def accepts(function: Callable[..., Any], count: int, name: str, kind: str) -> None:
    """Check that a function takes so many arguments by position."""
    try:
        signature = inspect.signature(function)
        signature.bind(*range(count))
    except ValueError:
        return
    except TypeError:
        given = count - ("self" in signature.parameters)
        raise Fault(
            f"{name}{signature} doesn't take the {given} arguments that it is called with.",
            f"Accept the arguments of {kind.capitalize()} in benchdog.api.",
            stands(function),
        ) from None


def _builds(cls: Any) -> None:
    try:
        wanted = inspect.signature(cls)
    except (TypeError, ValueError):
        return
    if "spec" in wanted.parameters:
        accepts(cls, 2, getattr(cls, "__name__", "build"), "model")


def _made(trial: Trial) -> None:
    """Check that the component can be made as the host makes it."""
    if trial.kind == "source":
        return  # a source may need data that the kit hasn't found yet
    try:
        trial.once("made", trial.make)
    except Skip:
        raise
    except BenchdogError as error:
        raise Skip(f"can't be made with its defaults: {error.message}") from error
    except Exception as error:
        raise Fault(
            f"Making it raises {said(error)}.",
            "It is made as Target(options), or Target() when it declares no options.",
            raised(error) or trial.where,
        ) from error


def prints(trial: Trial, printed: str) -> str:
    """Check that nothing was printed on stdout while it was looked at."""
    if printed:
        line = printed.strip().splitlines()[0][:100] if printed.strip() else printed[:100]
        raise Fault(
            f"It prints on stdout: {line!r}.", "Don't: a command's stdout is its result. Use the logging module."
        )
    return "nothing on stdout"


def files(trial: Trial, folder: Path) -> str:
    """Check that nothing was left in the working folder."""
    left = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    if left:
        raise Fault(
            f"It leaves files in the working folder: {', '.join(left[:3])}.",
            "Write into the folder that it is given (a run's, an export's, fetch(cache)'s), or a temporary one.",
        )
    return "nothing left behind"
