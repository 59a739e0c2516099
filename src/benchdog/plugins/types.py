"""What the host of plugins knows: a plugin, a component that was found, a fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from benchdog import api
from benchdog.errors import BenchdogError, NotAvailable


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Why a plugin was set aside, and what to do about it; `late` when it wasn't waited for any longer."""

    name: str
    fault: str
    remedy: str
    late: bool = False

    def __str__(self) -> str:
        return f"plugin {self.name!r}: {self.fault} {self.remedy}"


@dataclass(kw_only=True, slots=True)
class Plugin:
    """A plugin that was loaded: where it comes from and what it offers ({kind: [names]})."""

    name: str
    dist: str
    version: str
    module: ModuleType
    path: str = ""
    components: dict[str, list[str]] = field(default_factory=dict)

    @property
    def contract(self) -> Any:
        """The number that it declares, whatever was written there; None for a package that declares none."""
        return getattr(self.module, "CONTRACT", api.CONTRACT if self.path else None)


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredComponent:
    """A component and the plugin that offers it."""

    info: api.Component
    plugin: str
    dist: str
    version: str
    module: str = ""
    contract: int | None = None

    @property
    def where(self) -> str:
        """The name by which it can always be chosen."""
        return f"{self.dist}:{self.info.name}"

    def resolve(self, target: str) -> Any:
        """Import what a target string names; the fault of its code is told as this component's."""
        module_name, _, attribute = target.rpartition(":")
        try:
            value: Any = import_module(module_name or self.module)
            for part in attribute.split("."):
                value = getattr(value, part)
        except BenchdogError:
            raise
        except Exception as error:  # a stranger's code may raise anything
            what = f"{self.info.kind} {self.info.name!r} of plugin {self.plugin!r} can't be loaded from {target!r}"
            raise NotAvailable(
                f"{what}: {type(error).__name__}: {error}.", self.info.install or "Mend or update that plugin."
            ) from error
        return value
