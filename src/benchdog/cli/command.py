"""What all commands share: --quiet, a stdout reserved for JSON, no flag given twice; hints for unknown flags."""

from __future__ import annotations

from collections.abc import Container, Sequence
from contextlib import suppress
from typing import Annotated, Any

from typer import Option, Typer
from typer.core import TyperCommand
from typer.main import get_command

from benchdog.cli import output
from benchdog.errors import BadUsage, BenchdogError, Failed
from benchdog.system import terminal

SYNONYMS = {"o": "out", "output": "out"}
"""Flags as other tools call them, that are not keys of a recipe."""
COMPONENT_FLAGS = ("model", "task", "trainer", "backend")
Quiet = Annotated[bool, Option("--quiet", "-q", help="Print only errors.")]


class Command(TyperCommand):
    """A command that takes --quiet, prints nothing but its document under --json, and refuses a flag given twice.

    Of two values for a flag that takes one, the last would win silently.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._declares_quiet = any("--quiet" in param.opts for param in self.params)
        if not self._declares_quiet:
            self.params.append(_quiet_option())

    def invoke(self, ctx: Any) -> Any:
        """Run the command under its --quiet and --json."""
        quiet = bool(ctx.params["quiet"] if self._declares_quiet else ctx.params.pop("quiet"))
        with terminal.quieted(quiet):
            if not ctx.params.get("as_json"):
                return super().invoke(ctx)
            output.reserve()
            result = super().invoke(ctx)
            if not output.emitted():
                raise Failed(
                    f"{ctx.info_name!r} printed no document under --json.",
                    "Its author must print it with benchdog.cli.output.emit_json; everything else goes to stderr.",
                )
            return result

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Check the arguments before they are parsed, and keep them for `suggestion`."""
        ctx.meta[__name__] = tuple(args)
        _refuse_repeated(self.params, args)
        return super().parse_args(ctx, args)


def with_common_options(app: Typer) -> Typer:
    """Add to an app's commands what all commands share; a command class of its own is kept."""
    for info in app.registered_commands:
        info.cls = Command if info.cls in (None, TyperCommand) else info.cls
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_common_options(group.typer_instance)
    return app


def _quiet_option() -> Any:
    """Build the option as typer builds those of a function."""

    def declare(quiet: Quiet = False) -> None: ...

    app = Typer(add_completion=False)
    app.command()(declare)
    return get_command(app).params[0]


def _refuse_repeated(params: list[Any], args: list[str]) -> None:
    options = {name: p for p in params if p.param_type_name == "option" and not p.is_flag for name in p.opts}
    given: dict[str, str] = {}
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            return
        name, equals, value = arg.partition("=")
        if name not in options:
            continue
        value = value if equals else next(rest, "")
        if not options[name].multiple and given.setdefault(name, value) != value:
            raise BadUsage(f"{name} is given twice: {given[name]} and {value}.", "Pass it once.")


def suggestion(error: Any) -> str:
    """Return a hint: the flag or recipe key that an unknown option may have meant; "" if none is similar."""
    from benchdog.recipe.suggestions import OTHERWISE, listed, places

    ctx = error.ctx
    if ctx is None:
        return ""
    word = error.option_name.lstrip("-").replace("-", "_")
    known = {name for param in ctx.command.params for name in param.opts}
    for name in (word, SYNONYMS.get(word, ""), OTHERWISE.get(word, "")):
        flag = f"--{name.replace('_', '-')}"
        if name and flag in known:
            return f"Did you mean {flag}?"
    if all(param.name != "set_" for param in ctx.command.params):
        return ""
    with suppress(BenchdogError):
        plugins, args = ctx.find_root().obj.plugins(), ctx.meta.get(__name__, ())
        chosen = {"trainer": "supervised", **_source(args, plugins.all("source")), **_components(args)}
        keys = places(word, chosen, plugins)
        return listed(keys, "--set {}=...") if keys else ""
    return ""


def _source(args: Sequence[str], known: Container[str]) -> dict[str, str]:
    """Return the source that a command line names, by name or by file."""
    from benchdog.recipe.compose import source_layer

    for arg in args:
        with suppress(BenchdogError):
            if (name := source_layer(arg)["source.name"].value) in known:
                return {"source": name}
    return {}


def _components(args: Sequence[str]) -> dict[str, str]:
    """Return {kind: name} of the components that a command line names by its flags."""
    pairs = list(zip(args, [*args[1:], ""], strict=True)) if args else []
    pairs += [(flag, value) for flag, equals, value in (arg.partition("=") for arg in args) if equals]
    return {kind: value for kind in COMPONENT_FLAGS for flag, value in pairs if flag == f"--{kind}"}
