"""`benchdog new`: scaffold a commented recipe for a source and a task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchdog.cli import flags
from benchdog.cli.completion import candidates


def command(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A source, a .csv file, a folder of images or a shipped recipe.",
            autocompletion=candidates.components("source"),
        ),
    ],
    task: Annotated[
        str,
        typer.Option(help="Task (default: inferred from the target).", autocompletion=candidates.components("task")),
    ] = "auto",
    model: Annotated[
        str,
        typer.Option(
            help="Model (default: chosen for task and data).", autocompletion=candidates.components("model")
        ),
    ] = "auto",
    trainer: Annotated[
        str, typer.Option(help="Trainer.", autocompletion=candidates.components("trainer"))
    ] = "supervised",
    target: flags.Target = None,
    out: Annotated[Path | None, typer.Option(help="Output file; it must not exist.")] = None,
    schema: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write the JSON Schema, for an editor; the recipe refers to it."),
    ] = None,
    run_code: flags.RunCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a recipe with every option, its default and its meaning."""
    import os

    from benchdog.cli.output import emit_json, say
    from benchdog.errors import BadUsage
    from benchdog.recipe.commented import new_recipe
    from benchdog.recipe.compose import source_layer
    from benchdog.recipe.json_schema import recipe_schema
    from benchdog.recipe.layers import Given, shipped_text
    from benchdog.recipe.named_code import TABLES, refuse_classes
    from benchdog.system import files

    if source.endswith(".toml"):
        text = shipped_text(source)
    else:
        layer = source_layer(source)
        given: dict[str, Any] = {k: str(Path(v.value).resolve()) for k, v in layer.items() if k == "source.path"}
        if target:
            given["source.target"] = flags.target_of(target)
        chosen = {"source": layer["source.name"].value, "task": task, "model": model, "trainer": trainer}
        if not run_code:
            named = {f"{kind}.name": Given(name, "The command line", Path.cwd()) for kind, name in chosen.items()}
            refuse_classes(named, TABLES, ctx.obj.plugins(), [str(path.resolve()) for path in ctx.obj.local])
        text = new_recipe(ctx.obj.plugins(), chosen, given)
    if schema is not None:
        if out is None:
            raise BadUsage(
                "--schema requires --out.", "The recipe refers to the schema by a path relative to its own file."
            )
        place = Path(os.path.relpath(schema.absolute(), out.absolute().parent)).as_posix()
        text = f"#:schema {place if place.startswith('.') else f'./{place}'}\n{text}"
    if out is not None:
        if out.exists():
            raise BadUsage(f"{out} exists already.", "Choose another --out; nothing is overwritten.")
        files.write_text(out, text)
        if schema is not None:
            files.write_json(schema, recipe_schema(ctx.obj.plugins()))
        say(f"Written: {out}. Train with: benchdog train {out}")
    if as_json:
        emit_json({"recipe": text, "path": out and str(out), "schema": schema and str(schema)})
    elif out is None:
        typer.echo(text, nl=False)
