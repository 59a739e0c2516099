"""Figure 1.2, read top to bottom: resolve -> train -> evaluate -> save."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from benchdog.api import Trained, TrainerInfo, Watcher
from benchdog.data import leakage
from benchdog.data.source_notes import sample_counts
from benchdog.data.worker_processes import refuse_in_worker
from benchdog.errors import BadUsage
from benchdog.evaluation import report
from benchdog.evaluation.batches import raw_samples, training_ranges
from benchdog.evaluation.deployed import evaluate_deployed
from benchdog.evaluation.evaluate import measure_baseline
from benchdog.model import artifact
from benchdog.model.outputs import reading_of
from benchdog.plugins import Plugins
from benchdog.recipe.draft import Draft
from benchdog.recipe.recipe import with_values
from benchdog.recipe.resolved import local_files, read_resolved, write_resolved
from benchdog.runs import provenance
from benchdog.runs.document import RunDocument, describe
from benchdog.runs.run import Run
from benchdog.system import paths, streams
from benchdog.training import torch_settings
from benchdog.training.moved_data import check_start, reopen_run
from benchdog.training.progress import say
from benchdog.training.resolve import PreparedTraining, measure, resolve
from benchdog.training.resolve.batch_dependence import refuse_batch_dependence, refuse_single_samples
from benchdog.training.run_status import recorded
from benchdog.training.setup import Components
from benchdog.training.train import load_best, train_model


def train(
    draft: Draft,
    runs: Path,
    *,
    name: str = "",
    quiet: bool = False,
    live: Mapping[str, Any] | None = None,
    seconds: float = 0.0,
    watcher: Watcher | None = None,
) -> Run:
    """Train by a draft of a recipe: from raw data to an artifact.

    Args:
        draft: what was asked for.
        runs: the folder in which the run's folder is created.
        name: the run's name; by default one is made of source and model.
        quiet: print nothing.
        live: objects in place of named components, for notebooks: {"source": ..., "model": ...}.
        seconds: a time budget; the epochs are set so that the run ends in time.
        watcher: is called after every epoch, and may end a run on one rank early.
    """
    streams.open_missing()
    refuse_in_worker()
    components = resolve(draft, live, runs)
    for note in components.notes:
        say(f"note: {note}", quiet)
    prepared = measure(components, seconds=seconds, report=partial(say, quiet=quiet))
    run = _create_run(runs, name, prepared)
    with recorded(run, prepared.components, report.write), torch_settings.restored():
        components = _write_provenance(run, prepared, quiet)
        _train_evaluate_save(run, components, quiet, watcher)
    return run


def resume(
    folder: Path,
    plugins_of: Callable[[tuple[str, ...]], Plugins],
    *,
    quiet: bool = False,
    trust: bool = False,
    ranks: int | None = None,
    places: Mapping[str, str] | None = None,
    watcher: Watcher | None = None,
) -> Run:
    """Resume a run that was stopped; of a finished one only the location of its data changes.

    Args:
        folder: the run's.
        plugins_of: discovers the plugins, local files among them.
        quiet: print nothing.
        trust: run the code that a run from another machine brings.
        ranks: the number of ranks to resume with; None for the same.
        places: absolute paths of data that was moved, by dotted key: {"source.path": "/mnt/wines.csv"}.
        watcher: is called after every epoch that is left, and may end the run early.

    Raises:
        Refused: the run brings code that wasn't put there on this machine, and `trust` is false.
        BadUsage: the trainer can't resume, or on so many ranks the result would change.
        BadData: the data is missing, or isn't what the run began with.
    """
    streams.open_missing()
    refuse_in_worker()
    run = Run.open(folder)
    run.hold()
    try:
        recipe = read_resolved(folder)
        command = f"train --resume {paths.short(folder)}"
        if run.facts["status"] == "finished":
            if places:
                plugins = provenance.plugins_of_run(run, recipe, plugins_of, trust)
                reopen_run(run, recipe, plugins, command, places)
            moved = "the new location of its data is recorded" if places else "nothing to do"
            say(f"Run {run.name!r} is finished already; {moved}.", quiet)
            return run
        run.sweep()
        if ranks is not None:
            recipe = with_values(recipe, {"backend.ranks": ranks})
        plugins = provenance.plugins_of_run(run, recipe, plugins_of, trust)
        info = plugins.info(TrainerInfo, recipe.trainer.name)
        if not info.resumable:
            raise BadUsage(f"Trainer {info.name!r} can't resume a run.", f"benchdog train {folder / 'recipe.toml'}")
        components = reopen_run(run, recipe, plugins, command, places)
        check_start(run, components.recipe)
        _ = components.backend  # its options are checked before anything is written
        if ranks is not None:
            components.fit(run.folder)
        if info.uses_model:
            refuse_batch_dependence(components)  # there may be other micro-batches now
            refuse_single_samples(components)
        with recorded(run, components, report.write), torch_settings.restored():
            if ranks is not None:
                write_resolved(run.folder, components.recipe)
            say(f"run {paths.short(run.folder)}: resuming", quiet)
            _train_evaluate_save(run, components, quiet, watcher)
    finally:
        run.release()
    return run


def _train_evaluate_save(run: Run, components: Components, quiet: bool, watcher: Watcher | None) -> None:
    components, trained, model = train_model(run, components, quiet=quiet, watcher=watcher)
    evaluating = "" if components.brings_data else "evaluating on the validation set; "
    say(f"{evaluating}saving model and report", quiet)
    finish(run, components, trained, model)


def finish(run: Run, components: Components, trained: Trained | None, model: nn.Module) -> None:
    """Evaluate the best epoch's weights on the validation split, and write artifact and report.

    A trainer that brings its own data has measured them itself.
    """
    recipe, data, task = components.recipe, components.data, components.task
    if trained is None:
        model = load_best(run, components, model)
    model = model.to("cpu").eval()
    components.transform.to("cpu")
    head = task.head(components.spec)
    if components.brings_data:
        best = run.facts["best"]
        metrics: dict[str, Any] = {best["metric"]: best["value"]} if best else {}
        samples, ranges = [], None
    else:
        metrics = evaluate_deployed(run, components, trained, model, head)["metrics"]
        held_out = "test" if "test" in data.splits else "valid"
        samples = artifact.covering(raw_samples(data, held_out, limit=5000), recipe.artifact.samples)
        ranges = training_ranges(data)
    artifact.save(
        run.folder / "artifact",
        trained=trained or model,
        transform=components.transform,
        head=head,
        spec=components.data_spec,
        model_spec=components.spec,
        preprocess=data.preprocess,
        recipe=recipe.to_json(),
        task={"name": recipe.task.name, "options": recipe.task.options},
        model={"name": recipe.model.name, "options": recipe.model.options} | _reading(model),
        metrics={k: v for k, v in metrics.items() if isinstance(v, int | float)},
        samples=samples,
        run=run.name,
        max_batch=recipe.artifact.max_batch,
        plugins=components.plugins,
        validated=data.sizes().get("valid"),
        ranges=ranges,
    )
    if not components.brings_data:
        measure_baseline(run.folder, components, "valid")
    run.save()
    report.write(run.folder, status="finished")  # a run is finished once its report is written too
    run.save(status="finished")


def _reading(model: nn.Module) -> dict[str, Any]:
    """Return how the model's score is read, for its artifact; empty where its output is the score."""
    reading = reading_of(model)
    return {} if reading is None else {"output": reading.to_json()}


def _create_run(runs: Path, name: str, prepared: PreparedTraining) -> Run:
    components, parameters = prepared.components, prepared.parameters
    document: RunDocument = {
        **_document(components),
        "parameters": parameters,
        "seen": leakage.overlap_counts(components.source),
        "read": sample_counts(components.source),
    }
    return Run.create(runs, name, document, components.named_by)


def _document(components: Components) -> RunDocument:
    """Describe a new run; a trainer with a model of its own is the model too."""
    recipe = components.recipe
    document = describe(recipe, components.task, components.data.sizes())
    return {**document, "model": recipe.trainer.name} if components.brings_model else document


def _write_provenance(run: Run, prepared: PreparedTraining, quiet: bool) -> Components:
    """Write recipe, fingerprints and decisions; return the components with local files named by the run's copies."""
    components = prepared.components.relocated(run.keep_files(local_files(prepared.components.recipe)))
    recipe, loaded = components.recipe, prepared.loaded
    write_resolved(run.folder, recipe)
    run.save(machine=provenance.mark(run, recipe), data=provenance.fingerprint(components.data))
    say(f"run {paths.short(run.folder)}: {_summary(prepared)}", quiet)
    for line in prepared.log:
        run.log(line)
    if loaded is not None:
        start = {"weights": recipe.start.weights, "sha256": recipe.start.sha256, **loaded.to_json()}
        run.save(start=start)
        run.log(f"start: {loaded.sentence()}")
        say(f"start: {loaded.sentence()}", quiet)
    return components


def _summary(prepared: PreparedTraining) -> str:
    document, short = _document(prepared.components), paths.short_name
    sizes = document["samples"].items()
    samples = ", ".join(f"{name} {'a stream' if n is None else n}" for name, n in sizes)
    size = f" ({prepared.parameters:,} parameters)" if prepared.parameters else ""
    what = f"{short(document['task'])} with {short(document['model'])}{size}"
    samples = samples or "the trainer's own data"
    return f"{what} on {short(document['source'])} ({samples}), {short(document['backend'])}"
