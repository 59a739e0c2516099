"""`benchdog runs why`: where two runs part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli.completion import engine
from benchdog.cli.output import columns, emit_json, say


def command(
    one: Annotated[str, typer.Argument(help="A run: its name, its folder, or last.", autocompletion=engine.runs)],
    other: Annotated[str, typer.Argument(help="The other run.", autocompletion=engine.runs)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    runs_dir: Annotated[Path | None, typer.Option("--runs-dir", help="The folder of runs; else ./runs.")] = None,
) -> None:
    """Say where two runs part: recipe, data, packages, then the first sample and the first loss that differ."""
    from dataclasses import asdict

    from benchdog.errors import BadData
    from benchdog.runs.compare import compare
    from benchdog.system import paths

    folders = [_single(name, paths.runs_dir(runs_dir)) for name in (one, other)]
    compared = compare(*folders)
    found, same = compared.partings, compared.same
    if as_json:
        told = [{**asdict(parting), "values": list(parting.values)} for parting in found]
        names, fault = [folder.name for folder in folders], compared.fault or None
        emit_json({"runs": names, "partings": told, "same_steps": same, "fault": fault})
        if fault:
            raise typer.Exit(BadData.code)
        return
    acting = [parting for parting in found if parting.effect]
    if not acting and not compared.fault:
        typer.echo(f"They don't part: the losses of all {same} steps that both have are the same, bit for bit.")
    elif acting:
        rows = [(p.where, p.what, *p.values) for p in acting]
        typer.echo(columns(rows, ("where", "what", *(folder.name for folder in folders))))
        if not compared.fault:
            typer.echo(f"\n{_losses(same, any(parting.where == 'loss' for parting in acting))}")
    if idle := [parting.what for parting in found if not parting.effect]:
        say(f"Without effect on the numbers: {', '.join(idle)}.")
    if compared.fault:
        raise BadData(
            f"How far the losses go together can't be told: {compared.fault}.",
            f"Train it again, or see what they reached: benchdog runs compare {one} {other}."
            + (" The rest is above." if acting else ""),
        )


def _single(name: str, runs: Path) -> Path:
    """Give the folder of a single run.

    Raises:
        BadUsage: there is none of that name, or it is that of repeated runs.
    """
    from benchdog.cli.repeat import SUFFIX
    from benchdog.errors import BadUsage
    from benchdog.runs.run import find
    from benchdog.system import files

    summary = runs / f"{name}{SUFFIX}"
    if not summary.is_file() or (runs / name / "run.json").is_file():
        return find(name, runs)
    told = files.read_json(summary)
    lines = told.get("runs") if isinstance(told, dict) else None
    names = [str(line.get("run")) for line in lines or () if isinstance(line, dict)]
    raise BadUsage(
        f"{name!r} names repeated runs; where two part is told of single ones.",
        f"Name one of them: {', '.join(names)}. All together: benchdog runs compare {name} ANOTHER",
    )


def _losses(same: int, parted: bool) -> str:
    """Say how far the losses of two runs that differ in something are the same."""
    if not same:
        return "Already the first loss differs."
    which = f"The first {same} losses are" if parted else f"Yet the losses of all {same} steps that both have are"
    return f"{which} the same, bit for bit."
