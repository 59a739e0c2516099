"""One run on its way into an MLflow store. Called off the training's thread: what waits here holds nobody up."""

from __future__ import annotations

import json
import os
import re
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchdog.api import MetricsLog, NotAvailable, RunFacts, json_text
from benchdog_mlflow.new_store import make_ready
from benchdog_mlflow.reachability import check_reachable, without_password

if TYPE_CHECKING:
    from mlflow import MlflowClient

NOTE = "mlflow.json"
"""In the run's folder: which run of which store it is. A resume, and another rank's process, read it there."""
EXPERIMENT = "benchdog"
PARAMS_AT_ONCE, METRICS_AT_ONCE = 100, 1000
"""What MLflow takes in a request."""
EVERY = 2.0
"""Seconds that steps wait for others to share a request."""
JOIN = 60.0
"""Seconds that the process of a rank waits for the one that makes the run."""
LONGEST = 5000
"""Characters of a parameter or a tag: MLflow refuses longer ones."""
STEP_LOSS, RATE = "train.step_loss", "train.lr"


def client_of(uri: str) -> MlflowClient:
    """Open a store; MLflow's own statistics stay off, whatever this machine's settings are."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


class Track:
    """A run of Benchdog and its run in MLflow.

    Args:
        run: the run.
        uri: the store.
        begins: make the MLflow run, or take up the one that the folder names; else another process does.
    """

    def __init__(self, run: RunFacts, uri: str, begins: bool) -> None:
        self.run, self.folder, self.uri = run, Path(run.folder), uri
        check_reachable(uri)
        make_ready(uri)
        self.client = client_of(uri)
        self._log = MetricsLog(self.folder)
        self._heard: dict[str, int] | None = None
        self._sent = 0.0
        self.id = self._begin() if begins else self._join()

    def catch_up(self, now: bool) -> None:
        """Report what the run's log has more of; steps wait for others to share a request."""
        if now or time.monotonic() - self._sent > EVERY:
            self._send([metric for line in self._log.new() for metric in self._metrics(line)])
            self._sent = time.monotonic()

    def tag(self, name: str, value: str) -> None:
        """Set a tag."""
        self.client.set_tag(self.id, name, value[:LONGEST])

    def end(self, status: str, tags: Mapping[str, str], best: Mapping[str, float]) -> None:
        """Report the rest, and how it ended; the best epoch's metrics have names of their own."""
        self.catch_up(now=True)
        self._send([(f"best.{name}", value, 0) for name, value in best.items()])
        for name, value in tags.items():
            self.tag(name, value)
        self.client.set_terminated(self.id, status=status)

    def _metrics(self, line: Mapping[str, Any]) -> Iterator[tuple[str, float, int]]:
        """Yield what a line of the log says that the store doesn't know: name, value, and where."""
        if self._heard is None:
            self._heard = self._known()
        kind = str(line["kind"])
        if kind not in self._heard or line[kind] <= self._heard[kind]:
            return
        if kind == "epoch":
            yield from ((name, value, line[kind]) for name, value in line.items() if "." in name)
        else:
            yield STEP_LOSS, line["loss"], line[kind]
            if "lr" in line:
                yield RATE, line["lr"], line[kind]

    def _known(self) -> dict[str, int]:
        """Ask how far the store knows the run: from before a resume, or from the process of a rank."""

        def last(name: str) -> int:
            return max((metric.step for metric in self.client.get_metric_history(self.id, name)), default=0)

        names = self.client.get_run(self.id).data.metrics
        of_epochs = [name for name in names if name not in (STEP_LOSS, RATE) and not name.startswith("best.")]
        return {"step": last(STEP_LOSS), "epoch": min(map(last, of_epochs), default=0)}

    def _send(self, metrics: Sequence[tuple[str, float, int]]) -> None:
        from mlflow.entities import Metric

        moment = int(time.time() * 1000)
        told = [Metric(allowed(name), float(value), moment, at) for name, value, at in metrics]
        for start in range(0, len(told), METRICS_AT_ONCE):
            self.client.log_batch(self.id, metrics=told[start : start + METRICS_AT_ONCE])

    # --- which run it is

    def _begin(self) -> str:
        """Take up the run that the folder names, if the store still has it; else make one."""
        found = self._noted()
        if found and self._exists(found):
            self.client.update_run(found, status="RUNNING")
            return found
        tags = {
            "benchdog.folder": str(self.folder),
            "benchdog.source": self.run.source,
            "benchdog.model": self.run.model,
            "benchdog.task": self.run.task,
            "mlflow.source.name": "benchdog",
            "mlflow.source.type": "LOCAL",
        }
        made = str(self.client.create_run(self._experiment(), run_name=self.run.name, tags=tags).info.run_id)
        self._tell_recipe(made)
        note = {"uri": without_password(self.uri), "run_id": made}
        (self.folder / NOTE).write_text(json_text(note) + "\n", encoding="utf-8")
        return made

    def _join(self) -> str:
        """Wait for the process that makes the run to say which it is."""
        end = time.monotonic() + JOIN
        while not (found := self._noted()):
            if time.monotonic() > end:
                raise NotAvailable(f"nobody made an MLflow run for {self.run.name} within {JOIN:.0f} s.")
            time.sleep(0.1)
        return found

    def _noted(self) -> str:
        return noted(self.folder, self.uri)

    def _exists(self, id_: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(self.client.get_run(id_).info.lifecycle_stage == "active")
        except MlflowException:
            return False  # the store was made again

    def _experiment(self) -> str:
        """Find the experiment by name, or make it; another process may be quicker."""
        from mlflow.exceptions import MlflowException

        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
        for last in (False, True):
            if (found := self.client.get_experiment_by_name(name)) is not None:
                return str(found.experiment_id)
            try:
                return str(self.client.create_experiment(name))
            except MlflowException:
                if last:
                    raise
        raise AssertionError

    def _tell_recipe(self, id_: str) -> None:
        from mlflow.entities import Param

        recipe = tomllib.loads((self.folder / "recipe.toml").read_text(encoding="utf-8"))
        params = [Param(key, value) for key, value in flat(recipe).items()]
        for start in range(0, len(params), PARAMS_AT_ONCE):
            self.client.log_batch(id_, params=params[start : start + PARAMS_AT_ONCE])


def noted(folder: Path, uri: str) -> str:
    """Return the id of a folder's MLflow run; "" when there is none in this store."""
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(note["run_id"]) if note.get("uri") == without_password(uri) else ""


def tag_of(folder: Path, uri: str, name: str, value: str) -> None:
    """Set a tag of a run that is over."""
    if id_ := noted(folder, uri):
        check_reachable(uri)
        client_of(uri).set_tag(id_, name, value[:LONGEST])


def allowed(name: str) -> str:
    """Give a name as MLflow takes it."""
    return re.sub(r"[^\w\-./ :]", "_", name)


def flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return a recipe's values as texts by dotted key."""
    found: dict[str, str] = {}
    for key, value in recipe.items():
        name = f"{prefix}{allowed(key)}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            found[name] = text[:LONGEST]
    return found
