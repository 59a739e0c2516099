"""The command: its parameters are those of a function, in typer's style."""

import json
from typing import Annotated

import typer


def command(
    run: Annotated[str, typer.Argument(help='A run\'s name or folder, or "last".')] = "last",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the tensors of a finished run: names, types, shapes."""
    import benchdog  # where it is used, so that --help of this command is quick

    from .tensors import listed

    tensors = listed(benchdog.load(run).folder)
    if as_json:
        typer.echo(json.dumps({"format": 1, "tensors": tensors}))
        return
    width = max((len(name) for name in tensors), default=0)
    for name, tensor in tensors.items():
        typer.echo(f"{name:<{width}}  {tensor['dtype']}  {tensor['shape']}")
