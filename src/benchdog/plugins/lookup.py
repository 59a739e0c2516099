"""Lookup of components: references to the user's own classes, missing packages, unknown names."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from inspect import isclass, isfunction, isroutine, signature
from pathlib import Path
from typing import Any

from benchdog import api
from benchdog.errors import BadUsage, BenchdogError, NotAvailable, nearest
from benchdog.plugins import companions
from benchdog.plugins.compat import objection
from benchdog.plugins.loading import installed, load_file
from benchdog.plugins.types import RegisteredComponent

METHODS: dict[str, dict[str, tuple[str, ...]]] = {
    "source": {"spec": (), "open": ()},
    "task": {
        "check": ("spec",), "output": ("spec",), "head": ("spec",), "loss": ("score", "batch"), "meter": ("spec",),
    },
    "trainer": {"train": ("session",)},
    "backend": {"probe": (), "open": ("rank", "world")},
    "exporter": {"export": ("artifact", "folder")},
    "augmentation": {"check": ("spec",), "apply": ("inputs", "target", "draws")},
    "writer": {"write": ("value", "file")},
}  # fmt: skip
"""The methods of every component of a kind, and what they are called with; a model is a torch.nn.Module."""


def resolve_reference(offer: type[api.Component], name: str) -> RegisteredComponent:
    """Import "package.module:attribute" or "file.py:attribute" and return it as a component of that kind.

    Raises:
        BadUsage: it can't be imported, has no such attribute, is of another kind, or its contract is not supported.
    """
    kind = offer.kind
    if kind == "writer":  # what it writes, only a descriptor says
        raise BadUsage(f"There is no writer {name!r}.", "One of your own: benchdog --plugin FILE, and its name here.")
    place, _, attribute = name.rpartition(":")
    module = load_file(Path(place)).__name__ if place.endswith(".py") else api.import_module_of(name, kind).__name__
    holder = sys.modules[module]
    number = getattr(holder, "CONTRACT", api.CONTRACT)
    if wrong := objection(number, api.CONTRACT, place):
        raise BadUsage(f"{kind} {name!r}: {place} {wrong[0]}.", wrong[1])
    value: Any = holder
    for part in attribute.split("."):
        if not hasattr(value, part):
            own = vars(holder).items()
            names = [n for n, v in own if (isclass(v) or isroutine(v)) and v.__module__ == module]
            raise BadUsage(f"{place} has no {attribute!r}.", nearest(attribute, names))
        value = getattr(value, part)
    _check_callable(kind, name, value)
    target = f"{module}:{attribute}"
    more: dict[str, Any] = {}
    if kind in ("task", "exporter"):
        more = {"answer": f"{target}.answer"} if kind == "task" else {"runner": f"{target}.Runner"}
    info = offer(name=name, summary="", target=target, **more)
    return RegisteredComponent(info=info, plugin="", dist=place, version="", module=module, contract=number)


def _check_callable(kind: str, name: str, value: Any) -> None:
    """Check what a reference leads to before it is called.

    Raises:
        BadUsage: it isn't callable, is a part of Python or of a C library, or is a class without the kind's methods.
    """
    if not callable(value):
        raise BadUsage(
            f"The {kind} {name!r} can't be used: it is a {type(value).__name__}.", "Name a class or a function."
        )
    origin = getattr(value, "__module__", None) if isclass(value) or isroutine(value) else ""
    if origin is None or origin.partition(".")[0] in sys.stdlib_module_names:
        raise BadUsage(
            f"The {kind} {name!r} can't be used: it is a part of Python or of a C library.",
            "Name a class of your own.",
        )
    if isclass(value):
        check_methods(kind, name, value)


def check_methods(kind: str, name: str, component: Any) -> None:
    """Raise BadUsage for a component, or its class, that lacks a method of its kind, or takes other arguments."""
    what = component.__name__ if isclass(component) else f"a {type(component).__name__}"
    for method, arguments in METHODS.get(kind, {}).items():
        function = getattr(component, method, None)
        if not callable(function):
            methods = ", ".join(f"{each}()" for each in METHODS[kind])
            raise BadUsage(
                f"The {kind} {name!r} can't be used: {what} has no {method}().", f"Its methods must be {methods}."
            )
        own = isclass(component) and isfunction(function)  # not yet bound: self comes first
        try:
            signature(function).bind(*(("self",) if own else ()), *arguments)
        except TypeError as error:
            call = f"{method}({', '.join(arguments)})"
            raise BadUsage(
                f"The {kind} {name!r} can't be used: {what} can't be called as {call}: {error}.",
                f"Define it as def {method}({', '.join(('self', *arguments))}).",
            ) from None
        except ValueError:  # of a C library
            continue


def available(found: RegisteredComponent) -> RegisteredComponent:
    """Return the component; raise NotAvailable if a package that it requires is missing."""
    for package in found.info.requires:
        if not installed(package):
            raise NotAvailable(
                f"{found.info.kind} {found.info.name!r} needs {package}, which is not installed.",
                found.info.install or f"Install {package}.",
            )
    return found


def unknown(kind: str, name: str, known: Iterable[str]) -> BenchdogError:
    """Return the error for an unknown name: the nearest names, and how to use a class of one's own.

    For a name of one of Benchdog's packages that isn't installed it is NotAvailable, with that package.
    """
    if package := companions.absent(kind, name):
        return companions.missing(f"The {kind} {name!r}", package)
    places = {"source": "benchdog train", "exporter": "--to", "augmentation": "--set"}
    own = f"give {places.get(kind, f'--{kind}')} package.module:Class or file.py:Class."
    if kind == "augmentation":  # it is one of a list
        own = 'give --set \'loader.augment=["file.py:Class"]\' or "package.module:Class" in the list.'
    return BadUsage(f"There is no {kind} {name!r}.", f"{nearest(name, known)} A class of your own: {own}")
