"""The status of a run while it is worked on: running, then finished, stopped or failed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchdog.api import TrainerInfo
from benchdog.data.worker_processes import worker_fault
from benchdog.errors import BenchdogError, Stopped
from benchdog.plugins.error_origin import machine_fault
from benchdog.runs.run import Run, environment
from benchdog.system import files
from benchdog.system.signals import interrupted
from benchdog.training.setup import Components


def machine_or_worker_fault(error: BaseException) -> BenchdogError | None:
    """Return a sentence on what the machine refused, or on a worker that died; None for other errors."""
    return error if isinstance(error, BenchdogError) else worker_fault(error) or machine_fault(error)


@contextmanager
def recorded(run: Run, components: Components, on_failure: Callable[[Path], object]) -> Iterator[None]:
    """Record how the work in a run ends, whatever happens, emit it as an event, and release the run.

    Args:
        run: held by this process.
        components: whose plugins get the events; they are closed.
        on_failure: is called with the run's folder after a stop or a failure; writes the report.
    """
    plugins, facts = components.plugins, components.facts(run)
    try:
        run.save(status="running", error=None)
        run.log(f"started: {platform.node()}, {sys.executable}")
        files.write_json(run.folder / "environment.json", environment(plugins))
        yield
        best = run.facts.get("best")
        run.save(status="finished")
        run.log("finished")
        metrics = {f"valid.{best['metric']}": best["value"]} if best else {}
        plugins.emit("benchdog_run_ended", run=facts, metrics=metrics)
    except BaseException as raised:
        error = run.taken or machine_or_worker_fault(raised) or raised
        stopped = isinstance(error, Stopped | KeyboardInterrupt)
        text = error.message if isinstance(error, BenchdogError) else f"{type(error).__name__}: {error}"
        try:
            run.log(text)
            run.save(status="stopped" if stopped else "failed", error=None if stopped else text)
            on_failure(run.folder)
        except (OSError, BenchdogError):
            with suppress(OSError, BenchdogError):
                run.log("the status or the report could not be written")
        if stopped:
            plugins.emit("benchdog_run_stopped", run=facts)
        else:
            plugins.emit("benchdog_run_failed", run=facts, error=text)
        if isinstance(error, KeyboardInterrupt):
            code = getattr(error, "code", 130)
            info = plugins.info(TrainerInfo, components.recipe.trainer.name)
            raise interrupted(run.folder, info.resumable, code) from None
        if error is not raised:
            raise error from None
        raise
    finally:
        run.release()
        plugins.close()
