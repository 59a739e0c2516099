"""`benchdog runs why`: where two runs part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli.output import columns, emit_json, say

FORMAT = 0


def command(
    one: Annotated[str, typer.Argument(help="A run: its name, its folder, or last.")],
    other: Annotated[str, typer.Argument(help="The other run.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    runs_dir: Annotated[Path | None, typer.Option("--runs-dir", help="The folder of runs; else ./runs.")] = None,
) -> None:
    """Say where two runs part: recipe, data, packages, then the first sample and the first loss that differ."""
    from dataclasses import asdict

    from benchdog import paths
    from benchdog.parting import partings
    from benchdog.run import find

    folders = [find(name, paths.runs_dir(runs_dir)) for name in (one, other)]
    found, same = partings(*folders)
    if as_json:
        told = [{**asdict(parting), "values": list(parting.values)} for parting in found]
        emit_json({"format": FORMAT, "runs": [f.name for f in folders], "partings": told, "same_steps": same})
        return
    acting = [parting for parting in found if parting.effect]
    if not acting:
        typer.echo(f"They don't part: the losses of all {same} steps that both have are the same, bit for bit.")
    else:
        rows = [(p.where, p.what, *p.values) for p in acting]
        typer.echo(columns(rows, ("where", "what", *(folder.name for folder in folders))))
        typer.echo(f"\n{_losses(same, any(parting.where == 'loss' for parting in acting))}")
    if idle := [parting.what for parting in found if not parting.effect]:
        say(f"Without effect on the numbers: {', '.join(idle)}.")


def _losses(same: int, parted: bool) -> str:
    """Say how far the losses of two runs that differ in something are the same."""
    if not same:
        return "Already the first loss differs."
    which = f"The first {same} losses are" if parted else f"Yet the losses of all {same} steps that both have are"
    return f"{which} the same, bit for bit."
