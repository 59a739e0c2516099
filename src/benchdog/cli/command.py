"""What all commands share: --quiet, a stdout kept for JSON, no flag given twice; and flags that people guess."""

from __future__ import annotations

import sys
from collections.abc import Container
from contextlib import suppress
from typing import Annotated, Any

from typer import Option, Typer
from typer.core import TyperCommand
from typer.main import get_command

from benchdog.cli import output
from benchdog.errors import BadUsage, BenchdogError, Failed
from benchdog.system import terminal

SHORT = {"o": "out", "output": "out"}
"""What other tools call a flag that is no key of a recipe."""
Quiet = Annotated[bool, Option("--quiet", "-q", help="Say nothing but errors while working.")]
NAMED = ("model", "task", "trainer", "backend")


class Command(TyperCommand):
    """A command that takes --quiet, prints nothing but its document under --json, and refuses a flag given twice.

    Of two values for a flag that takes one the last would win without a word.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._own = any("--quiet" in param.opts for param in self.params)
        if not self._own:
            self.params.append(_quiet_flag())

    def invoke(self, ctx: Any) -> Any:
        """Be as quiet as was asked for, then do the work."""
        terminal.hush(bool(ctx.params["quiet"] if self._own else ctx.params.pop("quiet")))
        if not ctx.params.get("as_json"):
            return super().invoke(ctx)
        output.reserve()
        result = super().invoke(ctx)
        if not output.emitted():
            raise Failed(
                f"{ctx.info_name!r} printed no document under --json.",
                "Its author prints it by benchdog.cli.output.emit_json; all else goes to stderr.",
            )
        return result

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look at the words before they are parsed."""
        _refuse_twice(self.params, args)
        return super().parse_args(ctx, args)


def with_common_options(app: Typer) -> Typer:
    """Give an app's commands what all commands share; a class of somebody's own stays."""
    for info in app.registered_commands:
        info.cls = Command if info.cls in (None, TyperCommand) else info.cls
    for group in app.registered_groups:
        if group.typer_instance is not None:
            with_common_options(group.typer_instance)
    return app


def _quiet_flag() -> Any:
    """Make the flag as typer makes those of a function."""

    def flag(quiet: Quiet = False) -> None: ...

    app = Typer(add_completion=False)
    app.command()(flag)
    return get_command(app).params[0]


def _refuse_twice(params: list[Any], args: list[str]) -> None:
    taking = {name: p for p in params if p.param_type_name == "option" and not p.is_flag for name in p.opts}
    given: dict[str, str] = {}
    words = iter(args)
    for word in words:
        if word == "--":
            return
        name, equals, value = word.partition("=")
        if name not in taking:
            continue
        value = value if equals else next(words, "")
        if not taking[name].multiple and given.setdefault(name, value) != value:
            raise BadUsage(f"{name} is given twice: {given[name]} and {value}.", "Give it once.")


def suggestion(error: Any) -> str:
    """Say which flag or key of the recipe was meant by an option that isn't there; "" when none is alike."""
    from benchdog.recipe.suggestions import OTHERWISE, listed, places

    ctx = error.ctx
    if ctx is None:
        return ""
    word = error.option_name.lstrip("-").replace("-", "_")
    there = {name for param in ctx.command.params for name in param.opts}
    for name in (word, SHORT.get(word, ""), OTHERWISE.get(word, "")):
        flag = f"--{name.replace('_', '-')}"
        if name and flag in there:
            return f"Did you mean {flag}?"
    if all(param.name != "set_" for param in ctx.command.params):
        return ""
    with suppress(BenchdogError):
        plugins = ctx.find_root().obj.plugins()
        named = {"trainer": "supervised", **_source(sys.argv[1:], plugins.all("source")), **_named(sys.argv)}
        found = places(word, named, plugins)
        return listed(found, "--set {}=...") if found else ""
    return ""


def _source(words: list[str], known: Container[str]) -> dict[str, str]:
    """Find the source that a command line names, by its name or its file."""
    from benchdog.recipe.compose import source_layer

    for word in words:
        with suppress(BenchdogError):
            if (name := source_layer(word)["source.name"].value) in known:
                return {"source": name}
    return {}


def _named(words: list[str]) -> dict[str, str]:
    """Find the components that a command line names by their flags."""
    pairs = list(zip(words, [*words[1:], ""], strict=True))
    pairs += [(flag, value) for flag, equals, value in (word.partition("=") for word in words) if equals]
    return {kind: value for kind in NAMED for flag, value in pairs if flag == f"--{kind}"}
