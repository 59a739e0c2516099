"""`benchdog eject`: a run as one plain PyTorch program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli.completion import engine


def command(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(help="A run: its name, its folder, or last.", autocompletion=engine.runs)
    ] = "last",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the program here, not to stdout.")] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the samples here; else data.npz beside the program.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are there already.")] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="The folder of runs.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run the code that a run from elsewhere brings.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, the program's text in it.")
    ] = False,
) -> None:
    """Write a run as one plain PyTorch program, without Benchdog, that ends with the same weights."""
    import os

    from benchdog.cli.output import emit_json, say
    from benchdog.deployment import eject, pretrained
    from benchdog.deployment.eject import destination
    from benchdog.system import paths
    from benchdog.system.machine import readable

    home = out.parent if out else Path()
    data = data or home / "data.npz"
    written = [path for path in (out, data) if path]
    folder = pretrained.find_run(run, paths.runs_dir(runs_dir), ctx.obj.plugins)
    _, recipe, _ = eject.check(folder, ctx.obj.plugins, trust)
    destination.check(written, force)
    destination.check_sources(written, recipe)
    place = os.path.relpath(data.absolute(), home.absolute())
    ejected = eject.eject(folder, ctx.obj.plugins, Path(place).as_posix(), trust=trust)
    eject.write(ejected, data, out)
    if as_json:
        files = {"program": out, "data": data}
        emit_json({"run": folder.name, **files, "text": ejected.text})
    elif out is None:
        typer.echo(ejected.text, nl=False)
    lines, size = ejected.text.count("\n"), readable(data.stat().st_size)
    say(f"{out or 'the program'}: {lines} lines; {data}: {size}. Run it: python {out or 'train.py'}")
