"""The command: a function with typer parameters."""

from typing import Annotated

import typer
from benchdog.cli.output import emit_json


def command(
    run: Annotated[str, typer.Argument(help='A run\'s name or folder, or "last".')] = "last",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the tensors of a finished run: names, types, shapes."""
    import benchdog  # imported here so that --help stays fast

    from .tensors import listed

    tensors = listed(benchdog.load(run).folder)
    if as_json:
        emit_json({"tensors": tensors})  # under --json, other output goes to stderr
        return
    width = max((len(name) for name in tensors), default=0)
    for name, tensor in tensors.items():
        typer.echo(f"{name:<{width}}  {tensor['dtype']}  {tensor['shape']}")
