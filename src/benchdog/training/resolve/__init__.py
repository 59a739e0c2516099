"""From a draft to a frozen recipe: every `auto` is decided here, once, by one ordered list of resolvers.

`CHOICES` need the draft and the data alone; `MEASUREMENTS` build the model and try it, and run in that order after
them. What a resolver decides is in the recipe that the next one sees. Afterwards the recipe doesn't change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from benchdog.api import Backend, Source, TaskInfo
from benchdog.data.dataset import open_data
from benchdog.data.splits import DataSplits, auto_workers
from benchdog.errors import BadUsage, BenchdogError, NotAvailable, nearest
from benchdog.model import start
from benchdog.model.weights import Report
from benchdog.plugins import Plugins
from benchdog.recipe.draft import Draft
from benchdog.recipe.recipe import AUTO, ComponentConfig, Recipe
from benchdog.training import other_models
from benchdog.training.rank import check_trainer
from benchdog.training.resolve.batch_dependence import refuse_batch_dependence, refuse_single_samples
from benchdog.training.resolve.batch_size import fit_batch_size
from benchdog.training.resolve.compile import choose_compile
from benchdog.training.resolve.decision import Decision
from benchdog.training.resolve.memory_format import choose_memory_format
from benchdog.training.resolve.output import choose_output
from benchdog.training.resolve.time_budget import fit_epochs
from benchdog.training.setup import Components, assemble, brings_data


@dataclass(slots=True)
class Choices:
    """What the resolvers of `CHOICES` see: the draft, the opened data, and the recipe's tables decided so far."""

    draft: Draft
    live: Mapping[str, Any]
    runs: Path | None
    source: Source
    data: DataSplits
    tables: dict[str, Any] = field(default_factory=dict)

    @property
    def plugins(self) -> Plugins:
        """Where components are looked up."""
        return self.draft.plugins


class Choice(NamedTuple):
    """Decides a table of the recipe from the draft and the data."""

    table: str
    decide: Callable[[Choices], Any]


class Measurement(NamedTuple):
    """Decides values of the recipe by trying the model; the last argument is the time budget in seconds, or 0."""

    name: str
    decide: Callable[[Components, nn.Module | None, float], Decision | None]


def resolve(draft: Draft, live: Mapping[str, Any] | None = None, runs: Path | None = None) -> Components:
    """Decide what needs no model, and build the components.

    Args:
        draft: the merged layers of what was asked for.
        live: objects in place of named components, for notebooks: {"source": ..., "model": ...}.
        runs: the folder of runs, for weights of a run.

    Raises:
        BenchdogError: options that are wrong, components that don't fit each other, a backend that isn't available.
    """
    live = live or {}
    config = ComponentConfig(name=draft.name("source")) if "source" in live else draft.part("source")
    others = draft.sources()
    source = open_data(draft.plugins, config, others, live.get("source"))
    tables = {"source": config, "sources": others}
    brings = brings_data(draft.name("trainer"), draft.plugins)
    data = DataSplits.open(source, draft.plugins, samples=not brings)
    choices = Choices(draft, live, runs, source, data, tables)
    for choice in CHOICES:
        choices.tables[choice.table] = choice.decide(choices)
    recipe = Recipe(seed=draft.seed, plugins=draft.local, **choices.tables)
    if recipe.loop.batch_size != AUTO and recipe.loop.accumulate > recipe.loop.batch:
        raise BadUsage(
            f"A batch of {recipe.loop.batch} can't be split into {recipe.loop.accumulate} micro-batches.",
            "Lower loop.accumulate.",
        )
    components = assemble(recipe, draft.plugins, source, choices.data, live)
    check_backend(components)
    _ = components.trainer  # which refuses weights that it doesn't honor, and lacks no samples or models
    return components


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedTraining:
    """A recipe that is resolved to the end, its components, and what was found on the way.

    Attributes:
        components: with the frozen recipe.
        model: as it was tried; the training builds its own. None if the trainer brings one.
        loaded: what of the weights of [start] was loaded.
        notes: sentences on what was decided, that were reported.
        log: sentences for the run's log.
    """

    components: Components
    model: nn.Module | None
    loaded: Report | None
    notes: tuple[str, ...]
    log: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """The number of the model's parameters; 0 if the trainer brings its own model."""
        return 0 if self.model is None else sum(p.numel() for p in self.model.parameters())


def measure(
    components: Components,
    names: Collection[str] | None = None,
    *,
    seconds: float = 0.0,
    report: Callable[[str], object] = lambda sentence: None,
) -> PreparedTraining:
    """Decide what needs the model, and check that the trainer can train it.

    Args:
        components: of `resolve`.
        names: the measurements to do; None for all.
        seconds: the time budget; 0 for none.
        report: gets a sentence for each decision that a person should know.

    Raises:
        BadUsage: a batch may not be split, not even one sample fits into memory, or the trainer refuses its options.
    """
    model, loaded = (None, None) if components.brings_model else components.build_started()
    if model is not None:
        refuse_batch_dependence(components, model)
    notes, log = [], []
    for measurement in MEASUREMENTS:
        if names is not None and measurement.name not in names:
            continue
        decision = measurement.decide(components, model, seconds)
        if decision is None:
            continue
        components = components.with_values(decision.values)
        log += [decision.log] if decision.log else []
        if decision.note:
            notes.append(decision.note)
            report(decision.note)
    if model is not None:
        refuse_single_samples(components, model)
        check_trainer(components, model)
    return PreparedTraining(components=components, model=model, loaded=loaded, notes=tuple(notes), log=tuple(log))


def available(plugins: Plugins) -> list[str]:
    """List the backends whose hardware is available, the fastest first."""
    names = []
    for name in sorted(plugins.all("backend"), key=lambda n: {"cuda": 0, "mps": 1, "cpu": 2}.get(n, 3)):
        try:
            backend: Backend = plugins.make("backend", name)
            if backend.probe().available:
                names.append(name)
        except BenchdogError:
            continue
    return names


def check_backend(components: Components) -> None:
    """Check that the backend's hardware is available.

    Raises:
        NotAvailable: it isn't.
    """
    probe = components.backend.probe()
    if not probe.available:
        others = available(components.plugins)
        raise NotAvailable(
            f"Backend {components.recipe.backend.name!r} is not available: {probe.why}.",
            f"Available: {', '.join(others)}. Use --backend {others[0]}." if others else "",
        )


def _task(choices: Choices) -> ComponentConfig:
    """Resolve `auto`: the first task for targets of this kind. How it makes batches is known from here on."""
    draft, spec = choices.draft, choices.data.spec
    name = draft.name("task")
    if name == AUTO:
        tasks = choices.plugins.all("task")
        name = next((n for n, f in tasks.items() if _takes(f.info, spec.target.kind)), "")
        if not name:
            raise BadUsage(f"No task takes targets of kind {spec.target.kind!r}.", nearest("", tasks))
    config = draft.part("task", name)
    choices.data.collate_by(choices.plugins.make("task", config.name, config.options))
    return config


def _takes(info: Any, kind: str) -> bool:
    return isinstance(info, TaskInfo) and kind in info.targets


def _model(choices: Choices) -> ComponentConfig:
    """Resolve `auto`: the task's default model for the first field's kind."""
    name = choices.draft.name("model")
    if "model" in choices.live:
        return ComponentConfig(name=name)
    if name == AUTO:
        info, kind = choices.plugins.info(TaskInfo, choices.tables["task"].name), choices.data.spec.fields[0].kind
        if kind not in info.models:
            raise BadUsage(f"Task {info.name!r} has no default model for {kind} data.", "Name one: --model NAME.")
        name = info.models[kind]
    return choices.draft.part("model", name)


def _loader(choices: Choices) -> Any:
    """Resolve workers (none for data in memory, or for a live source) and the seed (the recipe's)."""
    draft, loader = choices.draft, choices.draft.table("loader")
    workers, seed = loader.workers, loader.seed
    if choices.live or workers == AUTO:
        workers = 0 if choices.live or choices.data.fits(loader.memory) else auto_workers()
    return replace(loader, workers=workers, augment=draft.augment(), seed=draft.seed if seed == AUTO else seed)


def _backend(choices: Choices) -> ComponentConfig:
    """Resolve `auto`: the accelerator that torch sees, else the CPU; a third party's backend must be named."""
    name = choices.draft.name("backend")
    if name == AUTO:
        name = next((n for n in ("cuda", "mps") if n in available(choices.plugins)), "cpu")
    return choices.draft.part("backend", name)


CHOICES = (
    Choice("task", _task),
    Choice("model", _model),
    Choice("loader", _loader),
    Choice("trainer", lambda choices: choices.draft.part("trainer")),
    Choice("backend", _backend),
    Choice("start", lambda c: start.resolved(c.draft, c.tables["model"], c.data.spec, c.data.preprocess, c.runs)),
    Choice("output", lambda choices: choices.draft.table("output")),
    Choice("loop", lambda choices: choices.draft.table("loop")),
    Choice("models", lambda c: other_models.resolved(c.draft, c.data.spec, c.runs)),
    Choice("artifact", lambda choices: choices.draft.table("artifact")),
)
MEASUREMENTS = (
    Measurement("output", choose_output),
    Measurement("memory format", choose_memory_format),
    Measurement("batch size", fit_batch_size),
    Measurement("compile", choose_compile),
    Measurement("epochs", fit_epochs),
)
