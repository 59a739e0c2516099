"""`benchdog train`: train a model by a recipe, or resume a run."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli import flags
from benchdog.cli.completion import candidates

if TYPE_CHECKING:
    from benchdog.recipe.draft import Draft
    from benchdog.runs.run import Run

FEW_SEEDS = 5


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
    lr: flags.LearningRate = None,
    seed: flags.Seed = None,
    workers: flags.Workers = None,
    set_: flags.Settings = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time budget, e.g. 90s, 10m or 1h30m: steps are timed, the epochs chosen."),
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=1, metavar="N", help="Train with N seeds; report mean and standard deviation.")
    ] = 1,
    name: Annotated[str, typer.Option(help="Name of the run.")] = "",
    resume: Annotated[
        str,
        typer.Option(
            metavar="RUN", help="Resume a run: its name, its folder or last.", autocompletion=candidates.runs
        ),
    ] = "",
    smoke: Annotated[bool, typer.Option("--smoke", help="Test every stage on one batch; keep nothing.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="With --resume: run the code that comes with a run from another machine.")
    ] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors and the run's folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print events as JSON lines, the result last.")] = False,
) -> None:
    """Train a model, from raw data to an artifact in the run's folder."""
    from benchdog import pipeline
    from benchdog.cli.output import echo_path, emit_line, lines, say
    from benchdog.errors import BadUsage
    from benchdog.recipe.compose import compose_draft
    from benchdog.runs import run as runs
    from benchdog.system import paths
    from benchdog.training.resolve.time_budget import seconds_of

    if as_json and not smoke:  # a smoke test has stages, no events of a run
        ctx.obj.lines = lines()
    given = flags.by_key(
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
        others = bool(source or name or limit or repeat > 1)
        run = _resume(ctx, runs.find(resume, folder), given, set_ or [], others, quiet, trust)
    else:
        draft = compose_draft(source, given, set_ or [], ctx.obj)
        if smoke and repeat > 1:
            raise BadUsage("--smoke tests one run and keeps none.", "Leave out --repeat.")
        if smoke:
            _smoke(draft, quiet, as_json)
            return
        if limit and "loop.epochs" in draft.values and draft.values["loop.epochs"].by in ("a flag", source):
            raise BadUsage(
                "Both --time and the number of epochs are given.",
                f"Leave out one of them; the epochs are loop.epochs, given by {draft.values['loop.epochs'].by}.",
            )
        if repeat > 1:
            if limit:
                raise BadUsage(
                    "--time and --repeat can't be combined: the runs would differ in their epochs.", "Set --epochs."
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
        echo_path(run.folder)


def _resume(
    ctx: typer.Context,
    folder: Path,
    given: Mapping[str, Any],
    settings: list[str],
    others: bool,
    quiet: bool,
    trust: bool,
) -> Run:
    """Resume a run, on other ranks or with data that was moved.

    Raises:
        BadUsage: something else is given, which would change the run.
    """
    from benchdog import pipeline
    from benchdog.errors import BadUsage
    from benchdog.recipe.layers import flags as layer_of
    from benchdog.recipe.recipe import absolute
    from benchdog.recipe.resolved import is_model

    changed = layer_of(given, settings)
    ranks = changed.pop("backend.ranks", None)
    data = ("source.", "sources.")
    places = {key: each for key, each in changed.items() if key.startswith(data) or is_model(key)}
    if others or len(places) < len(changed) or any(not isinstance(each.value, str) for each in places.values()):
        raise BadUsage(
            "--resume continues a run unchanged; only the location of its data (--data PATH) and "
            "--set backend.ranks=N may change.",
            "Leave out the other settings.",
        )
    return pipeline.resume(
        folder,
        ctx.obj.plugins,
        quiet=quiet,
        trust=trust,
        ranks=None if ranks is None else ranks.value,
        places={key: absolute(each.value, each.base) for key, each in places.items()},
    )


def _smoke(draft: Draft, quiet: bool, as_json: bool) -> None:
    """Test all stages on one batch."""
    from benchdog.cli.output import emit_line
    from benchdog.cli.smoke import smoke_test

    def emit(stage: Mapping[str, Any]) -> None:
        emit_line({"event": "stage_ended", **stage})

    stages = smoke_test(draft, quiet=quiet, on_stage=emit if as_json else None)
    if as_json:
        emit_line({"steps": stages})


def _best(run: Run) -> Iterator[str]:
    """Yield the best epoch, and the patience that would have stopped earlier where it was an early one of many."""
    from benchdog.evaluation.report import facts
    from benchdog.evaluation.report.formatting import number
    from benchdog.recipe.resolved import read_resolved
    from benchdog.training.early_stopping import EarlyStopping, advised

    best = run.facts["best"]
    if not best or run.facts["model"] == run.facts["trainer"]:  # a trainer with its own model may have one epoch
        return
    read = facts.read(run.folder)
    tie = f" ({read.tie})" if read.tie else ""
    yield f"best: epoch {best['epoch']}, valid.{best['metric']} {best['value']:.4f}{tie}"
    if read_resolved(run.folder).loop.patience:
        return
    pairs = [[number(line.get(f"valid.{key}")) for key in (best["metric"], "loss")] for line in read.epochs]
    epochs = [(math.nan if value is None else value, math.nan if loss is None else loss) for value, loss in pairs]
    if advice := advised(EarlyStopping(best["metric"], run.facts["better"], 0), epochs):
        patience, stop = advice
        done = run.facts["epochs_done"]
        yield f"early stopping (--set loop.patience={patience}) would have stopped at epoch {stop} of {done}"


def _repeat(
    ctx: typer.Context, draft: Draft, folder: Path, times: int, name: str, quiet: bool, as_json: bool
) -> None:
    """Train with several seeds and print mean, standard deviation and confidence interval of each metric."""
    from benchdog.cli.output import columns, echo, emit_line, say
    from benchdog.cli.repeat import SUFFIX, repeat

    summary = repeat(draft, folder, times, ctx.obj.plugins, name=name, quiet=quiet)
    if as_json:
        emit_line(summary)
        return
    rows = []
    for metric, line in summary["metrics"].items():
        low, high = line["interval"]
        rows.append([metric, line["mean"], line["deviation"], f"{low:.4f} to {high:.4f}"])
    echo(columns(rows, [f"{summary['split']}, {times} seeds", "mean", "std. dev.", "95 % CI of the mean"]))
    if times < FEW_SEEDS:
        say(f"note: intervals from {times} seeds are wide; use {FEW_SEEDS} or more")
    say(f"summary: {folder / (summary['name'] + SUFFIX)}")
