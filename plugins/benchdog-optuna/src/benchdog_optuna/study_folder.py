"""Study folders: the search space, the recipe, and the database of trials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from benchdog import Experiment, PluginContext, __version__, derive_seed
from benchdog.api import BadData, BadUsage, Failed, nearest
from benchdog_optuna import files
from benchdog_optuna.options import Tune
from benchdog_optuna.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

FORMAT = 1
ABOUT, DATABASE, PAGE, BEST, RESULTS = "study.json", "study.db", "tune.html", "best.toml", "tune.json"
ABANDONED = "left"
"""User attribute of a trial whose process is gone; whoever continues it clears it."""
ASKING = 300.0
"""Seconds that starting a trial may take another process."""
WAIT = 60.0
"""Seconds that a process waits for another one's write to the database."""


@dataclass(slots=True)
class StudyFolder:
    """A study on the disk; worker processes share nothing else.

    Attributes:
        about: the content of study.json.
        space: what is searched.
        experiment: the recipe that every trial is trained from.
    """

    path: Path
    about: dict[str, Any]
    space: Space
    experiment: Experiment
    lock: FileLock | None = None

    # --- creation

    @classmethod
    def create(cls, path: Path, experiment: Experiment, tune: Tune, space: Space) -> StudyFolder:
        """Create a study's folder; BadUsage when the name is taken."""
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise _name_taken(path) from None
        except OSError as error:
            raise Failed(f"{path} can't be created: {error.strerror or error}.") from error
        about = {
            "format": FORMAT,
            "name": path.name,
            "benchdog": __version__,
            "created": datetime.now().astimezone().isoformat(),
            "monitor": experiment.monitor,
            "better": experiment.better,
            "seed": experiment.recipe["seed"],
            **{key: value for key, value in asdict(replace(tune, space={})).items() if key != "space"},
            "space": space.to_json(),
            "seconds": 0.0,
        }
        about["machine"] = experiment.save(path, about)
        folder = cls(path, about, space, experiment)
        folder.save()
        return folder

    @classmethod
    def open(cls, path: Path, context: PluginContext) -> StudyFolder:
        """Read a study's folder.

        Raises:
            BadData: it is damaged, or its format isn't supported.
        """
        about = files.read_json(path / ABOUT)
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise BadData(f"{path} is a study of another format than {FORMAT}.", "Use the Benchdog that made it.")
        space = Space.read(about["space"], str(path / ABOUT))
        return cls(path, about, space, Experiment.open(path, plugins=context))

    def save(self) -> None:
        """Write study.json."""
        files.write_json(self.path / ABOUT, self.about)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def monitor(self) -> str:
        """The metric that trials are compared by, on the validation split."""
        return str(self.about["monitor"])

    def trust_code(self, trust: bool = False) -> None:
        """Load the plugins of the recipe; Refused when it has code from elsewhere and `trust` is false."""
        self.experiment.trust_code(self.about, trust=trust)

    def open_data(self, study: Study, data: Path | None = None) -> None:
        """Open the data before a trial is spent on it; `data` is its new location, if it was moved."""
        trials = study.get_trials(deepcopy=False)
        done = [self.run_of(trial.number) for trial in trials if trial.state.name == "COMPLETE"]
        if trials:
            self.experiment.open_data(f"tune --resume {self.name}", data, next(iter(done), None))

    # --- locking

    def hold(self) -> None:
        """Lock the study for this process and its workers; Failed when another process has it."""
        self.lock = FileLock(self.path / "lock")
        try:
            self.lock.acquire(timeout=1.0)  # workers of a killed process need a moment to notice
        except Timeout:
            raise Failed(f"Study {self.name!r} is used by another process.", "Wait for it, or stop it.") from None

    def release(self) -> None:
        """Unlock the study."""
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    # --- its trials

    def study(self) -> Study:
        """Open the study in the database, created when it isn't there."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{(self.path / DATABASE).as_posix()}", engine_kwargs={"connect_args": {"timeout": WAIT}}
        )
        return optuna.create_study(
            storage=storage,
            study_name=self.name,
            direction="maximize" if self.about["better"] == "max" else "minimize",
            pruner=self._pruner(),
            load_if_exists=True,
        )

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Hold the lock under which trials are started, so that two processes don't count the same trials."""
        lock = FileLock(self.path / "ask.lock")
        try:
            lock.acquire(timeout=ASKING)
        except Timeout:
            raise Failed(f"Another process has held {lock.lock_file} for {ASKING:.0f} s.", "Does it hang?") from None
        try:
            yield
        finally:
            lock.release()

    def sampler(self, number: int) -> Any:
        """Build the sampler of a trial, seeded by the study's seed and its number: interruptions change nothing."""
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
                min_resource=warmup + 1, max_resource=max(warmup + 2, int(self.experiment.recipe["loop"]["epochs"]))
            )
        return optuna.pruners.NopPruner()

    def run_of(self, number: int) -> Path:
        """Return the folder of a trial's run."""
        return self.path / f"trial-{number:03d}"

    def write_best(self, trial: FrozenTrial) -> Path:
        """Write the recipe of the best trial to best.toml."""
        recipe = self.experiment.run(self.run_of(trial.number)).recipe_toml(self.path)
        comment = f"# Trial {trial.number} of study {self.name}: valid.{self.monitor} {trial.value:.6g}\n"
        files.write_text(self.path / BEST, comment + recipe)
        return self.path / BEST


def trial_of(study: Study, frozen: FrozenTrial) -> Trial:
    """Continue an unfinished trial of the database."""
    import optuna

    return optuna.trial.Trial(study, frozen._trial_id)


def find_study(name: str, runs: Path) -> Path:
    """Return the folder of a study by its name or path.

    Raises:
        BadUsage: there is no such study; the hint lists those that exist.
    """
    for path in (runs / name, Path(name)):
        if (path / ABOUT).is_file():
            return path
    known = [path.parent.name for path in runs.glob(f"*/{ABOUT}")]
    hint = nearest(name, known) if known else "Start one: benchdog tune RECIPE"
    raise BadUsage(f"There is no study {name!r} in {runs}.", hint)


def _name_taken(path: Path) -> BadUsage:
    what = "a study" if (path / ABOUT).is_file() else "a folder"
    resume = f"Resume it: benchdog tune --resume {path.name}. Or choose" if what == "a study" else "Choose"
    return BadUsage(f"There is {what} {path.name!r} already.", f"{resume} another --study.")
