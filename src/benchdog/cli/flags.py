"""Arguments and flags that several commands share, those of plugins among them; they complete in a shell."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from benchdog.cli.completion.candidates import components, models, recipe_keys, runs, sources_and_recipes

Source = Annotated[
    str,
    typer.Argument(
        metavar="[RECIPE|SOURCE]",
        help="A recipe (.toml), a source, a .csv file or a folder of images.",
        autocompletion=sources_and_recipes,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="Model: a name, package.module:Class or file.py:Class.", autocompletion=components("model")),
]
Task = Annotated[
    str | None,
    typer.Option(help="Task (default: inferred from the target).", autocompletion=components("task")),
]
Trainer = Annotated[str | None, typer.Option(help="Trainer.", autocompletion=components("trainer"))]
Backend = Annotated[
    str | None,
    typer.Option(
        help="Hardware: auto, cpu, cuda, mps.",
        autocompletion=components("backend", ("auto", "The best that is available.")),
    ),
]
Data = Annotated[str | None, typer.Option(metavar="PATH", help="Path of the source's data.")]
MovedData = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="New location of the run's data, if it was moved; its samples are compared with the run's.",
    ),
]
Target = Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Target column (repeatable).")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training split.")]
BatchSize = Annotated[
    str | None, typer.Option(metavar="NUMBER|auto", help="Batch size; auto: the largest that fits in memory.")
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Memory limit, e.g. 8GB; batches are split into micro-batches to fit."),
]
LearningRate = Annotated[float | None, typer.Option(help="Learning rate.")]
Seed = Annotated[int | None, typer.Option(help="Random seed.")]
Workers = Annotated[int | None, typer.Option(help="Data-loading worker processes.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set any key of the recipe (repeatable).", autocompletion=recipe_keys
    ),
]

RunCode = Annotated[bool, typer.Option("--run-code", help="Run the code outside plugins that the recipe names.")]

Run = Annotated[str, typer.Argument(help="A run: its name, its folder or last.", autocompletion=runs)]
TrainedModel = Annotated[
    str,
    typer.Argument(
        help="A run, its name or folder or last; the folder of an artifact or an export; a pretrained model.",
        autocompletion=models,
    ),
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
"""{flag: key of the recipe}."""


def by_key(**flags: Any) -> dict[str, Any]:
    """Return flags by their key of the recipe; None for an absent flag."""
    size = flags.get("batch_size")
    if size and size.lstrip("-").isdecimal():
        flags["batch_size"] = int(size)
    if "target" in flags:
        flags["target"] = target_of(flags["target"])
    return {KEYS[name]: value for name, value in flags.items()}


def place_of(data: Path | None) -> dict[str, str]:
    """Return the absolute path of moved data by its recipe key; {} if none is given."""
    return {} if data is None else {KEYS["data"]: str(data.expanduser().resolve())}


def target_of(names: list[str] | None) -> str | list[str] | None:
    """Return the recipe's value of --target: a name, a list of several, None if absent."""
    return names[0] if names and len(names) == 1 else names or None


def to_args(source: str, settings: list[str], **flags: Any) -> list[str]:
    """Return the command-line arguments that say the same."""
    args = [source] if source else []
    for name, value in flags.items():
        for each in value if isinstance(value, list) else [] if value is None else [value]:
            args += [f"--{name.replace('_', '-')}", str(each)]
    return [*args, *(arg for setting in settings for arg in ("--set", setting))]


def pairs(settings: list[str], example: str) -> dict[str, Any]:
    """Parse key=value pairs; a value is JSON if it parses, else text.

    Raises:
        BadUsage: no "=", two values for a key, or one that is JSON beyond the limits.
    """
    from json import JSONDecodeError

    from benchdog.errors import BadUsage
    from benchdog.system.parsing import parse_json

    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key:
            raise BadUsage(f"--set {setting!r} is not key=value.", f"For example --set {example}.")
        try:
            value = parse_json(text)
        except JSONDecodeError:
            value = text
        except ValueError as error:
            raise BadUsage(f"--set {key}: the value {text!r} can't be used: {error}.") from None
        if key in options and options[key] != value:
            raise BadUsage(f"--set gives {key!r} two values: {options[key]!r} and {value!r}.")
        options[key] = value
    return options
