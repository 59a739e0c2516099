"""`benchdog runs compare`: what several runs reached, and whether any difference can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli.completion import engine
from benchdog.cli.output import columns, emit_json, say


def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: runs by name, by folder, or last; the name of repeated runs.",
            autocompletion=engine.runs,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write overlaid curves here: a page (.html) or a picture (.png)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    runs_dir: Annotated[Path | None, typer.Option("--runs-dir", help="The folder of runs; else ./runs.")] = None,
) -> None:
    """Compare runs: final metrics, what their recipes do differently, overlaid curves."""
    from benchdog.errors import BadUsage
    from benchdog.evaluation.report import compare as draw
    from benchdog.evaluation.report import comparison, facts
    from benchdog.runs.compare import differences

    if out is not None and out.suffix.lower() not in (".html", ".png"):
        raise BadUsage(f"{out} is neither a page nor a picture.", "Let its name end in .html or .png.")
    places = list(dict.fromkeys(_repeats(name, runs_dir) or _run(name, runs_dir) for name in runs))
    if len(places) < 2:
        raise BadUsage("One run can't be compared with itself.", "Name two or more: benchdog runs list")
    read = [facts.read_repeats(place) if place.suffix == ".json" else facts.read(place) for place in places]
    names, metrics = [each.name for each in read], comparison.final(read)
    verdict = comparison.verdict(read)
    damage = comparison.damaged(read)
    differing = None if damage else differences([each.recipe for each in read])
    if out is not None:
        draw(read, out)
    if as_json:
        emit_json(
            {"runs": names, "metrics": metrics, "recipe": differing, "verdict": verdict,
             "intervals": {key: [each.intervals().get(key) for each in read] for key in metrics},
             "faults": {each.name: each.faults for each in read if each.faults},
             "out": str(out.absolute()) if out else None}
        )  # fmt: skip
        return
    rows = comparison.with_intervals(read)
    typer.echo(columns([(key, *row) for key, row in rows.items()], ("metric", *names)))
    typer.echo("\n" + verdict)
    if damage:
        typer.echo("\n" + damage)
    elif differing:
        told = [(key, *("-" if v is None else str(v) for v in row)) for key, row in differing.items()]
        typer.echo("\n" + columns(told, ("recipe key", *names)))
    else:
        typer.echo("\nTheir recipes are the same.")
    for each in read:
        for fault in each.faults:
            say(f"{each.name}: {fault}")
    if out is not None:
        say(f"curves: {out.absolute()}")


def _run(name: str, runs_dir: Path | None) -> Path:
    """Give a run's folder, absolute but with its links as they are."""
    from benchdog.runs.run import find
    from benchdog.system import paths

    return find(name, paths.runs_dir(runs_dir)).absolute()


def _repeats(name: str, runs_dir: Path | None) -> Path | None:
    """Give the summary of repeated runs, where a name is theirs and no run's."""
    from benchdog.system import paths

    folder = paths.runs_dir(runs_dir)
    path = folder / f"{name}.repeats.json"
    return path.absolute() if path.is_file() and not (folder / name / "run.json").is_file() else None
