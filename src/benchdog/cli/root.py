"""The root of the command line: it lists the commands without importing them, and imports the one that is run."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from benchdog import __version__
from benchdog.cli.command import with_common_options
from benchdog.errors import Stopped, nearest
from benchdog.plugins.commands import COMMANDS, as_app, command_of_file, installed_commands, load_command
from benchdog.plugins.context import PluginContext


class Root(TyperGroup):
    """A group that imports a command when it is run, and not to list it."""

    @cached_property
    def foreign(self) -> dict[str, tuple[str, str, str]]:
        """The commands of plugins, looked for once."""
        return installed_commands()

    def list_commands(self, ctx: Any) -> list[str]:
        """Give the names, Benchdog's own first."""
        return [*COMMANDS, *sorted(set(self.foreign) - set(COMMANDS))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command."""
        if cmd_name in COMMANDS:
            loaded: Any = import_module(f"benchdog.cli.commands.{cmd_name.replace('-', '_')}")
        elif cmd_name in self.foreign:
            target, dist, _ = self.foreign[cmd_name]
            loaded = load_command(cmd_name, target, dist)
        else:
            loaded = command_of_file(ctx, cmd_name)
        if loaded is None:
            return None
        command = get_command(with_common_options(as_app(loaded, cmd_name)))
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; typer would forget which signal ended it, and make a reader's leaving a failure."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Stopped("Stopped.", "", getattr(error, "code", 130)) from None
        except BrokenPipeError:
            from benchdog.cli.output import abandon

            abandon()  # `| head` has seen enough
            return 0

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete the commands' names without importing them."""
        from benchdog.cli.completion.engine import Item

        found = {name: COMMANDS.get(name) or self.foreign[name][2] for name in self.list_commands(ctx)}
        options = super(TyperGroup, self).shell_complete(ctx, incomplete) if incomplete.startswith("-") else []
        return [*(Item(name, help=text) for name, text in found.items() if name.startswith(incomplete)), *options]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name the nearest command for a mistyped one."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-") and command_of_file(ctx, args[0]) is None:
            from benchdog.errors import BadUsage
            from benchdog.plugins import companions

            if package := companions.absent("command", args[0]):
                raise companions.missing(f"The command {args[0]!r}", package)
            raise BadUsage(f"There is no command {args[0]!r}.", nearest(args[0], known))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        rows = [(name, COMMANDS.get(name) or self.foreign[name][2]) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


app = typer.Typer(
    cls=Root,
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    help="From raw data to a deployed model. Start with: benchdog train digits",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"benchdog {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    plugin: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Load a local plugin file; may be repeated.")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From raw data to a deployed model. Start with: benchdog train digits."""
    ctx.obj = PluginContext(local=list(plugin or []))


class _Absent:
    """Answers for an option that wasn't given; typer would import pydantic to convert nothing."""

    def __init__(self, build: Any) -> None:
        self.build = build

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Leave nothing as it is; hand everything else to typer."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        return self.build(param).coerce(value, param=param, ctx=ctx)


def keep_light() -> None:
    """Keep pydantic out of commands that get no values; a typer without this method needs no such help."""
    build = getattr(TyperOption, "get_runtime_param", None)
    if build is not None and not getattr(build, "light", False):

        def get_runtime_param(self: Any) -> Any:
            return _Absent(build)

        get_runtime_param.light = True  # type: ignore[attr-defined]
        TyperOption.get_runtime_param = get_runtime_param  # type: ignore[method-assign]
