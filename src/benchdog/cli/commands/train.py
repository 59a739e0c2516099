"""`benchdog train`: carry out a recipe, or go on with a run."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli import flags as asked
from benchdog.cli.completion import engine

if TYPE_CHECKING:
    from benchdog.recipe.draft import Draft
    from benchdog.runs.run import Run

FEW_SEEDS = 5


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
    lr: asked.Rate = None,
    seed: asked.Seed = None,
    workers: asked.Workers = None,
    set_: asked.Settings = None,
    time: Annotated[
        str | None, typer.Option(metavar="TIME", help="End within 90s, 10m or 1h30m: steps are measured, epochs set.")
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=1, metavar="N", help="Train under N seeds; tell mean and spread of the test metrics.")
    ] = 1,
    name: Annotated[str, typer.Option(help="The run's name.")] = "",
    resume: Annotated[
        str,
        typer.Option(metavar="RUN", help="Go on with a run: its name, folder, or last.", autocompletion=engine.runs),
    ] = "",
    smoke: Annotated[bool, typer.Option("--smoke", help="Try everything on one batch, then throw it away.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="With --resume: run the code that a run from elsewhere brings.")
    ] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="The folder of runs.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing while working.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines, the result last.")] = False,
) -> None:
    """Train a model: raw data to an artifact, in one run's folder."""
    from benchdog import pipeline
    from benchdog.cli.output import emit_line, lines, say
    from benchdog.errors import BadUsage
    from benchdog.recipe.compose import compose_draft
    from benchdog.recipe.layers import flags
    from benchdog.runs import run as runs
    from benchdog.system import paths
    from benchdog.training.time_budget import seconds_of

    if as_json and not smoke:  # what is tried there are no runs
        ctx.obj.lines = lines()
    given = asked.by_key(
        model=model,
        task=task,
        trainer=trainer,
        backend=backend,
        data=data,
        target=target,
        epochs=epochs,
        batch_size=batch_size,
        memory=memory,
        lr=lr,
        seed=seed,
        workers=workers,
    )
    folder = paths.runs_dir(runs_dir)
    limit = seconds_of(time) if time is not None else 0.0
    if resume:
        changed = flags({}, set_ or [])
        others = any(value is not None for value in given.values()) or set(changed) - {"backend.ranks"}
        if what or others or name or limit or repeat > 1:
            raise BadUsage(
                "--resume takes a run as it is; nothing can be changed but --set backend.ranks=N.",
                "Leave the other settings out.",
            )
        ranks = changed["backend.ranks"].value if changed else None
        run = pipeline.resume(runs.find(resume, folder), ctx.obj.plugins, quiet=quiet, trust=trust, ranks=ranks)
    else:
        draft = compose_draft(what, given, set_ or [], ctx.obj)
        if smoke and repeat > 1:
            raise BadUsage("--smoke tries one run, and keeps none.", "Leave --repeat out.")
        if smoke:
            _smoke(draft, quiet, as_json)
            return
        if limit and "loop.epochs" in draft.values and draft.values["loop.epochs"].by in ("a flag", what):
            raise BadUsage(
                "Both --time and the number of epochs are given.",
                f"Leave one of them out; the epochs are loop.epochs, given by {draft.values['loop.epochs'].by}.",
            )
        if repeat > 1:
            if limit:
                raise BadUsage(
                    "--time and --repeat don't go together: each run would have other epochs.", "Set --epochs."
                )
            _repeat(ctx, draft, folder, repeat, name, quiet, as_json)
            return
        run = pipeline.train(draft, folder, name=name, quiet=quiet, seconds=limit)
    if as_json:
        emit_line({**run.facts, "folder": str(run.folder), "artifact": str(run.folder / "artifact")})
        return
    if not quiet:
        for line in _best(run):
            say(line)
        place = Path(paths.short(run.folder))
        say(f"report:   {place / 'report.html'}\nartifact: {place / 'artifact'}")
    if quiet or not sys.stdout.isatty():
        typer.echo(run.folder)


def _smoke(draft: Draft, quiet: bool, as_json: bool) -> None:
    """Try all stages on one batch."""
    from benchdog.cli.output import emit_line
    from benchdog.cli.smoke import try_all

    def tell(stage: Mapping[str, Any]) -> None:
        emit_line({"event": "stage_ended", **stage})

    stages = try_all(draft, quiet=quiet, tell=tell if as_json else None)
    if as_json:
        emit_line({"steps": stages})


def _best(run: Run) -> Iterator[str]:
    """Tell the best epoch, and how to end sooner when it was an early one of many."""
    from benchdog.evaluation.report import facts
    from benchdog.recipe.resolved import read_resolved
    from benchdog.training.early_stopping import EarlyStopping, advised

    best = run.facts["best"]
    if not best or run.facts["model"] == run.facts["trainer"]:  # a trainer with a model of its own may have one epoch
        return
    name, number, done = f"valid.{best['metric']}", best["epoch"], run.facts["epochs_done"]
    yield f"best: epoch {number}, {name} {best['value']:.4f}"
    if read_resolved(run.folder).loop.patience:
        return
    given = (line.get(name) for line in facts.read(run.folder).epochs)
    values = [float(value) if isinstance(value, int | float) else math.nan for value in given]
    if patience := advised(EarlyStopping(best["metric"], run.facts["better"], 0), values):
        yield f"  of {done} epochs: --set loop.patience={patience} would have stopped at epoch {number + patience}"


def _repeat(
    ctx: typer.Context, draft: Draft, folder: Path, times: int, name: str, quiet: bool, as_json: bool
) -> None:
    """Train under several seeds and tell how far the figures are spread."""
    from benchdog.cli.output import columns, emit_line, say
    from benchdog.cli.repeat import SUFFIX, repeat

    told = repeat(draft, folder, times, ctx.obj.plugins, name=name, quiet=quiet)
    if as_json:
        emit_line(told)
        return
    rows = []
    for metric, line in told["metrics"].items():
        low, high = line["interval"]
        rows.append([metric, line["mean"], line["deviation"], f"{low:.4f} to {high:.4f}"])
    typer.echo(columns(rows, [f"{told['split']}, {times} seeds", "mean", "deviation", "95 % interval of the mean"]))
    if times < FEW_SEEDS:
        say(f"note: {times} seeds give wide intervals, even beyond what a metric can be; {FEW_SEEDS} tell more")
    say(f"summary: {folder / (told['name'] + SUFFIX)}")
