from pathlib import Path

from benchdog.api import hookimpl

CONTRACT = 1


@hookimpl
def benchdog_run_ended(run, metrics):
    with Path(run.folder, "diary.txt").open("a", encoding="utf-8") as diary:
        diary.write(f"{run.name}: {run.model} on {run.source} ended with {metrics}\n")
