"""A study's folder: what is searched, from which recipe, and the table of its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from benchdog import __version__
from benchdog.data.randomness import derive_seed
from benchdog.errors import BadData, BadUsage, Failed, nearest
from benchdog.plugins import Plugins
from benchdog.recipe.draft import Draft
from benchdog.recipe.layers import Given, Layer, layer_of
from benchdog.recipe.recipe import Recipe
from benchdog.recipe.resolved import local_files, read_resolved, relative_to_folder, relocate, write_resolved
from benchdog.runs import provenance
from benchdog.runs.run import Run
from benchdog.system import files
from benchdog_optuna.options import Tune
from benchdog_optuna.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

FORMAT = 1
ABOUT, TABLE, PAGE, BEST, TOLD = "study.json", "study.db", "tune.html", "best.toml", "tune.json"
LEFT = "left"
"""A mark on a trial whose process is gone; whoever goes on with it takes the mark away."""
WAIT = 60.0
"""Seconds that a process waits for another that writes into the table."""


@dataclass(slots=True)
class Folder:
    """A study on the disk; processes that share it share nothing else."""

    path: Path
    about: dict[str, Any]
    space: Space
    recipe: Recipe
    lock: FileLock | None = None

    # --- made and found

    @classmethod
    def create(cls, path: Path, recipe: Recipe, tune: Tune, space: Space, monitor: str, better: str) -> Folder:
        """Make a study's folder; a name that is taken is refused."""
        try:
            with files.saving(path):
                path.mkdir(parents=True)
        except Failed:
            if not path.exists():
                raise
            raise taken(path) from None
        about = {
            "format": FORMAT,
            "name": path.name,
            "benchdog": __version__,
            "created": datetime.now().astimezone().isoformat(),
            "monitor": monitor,
            "better": better,
            "seed": recipe.seed,
            **{key: value for key, value in asdict(replace(tune, space={})).items() if key != "space"},
            "space": space.to_json(),
            "seconds": 0.0,
        }
        keeper = Run(path, about)
        recipe = relocate(recipe, keeper.keep_files(local_files(recipe)))
        write_resolved(path, recipe)
        about["machine"] = provenance.mark(keeper, recipe)
        made = cls(path, about, space, recipe)
        made.save()
        return made

    @classmethod
    def open(cls, path: Path) -> Folder:
        """Read a study's folder.

        Raises:
            BadData: it is damaged, or of another format.
        """
        about = files.read_json(path / ABOUT)
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise BadData(f"{path} is a study of another format than {FORMAT}.", "Use the Benchdog that made it.")
        return cls(path, about, Space.read(about["space"], str(path / ABOUT)), read_resolved(path))

    def save(self) -> None:
        """Write what is known of the study."""
        files.write_json(self.path / ABOUT, self.about)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def monitor(self) -> str:
        """The metric by which trials are judged, on the validation split."""
        return str(self.about["monitor"])

    def plugins(self, plugins_of: Callable[[tuple[str, ...]], Plugins], trust: bool = False) -> Plugins:
        """Find the plugins of its recipe; code that came with the folder from elsewhere isn't run unasked."""
        return provenance.plugins_of_run(Run(self.path, self.about), self.recipe, plugins_of, trust)

    # --- held

    def hold(self) -> None:
        """Take the study for this process and those that it starts."""
        self.lock = FileLock(self.path / "lock")
        try:
            self.lock.acquire(timeout=1.0)  # the processes of one that was killed need a moment to notice
        except Timeout:
            raise Failed(f"Study {self.name!r} is used by another process.", "Wait for it, or stop it.") from None

    def release(self) -> None:
        """Let the study go."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    # --- its trials

    def study(self) -> Study:
        """Open the table of trials, which may be made by this."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{(self.path / TABLE).as_posix()}", engine_kwargs={"connect_args": {"timeout": WAIT}}
        )
        return optuna.create_study(
            storage=storage,
            study_name=self.name,
            direction="maximize" if self.about["better"] == "max" else "minimize",
            pruner=self._pruner(),
            load_if_exists=True,
        )

    def asking(self) -> FileLock:
        """Give the lock under which a trial is begun: two processes don't count the same trials."""
        return FileLock(self.path / "ask.lock")

    def sampler(self, number: int) -> Any:
        """Make what chooses a trial's values: of the seed and its number, so that a stop changes nothing."""
        import optuna

        seed = derive_seed(int(self.about["seed"]), number, salt=9) % 2**32
        if self.about["sampler"] == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=int(self.about["startup"]), constant_liar=int(self.about["jobs"]) > 1
        )

    def _pruner(self) -> optuna.pruners.BasePruner:
        import optuna

        startup, warmup = int(self.about["startup"]), int(self.about["warmup"])
        if self.about["pruner"] == "median":
            return optuna.pruners.MedianPruner(n_startup_trials=startup, n_warmup_steps=warmup + 1)
        if self.about["pruner"] == "hyperband":
            return optuna.pruners.HyperbandPruner(
                min_resource=warmup + 1, max_resource=max(warmup + 2, self.recipe.loop.epochs)
            )
        return optuna.pruners.NopPruner()

    def draft(self, values: Mapping[str, Any], plugins: Plugins, by: str) -> Draft:
        """Put values into the recipe."""
        return draft_of(self.recipe, values, plugins, by, self.path)

    def run_of(self, number: int) -> Path:
        """Give the folder of a trial's run."""
        return self.path / f"trial-{number:03d}"

    def write_best(self, trial: FrozenTrial) -> Path:
        """Write the best trial's recipe where `benchdog train` finds all that it names."""
        recipe = relative_to_folder(read_resolved(self.run_of(trial.number)), self.path)
        told = f"# Trial {trial.number} of study {self.name}: valid.{self.monitor} {trial.value:.6g}\n"
        files.write_text(self.path / BEST, told + recipe.to_toml())
        return self.path / BEST


def draft_of(recipe: Recipe, values: Mapping[str, Any], plugins: Plugins, by: str, base: Path) -> Draft:
    """Put values into a resolved recipe."""
    layer = layer_of(_present(recipe.to_json()), "recipe.toml", base)
    chosen: Layer = {key: Given(value, by, base) for key, value in values.items()}
    return Draft.merge([layer, chosen], plugins)


def trial_of(study: Study, frozen: FrozenTrial) -> Trial:
    """Take up a trial of the table that is not finished."""
    import optuna

    return optuna.trial.Trial(study, frozen._trial_id)


def find(name: str, runs: Path) -> Path:
    """Give the folder of a study by its name or its path.

    Raises:
        BadUsage: there is none; the message says which there are.
    """
    for path in (runs / name, Path(name)):
        if (path / ABOUT).is_file():
            return path
    known = [path.parent.name for path in runs.glob(f"*/{ABOUT}")]
    hint = nearest(name, known) if known else "Begin one: benchdog tune RECIPE"
    raise BadUsage(f"There is no study {name!r} in {runs}.", hint)


def taken(path: Path) -> BadUsage:
    """Say that a study's name is taken."""
    what = "a study" if (path / ABOUT).is_file() else "a folder"
    go_on = f"Go on with it: benchdog tune --resume {path.name}. Or choose" if what == "a study" else "Choose"
    return BadUsage(f"There is {what} {path.name!r} already.", f"{go_on} another --study.")


def _present(value: Any) -> Any:
    """Leave out what is None, which no recipe can say."""
    if isinstance(value, Mapping):
        return {key: _present(each) for key, each in value.items() if each is not None}
    return value
