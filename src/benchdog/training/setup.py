"""From a draft to a resolved recipe and open parts: what is chosen, built and tried before anything is spent."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    SourceDefaults,
    SourceInfo,
    Spec,
    Task,
    TaskDefaults,
    TaskInfo,
    Watcher,
    with_defaults,
)
from benchdog.data import leakage, sample_weights
from benchdog.data.augment import Augment
from benchdog.data.dataset import DecodedSplit, ignored_class, open_source
from benchdog.data.fast_path import check_fast_path
from benchdog.data.randomness import derive_seed
from benchdog.data.splits import DataSplits, auto_workers
from benchdog.data.synthetic import generate_inputs
from benchdog.data.transform.transform import Transform, with_category_codes
from benchdog.errors import BadUsage, BenchdogError, NotAvailable, nearest
from benchdog.model import start
from benchdog.model.auxiliary_outputs import ScoreOnly
from benchdog.model.rebuild import build_model
from benchdog.model.weights import Report
from benchdog.plugins import Plugins
from benchdog.recipe.draft import Draft
from benchdog.recipe.recipe import AUTO, ComponentConfig, Recipe
from benchdog.recipe.resolved import check_unchanged, resume_invariants
from benchdog.runs import names as naming
from benchdog.runs import provenance, state
from benchdog.runs.run import Run

FITTED = "fitted.safetensors"


@dataclass(slots=True)
class Components:
    """A recipe's parts, made and fitting each other."""

    recipe: Recipe
    plugins: Plugins
    source: Source
    data: DataSplits
    task: Task
    spec: Spec
    transform: Transform
    augment: Augment
    live: Mapping[str, Any] = field(default_factory=dict)
    started: Report | None = None
    watcher: Watcher | None = None

    @property
    def notes(self) -> list[str]:
        """What is to be known of held-out samples, what the source says of its data, the task of its targets."""
        source, task = with_defaults(self.source, SourceDefaults), with_defaults(self.task, TaskDefaults)
        return [*self.shared, *source.notes, *task.notes]

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
        """Say which run this is, for events."""
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
        """Build the model from the data's spec, its weights drawn from the seed, then those that it begins from."""
        torch.manual_seed(derive_seed(self.recipe.seed, 0, salt=4))
        spec = self.transform.spec(self.spec)
        part = self.recipe.model
        model = self.live.get("model")
        if not isinstance(model, nn.Module):
            model = _built(part, spec, self.plugins, model)
        net = _tried(model, spec, part.name, self.made_up(2))
        self.started = start.begin(self.recipe.start, net, part, self.plugins)
        return net

    def made_up(self, count: int) -> tuple[torch.Tensor, ...]:
        """Draw samples as the model gets them: on the processor, wherever the transform is."""
        device = next(self.transform.buffers(), torch.empty(0)).device
        inputs = (torch.from_numpy(x).to(device) for x in generate_inputs(self.spec, count))
        return tuple(x.cpu() for x in self.transform(*inputs))

    def fit(self, folder: Path, going_on: bool = True) -> None:
        """Fit transform and task on the training split once; a run that goes on reads what was fitted.

        Raises:
            BadData: the data is another than that; its sizes matter only to a run that goes on.
            BadUsage: the recipe was changed since, and the run is to go on.
        """
        stored = folder / FITTED
        now = provenance.described(self.spec, self.data.preprocess, self.data.sizes())
        task = self.task
        if fitted(folder):
            tree = state.read(stored)
            if going_on:
                check_unchanged(tree.get("recipe"), self.recipe, folder)
            if "data" in tree:
                provenance.same_data(tree["data"], now, sizes=going_on)
            self.transform.load_state_dict(tree["transform"])
            if isinstance(task, FittedTask):
                task.restore(tree["task"])
            return
        if not start.take_transform(self.recipe.start, self.transform, self.recipe.model, self.plugins):
            self.transform.fit(inputs for inputs, _ in self.data.chunks("train"))
        if isinstance(task, FittedTask):
            task.fit(target for _, target in self.data.chunks("train"))
        fitted_task = task.state() if isinstance(task, FittedTask) else {}
        tree = {"transform": self.transform.state_dict(), "task": fitted_task}
        state.write(stored, {**tree, "data": now, "recipe": resume_invariants(self.recipe, folder)})


def fitted(folder: Path) -> bool:
    """Say whether a run's transform and task were fitted: it goes on, then."""
    return (folder / FITTED).is_file()


def resolve(draft: Draft, live: Mapping[str, Any] | None = None, runs: Path | None = None) -> Components:
    """Decide every `auto`, make the parts and see that they fit; `runs` is the folder of runs."""
    live = live or {}
    plugins = draft.plugins
    part = ComponentConfig(name=draft.name("source")) if "source" in live else draft.part("source")
    source = live.get("source") or open_source(plugins, part)
    data = DataSplits.open(source)
    task_part = draft.part("task", _task_name(draft, data.spec))
    data.ignore(ignored_class(plugins, task_part))
    model_name = draft.name("model")
    if model_name == AUTO and "model" not in live:
        model_name = _model_name(plugins.find("task", task_part.name).info, data.spec)
    loader = draft.table("loader")
    if live or loader.workers == AUTO:
        loader = replace(loader, workers=0 if live or data.fits(loader.memory) else auto_workers())
    loader = replace(loader, augment=draft.augment(), seed=draft.seed if loader.seed == AUTO else loader.seed)
    trainer = draft.part("trainer")
    model = ComponentConfig(name=model_name) if "model" in live else draft.part("model", model_name)
    recipe = Recipe(
        seed=draft.seed,
        plugins=draft.local,
        source=part,
        model=model,
        task=task_part,
        trainer=trainer,
        backend=draft.part("backend", _backend_name(draft)),
        start=start.resolved(draft, model, data.spec, runs),
        loop=draft.table("loop"),
        loader=loader,
        artifact=draft.table("artifact"),
    )
    _check(recipe, plugins)
    parts = _open(recipe, plugins, source, data, live)
    if data.weighted:
        sample_weights.check_trainer(trainer.name, plugins.make("trainer", trainer.name, trainer.options))
    return parts


def reopen(recipe: Recipe, plugins: Plugins) -> Components:
    """Make the parts of a resolved recipe again."""
    source = open_source(plugins, recipe.source)
    return _open(recipe, plugins, source, DataSplits.open(source), {})


def rebuilt(parts: Components) -> Components:
    """Make the same parts once more, with data that nobody has touched."""
    return _open(parts.recipe, parts.plugins, parts.source, DataSplits.open(parts.source), parts.live)


def _open(recipe: Recipe, plugins: Plugins, source: Source, data: DataSplits, live: Mapping[str, Any]) -> Components:
    task: Task = plugins.make("task", recipe.task.name, recipe.task.options)
    if hasattr(task, "fit") and not isinstance(task, FittedTask):
        raise BadUsage(
            f"Task {recipe.task.name!r} has fit(), but not all of fit(), state() and restore().",
            "Its author must implement the three of them: see FittedTask in benchdog.api.",
        )
    task.check(data.spec)
    if "model" not in live and plugins.info(ModelInfo, recipe.model.name).codes:
        data.preprocess = with_category_codes(data.preprocess)
    data.preprocess = start.preprocess_for(recipe.start, data.preprocess)
    spec = data.spec.with_output(*task.output(data.spec))
    data.ignore(with_defaults(task, TaskDefaults).ignore)
    for split in data.splits.values():
        if isinstance(split, DecodedSplit):
            check_fast_path(split)
    augment = Augment(recipe.augment, spec, int(recipe.loader.seed), plugins)
    if data.weighted:
        sample_weights.check_task(recipe.task.name, task, augment.mixing)
    return Components(recipe, plugins, source, data, task, spec, Transform(data.preprocess, spec), augment, live)


def _check(recipe: Recipe, plugins: Plugins) -> None:
    """Look at what can be seen from the recipe alone."""
    backend: Backend = plugins.make("backend", recipe.backend.name, recipe.backend.options)
    probe = backend.probe()
    if not probe.available:
        there = available(plugins)
        raise NotAvailable(
            f"Backend {recipe.backend.name!r} is not available: {probe.why}.",
            f"Here is: {', '.join(there)}. Use --backend {there[0]}." if there else "",
        )
    if recipe.loop.batch_size != AUTO and recipe.loop.accumulate > recipe.loop.batch:
        raise BadUsage(
            f"A batch of {recipe.loop.batch} can't be cut into {recipe.loop.accumulate} pieces.",
            "Lower loop.accumulate.",
        )


def available(plugins: Plugins) -> list[str]:
    """List the backends that work here, the fastest first."""
    names = []
    for name in sorted(plugins.all("backend"), key=lambda n: {"cuda": 0, "mps": 1, "cpu": 2}.get(n, 3)):
        try:
            backend: Backend = plugins.make("backend", name)
            if backend.probe().available:
                names.append(name)
        except BenchdogError:
            continue
    return names


def _backend_name(draft: Draft) -> str:
    """Resolve `auto`: the accelerator that torch sees, else the processor; a stranger's only by name."""
    name = draft.name("backend")
    if name != AUTO:
        return name
    return next((n for n in ("cuda", "mps") if n in available(draft.plugins)), "cpu")


def _task_name(draft: Draft, spec: Spec) -> str:
    name = draft.name("task")
    if name != AUTO:
        return name
    tasks = draft.plugins.all("task")
    fitting = [
        n for n, found in tasks.items() if isinstance(found.info, TaskInfo) and spec.target.kind in found.info.targets
    ]
    if not fitting:
        raise BadUsage(f"No task answers targets of kind {spec.target.kind!r}.", nearest("", tasks))
    return fitting[0]


def _model_name(info: Any, spec: Spec) -> str:
    kind = spec.fields[0].kind
    assert isinstance(info, TaskInfo)
    if kind not in info.models:
        raise BadUsage(f"Task {info.name!r} has no default model for {kind} data.", "Name one: --model NAME.")
    return info.models[kind]


def _built(part: ComponentConfig, spec: Spec, plugins: Plugins, live: Any = None) -> Any:
    try:
        if live is not None:
            wanted = inspect.signature(live).parameters
            needed = any(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in wanted.values())
            return live(spec) if needed or "spec" in wanted else live()
        return build_model({"name": part.name, "options": part.options}, spec, plugins)
    except BenchdogError:
        raise
    except Exception as error:
        raise BadUsage(
            f"The model {part.name!r} can't be built: {type(error).__name__}: {' '.join(str(error).split())}.",
            "It is called as build(spec, options), or with the recipe's [model] options.",
        ) from error


def _tried(model: Any, spec: Spec, name: str, inputs: tuple[torch.Tensor, ...]) -> nn.Module:
    """Run a model on two made-up samples and look at the shape of what it gives."""
    if not isinstance(model, nn.Module):
        raise BadUsage(f"{name!r} gives a {type(model).__name__}, not a torch.nn.Module.", "Return a module.")
    training = model.training
    try:
        with torch.no_grad():
            score = model.eval()(*inputs)
    except BenchdogError:
        raise
    except Exception as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
        raise BadUsage(
            f"The model {name!r} doesn't fit the data: on inputs of shape {shapes} it raises "
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]}.",
            "Choose another --model, or mend it for these shapes.",
        ) from error
    finally:
        model.train(training)
    if isinstance(score, dict) and "score" in score:
        model, score = ScoreOnly(model), score["score"]
    wanted = (2, *spec.output)
    fits = isinstance(score, torch.Tensor) and len(score.shape) == len(wanted)
    if not fits or any(w is not None and w != s for w, s in zip(wanted, score.shape, strict=True)):
        got = tuple(score.shape) if isinstance(score, torch.Tensor) else type(score).__name__
        text = "(2, " + ", ".join("any" if n is None else str(n) for n in spec.output) + ")"
        raise BadUsage(
            f"The model {name!r} gives {got} for two samples; the task needs {text}.",
            "The size of the last layer is spec.outputs.",
        )
    fitting: nn.Module = model
    return fitting
