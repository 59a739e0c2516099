"""Registry of commands: Benchdog's own by name and summary, those of installed packages, those of plugin files."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from benchdog.plugins.discovery import allows
from benchdog.plugins.installed import entry_points

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
    for point in entry_points(GROUP):
        if allows(point.name, point.dist):
            found.setdefault(point.name, (point.target, point.dist, point.summary))
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
