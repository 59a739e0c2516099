"""The plugin manager: discovery, registration, lookup, events. Light to import; imports no component."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pluggy

from benchdog import api, hookspecs
from benchdog.errors import BadUsage, BenchdogError, Failed
from benchdog.plugins import compat, import_timeout
from benchdog.plugins.discovery import BUILTIN, Entry, declared, entries, located
from benchdog.plugins.events import Events
from benchdog.plugins.loading import check, check_hooks, qualified, said
from benchdog.plugins.loading_guard import LoadingGuard, component_watched
from benchdog.plugins.lookup import available, check_methods, resolve_reference, unknown
from benchdog.plugins.quarantine import Crashed, Quarantine, strict
from benchdog.plugins.types import Fault, Plugin, RegisteredComponent
from benchdog.system.json_output import Lines

KINDS: dict[str, type[api.Component]] = {
    info.kind: info
    for info in (
        api.SourceInfo,
        api.ModelInfo,
        api.TaskInfo,
        api.TrainerInfo,
        api.ExporterInfo,
        api.BackendInfo,
        api.AugmentationInfo,
        api.WriterInfo,
        api.DecoderInfo,
    )
}


Info = TypeVar("Info", bound=api.Component)


class Plugins:
    """The plugins of this process. Every call into one is guarded, so a broken plugin can't break a command."""

    def __init__(self, patience: float | None = None, *, everything: bool = False) -> None:
        self.healthy: list[Plugin] = []
        self._quarantine = Quarantine()
        self._patience = patience
        self._guard = LoadingGuard(self._quarantine, patience, everything)
        self._manager = pluggy.PluginManager("benchdog")
        self._manager.add_hookspecs(hookspecs)
        self._events = Events(self._quarantine.silence)
        self.lines: Lines | None = None
        self._found: dict[str, list[RegisteredComponent]] = {kind: [] for kind in KINDS}

    @classmethod
    def discover(
        cls, local: Sequence[Path | str] = (), patience: float | None = None, *, everything: bool = False
    ) -> Plugins:
        """Load the installed plugins and local plugin files.

        Args:
            local: paths of plugin files.
            patience: time limit, in seconds, of an installed plugin's import. None is for child processes: they have
                no limit, and run without the plugins that exceeded the parent's.
            everything: load each plugin in a process of its own first, not only new ones.
        """
        plugins = cls(patience, everything=everything)
        without = import_timeout.left_out() if patience is None else ()
        found = {entry: located(entry.module) for entry in entries() if entry.name not in without}
        files = list(dict.fromkeys(Path(f).resolve() for f in local))
        plugins._guard.try_out(
            {entry.module: file for entry, file in found.items() if entry.dist != BUILTIN},
            {str(file): str(file) for file in files},
        )
        with plugins._guard.loading():
            plugins._load_entries(found)
            for file in files:
                plugins._load_file(file)
        return plugins

    @classmethod
    @cache
    def builtin(cls) -> Plugins:
        """Return Benchdog's own components alone, for data that names no others."""
        plugins = cls()
        plugins._load_entries({entry: located(entry.module) for entry in entries() if entry.dist == BUILTIN})
        return plugins

    def add_files(self, files: Iterable[Path]) -> None:
        """Load more plugin files; skip one with the name of a loaded plugin."""
        with self._guard.loading():
            for file in dict.fromkeys(file.resolve() for file in files):
                if all(plugin.name != file.stem for plugin in self.healthy):
                    self._load_file(file)

    # --- loading: each plugin on its own

    def _load_entries(self, found: Mapping[Entry, str]) -> None:
        usual = (api.CONTRACT, api.CONTRACT - 1)
        failed: dict[str, BaseException] = {}
        for entry, file in found.items():
            own = entry.dist == BUILTIN
            number = None if own else declared(file, usual)
            if number is not None:
                self._quarantine.refuse_contract(entry.name, number, entry.dist)
            elif own:
                self._load_entry(entry, None, failed)
            else:
                with self._third_party(entry.name, entry.dist, file):
                    self._load_entry(entry, self._patience, failed)

    def _load_entry(self, entry: Entry, seconds: float | None, failed: dict[str, BaseException]) -> None:
        remedy = f"Update or uninstall {entry.dist}."
        error = failed.get(entry.module) or self._guard.refused(entry.module)
        try:
            if error is not None:
                raise error
            module = import_timeout.load(entry.module, seconds)
        except KeyboardInterrupt:
            raise
        except BaseException as raised:  # third-party code may raise anything
            failed[entry.module] = raised
            self._quarantine.refuse(entry.name, f"raises {said(raised)} at import.", remedy, raised, entry.dist)
        else:
            self._register(Plugin(name=entry.name, dist=entry.dist, version=entry.version, module=module), remedy)

    @contextmanager
    def _third_party(self, name: str, dist: str, file: str) -> Iterator[None]:
        """Undo what a plugin changes in the process while it is loaded; disable it if that isn't possible."""
        self._guard.begin(file)
        yield
        if left := self._guard.end(file):
            self._withdraw(name)
            error = Failed(f"Plugin {name!r} leaves behind {', '.join(left)}.")
            remedy = f"Update or uninstall {dist}." if dist else f"Fix {file}."
            self._quarantine.refuse(name, f"leaves behind {', '.join(left)} at import.", remedy, error)
            import_timeout.leave_out(name)
        self._guard.report(name, dist)

    def _load_file(self, file: Path) -> None:
        if not file.is_file():
            raise BadUsage(f"There is no plugin file {file}.", "Pass the path of a Python file with hooks.")
        with self._third_party(file.stem, "", str(file)):
            try:
                if (crashed := self._guard.refused(str(file))) is not None:
                    raise crashed
                module = import_timeout.load(str(file), None)
            except BenchdogError as error:
                self._quarantine.refuse(file.stem, error.message, f"Fix {file}.", error)
                return
            except (Crashed, import_timeout.InterruptRaised, import_timeout.ImportTimeout) as error:
                self._quarantine.refuse(file.stem, f"raises {said(error)} at import.", f"Fix {file}.", error)
                return
            self._add_file(file, module)

    def _add_file(self, file: Path, module: ModuleType) -> None:
        digest = vars(module)["__digest__"]
        if any(vars(other.module).get("__digest__") == digest for other in self.healthy):
            return  # the same file twice, such as a run's copy and its original
        plugin = Plugin(name=file.stem, dist=file.stem, version="", module=module, path=str(file))
        if any(
            name.startswith("benchdog_") or hasattr(value, "benchdog_impl") for name, value in vars(module).items()
        ):
            self._register(plugin, f"Fix {file}.")

    def _withdraw(self, name: str) -> None:
        """Take back what a plugin has registered."""
        for plugin in [each for each in self.healthy if each.name == name]:
            self._manager.unregister(plugin.module)
            self.healthy.remove(plugin)
            self._events.remove(name)
            for kind, found in self._found.items():
                self._found[kind] = [each for each in found if each.plugin != name]

    def _register(self, plugin: Plugin, remedy: str) -> None:
        if plugin.contract is not None and self._quarantine.refuse_contract(
            plugin.name, plugin.contract, plugin.path or plugin.dist
        ):
            return
        try:
            check_hooks(plugin.module, _HOOKS)
            for other in self.healthy:
                if other.name == plugin.name:
                    raise ValueError(f"has the name of a plugin that is loaded: {other.path or other.dist}")
            compat.warn(plugin.module, plugin.contract)
            self._manager.register(plugin.module, plugin.name)
        except Exception as error:
            with suppress(ValueError, AssertionError):
                self._manager.unregister(plugin.module)
            self._quarantine.refuse(plugin.name, f"{str(error).splitlines()[-1].rstrip('.')}.", remedy, error)
            return
        self.healthy.append(plugin)
        offered: list[RegisteredComponent] = []
        for kind in KINDS:
            try:
                offered += self._collect(plugin, kind)
            except BaseException as error:
                self._manager.unregister(plugin.module)
                self.healthy.remove(plugin)
                self._quarantine.refuse(plugin.name, f"benchdog_{kind}s: {said(error)}.", remedy, error, plugin.dist)
                return
        for found in offered:
            self._offer(plugin, found)
        for event in (h for h in _HOOKS if h not in {f"benchdog_{kind}s" for kind in KINDS}):
            for impl in getattr(self._manager.hook, event).get_hookimpls():
                if impl.plugin is plugin.module:
                    self._events.add(event, plugin.name, impl.function, impl.argnames)

    def _collect(self, plugin: Plugin, kind: str) -> list[RegisteredComponent]:
        """Call one hook of a plugin and return the components, checked."""
        found: list[RegisteredComponent] = []
        for impl in getattr(self._manager.hook, f"benchdog_{kind}s").get_hookimpls():
            if impl.plugin is not plugin.module:
                continue
            for info in self._ask(plugin, impl.function):
                if type(info) is not KINDS[kind]:
                    raise TypeError(f"offers a {type(info).__name__} instead of a {KINDS[kind].__name__}")
                check(info)
                if any(other.info.name == info.name for other in found):
                    raise ValueError(f"offers {kind} {info.name!r} twice")
                found.append(
                    RegisteredComponent(
                        info=qualified(info, plugin.module.__name__),
                        plugin=plugin.name,
                        dist=plugin.dist,
                        version=plugin.version,
                        module=plugin.module.__name__,
                        contract=plugin.contract,
                    )
                )
        return found

    def _ask(self, plugin: Plugin, hook: Callable[[], Iterable[Any]]) -> list[Any]:
        """Call a hook, with the time limit of an import for an installed plugin."""
        seconds = None if plugin.path or plugin.dist == BUILTIN else self._patience
        return import_timeout.offered(hook, plugin.module.__name__, seconds)

    def _offer(self, plugin: Plugin, found: RegisteredComponent) -> None:
        """Register a component; a built-in's name stays the built-in's."""
        plugin.components.setdefault(found.info.kind, []).append(found.info.name)
        rivals = [other for other in self._found[found.info.kind] if other.info.name == found.info.name]
        self._found[found.info.kind].append(found)
        if any(other.dist == BUILTIN for other in rivals):
            self._quarantine.report(
                Fault(
                    name=plugin.name,
                    fault=f"offers a {found.info.kind} {found.info.name!r}, which is built in; the built-in stays.",
                    remedy=f"Write {found.where!r} to use it.",
                )
            )

    @property
    def faults(self) -> list[Fault]:
        """The disabled plugins, each with its reason."""
        return self._quarantine.faults

    # --- components

    def all(self, kind: str) -> dict[str, RegisteredComponent]:
        """Return the components of a kind by name, built-ins first; shadowed ones as "dist:name"."""
        result: dict[str, RegisteredComponent] = {}
        for found in self._found[kind]:
            result[found.where if found.info.name in result else found.info.name] = found
        return result

    def find(self, kind: str, name: str) -> RegisteredComponent:
        """Return the component that a user named.

        Raises:
            BadUsage: there is none, or two third-party plugins offer one.
            NotAvailable: a package that it requires is not installed.
        """
        here = [f for f in self._found[kind] if name in (f.info.name, f.where, f"{f.plugin}:{f.info.name}")]
        mine = [f for f in here if f.dist == BUILTIN] or here
        if len(mine) > 1:
            one = len({f.where for f in mine}) < len(mine)  # one distribution with two plugins
            owners = ", ".join(repr(f"{f.plugin}:{f.info.name}" if one else f.where) for f in mine)
            raise BadUsage(f"Two plugins offer a {kind} {name!r}.", f"Choose one of {owners}.")
        if mine:
            return available(mine[0])
        if ":" in name:
            return resolve_reference(KINDS[kind], name)
        raise unknown(kind, name, self.all(kind))

    def info(self, offer: type[Info], name: str) -> Info:
        """Return the descriptor of the component that a user named; raises what `find` raises."""
        info = self.find(offer.kind, name).info
        assert isinstance(info, offer)
        return info

    def options(self, found: RegisteredComponent, values: Mapping[str, Any]) -> Any:
        """Return a component's validated options; None if it declares none.

        Raises:
            BadUsage: an unknown key or an invalid value; names it and what is allowed.
        """
        from benchdog.plugins.options import validate

        what = f"{found.info.kind} {found.info.name!r}"
        if not found.info.options:
            if values and found.plugin:
                raise BadUsage(f"{what} takes no options, so not {', '.join(map(repr, values))}.")
            return dict(values) if values else None
        return validate(found.resolve(found.info.options), values, what)

    def make(self, kind: str, name: str, values: Mapping[str, Any] | None = None) -> Any:
        """Build and return a component: Target(options), or Target() if it declares no options."""
        found = self.find(kind, name)
        with self.watched(found):
            return self._made(found, self.options(found, values or {}))

    def watched(self, found: RegisteredComponent, *, drawing: bool = False) -> AbstractContextManager[None]:
        """Undo and report what a third-party component does to the whole process inside the block."""
        if not found.plugin or found.dist == BUILTIN:
            return nullcontext()
        return component_watched(found, self._quarantine, drawing=drawing)

    def _made(self, found: RegisteredComponent, options: Any) -> Any:
        kind, name = found.info.kind, found.info.name
        target = found.resolve(found.info.target)
        try:
            if not found.plugin:
                made = target(**(options or {}))
            elif options is None:
                made = target()
            else:
                made = target(options)
            check_methods(kind, name, made)
            return compat.adapt(kind, made, found.contract)
        except BenchdogError:
            raise
        except TypeError as error:
            raise BadUsage(f"{kind} {name!r} can't be made: {error}.", "See `benchdog plugins info`.") from error

    # --- events

    def handlers(self, plugin: str) -> list[tuple[str, Callable[..., Any], Sequence[str]]]:
        """Return a plugin's event handlers: (event, function, names of its parameters)."""
        return self._events.handlers(plugin)

    def emit(self, event: str, **facts: Any) -> None:
        """Queue an event for the observers, which run in other threads; never blocks, never raises.

        JSON lines (`train --json`) are written here, first, so none is lost.
        """
        if self.lines is not None:
            self.lines(event, facts)
        self._events.emit(event, facts)

    def close(self) -> None:
        """Wait for the observers to handle queued events, a few seconds at most."""
        self._events.close()
        if self._quarantine.raised is not None and strict():
            raise self._quarantine.raised


_HOOKS = [name for name in vars(hookspecs) if name.startswith("benchdog_")]
