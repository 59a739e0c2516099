"""What a model was made of: the arguments that each of its modules was made with."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from benchdog.deployment.eject.literals import Opaque, is_literal


class Recorded:
    """The calls of `__init__` while a model was built, by (class that defines it, object)."""

    def __init__(self) -> None:
        self.calls: dict[tuple[type, int], dict[str, Any]] = {}
        self.given: dict[tuple[type, int], tuple[tuple[Any, ...], dict[str, Any]]] = {}
        self.kept: list[Any] = []  # so that no other object gets the number of one that is gone

    def of(self, module: nn.Module) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Give the arguments that a module was made with."""
        return self.given[maker(type(module)), id(module)]

    def bound(self, cls: type) -> list[dict[str, Any]]:
        """Give the arguments of each object that a class's own `__init__` was called for, by parameter."""
        return [call for (made_by, _), call in self.calls.items() if made_by is cls]


def maker(cls: type) -> type:
    """Give the class whose `__init__` makes a class's objects."""
    return next(base for base in cls.__mro__ if "__init__" in vars(base))


def record(build: Callable[[], nn.Module]) -> tuple[nn.Module, Recorded]:
    """Build a model twice, the second time under observation."""
    classes = {base for m in build().modules() for base in type(m).__mro__ if issubclass(base, nn.Module)}
    recorded = Recorded()
    with _observed({c for c in classes if "__init__" in vars(c) and c is not nn.Module}, recorded):
        model = build()
    return model, recorded


@contextmanager
def _observed(classes: set[type], recorded: Recorded) -> Iterator[None]:
    own = {cls: vars(cls)["__init__"] for cls in classes}

    def observe(cls: type) -> Any:
        function = own[cls]

        @functools.wraps(function)
        def init(self: Any, *args: Any, **options: Any) -> None:
            key = cls, id(self)
            if key not in recorded.given:
                recorded.kept.append(self)
                recorded.given[key] = args, options
                bound = inspect.signature(function).bind(self, *args, **options)
                bound.apply_defaults()
                recorded.calls[key] = {k: v for k, v in bound.arguments.items() if k != "self"}
            function(self, *args, **options)

        return init

    try:
        for cls in classes:
            cls.__init__ = observe(cls)  # type: ignore[misc]
        yield
    finally:
        for cls, function in own.items():
            cls.__init__ = function  # type: ignore[misc]


def is_plain(value: Any) -> bool:
    """Say whether a value is data: literals, options, a spec; and no module, tensor or function."""
    if isinstance(value, nn.Module | Tensor | type) or callable(value) or inspect.isgenerator(value):
        return False
    return is_literal(value) or dataclasses.is_dataclass(value) or hasattr(value, "_fields")


def always(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Give the plain arguments that are the same in all records."""
    first = records[0] if records else {}
    return {
        name: value
        for name, value in first.items()
        if is_plain(value) and all(name in other and _same(other[name], value) for other in records[1:])
    }


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


class Attributes:
    """What is known of an object's attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def attributes_of(objects: list[Any], fixed: Callable[[str], bool]) -> Attributes:
    """Give what is the same for all objects of a class; `fixed` says whether an attribute is set only once."""
    found: list[dict[str, Any]] = []
    for each in objects:
        held = {name: value for name, value in vars(each).items() if not name.startswith("_")}
        for group in ("_modules", "_parameters", "_buffers"):
            for name, value in vars(each).get(group, {}).items():
                sized = isinstance(value, nn.ModuleList | nn.ModuleDict | nn.Sequential)
                held[name] = None if value is None else Opaque(len(value) if sized else None)
        held = {
            n: v for n, v in held.items() if n != "training" and fixed(n) and (is_plain(v) or isinstance(v, Opaque))
        }
        found.append(held)
    first = found[0] if found else {}
    return Attributes({n: v for n, v in first.items() if all(n in o and _same(o[n], v) for o in found[1:])})
