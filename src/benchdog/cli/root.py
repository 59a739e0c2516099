"""Root command group: lists the commands without importing them, and imports the one that runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from benchdog import __version__
from benchdog.cli.command import with_common_options
from benchdog.errors import Stopped, nearest
from benchdog.plugins.commands import COMMANDS, as_app, command_of_file, installed_commands, load_command
from benchdog.plugins.context import PluginContext


class Root(TyperGroup):
    """A group that imports a command to run it, not to list it."""

    listing = False
    """While it is true `get_command` returns placeholders with a name and a summary."""

    @cached_property
    def plugin_commands(self) -> dict[str, tuple[str, str, str]]:
        """{name: (target, distribution, summary)} of the commands of installed packages."""
        return installed_commands()

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names, Benchdog's own first."""
        return [*COMMANDS, *sorted(set(self.plugin_commands) - set(COMMANDS))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command, or build its placeholder."""
        if self.listing:
            return TyperCommand(cmd_name, short_help=COMMANDS.get(cmd_name) or self.plugin_commands[cmd_name][2])
        if cmd_name in COMMANDS:
            loaded: Any = import_module(f"benchdog.cli.commands.{cmd_name.replace('-', '_')}")
        elif cmd_name in self.plugin_commands:
            target, dist, _ = self.plugin_commands[cmd_name]
            loaded = load_command(cmd_name, target, dist)
        else:
            loaded = command_of_file(ctx, cmd_name)
        if loaded is None:
            return None
        command = get_command(with_common_options(as_app(loaded, cmd_name)))
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; typer would lose which signal ended it, and turn a closed pipe into a failure."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Stopped("Stopped.", "", getattr(error, "code", 130)) from None
        except BrokenPipeError:
            from benchdog.cli.output import abandon

            abandon()  # `| head` has read enough
            return 0

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete the names of commands without importing them."""
        with self._listing():
            return super().shell_complete(ctx, incomplete)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Suggest the nearest command for a mistyped one."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-") and command_of_file(ctx, args[0]) is None:
            from benchdog.errors import BadUsage
            from benchdog.plugins import companions

            if package := companions.absent("command", args[0]):
                raise companions.missing(f"The command {args[0]!r}", package)
            raise BadUsage(f"Unknown command {args[0]!r}.", nearest(args[0], known))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        with self._listing():
            super().format_commands(ctx, formatter)

    @contextmanager
    def _listing(self) -> Iterator[None]:
        self.listing = True
        try:
            yield
        finally:
            self.listing = False


app = typer.Typer(
    cls=Root,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="From raw data to a deployed model. Start with: benchdog train digits",
)


def _version(requested: bool) -> None:
    if requested:
        typer.echo(f"benchdog {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Load a local plugin file (repeatable).")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From raw data to a deployed model. Start with: benchdog train digits."""
    ctx.obj = PluginContext(local=list(plugin or []))


class _LightParam:
    """Converts a parameter only where there is something to convert; typer imports pydantic for it."""

    def __init__(self, build: Any) -> None:
        self.build = build

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return an absent value, and any value while a shell completes, as it is; else let typer convert it."""
        if ctx.resilient_parsing:
            return value
        if value is None and isinstance(param, TyperOption):
            return () if param.multiple or param.nargs == -1 else None
        return self.build(param).coerce(value, param=param, ctx=ctx)


def keep_light() -> None:
    """Keep pydantic out of commands that get no values; a typer without this method doesn't import it."""
    for kind in (TyperOption, TyperArgument):
        build = getattr(kind, "get_runtime_param", None)
        if build is not None and not getattr(build, "light", False):
            kind.get_runtime_param = _light(build)  # type: ignore[method-assign]


def _light(build: Any) -> Any:
    def get_runtime_param(self: Any) -> Any:
        return _LightParam(build)

    get_runtime_param.light = True  # type: ignore[attr-defined]
    return get_runtime_param
