"""Experiments: one recipe, trained many times with other values. Plugins that tune or sweep build on this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from benchdog import pipeline
from benchdog.api import TrainerInfo, Watcher
from benchdog.evaluation.report import page
from benchdog.evaluation.report.formatting import Html
from benchdog.notebook import TrainedRun
from benchdog.plugins import Plugins
from benchdog.plugins.context import PluginContext
from benchdog.plugins.options import describe
from benchdog.recipe.compose import compose_draft
from benchdog.recipe.draft import Draft
from benchdog.recipe.layers import Given, Layer, layer_of, parse_toml
from benchdog.recipe.plugin_tables import table_of
from benchdog.recipe.recipe import PARTS, TABLES, Recipe, absolute
from benchdog.recipe.resolved import data_places, local_files, read_resolved, relocate, write_resolved
from benchdog.runs import names, provenance
from benchdog.runs.document import RunDocument
from benchdog.runs.run import Run
from benchdog.training.moved_data import reopen_run
from benchdog.training.resolve import resolve


class Experiment:
    """A resolved recipe, and the plugins that it needs once they are known.

    `Experiment.compose` makes one from what a command was given, `save` and `open` keep it in a folder of its own.

    Attributes:
        monitor: the metric that runs are compared by, on the validation split; "" for one that was opened.
        better: "max" or "min".
    """

    def __init__(self, recipe: Recipe, plugins: PluginContext, folder: Path) -> None:
        self.monitor, self.better = "", "max"
        self._recipe, self._context, self._folder = recipe, plugins, folder
        self._plugins: Plugins | None = None
        self._data_path: Path | None = None

    @classmethod
    def compose(
        cls,
        what: str,
        flags: Mapping[str, Any],
        settings: Sequence[str],
        *,
        plugins: PluginContext | Iterable[Path | str] = (),
        runs_dir: Path,
    ) -> Experiment:
        """Resolve a recipe: merge its layers, open the data, decide every `auto`.

        Args:
            what: a recipe ending in .toml, a source's name, a .csv or .txt file, or a folder of images.
            flags: values by recipe key; None where a flag is absent.
            settings: "key=value" texts, as `--set` takes them.
            plugins: the command's context (`ctx.obj`), or local plugin files.
            runs_dir: the folder of runs, where [start] may name one.

        Raises:
            BenchdogError: as `benchdog train` would.
        """
        context = _context(plugins)
        components = resolve(compose_draft(what, flags, list(settings), context), None, runs_dir)
        experiment = cls(components.recipe, context, Path.cwd())
        experiment._plugins, experiment._data_path = components.plugins, components.named_by
        experiment.monitor, experiment.better = components.task.monitor, components.task.better
        return experiment

    # --- on the disk

    def save(self, folder: Path, identity: Mapping[str, Any]) -> str | None:
        """Write recipe.toml and copies of local plugin files into a folder.

        Args:
            identity: the "name" and "created" of what the folder stands for.

        Returns:
            This machine's signature of the local code, for `open`; None when the recipe has none.
        """
        keeper = Run(folder, cast(RunDocument, dict(identity)))
        self._recipe, self._folder = relocate(self._recipe, keeper.keep_files(local_files(self._recipe))), folder
        write_resolved(folder, self._recipe)
        return provenance.mark(keeper, self._recipe)

    @classmethod
    def open(cls, folder: Path, *, plugins: PluginContext | Iterable[Path | str] = ()) -> Experiment:
        """Read what `save` wrote; `trust_code` must follow before anything is trained.

        Raises:
            BadData: the recipe is missing or damaged.
        """
        return cls(read_resolved(folder), _context(plugins), folder)

    def trust_code(self, identity: Mapping[str, Any], *, trust: bool = False) -> None:
        """Load the plugins of the recipe, its local files among them if they were put there on this machine.

        Args:
            identity: "name" and "created" as for `save`, and what it returned as "machine".
            trust: run local code of unknown origin too.

        Raises:
            Refused: the recipe names code that no installed plugin offers and that comes from elsewhere.
        """
        keeper = Run(self._folder, cast(RunDocument, dict(identity)))
        self._plugins = provenance.plugins_of_run(keeper, self._recipe, self._context.plugins, trust)

    def open_data(self, command: str, data: Path | None = None, like: Path | None = None) -> None:
        """Open the data, so that a missing one is reported before a run is begun; `trust_code` comes first.

        Args:
            command: the command that takes the new location, for the message: "tune --resume first".
            data: where it is now, if it was moved; the recipe in the folder is rewritten.
            like: a run of `train`, whose data it must be.

        Raises:
            BadUsage: the source takes no path.
            BadData: it is missing, or isn't that of the run.
        """
        places = {} if data is None else {"source.path": absolute(str(data), Path.cwd())}
        if places and like is not None:
            reopen_run(Run.open(like), read_resolved(like), self._loaded, command, places)
        keeper = Run(self._folder, {"name": self._folder.name})
        self._recipe = reopen_run(keeper, self._recipe, self._loaded, command, places).recipe

    # --- its recipe

    @property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe in JSON form: {"seed": 0, "model": {"name": "cnn", ...}, "loop": {...}, ...}."""
        return self._recipe.to_json()

    @property
    def ranks(self) -> int:
        """The number of processes that a run trains in."""
        return self._recipe.ranks

    @property
    def stem(self) -> str:
        """A name made of data and model: "digits-cnn"."""
        recipe = self._recipe
        info = self._loaded.find("trainer", recipe.trainer.name).info
        brings_model = isinstance(info, TrainerInfo) and not info.uses_model
        return names.stem(
            recipe.source.name, (recipe.trainer if brings_model else recipe.model).name, self._data_path
        )

    def numeric_keys(self) -> list[str]:
        """List the keys of model and trainer that hold numbers, and the batch size: candidates for a search."""
        keys = []
        for kind in ("model", "trainer"):
            part = getattr(self._recipe, kind)
            component = self._loaded.find(kind, part.name)
            known = describe(component.resolve(component.info.options)) if component.info.options else {}
            values = {name: part.options.get(name) for name in known}
            keys += [
                f"{kind}.{name}"
                for name, value in values.items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            ]
        return [*keys, "loop.batch_size"]

    def check(self, values: Mapping[str, Any], key: str, by: str) -> None:
        """Check that the recipe takes these values, as far as `key` is concerned; no data is read.

        Args:
            values: by recipe key.
            key: the one to look at, which is among them.
            by: who gave them, for messages.

        Raises:
            BadUsage: an unknown option or component, or a value that it doesn't take.
        """
        draft, table = self._draft(values, by), key.partition(".")[0]
        if key == "loader.augment":
            draft.augment()
        elif table in TABLES:
            draft.table(table)
        elif table in PARTS and key.endswith(".name"):
            draft.plugins.find(table, draft.name(table))
        elif table in PARTS:
            draft.part(table)
        else:
            assert draft.seed >= 0

    # --- its runs

    def train(
        self, values: Mapping[str, Any], folder: Path, *, by: str, watcher: Watcher | None = None, quiet: bool = True
    ) -> TrainedRun:
        """Train with other values, in a new run.

        Args:
            values: by recipe key; a component that is replaced drops the options of the one before.
            folder: the run's folder, which must not exist.
            by: who gave the values, for messages.
            watcher: sees every epoch and may end the run early.

        Raises:
            BenchdogError: the run failed; its folder says so too.
            Stopped: a signal ended it; `resume` continues it.
        """
        run = pipeline.train(self._draft(values, by), folder.parent, name=folder.name, quiet=quiet, watcher=watcher)
        return TrainedRun(run.folder, self._context)

    def resume(self, folder: Path, *, watcher: Watcher | None = None, quiet: bool = True) -> TrainedRun:
        """Continue a run of `train` that was stopped or killed; a finished one is returned as it is."""
        stored = data_places(read_resolved(folder), self._loaded)
        now = data_places(self._recipe, self._loaded)
        moved = {key: path for key, path in now.items() if stored.get(key) != path}
        run = pipeline.resume(folder, self._context.plugins, quiet=quiet, places=moved, watcher=watcher)
        return TrainedRun(run.folder, self._context)

    def run(self, folder: Path) -> TrainedRun:
        """Open a run of `train`, whatever its status."""
        return TrainedRun(folder, self._context)

    @property
    def _loaded(self) -> Plugins:
        assert self._plugins is not None, "trust_code comes first"
        return self._plugins

    def _draft(self, values: Mapping[str, Any], by: str) -> Draft:
        layer = layer_of(_without_none(self._recipe.to_json()), "recipe.toml", self._folder)
        chosen: Layer = {key: Given(value, by, self._folder) for key, value in values.items()}
        return Draft.merge([layer, chosen], self._loaded)


def recipe_table(recipe: Path, table: str) -> Mapping[str, Any]:
    """Read a plugin's own table of a recipe file: [tune], say; {} when there is none."""
    return table_of(parse_toml(recipe), table, str(recipe))


def report_page(title: str, body: str) -> str:
    """Return a complete HTML page in the style of reports, around a body of trusted HTML."""
    return page(title, Html(body))


def _context(plugins: PluginContext | Iterable[Path | str]) -> PluginContext:
    return plugins if isinstance(plugins, PluginContext) else PluginContext(local=[*map(Path, plugins)])


def _without_none(value: Any) -> Any:
    """Drop what is None, which TOML can't express."""
    if isinstance(value, Mapping):
        return {key: _without_none(each) for key, each in value.items() if each is not None}
    return value
