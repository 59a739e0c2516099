"""`benchdog plugins new`: scaffold a plugin, as a package or a single file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchdog.cli.completion.candidates import choices
from benchdog.cli.output import echo_path, emit_json, say

if TYPE_CHECKING:
    from benchdog.plugins import Plugins

KIND_NAMES = "source, model, task, augmentation, trainer, exporter, backend, writer, observer or command"


def new(
    ctx: typer.Context,
    kind: Annotated[
        str,
        typer.Argument(
            help=f"Kind of component: {KIND_NAMES}.",
            autocompletion=choices(*KIND_NAMES.replace(" or ", ", ").split(", ")),
        ),
    ],
    name: Annotated[str, typer.Argument(help="Its name, e.g. tiny-net; the package is benchdog-tiny-net.")],
    file: Annotated[bool, typer.Option("--file", help="Write a single file, for use with --plugin.")] = False,
    output: Annotated[
        Path, typer.Option(metavar="DIR", help="Parent folder (default: the working directory).")
    ] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Scaffold a working plugin, with tests, as a starting point for your own."""
    from benchdog.plugins import scaffold
    from benchdog.system.paths import short

    scaffold.check(kind, name)
    plugins: Plugins = ctx.obj.plugins(listing=True)
    _refuse_taken(kind, name, plugins, packaged=not file)
    if file:
        path = output / f"{scaffold.module(name)}.py"
        written = {path.name: scaffold.single(kind, name)}
        scaffold.write_file(path, written[path.name])
        steps = [f"benchdog plugins check {_quoted(short(path))}", *scaffold.use(kind, name, _quoted(short(path)))]
    else:
        path = output / f"benchdog-{name}"
        written = scaffold.package(kind, name)
        scaffold.write_folder(path, written)
        setup = [f"cd {_quoted(short(path))}", 'pip install -e ".[dev]"', "pytest", "mypy", "ruff check"]
        steps = [*setup, f"benchdog plugins check {path.name}", *scaffold.use(kind, name)]
    if as_json:
        files = sorted(written)
        emit_json({"kind": kind, "name": name, "path": str(path), "files": files, "next": steps})
        return
    lines = sum(1 for text in written.values() for line in text.splitlines() if line.strip())
    echo_path(path)
    say(f"Wrote {len(written)} {'file' if file else 'files'}, {lines} lines. Next:")
    say("\n".join(f"  {line}" for line in steps))


def _refuse_taken(kind: str, name: str, plugins: Plugins, packaged: bool) -> None:
    """Refuse a name that collides with what is installed; print a note about one that becomes ambiguous."""
    from benchdog.errors import BadUsage
    from benchdog.plugins.discovery import BUILTIN
    from benchdog.plugins.loading import installed
    from benchdog.plugins.scaffold import KINDS, module

    called, other = f"{KINDS[kind].called} {name!r}", "Choose another name."
    owners = _owners(kind, name, plugins)
    if BUILTIN in owners:
        raise BadUsage(f"Benchdog itself provides {called}.", other)
    if kind == "command" and owners:
        raise BadUsage(f"{owners.pop()} provides {called}.", other)
    package = f"benchdog_{module(name)}"
    if packaged and installed(package):
        raise BadUsage(f"A package {package} is already installed.", f"{other[:-1]}, or uninstall that one.")
    own = name if packaged else module(name)
    rival = next((plugin for plugin in plugins.healthy if plugin.name == own and kind != "command"), None)
    if rival is not None:
        raise BadUsage(f"A plugin {own!r} of {rival.dist} is loaded; names must be unique.", other)
    for owner in sorted(owners):
        say(f"note: {owner} provides {called} too; where both are installed, select one by OWNER:{name}.")


def _owners(kind: str, name: str, plugins: Plugins) -> set[str]:
    """Return the distributions that provide such a component or command."""
    from benchdog.plugins import KINDS as COMPONENTS
    from benchdog.plugins.commands import COMMANDS, installed_commands
    from benchdog.plugins.discovery import BUILTIN

    if kind == "command":
        others = installed_commands()
        return {BUILTIN} if name in COMMANDS else {others[name][1]} if name in others else set()
    components = plugins.all(kind).values() if kind in COMPONENTS else ()
    return {each.dist for each in components if each.info.name == name}


def _quoted(text: str) -> str:
    """Quote a path for the shell."""
    import shlex
    import subprocess

    return subprocess.list2cmdline([text]) if sys.platform == "win32" else shlex.quote(text)
