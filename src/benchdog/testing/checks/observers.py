"""What is asked of an observer: the handlers of events that a plugin has."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchdog.api import RunFacts
from benchdog.plugins import Plugins
from benchdog.testing.runner import guard
from benchdog.testing.runner.batch import Bench
from benchdog.testing.runner.locations import raised, said, stands
from benchdog.testing.runner.results import Fault, Skip

QUICK = 1.0
"""Seconds that hearing of an event may take; events that pile up are dropped."""
Handler = tuple[str, Callable[..., Any], Sequence[str]]


class Trial:
    """A plugin's handlers on trial; they hear of two made-up runs."""

    def __init__(self, plugins: Plugins, job: dict[str, Any], bench: Bench) -> None:
        self.name, self.bench = job["name"], bench
        self.handlers: list[Handler] = plugins.handlers(job["name"])
        self.slowest = (0.0, "")
        self.heard: set[str] = set()
        self.raised = False

    @property
    def where(self) -> str:
        """Where the first handler stands."""
        return stands(self.handlers[0][1]) if self.handlers else ""

    def tell(self, metrics: dict[str, float], how: str = "ends") -> None:
        """Report a whole run, as a run would: one that ends, fails, or is stopped and continues to its end."""
        folder = self.bench.folder("heard")
        saved = folder / "step-1.safetensors"
        saved.write_bytes(b"")
        (folder / "recipe.toml").write_text('[source]\nname = "stars"\n', encoding="utf-8")
        log = folder / "metrics.jsonl"
        facts = RunFacts(name=folder.name, folder=str(folder), source="stars", model="mlp", task="any", epochs=2)
        self.event("benchdog_run_started", run=facts)
        for epoch in (1, 2):
            for step in (2 * epoch - 1, 2 * epoch):
                add(log, kind="step", step=step, epoch=epoch, loss=1.0 / step, lr=0.1, time=1.0)
                self.event("benchdog_step_ended", run=facts, step=step, loss=1.0 / step)
            add(log, kind="epoch", epoch=epoch, step=2 * epoch, **metrics, time=1.0)
            self.event("benchdog_epoch_ended", run=facts, epoch=epoch, metrics=dict(metrics))
            self.event(
                "benchdog_checkpoint_saved", run=facts, step=2 * epoch, path=str(folder / "step-1.safetensors")
            )
        if how == "fails":
            self.event("benchdog_run_failed", run=facts, error="The loss is not a number.")
            return
        if how == "stops":
            self.event("benchdog_run_stopped", run=facts)
            self.event("benchdog_run_started", run=facts)
        self.event("benchdog_run_ended", run=facts, metrics=dict(metrics))
        self.event("benchdog_artifact_exported", exporter="onnx", path=str(folder))

    def event(self, event: str, **facts: Any) -> None:
        """Report an event to the handlers that hear it."""
        for name, function, wanted in self.handlers:
            if name != event:
                continue
            begun, before = time.perf_counter(), len(guard.tried)
            try:
                function(**{key: facts[key] for key in wanted})
            except BaseException as error:
                if len(guard.tried) > before:
                    raise Skip(f"{event} needs the network: {guard.tried[-1][0]}") from error
                self.raised = True
                raise Fault(
                    f"{event} raises {said(error)}, and gets no more events.",
                    "Fix it: the run continues, but this observer is disabled.",
                    raised(error) or stands(function),
                ) from error
            spent = time.perf_counter() - begun
            if event not in self.heard:  # it may import at the first of each, once
                self.heard.add(event)
            elif spent > self.slowest[0]:
                self.slowest = (spent, f"{event}, {stands(function)}")


def add(log: Path, **line: Any) -> None:
    """Add a line to a run's log, as a session does before it reports the event."""
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def hears(trial: Trial) -> str:
    """Check that it hears of runs that end, that fail, and that are stopped and continue."""
    for how in ("ends", "fails", "stops"):
        trial.tell({"train.loss": 0.5, "valid.loss": 0.6, "valid.accuracy": 0.9}, how)
    return ", ".join(sorted(event.removeprefix("benchdog_") for event in trial.heard))


def quick(trial: Trial) -> str:
    """Check that it is done with an event quickly."""
    if not trial.heard and not trial.raised:
        hears(trial)
    if trial.raised:
        raise Skip("it raises: see `hears`")
    spent, what = trial.slowest
    if spent > QUICK:
        raise Fault(
            f"It takes {spent:.1f} s to hear of an event, and later ones are dropped when too many wait.",
            "Do slow work on a thread of its own, or once, in benchdog_run_ended.",
            what,
        )
    return f"{1000 * spent:.0f} ms at most"


def metrics(trial: Trial) -> str:
    """Check that it takes whatever metrics a task has, not numbers among them."""
    if trial.raised:
        raise Skip("it raises: see `hears`")
    try:
        trial.tell({"train.loss": float("nan"), "valid.rmse": float("inf")})
        trial.tell({})
    except Fault as fault:
        raise Fault(
            f"With other metrics than accuracy: {fault.found}",
            "Take the metrics that are there: each task has its own, and a loss may be no number.",
            fault.where,
        ) from None
    return "whichever there are"
