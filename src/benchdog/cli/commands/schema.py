"""`benchdog schema`: the JSON Schema of a recipe, with every installed plugin's options."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="No effect: the output is JSON anyway.")] = False,
) -> None:
    """Print the JSON Schema of a recipe, for completion and validation in an editor."""
    from benchdog.cli.output import write_json
    from benchdog.recipe.json_schema import recipe_schema

    write_json(recipe_schema(ctx.obj.plugins()))
