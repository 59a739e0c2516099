"""`benchdog runs`: list, show, compare, report and remove runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli import flags
from benchdog.cli.commands.runs import compare, why
from benchdog.cli.completion import candidates
from benchdog.cli.output import columns, echo, echo_path, emit_json, is_terminal, say

if TYPE_CHECKING:
    from benchdog.evaluation.report.facts import Facts

HEADER = ("run", "source", "model", "status", "epochs", "monitored", "baseline", "when")
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
RunsDir = Annotated[Path | None, typer.Option("--runs-dir", help="Folder of the runs (default: ./runs).")]

app = typer.Typer(
    help="List, compare and remove runs.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.command("list")
def list_(as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """List the runs, newest first."""
    from benchdog.runs.run import runs
    from benchdog.system import paths

    folder = paths.runs_dir(runs_dir)
    rows = [_row(path) for path in reversed(runs(folder))]
    if as_json:
        emit_json({"folder": str(folder), "runs": rows})
        return
    if not rows:
        say(f"No runs in {folder}. Train one: benchdog train digits")
        return
    echo(columns([_cells(row) for row in rows], HEADER))


@app.command("show")
def show(run: flags.Run = "last", as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Show a run: its result, metrics, exports and recipe."""
    from benchdog.evaluation.report import facts
    from benchdog.evaluation.report.headline import headline

    read = facts.read(_find(run, runs_dir))
    top = headline(read)
    row = _row(read.folder)
    lines = facts.objects(read.baseline.get("lines"))
    if as_json:
        details = {
            "verdict": top.verdict,
            "metrics": read.scalars(),
            "baselines": lines,
            "recipe": read.recipe,
            "exports": [name for name, _ in read.exports],
            "error": read.run.get("error"),
            "faults": read.faults,
        }
        emit_json({**row, **details})
        return
    sentences = [text for text in (top.answer, top.others, top.verdict) if text]
    echo("\n".join([*sentences, ""] if sentences else []) + columns([_cells(row)], HEADER))
    if read.run.get("error"):
        echo(f"\nerror: {read.run['error']}")
    if metrics := read.scalars():
        echo("\n" + columns(list(metrics.items()), ("metric", "value")))
    if read.exports:
        echo("\nexports: " + ", ".join(name for name, _ in read.exports))
    if read.recipe_text:
        echo("\n" + read.recipe_text.strip())
    say(f"folder: {read.folder}")
    if row["status"] == "interrupted":
        say(f"Its process was ended. Resume: benchdog train --resume {read.folder}")


app.command("compare")(compare.command)
app.command("why")(why.command)


@app.command("report")
def report(run: flags.Run = "last", as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Write a run's report, report.html in its folder, and print its path."""
    from benchdog.evaluation.report import write

    path = write(_find(run, runs_dir))
    if as_json:
        emit_json({"run": path.parent.name, "report": str(path)})
    else:
        echo_path(path)


@app.command("rm")
def rm(
    runs: Annotated[
        list[str], typer.Argument(help="Runs to remove: names, or last.", autocompletion=candidates.runs)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")] = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Remove runs and everything in their folders."""
    from benchdog.errors import BadUsage
    from benchdog.system import paths

    root = paths.runs_dir(runs_dir)
    # all are checked before the first is removed: a mistake in the list removes nothing
    folders = list(dict.fromkeys(_removable(_find(name, runs_dir), root) for name in runs))
    names = ", ".join(folder.name for folder in folders)
    if not yes:
        if as_json or not is_terminal():
            raise BadUsage(f"This removes {names} permanently.", "Confirm with --yes.")
        if not typer.confirm(f"Remove {names} permanently?", err=True):
            say("Nothing was removed.")
            return
    for folder in folders:
        _remove(folder)
    if as_json:
        emit_json({"removed": [folder.name for folder in folders]})
    else:
        say(f"Removed {names}.")


def _find(name: str, runs_dir: Path | None) -> Path:
    """Return a run's folder, absolute but with symbolic links unresolved."""
    from benchdog.runs.run import find
    from benchdog.system import paths

    return find(name, paths.runs_dir(runs_dir)).absolute()


def _removable(folder: Path, root: Path) -> Path:
    """Return a run's resolved folder if it may be removed: directly in the folder of runs, and in use by nobody.

    Raises:
        BadUsage: it is a symbolic link, or is somewhere else.
        Failed: another process is using it.
    """
    from benchdog.errors import BadUsage, Failed
    from benchdog.runs.status import held

    if folder.is_symlink():
        raise BadUsage(f"{folder} is a symbolic link.", "Remove the link yourself if you don't need it.")
    if folder.resolve().parent != root.resolve():
        raise BadUsage(
            f"{folder} is not in {root}.", "Pass its parent folder with --runs-dir, or remove it yourself."
        )
    if held(folder):
        raise Failed(f"Run {folder.name!r} is used by another process.", "Wait for it, or stop it.")
    return root.resolve() / folder.resolve().name


def _remove(folder: Path) -> None:
    """Rename a run's folder, so that it disappears at once, then delete it; links inside are not followed."""
    import shutil

    from benchdog.system import files

    aside = folder.with_name(f".{folder.name}.removed")
    with files.saving(folder):
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        (aside / "run.json").unlink(missing_ok=True)  # a remainder that can't be deleted is no longer listed as a run
        shutil.rmtree(aside)


def _row(folder: Path) -> dict[str, Any]:
    """Return the row of a run in the list."""
    from benchdog.evaluation.report import facts
    from benchdog.evaluation.report.headline import headline

    read = facts.read(folder)
    run = read.run
    baseline = _best_baseline(read)
    return {
        "name": folder.name,
        "path": str(folder),
        "source": run.get("source"),
        "model": read.learner or None,
        "task": run.get("task"),
        "status": str(run.get("status") or "unknown"),
        "epochs": run.get("epochs_done"),
        "metric": read.monitor,
        "value": read.best[1] if read.best else None,
        "baseline": {"name": baseline[0], "value": baseline[1]} if baseline else None,
        "headline": headline(read).answer or None,
        "created": run.get("created"),
    }


def _best_baseline(read: Facts) -> tuple[str, float] | None:
    """Return (name, value) of the best baseline by the monitored metric."""
    from benchdog.evaluation.report.facts import mapping
    from benchdog.evaluation.report.formatting import number

    values = []
    for line in read.baselines("valid") or read.baselines("test"):
        value = number(mapping(line.get("metrics")).get(read.monitor))
        if value is not None:
            values.append((str(line.get("name")), value))
    choose = max if read.better == "max" else min
    return choose(values, key=lambda pair: pair[1]) if values else None


def _cells(row: dict[str, Any]) -> Sequence[str]:
    value = f"{row['metric']} {_number(row['value'])}" if row["value"] is not None else "-"
    line = row["baseline"]
    return (
        row["name"],
        str(row["source"] or "-"),
        str(row["model"] or "-"),
        row["status"],
        str(row["epochs"] if row["epochs"] is not None else "-"),
        value,
        f"{_number(line['value'])} ({line['name']})" if line else "-",
        _ago(row["created"]),
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _ago(created: Any) -> str:
    """Format a time relative to now: "3 minutes ago"."""
    from datetime import datetime

    try:
        then = datetime.fromisoformat(str(created))
    except ValueError:
        return "-"
    past = (datetime.now(then.tzinfo) - then).total_seconds()
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if past >= size:
            count = int(past // size)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
