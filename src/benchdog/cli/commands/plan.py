"""`benchdog plan`: dry run: data, model, memory and time of a run, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli import flags
from benchdog.cli.completion import candidates


def command(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE|SOURCE", help="As for `train`.", autocompletion=candidates.sources_and_recipes
        ),
    ],
    model: flags.Model = None,
    data: flags.Data = None,
    target: flags.Target = None,
    set_: flags.Settings = None,
    run_code: flags.RunCode = False,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Preview a run without training: its data, its model, and the memory and time it needs."""
    from benchdog.cli.output import columns, echo, emit_json, say
    from benchdog.recipe.compose import compose_draft
    from benchdog.recipe.named_code import TABLES
    from benchdog.system import paths
    from benchdog.training.plan import plan

    given = {"model.name": model, "source.path": data, "source.target": flags.target_of(target)}
    draft = compose_draft(source, given, set_ or [], ctx.obj, without_code=() if run_code else TABLES)
    preview = plan(draft, paths.runs_dir(runs_dir))
    if as_json:
        emit_json(preview)
        return
    echo(columns([[line["what"], line["found"]] for line in preview["lines"]], ["", "planned"]))
    for note in preview["notes"]:
        say(f"note: {note}")
    for problem in preview["problems"]:
        say(f"warning: {problem}")
