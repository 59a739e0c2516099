"""`benchdog doctor`: checks of the installation, each with how to fix it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata, util
from typing import TYPE_CHECKING, Annotated

import typer
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from benchdog import __version__
from benchdog.cli.output import echo, emit_json, say

if TYPE_CHECKING:
    from benchdog.cli.commands.doctor.checks import Check
    from benchdog.plugins import Plugins

PATIENCE = 60.0
"""Seconds that the import of a package may take, which reads hundreds of megabytes from a cold disk."""


def command(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check Python, torch, hardware, folders, plugins and Jupyter, and say what to fix."""
    from benchdog.errors import BenchdogError

    plugins: Plugins | None = None
    failure: Exception | None = None
    try:
        plugins = ctx.obj.plugins(listing=True)
    except (BenchdogError, ImportError) as error:  # a missing package is one of the findings
        failure = error
    checks = []
    for check in everything(plugins, failure):
        checks.append(check)
        if not as_json:
            _show(check)
    count = {state: sum(check.state == state for check in checks) for state in ("ok", "warning", "wrong")}
    if as_json:
        emit_json({"benchdog": __version__, **count, "checks": [asdict(c) for c in checks]})
    else:
        say(_verdict(count["wrong"], count["warning"]))
    raise typer.Exit(1 if count["wrong"] else 0)


def everything(plugins: Plugins | None, failure: Exception | None = None) -> Iterator[Check]:
    """Yield all checks, quick ones first; a broken torch is one of the findings."""
    from benchdog.cli.commands.doctor import checks
    from benchdog.cli.commands.doctor import jupyter as kernels
    from benchdog.system import machine

    needed_python, needed = declared()
    torch_needed = needed.pop("torch", SpecifierSet())
    yield checks.Check(name="Benchdog", state="ok", found=f"{__version__} on {platform.platform(terse=True)}")
    yield checks.python(sys.executable, platform.python_version(), needed_python)
    yield from checks.packages(needed, installed(needed), sys.executable)
    yield from _plugins(plugins, failure)
    with suppress(ImportError):  # reported above as a missing package
        from benchdog.system import paths

        yield checks.folder("runs folder", machine.folder(paths.runs_dir(None)), "BENCHDOG_RUNS")
        yield checks.folder("cache", machine.folder(paths.cache_dir()), "BENCHDOG_CACHE")
    with suppress(ImportError):
        yield checks.memory(*machine.memory())
    this = machine.interpreter()
    yield checks.torch(this, torch_needed)
    yield checks.accelerator(this, machine.gpus(), os.environ)
    command = kernels.jupyter()
    yield from checks.jupyter(command, kernels.kernels(command), this)


def declared() -> tuple[SpecifierSet, dict[str, SpecifierSet]]:
    """Return what the installed Benchdog requires: its Python, and its packages by name, without extras."""
    try:
        python = SpecifierSet(metadata.metadata("benchdog")["Requires-Python"])
        lines = metadata.requires("benchdog") or []
    except metadata.PackageNotFoundError:
        return SpecifierSet(">=3.11"), {}
    requirements = map(Requirement, lines)
    return python, {
        each.name: each.specifier for each in requirements if each.marker is None or each.marker.evaluate()
    }


def installed(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    versions = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def slow(plugins: Plugins) -> dict[str, tuple[str, ...]]:
    """Return {plugin: heavy modules that its import loads}; measured only if a heavy module was loaded at all."""
    from benchdog.plugins.discovery import HEAVY

    if not any(name in sys.modules for name in HEAVY):
        return {}
    from benchdog.system.machine import loads

    # local files are loaded under generated names, so a fresh process imports installed ones only
    modules = {plugin.name: plugin.module.__name__ for plugin in plugins.healthy if not plugin.path}
    heavy = loads(list(modules.values()), HEAVY)
    return {name: heavy[module] for name, module in modules.items() if module in heavy}


def _plugins(plugins: Plugins | None, failure: Exception | None) -> Iterator[Check]:
    from benchdog.cli.commands.doctor import checks

    if plugins is None:
        hint = getattr(failure, "hint", "") or "Reinstall Benchdog."
        yield checks.Check(
            name="plugins", state="wrong", found=str(getattr(failure, "message", failure)), remedy=hint
        )
        return
    from benchdog.api import CONTRACT
    from benchdog.plugins import KINDS, trial_load

    yield checks.contract(CONTRACT)
    yield from checks.plugins(plugins.healthy, plugins.faults, slow(plugins))
    needs = [
        (kind, name, package, component.info.install)
        for kind in KINDS
        for name, component in plugins.all(kind).items()
        for package in component.info.requires
    ]
    found = list(dict.fromkeys(need[2] for need in needs if present(need[2])))
    yield from checks.missing(need for need in needs if need[2] not in found)
    yield from checks.broken(needs, trial_load.tried(found, PATIENCE) if found else {}, sys.executable)


def present(package: str) -> bool:
    """Whether a module can be found, without importing it."""
    try:
        return util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _show(check: Check) -> None:
    echo(f"{check.state:<8} {check.name:<20} {check.found}")
    if check.remedy:
        echo(f"{'':<29} {check.remedy}")


def _verdict(wrong: int, warnings: int) -> str:
    if wrong:
        return f"{wrong} {'problem' if wrong == 1 else 'problems'} found; how to fix each is printed below it."
    if not warnings:
        return "No problems found."
    return f"No problems found ({warnings} {'warning' if warnings == 1 else 'warnings'})."
