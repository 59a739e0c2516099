"""`benchdog runs compare`: metrics of several runs, and whether their differences are significant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli.completion import candidates
from benchdog.cli.output import columns, echo, emit_json, say


def command(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="Two or more runs, each by its name, its folder or last; or the name of repeated runs.",
            autocompletion=candidates.runs,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write overlaid learning curves, as a page (.html) or an image (.png)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    runs_dir: Annotated[Path | None, typer.Option("--runs-dir", help="Folder of the runs (default: ./runs).")] = None,
) -> None:
    """Compare runs: final metrics, differences between their recipes, overlaid learning curves."""
    from benchdog.errors import BadUsage
    from benchdog.evaluation.report import compare as draw
    from benchdog.evaluation.report import comparison, facts
    from benchdog.runs.compare import differences

    if out is not None and out.suffix.lower() not in (".html", ".png"):
        raise BadUsage(
            f"--out can't write {out}: its extension is neither .html nor .png.", "Write --out curves.html"
        )
    places = list(dict.fromkeys(_repeats(name, runs_dir) or _run(name, runs_dir) for name in runs))
    if len(places) < 2:
        raise BadUsage("A run can't be compared with itself.", "Name two or more; to list them: benchdog runs list")
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
    echo(columns([(key, *row) for key, row in rows.items()], ("metric", *names)))
    echo("\n" + verdict)
    if damage:
        echo("\n" + damage)
    elif differing:
        rows_of = [(key, *("-" if v is None else str(v) for v in row)) for key, row in differing.items()]
        echo("\n" + columns(rows_of, ("recipe key", *names)))
    else:
        echo("\nTheir recipes are identical.")
    for each in read:
        for fault in each.faults:
            say(f"{each.name}: {fault}")
    if out is not None:
        say(f"curves: {out.absolute()}")


def _run(name: str, runs_dir: Path | None) -> Path:
    """Return a run's folder, absolute but with symbolic links unresolved."""
    from benchdog.runs.run import find
    from benchdog.system import paths

    return find(name, paths.runs_dir(runs_dir)).absolute()


def _repeats(name: str, runs_dir: Path | None) -> Path | None:
    """Return the summary file of repeated runs, if the name is theirs and not that of a single run."""
    from benchdog.system import paths

    folder = paths.runs_dir(runs_dir)
    path = folder / f"{name}.repeats.json"
    return path.absolute() if path.is_file() and not (folder / name / "run.json").is_file() else None
