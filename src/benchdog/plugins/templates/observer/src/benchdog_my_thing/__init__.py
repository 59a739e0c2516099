"""Keep a diary of each run: diary.txt in its folder."""

from benchdog.api import RunFacts, hookimpl

from .diary import note

CONTRACT = 1


@hookimpl
def benchdog_run_started(run: RunFacts) -> None:
    """Record the start. Declare only the arguments you need; the hook reference lists all of them."""
    note(run.folder, f"{run.name}: {run.model} begins with {run.source}")


@hookimpl
def benchdog_epoch_ended(run: RunFacts, epoch: int, metrics: dict[str, float]) -> None:
    """Record an epoch's metrics."""
    note(run.folder, f"epoch {epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()))


@hookimpl
def benchdog_run_stopped(run: RunFacts) -> None:
    """Record that the run was stopped; it can be resumed."""
    note(run.folder, f"{run.name} was stopped")


@hookimpl
def benchdog_run_failed(run: RunFacts, error: str) -> None:
    """Record the error."""
    note(run.folder, f"{run.name} failed: {error}")


@hookimpl
def benchdog_run_ended(run: RunFacts) -> None:
    """Record the end."""
    note(run.folder, f"{run.name} is finished")
