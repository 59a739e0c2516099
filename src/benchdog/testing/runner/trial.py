"""A component on trial: found, made, and remembered, so that one check's fault isn't reported by all the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from benchdog.errors import BenchdogError, NotAvailable
from benchdog.plugins import Plugins
from benchdog.plugins.loading import installed
from benchdog.plugins.options import describe, to_json
from benchdog.plugins.types import RegisteredComponent
from benchdog.testing.runner.batch import Bench
from benchdog.testing.runner.locations import raised, said, shown, stands
from benchdog.testing.runner.results import Fault, Skip

Value = TypeVar("Value")


class Trial:
    """One component, with the options that it is tried with.

    Attributes:
        bench: what it is tried with.
    """

    def __init__(self, plugins: Plugins, found: RegisteredComponent, given: Mapping[str, Any], bench: Bench) -> None:
        self.plugins, self.found, self.info = plugins, found, found.info
        self.kind, self.name = found.info.kind, found.info.name
        self.given, self.bench = dict(given), bench
        self.known: dict[str, Any] = {}

    def once(self, name: str, make: Callable[[], Value]) -> Value:
        """Make something when it is first needed; where that failed, others who need it are left out."""
        if name not in self.known:
            try:
                self.known[name] = make()
            except (Fault, Skip) as error:
                self.known[name] = error
                raise
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # third-party code may raise anything, and even leave
                fault = Fault(f"It raises {said(error)}.", "Fix it.", raised(error))
                self.known[name] = fault
                raise fault from error
        value = self.known[name]
        if isinstance(value, Skip):
            raise value
        if isinstance(value, Fault):
            raise Skip(f"nothing to look at: {value.found}")
        made: Value = value
        return made

    def guarded(self, what: str, work: Callable[..., Value], *given: Any) -> Value:
        """Do what must not raise; what it raises becomes a fault."""
        try:
            return work(*given)
        except (Fault, Skip):
            raise
        except BenchdogError as error:
            raise Fault(f"{what} raises {said(error)}.", "Fix it: these are valid inputs.", raised(error)) from error
        except Exception as error:  # third-party code may raise anything
            raise Fault(f"{what} raises {said(error)}.", "Fix it.", raised(error) or self.where) from error

    @property
    def where(self) -> str:
        """Where the component stands."""
        return stands(self.known["target"]) if "target" in self.known else ""

    @property
    def cls(self) -> Any:
        """What the target names."""
        return self.once("target", self._resolve)

    def _resolve(self) -> Any:
        for package in self.info.requires:
            if not installed(package):
                raise Skip(f"needs {package}, which is not installed. {self.info.install}".strip())
        try:
            return self.found.resolve(self.info.target)
        except NotAvailable as error:
            raise Fault(
                f"target {shown(self.info.target)!r} doesn't resolve: {said(error.__cause__ or error)}.",
                'Name what is there: target="package.module:attribute".',
                raised(error.__cause__ or error),
            ) from error

    @property
    def described(self) -> dict[str, Any]:
        """The declared options by name."""
        if not self.info.options:
            return {}
        return self.once("described", lambda: self.guarded("Reading the options", self._described))

    def _described(self) -> dict[str, Any]:
        cls = self.found.resolve(self.info.options)
        if not isinstance(cls, type) or not is_dataclass(cls):
            raise Fault(
                f"options {self.info.options!r} is not a dataclass.", "Write @dataclass above the class.", stands(cls)
            )
        return dict(describe(cls))

    @property
    def paths(self) -> list[str]:
        """Names of the options that are paths."""
        return [name for name, option in self.described.items() if Path in (option.type, *get_args(option.type))]

    @property
    def values(self) -> dict[str, Any]:
        """The options that it is tried with, in JSON form; paths absolute."""
        values = dict(self.given)
        for name in self.paths:
            if isinstance(values.get(name), str):
                values[name] = str((self.bench.base / values[name]).resolve())
        missing = [o.name for o in self.described.values() if o.required and o.name not in values]
        if missing:
            told = " --set ".join(f"{self.name}.{name}=..." for name in missing)
            raise Skip(f"needs {', '.join(missing)}: set it with --set {told}, or conforms(..., options=...)")
        return values

    def options(self, values: Mapping[str, Any] | None = None) -> Any:
        """Make the options object; None when the component takes none."""
        return self.plugins.options(self.found, self.values if values is None else values)

    def full(self, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return all options in JSON form, as a recipe keeps them."""
        return to_json(self.options(values))

    def twin(self, values: Mapping[str, Any] | None = None) -> Any:
        """Return the digest of the same component, made by another process as a worker makes it."""
        assert self.bench.twin is not None
        stored = json.loads(json.dumps(self.full(values)))
        return self.bench.twin.ask(self.kind, self.name, self.found.plugin, stored)

    def make(self, values: Mapping[str, Any] | None = None) -> Any:
        """Make the component: Target(options), or Target() when it declares none."""
        options, cls = self.options(values), self.cls
        return cls() if options is None else cls(options)
