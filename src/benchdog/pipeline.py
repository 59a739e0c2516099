"""Figure 1.2, read top to bottom: raw data -> splits -> batches -> training -> a model -> its artifact."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchdog.api import Backend, LaunchingBackend, Trained, TrainerInfo, Watcher
from benchdog.data import leakage
from benchdog.data.transform.transform import Deployed
from benchdog.errors import BadUsage, BenchdogError, Failed, Refused, Stopped
from benchdog.evaluation import report
from benchdog.evaluation.batches import raw_samples, training_ranges
from benchdog.evaluation.evaluate import evaluate_module, measure_baseline
from benchdog.model import artifact
from benchdog.recipe.draft import Draft
from benchdog.recipe.recipe import with_ranks
from benchdog.recipe.resolved import local_files, read_resolved, relocate, write_resolved
from benchdog.runs import checkpoints, provenance
from benchdog.runs.run import Run, environment
from benchdog.system import files, paths
from benchdog.system.signals import interrupted
from benchdog.training import launch as ranks
from benchdog.training.batch_dependence import refuse_batch_dependence
from benchdog.training.batch_size import fit_batch_size, short, smaller_pieces
from benchdog.training.compile import Decision, decide
from benchdog.training.rank import check_trainer, train_rank
from benchdog.training.setup import Components, reopen, resolve


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
    """Carry out a recipe from raw data to an artifact.

    Args:
        draft: what is asked for.
        runs: the folder that the run's folder is made in.
        name: the run's name; else one is made of source and model.
        quiet: say nothing while working.
        live: objects in place of named components, for notebooks: {"source": ..., "model": ...}.
        seconds: a time that the run is to end in; its epochs are set accordingly.
        watcher: sees every epoch, and may end the run early; of a run on one rank.
    """
    parts = resolve(draft, live, runs)
    parts.watcher = watcher
    for note in parts.notes:
        _say(f"note: {note}", quiet)
    recipe = parts.recipe
    info = parts.plugins.find("trainer", recipe.trainer.name).info
    brings_model = isinstance(info, TrainerInfo) and not info.uses_model
    parameters, decided = (0, None) if brings_model else _prepare(parts, seconds, quiet)
    if seconds:
        from benchdog.training.time_budget import within

        _say(within(parts, seconds), quiet)
        if not brings_model:
            check_trainer(parts, parts.build())  # the number of steps is known only now
    recipe = parts.recipe
    names = {kind: getattr(recipe, kind).name for kind in ("source", "model", "task", "trainer", "backend")}
    if brings_model:
        names["model"] = recipe.trainer.name
    run = Run.create(
        runs,
        name,
        {
            **names,
            "monitor": parts.task.monitor,
            "better": parts.task.better,
            "parameters": parameters,
            "samples": parts.data.sizes(),
            "seen": leakage.overlap_counts(parts.source),
        },
        parts.named_by,
    )
    with attended(run, parts):
        parts.recipe = recipe = relocate(recipe, run.keep_files(local_files(recipe)))
        write_resolved(run.folder, recipe)
        run.save(machine=provenance.mark(run, recipe), data=provenance.fingerprint(parts.data))
        _say(f"run {paths.short(run.folder)}: {_sentence(parts, names['model'], parameters)}", quiet)
        if decided is not None:
            run.log(str(decided))
        if parts.started is not None:
            run.save(
                start={"weights": recipe.start.weights, "sha256": recipe.start.sha256, **parts.started.to_json()}
            )
            run.log(f"start: {parts.started.sentence()}")
            _say(f"start: {parts.started.sentence()}", quiet)
        _carry_out(run, parts, quiet)
    return run


def _prepare(parts: Components, seconds: float, quiet: bool) -> tuple[int, Decision | None]:
    """Settle what depends on the model: the batch's pieces, compiling; give its parameters' number and the latter."""
    model = parts.build()
    refuse_batch_dependence(parts, model)
    if sentence := fit_batch_size(parts, model):
        _say(sentence, quiet)
    decided = decide(parts, model, seconds)
    if decided is not None and decided.told:
        _say(str(decided), quiet)
    parameters = sum(p.numel() for p in model.parameters())
    if not seconds:
        check_trainer(parts, model)
    return parameters, decided


def resume(
    folder: Path,
    plugins_of: Any,
    *,
    quiet: bool = False,
    trust: bool = False,
    ranks: int | None = None,
    watcher: Watcher | None = None,
) -> Run:
    """Go on with a run that was stopped; a finished one is left as it is.

    Args:
        ranks: go on with so many; None: with as many as before.
        watcher: sees the epochs that are left, and may end the run early.

    Raises:
        Refused: the run brings code that wasn't put there on this machine, and `trust` is false.
        BadUsage: on so many ranks its batches would give something else.
    """
    run = Run.open(folder)
    run.hold()
    try:
        if run.facts["status"] == "finished":
            _say(f"Run {run.name!r} is finished already; nothing to do.", quiet)
            return run
        run.sweep()
        recipe = read_resolved(folder)
        if ranks is not None:
            recipe = with_ranks(recipe, ranks)
        plugins = provenance.plugins_of_run(run, recipe, plugins_of, trust)
        info = plugins.find("trainer", recipe.trainer.name).info
        if isinstance(info, TrainerInfo) and not info.resumable:
            raise BadUsage(
                f"Trainer {info.name!r} can't go on with a run.", f"benchdog train {folder / 'recipe.toml'}"
            )
        plugins.make("backend", recipe.backend.name, recipe.backend.options)
        parts = reopen(recipe, plugins)
        parts.watcher = watcher
        if ranks is not None:
            parts.fit(run.folder)  # what can't go on so is refused before anything is written
        if not isinstance(info, TrainerInfo) or info.uses_model:
            refuse_batch_dependence(parts)  # the pieces of batches may be others now
        with attended(run, parts):
            if ranks is not None:
                write_resolved(run.folder, recipe)
            _say(f"run {paths.short(run.folder)}: going on", quiet)
            _carry_out(run, parts, quiet)
    finally:
        run.release()
    return run


@contextmanager
def attended(run: Run, parts: Components) -> Iterator[None]:
    """Write down how the work in a run ends, whatever happens, and let the run go."""
    plugins, facts = parts.plugins, parts.facts(run)
    try:
        run.save(status="running", error=None)
        run.log(f"begun: {platform.node()}, {sys.executable}")
        files.write_json(run.folder / "environment.json", environment(plugins))
        yield
        best = run.facts.get("best") or {}
        run.save(status="finished")
        run.log("finished")
        metrics = {f"valid.{best['metric']}": best["value"]} if best else {}
        plugins.emit("benchdog_run_ended", run=facts, metrics=metrics)
    except BaseException as error:
        stopped = isinstance(error, Stopped | KeyboardInterrupt)
        text = error.message if isinstance(error, BenchdogError) else f"{type(error).__name__}: {error}"
        run.log(text)
        try:
            run.save(status="stopped" if stopped else "failed", error=None if stopped else text)
            report.write(run.folder)
        except (OSError, BenchdogError):
            run.log("and that could not be written down")
        if stopped:
            plugins.emit("benchdog_run_stopped", run=facts)
        else:
            plugins.emit("benchdog_run_failed", run=facts, error=text)
        if isinstance(error, KeyboardInterrupt):
            code = getattr(error, "code", 130)
            info = plugins.info(TrainerInfo, parts.recipe.trainer.name)
            raise interrupted(run.folder, info.resumable, code) from None
        raise
    finally:
        run.release()
        plugins.close()


def _carry_out(run: Run, parts: Components, quiet: bool) -> None:
    """Train (here, or in several processes), then make and judge the artifact."""
    parts.plugins.emit("benchdog_run_started", run=parts.facts(run))
    world = parts.recipe.ranks
    if world == 1:
        trained, module = _train_here(run, parts, quiet)
    else:
        parts.fit(run.folder)
        backend: Backend = parts.plugins.make("backend", parts.recipe.backend.name, parts.recipe.backend.options)
        own = backend.launch if isinstance(backend, LaunchingBackend) else None
        try:
            ranks.launch(run, world, quiet, own, parts.plugins.lines)
        finally:
            run.facts = Run.open(run.folder).facts  # rank 0 has written what was done
        trained, module = None, parts.build()
    _say("judging on valid, writing artifact and report", quiet)
    finish(run, parts, trained, module, quiet)


def _train_here(run: Run, parts: Components, quiet: bool) -> tuple[Trained | None, nn.Module]:
    """Train in this process; when the memory ends, go on from the last checkpoint in smaller pieces."""
    while True:
        try:
            return train_rank(run, parts, quiet=quiet)
        except (MemoryError, RuntimeError) as error:
            if not short(error):
                raise
        sentence = smaller_pieces(parts, parts.build())
        write_resolved(run.folder, parts.recipe)
        run.log(sentence)
        _say(sentence, quiet)


def finish(run: Run, parts: Components, trained: Trained | None, model: nn.Module, quiet: bool) -> None:
    """Take the best epoch's weights, evaluate them on the valid split, and write artifact and report."""
    recipe, data = parts.recipe, parts.data
    saved = checkpoints.Checkpoints(run.folder / "checkpoints", recipe.loop.keep)
    if trained is None:
        best = saved.best() or saved.newest()[0]
        if best is None:
            raise Failed("The trainer left no model behind.", "It must call epoch_done, or train to its end.")
        model.load_state_dict(best["model"])
    model = model.to("cpu").eval()
    parts.transform.to("cpu")
    head = parts.task.head(parts.spec)
    call = trained or _numpy(parts, model, head)
    module = None if trained else lambda: Deployed(parts.transform, model, head).eval()
    said = evaluate_module(run.folder, call, parts, "valid", module=module)
    agree(run.facts["best"], said["metrics"], recipe.backend.options.get("precision", "fp32"))
    held_out = "test" if "test" in data.splits else "valid"
    samples = artifact.covering(raw_samples(data, held_out, limit=5000), recipe.artifact.samples)
    artifact.save(
        run.folder / "artifact",
        trained=trained or model,
        transform=parts.transform,
        head=head,
        spec=parts.spec,
        preprocess=data.preprocess,
        recipe=recipe.to_json(),
        task={"name": recipe.task.name, "options": recipe.task.options},
        model={"name": recipe.model.name, "options": recipe.model.options},
        metrics={k: v for k, v in said["metrics"].items() if isinstance(v, int | float)},
        samples=samples,
        run=run.name,
        max_batch=recipe.artifact.max_batch,
        plugins=parts.plugins,
        validated=data.sizes().get("valid"),
        ranges=training_ranges(data),
    )
    measure_baseline(run.folder, parts, "valid")
    run.save()
    report.write(run.folder, status="finished")  # a run is finished once its report lies there too
    run.save(status="finished")


def agree(best: Mapping[str, Any] | None, metrics: Mapping[str, Any], precision: str) -> None:
    """See that what is deployed is as good as what was trained.

    Raises:
        Refused: it isn't; then decoding, transform, head or trainer differ between the two.
    """
    value = metrics.get(best["metric"]) if best else None
    if best is None or not isinstance(value, int | float) or math.isnan(best["value"]):
        return
    slack = 0.02 if precision == "fp32" else 0.1  # rounding turns a sample over here and there
    if abs(value - best["value"]) > slack * (1 + abs(best["value"])):
        raise Refused(
            f"The trained model reached valid.{best['metric']} {best['value']:.4f}, the model to deploy {value:.4f}.",
            "Decoding, transform or head must be the same for both: look at the trainer, or tell its author.",
        )


def _numpy(parts: Components, model: nn.Module, head: nn.Module) -> Any:
    """Make a runner of the parts in memory: decoded numpy in, (answer, score) numpy out."""
    module = Deployed(parts.transform, model, head).eval()

    def call(*inputs: Any) -> Any:
        with torch.inference_mode():
            answer, score = module(*map(torch.from_numpy, inputs))
        return answer.numpy(), score.numpy()

    return call


def _sentence(parts: Components, model: str, parameters: int) -> str:
    sizes = ", ".join(f"{name} {'a stream' if n is None else n}" for name, n in parts.data.sizes().items())
    recipe = parts.recipe
    size = f" ({parameters:,} parameters)" if parameters else ""
    short = paths.short_name
    what = f"{short(recipe.task.name)} with {short(model)}{size}"
    return f"{what} on {short(recipe.source.name)} ({sizes}), {short(recipe.backend.name)}"


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)
