"""The components of a resolved recipe: found, validated and built once, then passed on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchdog.api import (
    Backend,
    FittedTask,
    ModelInfo,
    RunFacts,
    Source,
    SourceInfo,
    Spec,
    Task,
    TaskDefaults,
    Trainer,
    TrainerInfo,
    with_defaults,
)
from benchdog.data import leakage, sample_weights
from benchdog.data.augment import Augment
from benchdog.data.dataset import DecodedSplit, open_data
from benchdog.data.fast_path import check_fast_path
from benchdog.data.prepare import Prepare, fitting_inputs, prepared_spec, transform_of
from benchdog.data.randomness import derive_seed
from benchdog.data.source_notes import notes_of
from benchdog.data.splits import DataSplits
from benchdog.data.synthetic import generate_inputs
from benchdog.data.transform.transform import Transform, with_category_codes
from benchdog.errors import BadUsage
from benchdog.model import start
from benchdog.model.weights import Report
from benchdog.plugins import Plugins, returned
from benchdog.recipe.recipe import Recipe, with_values
from benchdog.recipe.resolved import check_unchanged, data_places, relocate, resume_invariants
from benchdog.recipe.steps import StepCount
from benchdog.runs import names as naming
from benchdog.runs import provenance, state
from benchdog.runs.run import Run
from benchdog.training import declared
from benchdog.training.build import build_from, check_output

FITTED = "fitted.safetensors"


@dataclass(frozen=True, eq=False)
class Components:
    """A frozen recipe and its components; another recipe makes other Components.

    Trainer and backend are built when they are first needed: an evaluation needs neither.

    Attributes:
        spec: of what the transform gets: of the decoded data, unless the task prepares it (`PreparedTask`).
    """

    recipe: Recipe
    plugins: Plugins
    source: Source
    data: DataSplits
    task: Task
    spec: Spec
    transform: Transform
    augment: Augment
    live: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def trainer(self) -> Trainer:
        """The trainer; BadUsage when it doesn't honor weights that samples have, or lacks other samples or models."""
        part = self.recipe.trainer
        trainer: Trainer = self.plugins.make("trainer", part.name, part.options)
        if self.data.weighted:
            sample_weights.check_trainer(part.name, trainer)
        declared.check_trainer(self.recipe, trainer, self.data.sizes())
        return trainer

    @property
    def other_splits(self) -> tuple[str, ...]:
        """Names of the splits that the trainer reads besides train and valid."""
        return declared.splits_of(self.trainer)

    @cached_property
    def backend(self) -> Backend:
        """The backend; it wasn't asked yet whether its hardware is available."""
        part = self.recipe.backend
        backend: Backend = self.plugins.make("backend", part.name, part.options)
        return backend

    @property
    def data_spec(self) -> Spec:
        """The spec of the decoded data, with the score's shape as its output."""
        return self.data.spec.with_output(*self.spec.output)

    @property
    def prepare(self) -> Prepare:
        """What the task does with a batch before the transform."""
        return Prepare(self.task, self.spec, int(self.recipe.loader.seed))

    @property
    def brings_model(self) -> bool:
        """Whether the trainer trains a model of its own, not the recipe's."""
        return not self.plugins.info(TrainerInfo, self.recipe.trainer.name).uses_model

    @property
    def brings_data(self) -> bool:
        """Whether the trainer brings its own data: there are no splits, then."""
        return brings_data(self.recipe.trainer.name, self.plugins)

    @property
    def steps(self) -> StepCount:
        """The number of training steps."""
        return self.recipe.loop.steps(self.data.training_samples)

    def with_values(self, values: Mapping[str, Any]) -> Components:
        """Return components for other values by dotted key, of the loop, the loader, the trainer or the backend."""
        return self._carried(replace(self, recipe=with_values(self.recipe, values)))

    def relocated(self, copies: Mapping[str, str]) -> Components:
        """Return the same components, local files named by their copies: {path: new path}."""
        other = replace(self, recipe=relocate(self.recipe, copies))
        other.__dict__.update({kind: self.__dict__[kind] for kind in ("trainer", "backend") if kind in self.__dict__})
        return other

    def with_new_trainer(self) -> Components:
        """Return the same components but for the trainer, which may hold state of a training that failed."""
        other = self._carried(replace(self))
        other.__dict__.pop("trainer", None)
        return other

    def _carried(self, other: Components) -> Components:
        """Pass on what is built already and configured alike."""
        for kind in ("trainer", "backend"):
            if kind in self.__dict__ and getattr(self.recipe, kind) == getattr(other.recipe, kind):
                other.__dict__[kind] = self.__dict__[kind]
        return other

    @property
    def notes(self) -> list[str]:
        """Notes on leakage into held-out samples, those of the source on its data, of the task on its targets."""
        sizes = self.data.sizes()
        unused = declared.unused_notes(self.recipe, self.trainer, sizes)
        return [*notes_of(self.source, sizes), *unused, *with_defaults(self.task, TaskDefaults).notes]

    @property
    def named_by(self) -> Path | None:
        """The file or folder that names the run, if the source has one."""
        part = self.recipe.source
        if "source" in self.live:
            return None
        return naming.data_of(self.plugins.info(SourceInfo, part.name), part.options)

    @property
    def shared(self) -> list[str]:
        """Sentences about held-out samples that were seen in training."""
        return leakage.overlap_warnings(leakage.overlap_counts(self.source), self.data.sizes())

    def facts(self, run: Run) -> RunFacts:
        """Return the facts of a run for events."""
        recipe = self.recipe
        return RunFacts(
            name=run.name,
            folder=str(run.folder),
            source=recipe.source.name,
            model=recipe.model.name,
            task=recipe.task.name,
            epochs=recipe.loop.epochs,
        )

    def build(self) -> nn.Module:
        """Build the model from the data's spec: weights initialized from the seed, then those of [start] loaded."""
        return self.build_started()[0]

    def build_started(self) -> tuple[nn.Module, Report | None]:
        """Build the model; return it and a report of the weights that were loaded into it, None without [start]."""
        torch.manual_seed(derive_seed(self.recipe.seed, 0, salt=4))
        spec = self.transform.spec(self.spec)
        part = self.recipe.model
        model = self.live.get("model")
        if not isinstance(model, nn.Module):
            model = build_from(part, spec, self.plugins, model)
        recipe = self.recipe
        tried = "" if isinstance(self.task, FittedTask) else recipe.task.name  # that head may have to be fitted first
        net = check_output(model, spec, part.name, self.synthetic_inputs, recipe.output, self._head, tried)
        return net, start.begin(recipe.start, net, part, self.plugins)

    def _head(self) -> nn.Module:
        return returned.head(self.task.head(self.spec), self.recipe.task.name)

    def synthetic_inputs(self, count: int) -> tuple[torch.Tensor, ...]:
        """Generate transformed samples on the CPU, wherever the transform is: (count, ...) of each field."""
        device = next(self.transform.buffers(), torch.empty(0)).device
        inputs = (torch.from_numpy(x).to(device) for x in generate_inputs(self.spec, count))
        return tuple(x.cpu() for x in self.transform(*inputs))

    def fit(self, folder: Path, resuming: bool = True) -> None:
        """Fit transform and task on the training split, or load what was fitted when the run began.

        Args:
            folder: the run's.
            resuming: whether the training is to continue; an evaluation takes other sizes of the data.

        Raises:
            BadData: the data isn't what it was fitted on.
            BadUsage: the recipe was changed since, and the run is to resume.
        """
        stored = folder / FITTED
        now = provenance.described(self.data_spec, self.data.preprocess, self.data.sizes())
        task = self.task
        if fitted(folder):
            tree = state.read(stored)
            if resuming:
                check_unchanged(tree.get("recipe"), self.recipe, folder, data_places(self.recipe, self.plugins))
            if "data" in tree:
                provenance.same_data(tree["data"], now, sizes=resuming)
            self.transform.load_state_dict(tree["transform"])
            if isinstance(task, FittedTask):
                task.restore(tree["task"])
            return
        taken = start.take_transform(self.recipe.start, self.transform, self.recipe.model, self.plugins)
        if not taken and not self.brings_data:
            chunks = self.data.chunks("train")
            self.transform.fit(fitting_inputs(inputs, self.data.spec, self.spec) for inputs, _ in chunks)
        if isinstance(task, FittedTask) and not self.brings_data:
            task.fit(target for _, target in self.data.chunks("train"))
        fitted_task = task.state() if isinstance(task, FittedTask) else {}
        tree = {"transform": self.transform.state_dict(), "task": fitted_task}
        state.write(stored, {**tree, "data": now, "recipe": resume_invariants(self.recipe, folder)})


def fitted(folder: Path) -> bool:
    """Whether a run's transform and task were fitted: it resumes, then."""
    return (folder / FITTED).is_file()


def brings_data(trainer: str, plugins: Plugins) -> bool:
    """Return whether a trainer brings its own data."""
    return not plugins.info(TrainerInfo, trainer).uses_data


def reopen(recipe: Recipe, plugins: Plugins) -> Components:
    """Open the data of a resolved recipe and build its components."""
    source = open_data(plugins, recipe.source, recipe.sources)
    data = DataSplits.open(source, plugins, samples=not brings_data(recipe.trainer.name, plugins))
    return assemble(recipe, plugins, source, data, {})


def rebuilt(components: Components) -> Components:
    """Return the same components, built again on data that nothing has touched; for rehearsals."""
    data = DataSplits.open(components.source, components.plugins, samples=not components.brings_data)
    other = assemble(components.recipe, components.plugins, components.source, data, components.live)
    if "backend" in components.__dict__:
        other.__dict__["backend"] = components.backend
    return other


def assemble(
    recipe: Recipe, plugins: Plugins, source: Source, data: DataSplits, live: Mapping[str, Any]
) -> Components:
    """Build the components of a recipe, and check that they fit each other.

    Args:
        recipe: with every component named.
        plugins: where components are looked up.
        source: the opened source.
        data: its splits; their preprocessing is completed here.
        live: objects in place of named components, for notebooks: {"source": ..., "model": ...}.
    """
    task: Task = plugins.make("task", recipe.task.name, recipe.task.options)
    if hasattr(task, "fit") and not isinstance(task, FittedTask):
        raise BadUsage(
            f"Task {recipe.task.name!r} has fit(), but not all of fit(), state() and restore().",
            "Its author must implement the three of them: see FittedTask in benchdog.api.",
        )
    if data.spec.target.kind == "none" and with_defaults(task, TaskDefaults).needs_target:
        raise BadUsage(
            f"The samples of {recipe.source.name!r} have no target, and the task {recipe.task.name!r} needs one.",
            "Use data with targets, or a self-supervised task: it declares needs_target = False.",
        )
    returned.checked(task.check(data.spec), task, recipe.task.name)  # type: ignore[func-returns-value]
    _check_task(recipe.task.name, task)
    _check_epochs(recipe, plugins, data)
    if "model" not in live and plugins.info(ModelInfo, recipe.model.name).codes:
        data.preprocess = with_category_codes(data.preprocess)
    data.preprocess = start.preprocess_for(recipe.start, data.preprocess)
    spec = prepared_spec(task, data.spec, recipe.task.name)
    output = task.output(spec)
    if not isinstance(output, tuple | list):
        raise BadUsage(
            f"Task {recipe.task.name!r}: output() returns {output!r}, not a tuple.",
            "It is the shape of a score, per sample: return (spec.classes,).",
        )
    spec = spec.with_output(*output)
    data.preprocess = transform_of(data.preprocess, data.spec, spec)
    data.collate_by(task)
    for split in data.splits.values():
        if isinstance(split, DecodedSplit):
            check_fast_path(split)
    augment = Augment(recipe.augment, data.spec.with_output(*spec.output), int(recipe.loader.seed), plugins)
    if data.weighted:
        sample_weights.check_task(recipe.task.name, task, augment.mixing)
    return Components(recipe, plugins, source, data, task, spec, Transform(data.preprocess, spec), augment, live)


def _check_epochs(recipe: Recipe, plugins: Plugins, data: DataSplits) -> None:
    """Refuse epochs without an end: of an endless stream, or of a trainer's own data."""
    train = data.splits.get("train")
    if recipe.loop.steps_per_epoch or isinstance(train, DecodedSplit):
        return
    if train is not None and train.endless:
        why = f"The train split of {recipe.source.name!r} is endless"
    elif brings_data(recipe.trainer.name, plugins):
        why = f"The trainer {recipe.trainer.name!r} brings its own data"
    else:
        return
    raise BadUsage(f"{why}, so an epoch needs an end.", "Add --set loop.steps_per_epoch=100, say.")


def _check_task(name: str, task: Task) -> None:
    """Raise BadUsage for a task that doesn't say by which metric the best epoch is chosen."""
    if not (hasattr(task, "monitor") and hasattr(task, "better")):
        raise BadUsage(
            f"Task {name!r} doesn't say by which metric the best epoch is chosen.",
            'Its attributes monitor and better do: monitor, better = "accuracy", "max".',
        )
    if task.better not in ("max", "min"):
        raise BadUsage(
            f"Task {name!r} has better = {task.better!r}.",
            'It says whether larger or smaller values of its monitor are better: better = "max", or "min".',
        )
