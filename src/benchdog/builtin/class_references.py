"""What a recipe names with its arguments: a class of torch or of the user's, and what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from benchdog.api import BadUsage, import_module_of, is_reference, nearest


def named(
    name: str,
    home: ModuleType,
    kind: type,
    what: str,
    own: tuple[str, ...] = (),
    unfit: Mapping[str, str] | None = None,
) -> type:
    """Find a class by its name in `home`, or by package.module:Class.

    Args:
        own: other words that would have done.
        unfit: names in `home` that can't be used here, with the reason; None: of `home` no name is offered unasked.

    Raises:
        BadUsage: there is none, it is no `kind`, or it is unfit.
    """
    reasons = {getattr(home, n, None): why for n, why in (unfit or {}).items()}
    _, colon, attribute = name.rpartition(":")
    if colon and not is_reference(name):
        raise BadUsage(f"The {what} {name!r} can't be imported: its form is wrong.", "Write package.module:Class.")
    module = import_module_of(name, what) if colon else home

    def fits(cls: Any) -> bool:
        return isinstance(cls, type) and issubclass(cls, kind) and cls is not kind and cls not in reasons

    def names(place: ModuleType) -> list[str]:
        return [n for n, c in vars(place).items() if fits(c) and n[0] != "_"]

    offered = [*own, *([] if unfit is None else names(home))]
    cls = getattr(module, attribute, None)
    if isinstance(cls, type) and fits(cls):
        return cls
    if isinstance(cls, type) and issubclass(cls, kind):
        why = reasons.get(cls, "is only what others are made from")
        raise BadUsage(f"The {what} {name!r} {why}.", nearest(attribute, offered))
    if colon and not names(module):
        base = f"It must be a class derived from {kind.__module__}.{kind.__name__}, or a name."
        raise BadUsage(f"{name!r} is no {what}.", f"{base} {nearest(attribute, offered)}")
    raise BadUsage(f"There is no {what} {name!r}.", nearest(attribute, [*names(module), *([] if colon else own)]))


def arguments(
    cls: type, given: Mapping[str, Any], what: str, taken: tuple[str, ...] = (), positional: int = 1
) -> dict[str, Any]:
    """Check arguments for a class by its signature: names, and types by the defaults.

    The first `positional` ones are given by the caller: the parameters of an optimizer, say.

    Raises:
        BadUsage: an unknown name, one that has an option of its own (`taken`), or a value of another type.
    """
    parameters = list(inspect.signature(cls).parameters.values())[positional:]
    known = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    checked = {}
    for name, value in given.items():
        if name in taken:
            raise BadUsage(f"{name!r} of {what} has an option of its own.", f"Write trainer.{name} = {value!r}.")
        if name not in known:
            raise BadUsage(f"{cls.__name__} has no argument {name!r}.", nearest(name, set(known) - set(taken)))
        checked[name] = _typed(value, known[name].default, f"{name!r} of {what}")
    return checked


def _typed(value: Any, default: Any, what: str) -> Any:
    """Take a TOML value for an argument with this default."""
    if isinstance(value, list):
        value = tuple(value)
    if default is inspect.Parameter.empty or default is None:
        return value
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(default, bool) or not isinstance(default, int | float):
        fits = isinstance(value, type(default))
    else:
        fits = number
    if isinstance(default, tuple):
        fits = fits and len(value) == len(default)
    if not fits:
        raise BadUsage(f"{what} is {value!r}; it is of the kind of {default!r}.")
    return value
