"""Registry of commands: Benchdog's own by name and summary, those of installed packages, those of plugin files.

The commands of packages are read from their metadata files. importlib.metadata would do it, but costs a third of the
start-up: it imports email and zipfile.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchdog.plugins.discovery import allows

if TYPE_CHECKING:
    from typer import Typer

GROUP = "benchdog.commands"
COMMANDS = {
    "train": "Train a model, from raw data to an artifact.",
    "find-lr": "Find a good learning rate.",
    "evaluate": "Evaluate a model on a held-out split.",
    "predict": "Run inference on files, folders, tables or text.",
    "export": "Export a model for deployment, verified.",
    "plan": "Preview a run without training.",
    "runs": "List, show, compare, report and remove runs.",
    "data": "List, fetch, inspect, verify and prune data.",
    "plugins": "List, inspect, scaffold and check plugins.",
    "new": "Scaffold a commented recipe.",
    "doctor": "Check the installation and say what to fix.",
    "schema": "Print the JSON Schema of a recipe.",
    "completion": "Set up shell completion.",
}


def installed_commands() -> dict[str, tuple[str, str, str]]:
    """Return the commands of installed packages, {name: (target, distribution, summary)}, without importing them."""
    found: dict[str, tuple[str, str, str]] = {}
    for folder in _metadata_folders():
        text = _read(os.path.join(folder, "entry_points.txt"))  # noqa: PTH118 -- pathlib would cost its import
        if f"[{GROUP}]" not in text:
            continue
        facts = _facts(folder)
        for name, target in _section(text):
            if allows(name, facts["Name"]):
                found.setdefault(name, (target, facts["Name"], facts["Summary"]))
    return found


def refuse(module: str, dist: str) -> None:
    """Check the contract number of a command's package, without importing it.

    Raises:
        NotAvailable: the contract is not supported.
    """
    from benchdog.api import CONTRACT
    from benchdog.errors import NotAvailable
    from benchdog.plugins.compat import objection
    from benchdog.plugins.discovery import declared, located

    for place in dict.fromkeys((module.split(".")[0], module)):
        number = declared(located(place), (CONTRACT, CONTRACT - 1))
        if number is not None and (wrong := objection(number, CONTRACT, dist)):
            raise NotAvailable(f"The plugin {dist!r} {wrong[0]}.", wrong[1])


def load_command(name: str, target: str, dist: str) -> Any:
    """Import a command of an installed package: a function, or a module or object with `command` or `app`.

    Raises:
        NotAvailable: its contract is not supported.
        Failed: its module raises at import.
    """
    from benchdog.errors import Failed

    module, _, attribute = target.partition(":")
    refuse(module, dist)
    try:
        loaded = import_module(module)
    except Exception as error:
        raise Failed(
            f"Command {name!r} of plugin {dist!r} raises {type(error).__name__} at import: {error}.",
            f"Update or uninstall {dist}.",
        ) from error
    return getattr(loaded, attribute) if attribute else loaded


def as_app(loaded: Any, name: str) -> Typer:
    """Return a loaded command as a typer app, its help in the same style as all others."""
    import typer

    if isinstance(loaded, ModuleType):
        loaded = loaded.app if hasattr(loaded, "app") else loaded.command
    if isinstance(loaded, typer.Typer):
        app = loaded
    else:
        app = typer.Typer(add_completion=False)
        app.command(name)(loaded)
    app.rich_markup_mode = None
    return app


def command_of_file(ctx: Any, name: str) -> ModuleType | None:
    """Import the --plugin file that has the command's name, if it has `command` or `app`; None if there is none.

    Raises:
        BadUsage: the file raises at import.
    """
    if getattr(ctx, "resilient_parsing", False):  # shell completion must not run a local file
        return None
    for file in map(Path, getattr(ctx, "params", {}).get("plugin") or ()):
        if file.stem.replace("_", "-") == name and file.is_file():
            from benchdog.plugins.loading import load_file

            loaded = load_file(file)
            if hasattr(loaded, "command") or hasattr(loaded, "app"):
                return loaded
    return None


def _metadata_folders() -> Iterator[str]:
    for place in sys.path:
        try:
            with os.scandir(place or ".") as entries:
                yield from (e.path for e in entries if e.name.endswith((".dist-info", ".egg-info")))
        except OSError:
            continue


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""


def _section(text: str) -> Iterator[tuple[str, str]]:
    """Yield the entries of the group's section: lines "name = package.module:attribute"."""
    inside = False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, target = line.partition("=")
            yield name.strip(), target.strip()


def _facts(folder: str) -> dict[str, str]:
    """Return a distribution's name and summary from the header of its metadata."""
    facts = {"Name": "", "Summary": ""}
    for file in ("METADATA", "PKG-INFO"):
        for line in _head(os.path.join(folder, file)):  # noqa: PTH118
            key, _, value = line.partition(": ")
            if key in facts:
                facts[key] = value.rstrip()
        if facts["Name"]:
            break
    return facts


def _head(path: str) -> Iterator[str]:
    """Yield the lines of the header; the text below it can be a whole README."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            for line in file:
                if line == "\n":
                    return
                yield line
    except (OSError, UnicodeDecodeError):
        return
