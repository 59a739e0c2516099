"""`benchdog tune`: many runs of a recipe, their settings chosen by Optuna."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli import flags

if TYPE_CHECKING:
    from benchdog_optuna.folder import Folder

SHOWN = 10
"""Trials in the table that is printed."""


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
    space: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="Search a key: trainer.lr={low=1e-4,high=0.1,log=true} or a list."),
    ] = None,
    trials: Annotated[int | None, typer.Option(min=0, metavar="N", help="Trials in all; 20 without --time.")] = None,
    time: Annotated[
        str | None, typer.Option(metavar="TIME", help="No trial begins later: 90s, 10m or 1h30m.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Processes that train at once.")] = None,
    sampler: Annotated[str | None, typer.Option(help="How values are chosen: tpe, random.")] = None,
    pruner: Annotated[str | None, typer.Option(help="What ends poor trials early: median, hyperband, none.")] = None,
    study: Annotated[str, typer.Option(metavar="NAME", help="The study's name.")] = "",
    resume: Annotated[str, typer.Option(metavar="STUDY", help="Go on with a study: its name or folder.")] = "",
    trust: Annotated[
        bool, typer.Option("--trust", help="With --resume: run the code that a study from elsewhere brings.")
    ] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing while working.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Look for good settings: many runs of a recipe, judged on the validation split, never on test."""
    from benchdog.errors import BadUsage
    from benchdog.system import paths
    from benchdog_optuna.beginning import begin, going_on
    from benchdog_optuna.studies import Work, carry_out

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
    mine = {"trials": trials, "time": time, "jobs": jobs, "sampler": sampler, "pruner": pruner}
    own = {key: value for key, value in mine.items() if value is not None}
    runs = paths.runs_dir(runs_dir)
    if resume:
        if source or study or space or set_ or sampler or pruner or any(v is not None for v in given.values()):
            raise BadUsage(
                "--resume takes a study as it is; nothing can be changed but --trials, --time and --jobs.",
                "Leave the other settings out.",
            )
        folder = going_on(resume, runs, own)
    else:
        folder = begin(source, given, set_ or [], space or [], own, study, runs, ctx.obj)
    work = Work(quiet=quiet or as_json, trust=trust, local=[str(path.resolve()) for path in ctx.obj.local])
    told = carry_out(folder, work, ctx.obj.plugins)
    _show(folder, told, quiet, as_json)


def _show(folder: Folder, told: dict[str, Any], quiet: bool, as_json: bool) -> None:
    """Print the result; Failed when no trial has one."""
    from benchdog.cli.output import columns, emit_json, say
    from benchdog.errors import Failed
    from benchdog_optuna.telling import said, short

    best = told["best"]
    if as_json and best:
        emit_json(told)
        return
    if best is None:
        errors = [trial["error"] for trial in told["trials"] if trial["error"]]
        why = f" The first one: {errors[0]}" if errors else ""
        raise Failed(f"None of {len(told['trials'])} trials has a result.{why}", f"See {short(folder.path)}.")
    done = [trial for trial in told["trials"] if trial["state"] == "complete"]
    done.sort(key=lambda trial: (-trial["value"] if told["better"] == "max" else trial["value"], trial["number"]))
    keys = list(folder.space)
    if not quiet:
        rows = [
            [trial["run"], trial["value"], *(said(trial["values"].get(key, "-")) for key in keys)]
            for trial in done[:SHOWN]
        ]
        typer.echo(columns(rows, ["trial", told["metric"], *keys]))
        every = folder.space.combinations(len(told["trials"]))
        if every is not None and len(every) == len(told["trials"]):
            say(f"all {len(every)} combinations of values were tried")
        say(f"page:   {short(folder.path / 'tune.html')}")
        say(f"recipe: {short(folder.path / 'best.toml')}, that of {best['run']}")
        say(f"judge it on test: benchdog evaluate {short(folder.run_of(best['number']))}")
    if quiet or not sys.stdout.isatty():
        typer.echo(folder.path)
