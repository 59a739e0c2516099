"""Lookup of components: references to the user's own classes, missing packages, unknown names."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from inspect import isclass, isroutine
from pathlib import Path
from typing import Any

from benchdog import api
from benchdog.errors import BadUsage, BenchdogError, NotAvailable, nearest
from benchdog.plugins import companions
from benchdog.plugins.compat import objection
from benchdog.plugins.loading import installed, load_file, said
from benchdog.plugins.types import RegisteredComponent


def resolve_reference(offer: type[api.Component], name: str) -> RegisteredComponent:
    """Import "package.module:attribute" or "file.py:attribute" and return it as a component of that kind.

    Raises:
        BadUsage: it can't be imported, has no such attribute, or its contract is not supported.
    """
    kind = offer.kind
    place, _, attribute = name.rpartition(":")
    module = _module(kind, name, place)
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
    target = f"{module}:{attribute}"
    more: dict[str, Any] = {}
    if kind in ("task", "exporter"):
        more = {"answer": f"{target}.answer"} if kind == "task" else {"runner": f"{target}.Runner"}
    info = offer(name=name, summary="", target=target, **more)
    return RegisteredComponent(info=info, plugin="", dist=place, version="", module=module, contract=number)


def _module(kind: str, name: str, place: str) -> str:
    """Import a file or a module, from the working folder too; return the module's name."""
    if place.endswith(".py"):
        return load_file(Path(place)).__name__
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))
    try:
        import_module(place)
    except Exception as error:  # third-party code may raise anything
        hint = "Write file.py:Class or an installed package.module:Class."
        raise BadUsage(f"{kind} {name!r}: {said(error)}.", hint) from error
    return place


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
