"""`benchdog tune`: hyperparameter tuning with Optuna."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchdog.cli import flags

if TYPE_CHECKING:
    from benchdog_optuna.study_folder import StudyFolder

SHOWN = 10
"""Trials in the printed table."""


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
        str | None, typer.Option(metavar="TIME", help="Start no trial after this time: 90s, 10m or 1h30m.")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Trials trained in parallel.")] = None,
    sampler: Annotated[str | None, typer.Option(help="The sampler: tpe, random.")] = None,
    pruner: Annotated[str | None, typer.Option(help="The pruner: median, hyperband, none.")] = None,
    study: Annotated[str, typer.Option(metavar="NAME", help="The study's name.")] = "",
    resume: Annotated[str, typer.Option(metavar="STUDY", help="Resume a study: its name or folder.")] = "",
    trust: Annotated[
        bool, typer.Option("--trust", help="With --resume: run local code of a study from elsewhere.")
    ] = False,
    runs_dir: Annotated[Path | None, typer.Option(help="Folder of the runs (default: ./runs).")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Tune hyperparameters: trials are compared on the validation split, never on test."""
    from benchdog import runs_dir as find_runs_dir
    from benchdog.api import BadUsage
    from benchdog_optuna.run_study import RunOptions, run_study
    from benchdog_optuna.study_setup import create_study, open_study

    recipe_flags = flags.by_key(
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
    limits = {"trials": trials, "time": time, "jobs": jobs, "sampler": sampler, "pruner": pruner}
    tune_flags = {key: value for key, value in limits.items() if value is not None}
    runs = find_runs_dir(runs_dir)
    if resume:
        changed = [key for key, value in recipe_flags.items() if value is not None and key != flags.KEYS["data"]]
        if source or study or space or set_ or sampler or pruner or changed:
            raise BadUsage(
                "--resume takes a study as it is; only --trials, --time, --jobs and the location of its data "
                "(--data) can be changed.",
                "Leave the other settings out.",
            )
        folder = open_study(resume, runs, tune_flags, ctx.obj)
    else:
        folder = create_study(source, recipe_flags, set_ or [], space or [], tune_flags, study, runs, ctx.obj)
    options = RunOptions(
        quiet=quiet or as_json,
        trust=trust,
        local=[str(path.resolve()) for path in ctx.obj.local],
        data=Path(data) if resume and data else None,
    )
    _show(folder, run_study(folder, options), quiet, as_json)


def _show(folder: StudyFolder, document: dict[str, Any], quiet: bool, as_json: bool) -> None:
    """Print the results; Failed when no trial is complete."""
    from benchdog.api import Failed
    from benchdog.cli.output import columns, echo, echo_path, emit_json, say, short_path
    from benchdog_optuna.results import format_value

    best = document["best"]
    if as_json and best:
        emit_json(document)
        return
    if best is None:
        errors = [trial["error"] for trial in document["trials"] if trial["error"]]
        why = f" The first one: {errors[0]}" if errors else ""
        raise Failed(
            f"None of {len(document['trials'])} trials has a result.{why}", f"See {short_path(folder.path)}."
        )
    done = [trial for trial in document["trials"] if trial["state"] == "complete"]
    sign = -1 if document["better"] == "max" else 1
    done.sort(key=lambda trial: (sign * trial["value"], trial["number"] != best["number"], trial["number"]))
    keys = list(folder.space)
    if not quiet:
        rows = [
            [trial["run"], trial["value"], *(format_value(trial["values"].get(key, "-")) for key in keys)]
            for trial in done[:SHOWN]
        ]
        echo(columns(rows, ["trial", document["metric"], *keys]))
        every = folder.space.combinations(len(document["trials"]))
        if every is not None and len(every) == len(document["trials"]):
            say(f"all {len(every)} combinations of values were tried")
        say(f"page:   {short_path(folder.path / 'tune.html')}")
        say(f"recipe: {short_path(folder.path / 'best.toml')}, that of {best['run']}")
        say(f"test metrics: benchdog evaluate {short_path(folder.run_of(best['number']))}")
    if quiet or not sys.stdout.isatty():
        echo_path(folder.path)
