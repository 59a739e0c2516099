"""`benchdog runs why`: where two runs diverge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli import flags
from benchdog.cli.completion import candidates
from benchdog.cli.output import columns, echo, emit_json, say


def command(
    one: flags.Run,
    other: Annotated[str, typer.Argument(help="The other run.", autocompletion=candidates.runs)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    runs_dir: Annotated[Path | None, typer.Option("--runs-dir", help="Folder of the runs (default: ./runs).")] = None,
) -> None:
    """Show where two runs diverge: recipe, data, packages, then the first sample and the first loss that differ."""
    from dataclasses import asdict

    from benchdog.errors import BadData
    from benchdog.runs.compare import compare
    from benchdog.system import paths

    folders = [_single(name, paths.runs_dir(runs_dir)) for name in (one, other)]
    compared = compare(*folders)
    same = compared.same
    if as_json:
        partings = [{**asdict(each), "values": list(each.values)} for each in compared.partings]
        names, fault = [folder.name for folder in folders], compared.fault or None
        emit_json({"runs": names, "partings": partings, "same_steps": same, "fault": fault})
        if fault:
            raise typer.Exit(BadData.code)
        return
    causes = [each for each in compared.partings if each.effect]
    if not causes and not compared.fault:
        echo(f"They don't diverge: the losses of all {same} common steps are bit-identical.")
    elif causes:
        rows = [(each.where, each.what, *each.values) for each in causes]
        echo(columns(rows, ("where", "what", *(folder.name for folder in folders))))
        if not compared.fault:
            echo(f"\n{_losses(same, any(each.where == 'loss' for each in causes))}")
    if harmless := [each.what for each in compared.partings if not each.effect]:
        say(f"No effect on the numbers: {', '.join(harmless)}.")
    if compared.fault:
        raise BadData(
            f"The losses can't be compared: {compared.fault}.",
            f"Train it again, or compare the results: benchdog runs compare {one} {other}."
            + (" The other differences are above." if causes else ""),
        )


def _single(name: str, runs: Path) -> Path:
    """Return the folder of a single run.

    Raises:
        BadUsage: unknown name, or that of repeated runs.
    """
    from benchdog.cli.repeat import SUFFIX
    from benchdog.errors import BadUsage
    from benchdog.runs.run import find
    from benchdog.system import files

    summary = runs / f"{name}{SUFFIX}"
    if not summary.is_file() or (runs / name / "run.json").is_file():
        return find(name, runs)
    document = files.read_json(summary)
    lines = document.get("runs") if isinstance(document, dict) else None
    names = [str(line.get("run")) for line in lines or () if isinstance(line, dict)]
    raise BadUsage(
        f"{name!r} names repeated runs; this command compares two single runs.",
        f"Name one of them: {', '.join(names)}. All of them: benchdog runs compare {name} ANOTHER",
    )


def _losses(same: int, diverge: bool) -> str:
    """Describe how long the losses of two runs agree that differ in something."""
    if not same:
        return "The losses differ from the first step."
    which = f"The first {same} losses are" if diverge else f"Yet the losses of all {same} common steps are"
    return f"{which} bit-identical."
