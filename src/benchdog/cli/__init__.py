"""The command line. The root imports no command: their names and summaries stand in a table here."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup, TyperOption
from typer.main import get_command

from benchdog import __version__
from benchdog.cli import local_commands as local
from benchdog.cli.command import usual
from benchdog.cli.plugin_commands import installed_commands, refuse
from benchdog.errors import BenchdogError, Failed, Stopped, nearest
from benchdog.system.signals import heeded

if TYPE_CHECKING:
    from benchdog.plugins import Plugins
    from benchdog.system.json_output import Lines

COMMANDS = {
    "train": "Train a model: raw data to an artifact.",
    "find-lr": "Look for a learning rate that suits.",
    "evaluate": "Judge a model on held-out samples.",
    "predict": "Answer for files, folders, a CSV or text.",
    "export": "Write a model for another runtime, verified.",
    "eject": "Write a run as one plain PyTorch program.",
    "plan": "Say what a run would read, build and need.",
    "runs": "List, show, compare, report and remove runs.",
    "data": "List, fetch, look at, verify and prune data.",
    "plugins": "List plugins and what they offer; write one.",
    "new": "Write a commented recipe.",
    "doctor": "Check this machine and say what to mend.",
    "schema": "Print the JSON Schema of a recipe.",
    "completion": "Complete commands and names in a shell.",
}


@dataclass(slots=True)
class Shared:
    """What the root's options say, for every command."""

    local: list[Path] = field(default_factory=list)
    lines: Lines | None = None
    """Where the events of a run are written for a program."""
    _plugins: Plugins | None = None

    def plugins(self, more: tuple[str, ...] = (), *, listing: bool = False) -> Plugins:
        """Discover the plugins once.

        `more` are the files that a recipe names; a command that is only `listing` waits less for a slow plugin.
        """
        if self._plugins is None:
            from benchdog.plugins import Plugins
            from benchdog.plugins import import_timeout as waiting

            seconds = waiting.patience(waiting.LISTING if listing else waiting.WORKING)
            self._plugins = Plugins.discover([*more, *self.local], seconds)
            self._plugins.lines = self.lines
        return self._plugins


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
        mine = f"benchdog.cli.commands.{cmd_name.replace('-', '_')}"
        target = mine if cmd_name in COMMANDS else self.foreign.get(cmd_name, ("",))[0]
        loaded, attribute = self._load(cmd_name, target) if target else (local.module(ctx, cmd_name), "")
        if loaded is None:
            return None
        found = getattr(loaded, attribute or ("app" if hasattr(loaded, "app") else "command"))
        app = found if isinstance(found, typer.Typer) else _alone(found, cmd_name)
        app.rich_markup_mode = None  # a plugin's group looks like the others
        command = get_command(usual(app))
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

    def _load(self, name: str, target: str) -> tuple[Any, str]:
        """Import a command's module; give it, and the attribute that the target names."""
        module, _, attribute = target.partition(":")
        if name not in COMMANDS:
            refuse(module, self.foreign[name][1])
        try:
            return import_module(module), attribute
        except Exception as error:
            if name in COMMANDS:
                raise
            dist = self.foreign[name][1]
            raise Failed(
                f"Command {name!r} of plugin {dist!r} raises {type(error).__name__} at import: {error}.",
                f"Update or uninstall {dist}.",
            ) from error

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Name the nearest command for a mistyped one."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-") and local.module(ctx, args[0]) is None:
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


def _alone(function: Any, name: str) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(name)(function)
    return app


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
    ctx.obj = Shared(local=list(plugin or []))


class _Absent:
    """Answers for an option that wasn't given; typer would import pydantic to convert nothing."""

    def __init__(self, build: Any) -> None:
        self.build = build

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Leave nothing as it is; hand everything else to typer."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        return self.build(param).coerce(value, param=param, ctx=ctx)


def _lighten() -> None:
    """Keep pydantic out of commands that get no values; a typer without this method needs no such help."""
    build = getattr(TyperOption, "get_runtime_param", None)
    if build is not None and not getattr(build, "light", False):

        def get_runtime_param(self: Any) -> Any:
            return _Absent(build)

        get_runtime_param.light = True  # type: ignore[attr-defined]
        TyperOption.get_runtime_param = get_runtime_param  # type: ignore[method-assign]


def main() -> None:
    """Run the command line; every error that a user can act on ends here, as one sentence and an exit code."""
    from benchdog.cli import output

    _lighten()
    command = get_command(app)
    if asked := os.environ.get("BENCHDOG_COMPLETE"):
        from benchdog.cli.completion.engine import answer

        answer(command, asked)
        _end(0)
    try:
        with heeded():
            code = _carry_out(command, "--json" in sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:
        output.abandon()
        code = 0  # `| head` has seen enough
    finally:
        output.release()
    _end(code)


def _carry_out(command: Any, as_json: bool) -> int:
    try:
        code = command.main(prog_name="benchdog", standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C, without a word
            return _fail("Stopped.", "", 130, as_json)
    except BenchdogError as error:
        return _fail(error.message, error.hint, error.code, as_json)
    except (typer.Abort, KeyboardInterrupt) as error:
        return _fail("Stopped.", "", getattr(error, "code", 130), as_json)
    except BrokenPipeError:
        raise
    except Exception as error:
        return _usage(error, as_json) if hasattr(error, "format_message") else _unforeseen(error, as_json)
    return code if isinstance(code, int) else 0


def _end(code: int) -> None:
    """Leave; Python's own end would come in the way of a plugin's import that still goes on."""
    waiting = sys.modules.get("benchdog.plugins.import_timeout")
    if waiting is not None and waiting.left_behind():
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _usage(error: Any, as_json: bool) -> int:
    """Tell a mistake in flags or arguments, which typer found."""
    from benchdog.cli.output import complain

    text, hint = error.format_message(), ""
    if getattr(error, "option_name", "") == "--plugin":
        hint = "--plugin goes before the command: benchdog --plugin FILE train ..."
    elif hasattr(error, "possibilities"):  # an option that isn't there
        from benchdog.cli.command import meant

        if hint := meant(error):
            error.possibilities = None
            text = error.format_message()
    _told(text, hint, int(error.exit_code), as_json)
    error.show()
    if hint:
        complain(f"  {hint}")
    return int(error.exit_code)


def _unforeseen(error: Exception, as_json: bool) -> int:
    """Name the plugin or file whose code failed; a fault of Benchdog's own keeps its traceback."""
    from benchdog.plugins.error_origin import stranger, the_machine

    if os.environ.get("BENCHDOG_STRICT") == "1":
        raise error
    if found := the_machine(error):
        return _fail(*found, as_json)
    place = stranger(error)
    if not place:
        raise error
    text = " ".join(str(error).split())[:500]
    hint = f"Raised in {place}. Mend it, or tell its author; BENCHDOG_STRICT=1 shows the whole trace."
    return _fail(f"{type(error).__name__}: {text}", hint, 1, as_json)


def _fail(message: str, hint: str, code: int, as_json: bool) -> int:
    from benchdog.cli.output import complain

    _told(message, hint, code, as_json)
    mark = "" if code in (130, 143) else "error: "
    complain(f"{mark}{message}" + (f"\n  {hint}" if hint else ""))
    return code


def _told(message: str, hint: str, code: int, as_json: bool) -> None:
    """Print the document of an error, in one line: it may end a stream of events."""
    from benchdog.cli.output import emit_line

    if as_json:
        emit_line({"error": {"message": message, "hint": hint, "code": code}})
