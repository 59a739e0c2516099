"""`benchdog doctor`: what is here, what is wrong, what to do."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata, util
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog import __version__
from benchdog.cli.output import emit_json, say

if TYPE_CHECKING:
    from benchdog.cli.commands.doctor.checks import Check
    from benchdog.plugins import Plugins


def command(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look at Python, torch, hardware, folders, plugins and Jupyter, and say what to do."""
    from benchdog.errors import BenchdogError

    plugins: Plugins | None = None
    trouble: Exception | None = None
    try:
        plugins = ctx.obj.plugins(listing=True)
    except (BenchdogError, ImportError) as error:  # a package that is missing is one of the findings
        trouble = error
    checks = []
    for check in everything(plugins, trouble):
        checks.append(check)
        if not as_json:
            _show(check)
    count = {state: sum(check.state == state for check in checks) for state in ("ok", "warning", "wrong")}
    if as_json:
        emit_json({"benchdog": __version__, **count, "checks": [asdict(c) for c in checks]})
    else:
        say(_verdict(count["wrong"], count["warning"]))
    raise typer.Exit(1 if count["wrong"] else 0)


def everything(plugins: Plugins | None, trouble: Exception | None = None) -> Iterator[Check]:
    """Look and judge, quick things first; a broken torch is one of the findings."""
    from benchdog.cli.commands.doctor import checks
    from benchdog.cli.commands.doctor import jupyter as kernels
    from benchdog.system import machine

    needed = needs()
    requirements = [line for line in needed["requires"] if not line.startswith("torch")]
    torch_needed = dict(checks.requirements_of(needed["requires"])).get("torch", "")
    yield checks.Check(name="Benchdog", state="ok", found=f"{__version__} on {platform.platform(terse=True)}")
    yield checks.python(sys.executable, platform.python_version(), needed["python"])
    yield from checks.packages(requirements, installed(requirements), sys.executable)
    yield from _plugins(plugins, trouble)
    with suppress(ImportError):  # told as a package that is missing
        from benchdog.system import paths

        yield checks.folder("runs folder", machine.folder(paths.runs_dir(None)), "BENCHDOG_RUNS")
        yield checks.folder("cache", machine.folder(paths.cache_dir()), "BENCHDOG_CACHE")
    yield checks.memory(*machine.memory())
    this = machine.interpreter()
    yield checks.torch(this, torch_needed)
    yield checks.accelerator(this, machine.cards(), os.environ)
    jupyter = kernels.jupyter()
    yield from checks.jupyter(jupyter, kernels.kernels(jupyter), this)


def needs() -> dict[str, Any]:
    """Give what the installed Benchdog declares: its Python and its packages."""
    try:
        python = metadata.metadata("benchdog")["Requires-Python"]
        requires = metadata.requires("benchdog") or []
    except metadata.PackageNotFoundError:
        return {"python": ">=3.11", "requires": []}
    return {"python": python, "requires": requires}


def installed(requirements: list[str]) -> dict[str, str]:
    """Give the version of each required package that is installed."""
    from benchdog.cli.commands.doctor.checks import requirements_of

    found = {}
    for name, _ in requirements_of(requirements):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def slow(plugins: Plugins) -> dict[str, tuple[str, ...]]:
    """Say by plugin what it loads only to be listed; asks only when something heavy was loaded."""
    from benchdog.plugins.discovery import HEAVY

    if not any(name in sys.modules for name in HEAVY):
        return {}
    from benchdog.system.machine import loads

    # local files are loaded under a name of their own; a fresh process imports the installed ones alone
    modules = {plugin.name: plugin.module.__name__ for plugin in plugins.healthy if not plugin.path}
    found = loads(list(modules.values()), HEAVY)
    return {name: found[module] for name, module in modules.items() if module in found}


def _plugins(plugins: Plugins | None, trouble: Exception | None) -> Iterator[Check]:
    from benchdog.cli.commands.doctor import checks

    if plugins is None:
        hint = getattr(trouble, "hint", "") or "Install Benchdog again."
        yield checks.Check(
            name="plugins", state="wrong", found=str(getattr(trouble, "message", trouble)), remedy=hint
        )
        return
    from benchdog.api import CONTRACT
    from benchdog.plugins import KINDS

    yield checks.contract(CONTRACT)
    yield from checks.plugins(plugins.healthy, plugins.faults, slow(plugins))
    yield from checks.missing(
        (kind, name, package, found.info.install)
        for kind in KINDS
        for name, found in plugins.all(kind).items()
        for package in found.info.requires
        if not present(package)
    )


def present(package: str) -> bool:
    """Say whether an import name can be found, without importing it."""
    try:
        return util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _show(check: Check) -> None:
    typer.echo(f"{check.state:<8} {check.name:<20} {check.found}")
    if check.remedy:
        typer.echo(f"{'':<29} {check.remedy}")


def _verdict(wrong: int, warnings: int) -> str:
    if wrong:
        return f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong; what to do stands beside each."
    if not warnings:
        return "Nothing is wrong."
    return f"Nothing is wrong ({warnings} {'warning' if warnings == 1 else 'warnings'})."
