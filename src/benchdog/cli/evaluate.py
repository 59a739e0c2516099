"""`benchdog evaluate`: judge a model on held-out samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    ctx: typer.Context,
    model: Annotated[str, typer.Argument(help="A run: its name, its folder, or last.")] = "last",
    split: Annotated[str, typer.Option(help="test, valid or train.")] = "test",
    runs_dir: Annotated[Path | None, typer.Option(help="The folder of runs.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run the code that a run from elsewhere brings.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Judge a model on held-out samples, beside simple baselines; the report is written anew."""
    from benchdog import judging, paths
    from benchdog import run as runs
    from benchdog.cli.output import columns, emit_json, say

    folder = paths.runs_dir(runs_dir)
    result = judging.evaluate(runs.find(model, folder), split, ctx.obj.plugins, trust=trust)
    if as_json:
        emit_json(result)
        return
    names = [name for name, value in result["metrics"].items() if isinstance(value, int | float)]
    rows = [["this model", *(result["metrics"][name] for name in names)]]
    rows += [[line["name"], *(line["metrics"].get(name) for name in names)] for line in result["baselines"]]
    typer.echo(columns(rows, [f"{result['samples']} {split} samples", *names]))
    say(f"report: {paths.short(Path(result['report']))}")
