"""`benchdog find-lr`: look for a learning rate that suits."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchdog.cli import flags as asked

if TYPE_CHECKING:
    from benchdog.training.lr_finder import Curve


def command(
    ctx: typer.Context,
    what: asked.What = "",
    model: asked.Model = None,
    task: asked.Task = None,
    trainer: asked.Trainer = None,
    backend: asked.Backend = None,
    data: asked.Data = None,
    target: asked.Target = None,
    epochs: asked.Epochs = None,
    batch_size: asked.BatchSize = None,
    memory: asked.Memory = None,
    seed: asked.Seed = None,
    workers: asked.Workers = None,
    set_: asked.Settings = None,
    steps: Annotated[int, typer.Option(min=10, help="Steps to try, each with a higher rate.")] = 100,
    first: Annotated[float, typer.Option("--from", help="The first rate.")] = 1e-7,
    last: Annotated[float, typer.Option("--to", help="The last rate.")] = 10.0,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the curve: .html, .svg or .png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Train a few steps with a rate that grows, see where the loss falls and rises, and suggest a rate.

    The suggestion is a tenth of the rate in the middle of those at which it is lowest. No run is kept.
    """
    from benchdog.cli.output import emit_json, say
    from benchdog.errors import BadUsage, Failed
    from benchdog.evaluation.report.rates import KINDS, draw
    from benchdog.recipe.compose import compose_draft

    if plot is not None and plot.suffix.lower() not in KINDS:
        raise BadUsage(f"{plot} is none of {', '.join(KINDS)}.", "Write --plot lr.html")
    flags = {
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
    draft = compose_draft(what, asked.by_key(**flags), set_ or [], ctx.obj)
    from benchdog.training.lr_finder import find

    found, notes = find(draft, steps, first, last)
    settings = [text for text in set_ or [] if text.partition("=")[0].strip() != "trainer.lr"]
    local = [word for path in ctx.obj.local for word in ("--plugin", str(path))]
    words = ["benchdog", *local, "train", *asked.written(what, settings, **flags)]
    next_ = shlex.join([*words, "--lr", f"{found.suggestion:g}"]) if found.suggestion is not None else ""
    if plot is not None:
        draw(found, plot, next_)
    if found.suggestion is not None and as_json:
        emit_json({**found.to_json(), "command": next_, "notes": notes, "plot": str(plot) if plot else None})
        return
    if not as_json:
        for note in notes:
            say(f"note: {note}")
        _tell(found, next_)
        if plot is not None:
            say(f"plot: {plot}")
    if found.suggestion is None:
        raise Failed(
            f"The loss didn't fall at any rate from {first:g} to {last:g}; {found.ended}.",
            "Look at the data and the loss (benchdog train ... --smoke), or give other --from, --to and --steps.",
        )


def _tell(found: Curve, next_: str) -> None:
    """Print the curve and what was read from it."""
    from benchdog.cli.textplot import curve

    marks = {"s": found.suggestion} if found.suggestion is not None else {}
    if len(found.rates) > 1:
        typer.echo(curve(found.rates, found.smoothed, found.ceiling, marks) + "\n")
    if found.suggestion is None:
        return
    typer.echo(f"falls fastest at  {found.steepest:.2g}")
    typer.echo(f"low from          {found.low[0]:.2g} to {found.low[1]:.2g}; {found.ended}")
    typer.echo(f"suggestion        {found.suggestion:g} (s), a tenth of the middle, {found.middle:.2g}")
    typer.echo(f"next              {next_}")
