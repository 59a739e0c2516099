"""Every command, Benchdog's own and those of the packages under plugins/."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.main import get_command

from benchdog.cli.root import app
from benchdog.plugins.commands import COMMANDS, installed_commands

Words = tuple[str, ...]


def commands() -> list[Words]:
    """List every command and subcommand, as words: ("runs", "list")."""
    shipped = [name for name, (_, dist, _) in installed_commands().items() if dist.startswith("benchdog-")]
    return [words for name in (*COMMANDS, *sorted(shipped)) for words in _below((name,))]


def _below(words: Words) -> Iterator[Words]:
    names = getattr(of(words), "commands", None)
    if names is None:
        yield words
    else:
        for name in names:
            yield from _below((*words, name))


def of(words: Words) -> Any:
    """Return a command by its words."""
    command = get_command(app)
    for word in words:
        command = command.get_command(typer.Context(command), word)  # type: ignore[attr-defined]
    return command
