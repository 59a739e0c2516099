"""Rows of `benchdog plugins list`: plugins with their health, and packages that only add commands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchdog.plugins import Plugins


def listed(plugins: Plugins) -> Iterator[dict[str, Any]]:
    """Yield a row per plugin: the healthy ones, then the disabled ones, then packages with commands only."""
    from benchdog.cli.commands.doctor import slow
    from benchdog.plugins.compat import advice, note

    heavy = slow(plugins)
    commands = _commands()
    faults = {fault.name: fault for fault in reversed(plugins.faults)}  # the first is why it is disabled
    for plugin in plugins.healthy:
        fault = faults.pop(plugin.name, None)
        loads = list(heavy.get(plugin.name, ()))
        noted = note(plugin.contract)
        author = (
            f"Ask the author of {plugin.dist} to import {', '.join(loads)} lazily, inside functions." if loads else ""
        )
        yield {
            "name": plugin.name,
            "distribution": plugin.dist,
            "version": plugin.version,
            "path": plugin.path,
            "contract": plugin.contract,
            "components": _with(plugin.components, commands.pop(plugin.dist, {})),
            "loaded": True,
            "state": "warning" if fault or loads or noted else "ok",
            "fault": fault.fault if fault else "",
            "loads": loads,
            "note": noted,
            "remedy": fault.remedy if fault else f"{advice(plugin.contract, plugin.dist)} {author}".strip(),
        }
    for fault in faults.values():
        yield {
            "name": fault.name,
            "distribution": "",
            "version": "",
            "path": "",
            "contract": None,
            "components": {},
            "loaded": False,
            "state": "warning" if fault.late else "wrong",
            "fault": fault.fault,
            "loads": [],
            "note": "",
            "remedy": fault.remedy,
        }
    faulty = {fault.name.replace("_", "-") for fault in plugins.faults}
    for dist, own in commands.items():
        if _short(dist).replace("_", "-") not in faulty:
            yield _of_commands(dist, own)


def _short(dist: str) -> str:
    return dist.removeprefix("benchdog-")


def _commands() -> dict[str, dict[str, str]]:
    """Return {distribution: {command: target}} of installed packages; nothing is imported."""
    from benchdog.plugins.commands import installed_commands

    commands: dict[str, dict[str, str]] = {}
    for name, (target, dist, _) in sorted(installed_commands().items()):
        commands.setdefault(dist, {})[name] = target
    return commands


def _with(components: Mapping[str, list[str]], commands: Iterable[str]) -> dict[str, list[str]]:
    return {**components, "command": list(commands)} if commands else dict(components)


def _of_commands(dist: str, commands: Mapping[str, str]) -> dict[str, Any]:
    """Return the row of a package that only adds commands, or of which nothing else was loaded."""
    from importlib.metadata import PackageNotFoundError, version

    from benchdog.errors import NotAvailable
    from benchdog.plugins.commands import refuse

    fault = remedy = number = ""
    with suppress(PackageNotFoundError, ValueError):  # damaged metadata
        number = version(dist)
    try:
        for target in commands.values():
            refuse(target.partition(":")[0], dist)
    except NotAvailable as error:
        fault, remedy = error.message, error.hint
    return {
        "name": _short(dist) or next(iter(commands)),
        "distribution": dist,
        "version": number,
        "path": "",
        "contract": None,
        "components": _with({}, commands),
        "loaded": not fault,
        "state": "wrong" if fault else "ok",
        "fault": fault,
        "loads": [],
        "note": "",
        "remedy": remedy,
    }
