"""The command `benchdog eject`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchdog.cli import flags

if TYPE_CHECKING:
    from benchdog import FinishedRun
    from benchdog_eject.program import Program

ELSEWHERE = "Name a file elsewhere."


def command(
    ctx: typer.Context,
    run: flags.Run = "last",
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Output file (default: stdout).")] = None,
    samples: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File for the samples (default: data.npz next to the program)."),
    ] = None,
    data: flags.MovedData = None,
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
    import benchdog
    from benchdog.cli.output import emit_json, say
    from benchdog_eject import program

    home = out.parent if out else Path()
    if data is not None and data.suffix == ".npz" and samples is None:
        say("note: --data FILE.npz is now --samples FILE.npz (the old name still works)")
        samples, data = data, None
    samples = samples or home / "data.npz"
    opened = benchdog.open_run(run, data=data, runs_dir=runs_dir, plugins=ctx.obj.local, trust=trust)
    program.refuse(opened)
    written = [path for path in (out, samples) if path]
    check_destinations(written, opened, force)
    place = os.path.relpath(samples.absolute(), home.absolute())
    ejected = program.eject(opened, Path(place).as_posix())
    write(ejected, samples, out)
    if as_json:
        emit_json({"run": opened.folder.name, "program": out, "data": samples, "text": ejected.text})
    elif out is None:
        typer.echo(ejected.text, nl=False)
    size = f"{samples.stat().st_size / 1e6:.1f} MB"
    lines = ejected.text.count("\n")
    say(f"{out or 'the program'}: {lines} lines; {samples}: {size}. Run it: python {out or 'train.py'}")


def check_destinations(paths: Sequence[Path], run: FinishedRun, force: bool) -> None:
    """Check that files can be written: not over a run's files, those that it was made from, or each other.

    Raises:
        BadUsage: one can't be, or exists and `force` is false.
        Failed: the file system refuses to look.
    """
    from benchdog.api import BadUsage, Failed

    source = [value for value in run.recipe["source"].values() if isinstance(value, str) and value]
    made_from = [Path(value).resolve() for value in (*source, *run.recipe["plugins"]) if Path(value).is_absolute()]
    places = [path.resolve() for path in paths]
    for path, place in zip(paths, places, strict=True):
        try:
            exists, folder = path.exists(), path.is_dir()
            owner = next((parent for parent in place.parents if (parent / "run.json").is_file()), None)
        except OSError as error:
            raise Failed(f"{path} can't be written: {error.strerror or error}.", ELSEWHERE) from None
        if places.count(place) > 1:
            raise BadUsage(f"{path} can't be both the program and its samples.", "Pass two names: --out, --samples.")
        if folder:
            raise BadUsage(f"{path} is a folder.", "Name a file in it.")
        if owner:
            raise BadUsage(f"{path} is in the folder of the run {owner.name!r}, whose files stay.", ELSEWHERE)
        if exists and not force:
            raise BadUsage(f"{path} exists already.", "Name another file, or overwrite it: --force")
        if exists and any(place == each or place.is_relative_to(each) for each in made_from):
            raise BadUsage(f"{path} is part of the data that the run was trained on: it isn't replaced.", ELSEWHERE)


def write(ejected: Program, data: Path, out: Path | None) -> None:
    """Write the arrays, and the program where a file is wanted; new arrays don't stay without their program."""
    import numpy as np

    from benchdog.api import Failed

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **ejected.arrays)

    new = not data.exists()
    replace(data, save)
    if out is not None:
        try:
            replace(out, lambda temporary: temporary.write_text(ejected.text, encoding="utf-8"))
        except Failed:
            if new:
                data.unlink(missing_ok=True)
            raise


def replace(path: Path, save: Callable[[Path], object]) -> None:
    """Write a file as a whole or not at all.

    Raises:
        Failed: the file system refuses.
    """
    from benchdog.api import Failed

    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        temporary.replace(path)
    except OSError as error:
        raise Failed(f"{path} can't be written: {error.strerror or error}.", ELSEWHERE) from None
    finally:
        if temporary.exists():
            temporary.unlink()
