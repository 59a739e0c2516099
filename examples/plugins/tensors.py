from typing import Annotated

import typer

CONTRACT = 1  # try: benchdog --plugin tensors.py tensors last


def command(run: Annotated[str, typer.Argument(help='A run, or "last".')] = "last") -> None:
    """List the tensors of a run."""
    import json

    import benchdog

    with (benchdog.load(run).folder / "artifact" / "model.safetensors").open("rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    for name, tensor in head.items():
        if name != "__metadata__":
            typer.echo(f"{name}  {tensor['dtype']}  {tensor['shape']}")
