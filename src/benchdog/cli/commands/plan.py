"""`benchdog plan`: what a run would read, build and need."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchdog.cli import flags
from benchdog.cli.completion import engine


def command(
    ctx: typer.Context,
    what: Annotated[
        str,
        typer.Argument(metavar="RECIPE|SOURCE", help="What `train` would be given.", autocompletion=engine.what),
    ],
    model: flags.Model = None,
    data: Annotated[str | None, typer.Option(metavar="PATH", help="The source's path.")] = None,
    target: flags.Target = None,
    set_: flags.Settings = None,
    run_code: Annotated[bool, typer.Option("--run-code", help="Run the local files that the recipe names.")] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="The folder of runs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say what a run would read, build and need, before anything is spent."""
    from benchdog.cli.output import columns, emit_json, say
    from benchdog.recipe.compose import compose_draft, refuse_code
    from benchdog.system import paths
    from benchdog.training.plan import plan

    if not run_code:
        refuse_code(what, ctx.obj.local)
    given = {"model.name": model, "source.path": data, "source.target": flags.target_of(target)}
    found = plan(compose_draft(what, given, set_ or [], ctx.obj), paths.runs_dir(runs_dir))
    if as_json:
        emit_json(found)
        return
    typer.echo(columns([[line["what"], line["found"]] for line in found["lines"]], ["what", "found"]))
    for note in found["notes"]:
        say(f"note: {note}")
    for problem in found["problems"]:
        say(f"warning: {problem}")
