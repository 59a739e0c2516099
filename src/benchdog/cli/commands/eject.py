"""`benchdog eject`: a run as a standalone PyTorch script."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli.completion import candidates


def command(
    ctx: typer.Context,
    run: Annotated[
        str, typer.Argument(help="A run: its name, its folder or last.", autocompletion=candidates.runs)
    ] = "last",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Output file (default: stdout).")] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File for the samples (default: data.npz next to the program)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run the code that comes with a run from another machine.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document, with the program's text.")
    ] = False,
) -> None:
    """Write a run as a standalone PyTorch script, without Benchdog, that ends with the same weights."""
    import os

    from benchdog.cli.output import emit_json, say
    from benchdog.deployment import eject, pretrained
    from benchdog.deployment.eject import destination
    from benchdog.system import paths
    from benchdog.system.files import readable

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
