"""`benchdog find-lr`: learning-rate range test."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchdog.cli import flags

if TYPE_CHECKING:
    from benchdog.training.lr_finder import Curve


def command(
    ctx: typer.Context,
    source: flags.Source = "",
    model: flags.Model = None,
    task: flags.Task = None,
    trainer: flags.Trainer = None,
    backend: flags.Backend = None,
    data: flags.Data = None,
    target: flags.Target = None,
    epochs: flags.Epochs = None,
    batch_size: flags.BatchSize = None,
    memory: flags.Memory = None,
    seed: flags.Seed = None,
    workers: flags.Workers = None,
    set_: flags.Settings = None,
    steps: Annotated[int, typer.Option(min=10, help="Training steps, each with a higher learning rate.")] = 100,
    first: Annotated[float, typer.Option("--from", help="Lowest learning rate.")] = 1e-7,
    last: Annotated[float, typer.Option("--to", help="Highest learning rate.")] = 10.0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Plot the curve: .html, .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Find a good learning rate: increase it step by step, and see where the loss falls and rises.

    The suggestion is a tenth of the middle of the range in which the loss is lowest. No run is kept.
    """
    from benchdog.cli.output import emit_json, say
    from benchdog.errors import BadUsage, Failed
    from benchdog.evaluation.report.rates import KINDS, draw
    from benchdog.recipe.compose import compose_draft

    if plot is not None and plot.suffix.lower() not in KINDS:
        raise BadUsage(
            f"--plot can't write {plot}: its extension is not one of {', '.join(KINDS)}.", "Write --plot lr.html"
        )
    given = {
        "model": model,
        "task": task,
        "trainer": trainer,
        "backend": backend,
        "data": data,
        "target": target,
        "epochs": epochs,
        "batch_size": batch_size,
        "memory": memory,
        "seed": seed,
        "workers": workers,
    }
    draft = compose_draft(source, flags.by_key(**given), set_ or [], ctx.obj)
    from benchdog.training.lr_finder import find

    result, notes = find(draft, steps, first, last)
    settings = [text for text in set_ or [] if text.partition("=")[0].strip() != "trainer.lr"]
    local = [arg for path in ctx.obj.local for arg in ("--plugin", str(path))]
    args = ["benchdog", *local, "train", *flags.to_args(source, settings, **given)]
    next_ = shlex.join([*args, "--lr", f"{result.suggestion:g}"]) if result.suggestion is not None else ""
    if plot is not None:
        draw(result, plot, next_)
    if result.suggestion is not None and as_json:
        emit_json({**result.to_json(), "command": next_, "notes": notes, "plot": str(plot) if plot else None})
        return
    if not as_json:
        for note in notes:
            say(f"note: {note}")
        _print(result, next_)
        if plot is not None:
            say(f"plot: {plot}")
    if result.suggestion is None:
        raise Failed(
            f"The loss didn't fall at any learning rate from {first:g} to {last:g}; {result.ended}.",
            "Look at the data and the loss (benchdog train ... --smoke), or change --from, --to and --steps.",
        )


def _print(result: Curve, next_: str) -> None:
    """Print the curve, the learning rates read from it and the suggestion."""
    from benchdog.cli.output import echo
    from benchdog.cli.textplot import curve

    marks = {"s": result.suggestion} if result.suggestion is not None else {}
    if len(result.rates) > 1:
        echo(curve(result.rates, result.smoothed, result.ceiling, marks) + "\n")
    if result.suggestion is None:
        return
    echo(f"steepest descent  {result.steepest:.2g}")
    echo(f"lowest loss       {result.low[0]:.2g} to {result.low[1]:.2g}; {result.ended}")
    echo(f"suggestion        {result.suggestion:g} (s), a tenth of the middle of that range, {result.middle:.2g}")
    echo(f"next              {next_}")
