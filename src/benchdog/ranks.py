"""Several processes that train one model: started here, each rebuilds everything from the run's folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchdog import files
from benchdog.errors import BenchdogError, Failed
from benchdog.run import Run
from benchdog.signals import Signals


def launch(run: Run, world: int, quiet: bool) -> None:
    """Start `world` ranks of a run, pass signals on, and wait.

    Raises:
        BenchdogError: what the first failing rank said, with its exit code.
    """
    for old in run.folder.glob("failure-*.json"):
        old.unlink()
    rendezvous = run.folder / f".rendezvous-{os.getpid()}"
    rendezvous.unlink(missing_ok=True)
    env = {**os.environ, "BENCHDOG_RENDEZVOUS": rendezvous.resolve().as_uri()}
    arguments = [sys.executable, "-m", "benchdog.ranks", str(run.folder), str(world), "quiet" if quiet else "loud"]
    ranks = [subprocess.Popen([*arguments, str(rank)], env=env) for rank in range(world)]
    try:
        with Signals() as signals:
            codes = _wait(ranks, signals)
    finally:
        for process in ranks:
            if process.poll() is None:
                process.kill()
            process.wait()
        rendezvous.unlink(missing_ok=True)
    for path in sorted(run.folder.glob("failure-*.json")):
        told = files.read_json(path)
        error = BenchdogError(told["message"], told["hint"])
        error.code = told["code"]
        raise error
    if any(codes):
        raise Failed(f"A rank ended with exit code {next(c for c in codes if c)}.", f"See {run.folder / 'log.txt'}.")


def _wait(ranks: list[subprocess.Popen[bytes]], signals: Signals) -> list[int]:
    """Wait for all ranks; when one fails, the others get a few seconds to say why."""
    sent, failed_at = 0, 0.0
    while any(process.poll() is None for process in ranks):
        if signals.number and not sent:
            sent = signals.number
            for process in ranks:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM if os.name == "posix" else signal.SIGINT)
        if any(process.poll() not in (None, 0) for process in ranks):
            failed_at = failed_at or time.monotonic()
            if time.monotonic() - failed_at > 10:
                return [process.poll() or 0 for process in ranks]
        time.sleep(0.05)
    return [process.returncode for process in ranks]


def main(folder: Path, world: int, quiet: bool, rank: int) -> int:
    """Carry out one rank of a run."""
    from benchdog.pipeline import train_rank
    from benchdog.plugins import Plugins
    from benchdog.recipe import read_resolved
    from benchdog.settle import reopen

    run = Run.open(folder)
    try:
        recipe = read_resolved(folder)
        parts = reopen(recipe, Plugins.discover(recipe.plugins))
        train_rank(run, parts, rank=rank, world=world, quiet=quiet or rank > 0)
    except BenchdogError as error:
        told = {"message": error.message, "hint": error.hint, "code": error.code}
        files.write_json(folder / f"failure-{rank}.json", told)
        return error.code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "quiet", int(sys.argv[4])))
