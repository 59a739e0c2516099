"""Types of the plugin system: a loaded plugin, a registered component, a fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from benchdog import api
from benchdog.errors import BenchdogError, NotAvailable


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why a plugin is disabled and how to fix it; `late` if it exceeded its time limit."""

    name: str
    fault: str
    remedy: str
    late: bool = False

    def __str__(self) -> str:
        return f"plugin {self.name!r}: {self.fault} {self.remedy}"


@dataclass(kw_only=True, slots=True)
class Plugin:
    """A loaded plugin: where it comes from and its components ({kind: [names]})."""

    name: str
    dist: str
    version: str
    module: ModuleType
    path: str = ""
    components: dict[str, list[str]] = field(default_factory=dict)

    @property
    def contract(self) -> Any:
        """The declared CONTRACT, unchecked; None for a package that declares none."""
        return getattr(self.module, "CONTRACT", api.CONTRACT if self.path else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredComponent:
    """A component's descriptor and the plugin that registered it."""

    info: api.Component
    plugin: str
    dist: str
    version: str
    module: str = ""
    contract: int | None = None

    @property
    def where(self) -> str:
        """The qualified name, "distribution:name", by which it can always be selected."""
        return f"{self.dist}:{self.info.name}"

    def resolve(self, target: str) -> Any:
        """Import and return what a target string names.

        Raises:
            NotAvailable: the import fails; names this component.
        """
        module_name, _, attribute = target.rpartition(":")
        try:
            value: Any = import_module(module_name or self.module)
            for part in attribute.split("."):
                value = getattr(value, part)
        except (BenchdogError, KeyboardInterrupt):
            raise
        except BaseException as error:  # third-party code may raise anything
            what = f"{self.info.kind} {self.info.name!r} of plugin {self.plugin!r} can't be loaded from {target!r}"
            raise NotAvailable(
                f"{what}: {type(error).__name__}: {error}.", self.info.install or "Fix or update that plugin."
            ) from error
        return value
