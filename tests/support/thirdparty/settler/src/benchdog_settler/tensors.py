from typing import Annotated

import typer

CONTRACT = 1


def command(run: Annotated[str, typer.Argument(help='A run, or "last".')] = "last") -> None:
    """List the tensors of a run."""
    import benchdog
    from safetensors import safe_open

    with safe_open(benchdog.load(run).folder / "artifact" / "model.safetensors", "numpy") as weights:
        for name in weights.keys():  # noqa: SIM118 -- it is not a mapping
            tensor = weights.get_slice(name)
            typer.echo(f"{name}  {tensor.get_dtype()}  {tensor.get_shape()}")
