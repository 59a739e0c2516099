"""Several processes that train one model: started here, each rebuilds everything from the run's folder.

A rank hears its parent through its standard input: a line with a signal's number, and the end when the parent is
gone, with which the rank ends too. A terminal's Ctrl-C therefore reaches it once, on every system.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from benchdog.errors import BenchdogError, Failed, Stopped
from benchdog.runs.run import Run
from benchdog.system import exits, files, paths
from benchdog.system.json_output import Lines, followed
from benchdog.system.parent import follow_parent
from benchdog.system.processes import how_it_ended
from benchdog.system.signals import Signals
from benchdog.training.run_status import machine_or_worker_fault

LISTEN = "BENCHDOG_LISTEN"
"""Set for a rank whose standard input is its parent's voice."""
PATIENCE = 10.0
"""Seconds that the other ranks get to end by themselves when one has failed."""


def launch(
    run: Run,
    world: int,
    quiet: bool,
    own: Callable[[list[str], int], int] | None = None,
    lines: Lines | None = None,
) -> None:
    """Start `world` ranks of a run, pass signals on, and wait.

    Args:
        run: the run, held by this process.
        world: the number of ranks.
        quiet: rank 0 says nothing either.
        own: a backend's way to start processes; it adds a rank's number to the command, and waits.
        lines: gets the events of rank 0, which writes them into a file for that.

    Raises:
        Stopped: a signal ended the run.
        BenchdogError: what the first failing rank said, with its exit code.
    """
    for old in run.folder.glob("failure-*.json"):
        old.unlink()
    events = run.folder / f".events-{os.getpid()}.tmp" if lines is not None else None
    command = [
        sys.executable,
        "-m",
        "benchdog.training.launch",
        str(run.folder),
        str(world),
        "quiet" if quiet else "loud",
    ]
    command.append(str(events or ""))
    with followed(events, lines.write) if lines is not None and events else nullcontext():
        _start(run, command, world, own)


def _start(run: Run, command: list[str], world: int, own: Callable[[list[str], int], int] | None) -> None:
    if own is not None:
        if code := own(command, world):
            _judge(run, [code], 0)
        return
    rendezvous = run.folder / f".rendezvous-{os.getpid()}"
    rendezvous.unlink(missing_ok=True)
    env = {**os.environ, "BENCHDOG_RENDEZVOUS": rendezvous.resolve().as_uri(), LISTEN: "1"}
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    ranks: list[subprocess.Popen[bytes]] = []
    with Signals() as signals:
        try:
            for rank in range(world):
                ranks.append(subprocess.Popen([*command, str(rank)], env=env, stdin=subprocess.PIPE, **apart))
            codes = _wait(ranks, signals)
        finally:
            for process in ranks:
                if process.poll() is None:
                    process.kill()
                process.wait()
                with suppress(OSError):
                    process.stdin.close()  # type: ignore[union-attr]
            rendezvous.unlink(missing_ok=True)
    if any(codes):
        _judge(run, codes, signals.number)


def _wait(ranks: list[subprocess.Popen[bytes]], signals: Signals) -> list[int]:
    """Wait for all ranks; when one fails, the others get a few seconds to say why."""
    sent, failed_at = 0, 0.0
    while any(process.poll() is None for process in ranks):
        if signals.number and not sent:
            sent = signals.number
            for process in ranks:
                with suppress(OSError):
                    process.stdin.write(b"%d\n" % sent)  # type: ignore[union-attr]
                    process.stdin.flush()  # type: ignore[union-attr]
        if any(process.poll() not in (None, 0) for process in ranks):
            failed_at = failed_at or time.monotonic()
            if time.monotonic() - failed_at > PATIENCE:
                return [process.poll() or 0 for process in ranks]
        time.sleep(0.05)
    return [process.returncode for process in ranks]


def _judge(run: Run, codes: list[int], number: int) -> None:
    """Raise what the ranks said; a rank that only lost its neighbor is asked last."""
    run.check_there()
    said = [files.read_json(path) for path in sorted(run.folder.glob("failure-*.json"))]
    killed = any(code < 0 for code in codes)  # the others only lost it
    for told in sorted(said, key=lambda told: bool(told["unexpected"])):
        if told["unexpected"] and killed:
            break
        if told["code"] in (130, 143):
            raise Stopped(told["message"], told["hint"], 128 + (number or signal.SIGTERM))
        error = BenchdogError(told["message"], told["hint"])
        error.code = told["code"]
        raise error
    if number:  # it came before the first step
        raise Stopped("Stopped.", f"Go on with: benchdog train --resume {paths.short(run.folder)}", 128 + number)
    ended = how_it_ended(min(codes, key=lambda code: (code >= 0, code == 0)))
    raise Failed(f"A rank {ended}.", f"Go on with: benchdog train --resume {paths.short(run.folder)}")


def main(folder: Path, world: int, quiet: bool, events: str, rank: int) -> int:
    """Carry out one rank of a run."""
    from benchdog.plugins import Plugins
    from benchdog.recipe.resolved import read_resolved
    from benchdog.training.rank import train_rank
    from benchdog.training.setup import reopen

    if os.environ.pop(LISTEN, ""):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # before the first step there is nothing to save
        follow_parent()
    run, plugins = Run.open(folder), None
    run.guard()
    try:
        recipe = read_resolved(folder)
        plugins = Plugins.discover(recipe.plugins)
        with Path(events or os.devnull).open("a", encoding="utf-8") as sink:
            plugins.lines = Lines(sink) if events and rank == 0 else None
            train_rank(run, reopen(recipe, plugins), rank=rank, world=world, quiet=quiet or rank > 0)
    except BenchdogError as error:
        return _tell(folder, rank, error.message, error.hint, error.code)
    except (Exception, SystemExit, exits.ProcessEnded) as error:  # a fault in the code, or a neighbor that is gone
        if known := run.taken or machine_or_worker_fault(error):
            return _tell(folder, rank, known.message, known.hint, known.code)
        run.log(f"rank {rank}: {traceback.format_exc()}")
        text = f"Rank {rank}: {type(error).__name__}: {' '.join(str(error).split())[:300]}."
        return _tell(folder, rank, text, f"The traceback is in {folder / 'log.txt'}.", 1, unexpected=True)
    finally:
        if plugins is not None:
            plugins.close()  # the process ends without another word
    return 0


def _tell(folder: Path, rank: int, message: str, hint: str, code: int, unexpected: bool = False) -> int:
    told = {"message": message, "hint": hint, "code": code, "unexpected": unexpected}
    with suppress(BenchdogError):  # the folder is gone, or the disk full
        files.write_json(folder / f"failure-{rank}.json", told)
    return code


if __name__ == "__main__":
    with exits.guarded():  # else a component could end its rank with exit code 0, as if it had trained to the end
        done = main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "quiet", sys.argv[4], int(sys.argv[5]))
    sys.stdout.flush()
    sys.stderr.flush()
    exits.end(done)  # everything lies on the disk; a thread of the communication library may abort a plain exit
