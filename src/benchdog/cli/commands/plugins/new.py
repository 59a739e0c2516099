"""`benchdog plugins new`: a plugin to begin with, as a package or as a single file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchdog.cli.completion.engine import words
from benchdog.cli.output import emit_json, say

if TYPE_CHECKING:
    from benchdog.plugins import Plugins

WORDS = "source, model, task, augmentation, trainer, exporter, backend, observer or command"


def new(
    ctx: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            help=f"What to write: {WORDS}.", autocompletion=words(*WORDS.replace(" or ", ", ").split(", "))
        ),
    ],
    name: Annotated[str, typer.Argument(help="Its name, like tiny-net; the package is benchdog-tiny-net.")],
    file: Annotated[bool, typer.Option("--file", help="Write a single file, to be used by --plugin.")] = False,
    output: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write into.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a plugin that works as it stands, with tests: the beginning of your own."""
    from benchdog.plugins import scaffold
    from benchdog.system.paths import short

    scaffold.check(kind, name)
    plugins: Plugins = ctx.obj.plugins(listing=True)
    _refuse_taken(kind, name, plugins, packaged=not file)
    if file:
        path = output / f"{scaffold.module(name)}.py"
        written = {path.name: scaffold.single(kind, name)}
        scaffold.write_file(path, written[path.name])
        then = [f"benchdog plugins check {_quoted(short(path))}", *scaffold.use(kind, name, _quoted(short(path)))]
    else:
        path = output / f"benchdog-{name}"
        written = scaffold.package(kind, name)
        scaffold.write_folder(path, written)
        first = [f"cd {_quoted(short(path))}", 'pip install -e ".[dev]"', "pytest", "mypy", "ruff check"]
        then = [*first, f"benchdog plugins check {path.name}", *scaffold.use(kind, name)]
    if as_json:
        files = sorted(written)
        emit_json({"kind": kind, "name": name, "path": str(path), "files": files, "next": then})
        return
    lines = sum(1 for text in written.values() for line in text.splitlines() if line.strip())
    typer.echo(str(path))
    say(f"Written: {len(written)} {'file' if file else 'files'}, {lines} lines. Try:")
    say("\n".join(f"  {line}" for line in then))


def _refuse_taken(kind: str, name: str, plugins: Plugins, packaged: bool) -> None:
    """Refuse a name that can't be used beside what is installed; warn of one that has to be told apart then."""
    from benchdog.errors import BadUsage
    from benchdog.plugins.discovery import BUILTIN
    from benchdog.plugins.loading import installed
    from benchdog.plugins.scaffold import KINDS, module

    called, other = f"{KINDS[kind].called} {name!r}", "Choose another name."
    owners = _owners(kind, name, plugins)
    if BUILTIN in owners:
        raise BadUsage(f"Benchdog has {called} itself, which stays so.", other)
    if kind == "command" and owners:
        raise BadUsage(f"{owners.pop()} has {called}.", other)
    package = f"benchdog_{module(name)}"
    if packaged and installed(package):
        raise BadUsage(f"A package {package} is installed already.", f"{other[:-1]}, or uninstall that one.")
    own = name if packaged else module(name)
    rival = next((plugin for plugin in plugins.healthy if plugin.name == own and kind != "command"), None)
    if rival is not None:
        raise BadUsage(f"A plugin {own!r} of {rival.dist} is loaded; two can't have one name.", other)
    for owner in sorted(owners):
        say(f"note: {owner} offers {called} too; where both are installed, OWNER:{name} chooses.")


def _owners(kind: str, name: str, plugins: Plugins) -> set[str]:
    """Give the distributions that have such a component or command."""
    from benchdog.plugins import KINDS as COMPONENTS
    from benchdog.plugins.commands import COMMANDS, installed_commands
    from benchdog.plugins.discovery import BUILTIN

    if kind == "command":
        others = installed_commands()
        return {BUILTIN} if name in COMMANDS else {others[name][1]} if name in others else set()
    offers = plugins.all(kind).values() if kind in COMPONENTS else ()
    return {found.dist for found in offers if found.info.name == name}


def _quoted(text: str) -> str:
    """Write a path as a shell takes it."""
    import shlex
    import subprocess

    return subprocess.list2cmdline([text]) if sys.platform == "win32" else shlex.quote(text)
