"""Flags that say what to train; the commands that take them share their names and their texts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from benchdog.cli.completion import engine
from benchdog.cli.completion.engine import components

What = Annotated[
    str,
    typer.Argument(
        metavar="[RECIPE|SOURCE]",
        help="A recipe (.toml), a source, a .csv file or a folder of images.",
        autocompletion=engine.what,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        help="The model: a name, package.module:Class or file.py:Class.", autocompletion=components("model")
    ),
]
Task = Annotated[
    str | None, typer.Option(help="The task; else the target decides.", autocompletion=components("task"))
]
Trainer = Annotated[str | None, typer.Option(help="The trainer.", autocompletion=components("trainer"))]
Backend = Annotated[
    str | None,
    typer.Option(
        help="The hardware: auto, cpu, cuda, mps.", autocompletion=components("backend", ("auto", "What is here."))
    ),
]
TrainedModel = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help='A run\'s name, "last", the folder of a run, an artifact or an export, or a pretrained model.',
        autocompletion=engine.models,
    ),
]
Data = Annotated[str | None, typer.Option(metavar="PATH", help="The source's path.")]
Target = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="The column to answer; once for each of several.")
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training split.")]
BatchSize = Annotated[
    str | None, typer.Option(metavar="NUMBER|auto", help="Samples of a step; auto: as many as fit.")
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory that training may take, 8GB say; batches are cut to fit."),
]
Rate = Annotated[float | None, typer.Option(help="Learning rate.")]
Seed = Annotated[int | None, typer.Option(help="The number that all random choices come from.")]
Workers = Annotated[int | None, typer.Option(help="Processes that read and decode.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any key of the recipe.", autocompletion=engine.settings),
]

KEYS = {
    "model": "model.name",
    "task": "task.name",
    "trainer": "trainer.name",
    "backend": "backend.name",
    "data": "source.path",
    "target": "source.target",
    "epochs": "loop.epochs",
    "batch_size": "loop.batch_size",
    "memory": "loop.memory",
    "lr": "trainer.lr",
    "seed": "seed",
    "workers": "loader.workers",
}
"""The recipe's key of each flag."""


def by_key(**flags: Any) -> dict[str, Any]:
    """Give flags by the recipe's keys; None where one is absent."""
    size = flags.get("batch_size")
    if size and size.lstrip("-").isdecimal():
        flags["batch_size"] = int(size)
    if "target" in flags:
        flags["target"] = target_of(flags["target"])
    return {KEYS[name]: value for name, value in flags.items()}


def target_of(names: list[str] | None) -> str | list[str] | None:
    """Give the recipe's value of --target: a name, a list of several, None where it is absent."""
    return names[0] if names and len(names) == 1 else names or None


def written(what: str, settings: list[str], **flags: Any) -> list[str]:
    """Give the words of a command line that asks for the same."""
    words = [what] if what else []
    for name, value in flags.items():
        for each in value if isinstance(value, list) else [] if value is None else [value]:
            words += [f"--{name.replace('_', '-')}", str(each)]
    return [*words, *(word for setting in settings for word in ("--set", setting))]


def pairs(settings: list[str], example: str) -> dict[str, Any]:
    """Read key=value pairs; a value is JSON where it can be, else text.

    Raises:
        BadUsage: no "=", or a key given twice with two values.
    """
    import json

    from benchdog.errors import BadUsage

    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise BadUsage(f"--set {setting!r} is not key=value.", f"For example --set {example}.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if key in options and options[key] != value:
            raise BadUsage(f"--set gives {key!r} two values: {options[key]!r} and {value!r}.")
        options[key] = value
    return options
