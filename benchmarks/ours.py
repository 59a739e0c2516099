"""One Benchdog training run for the benchmarks, through the functions that the command line uses.

    python ours.py image|tabular|lm|unet PEERS_FOLDER

Prints what the peers' scripts print: a name, a rate, and the growth of the process's memory after the imports.
The time is measured from before the first step until the last checkpoint is on disk, including evaluations and all
checkpoints. Progress, metrics log, checkpoints and events are on, and standard error is a terminal if the system
supports pseudo-terminals. BACKEND names the hardware, SET further settings ("backend.precision=bf16 ...").
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EPOCHS = {"image": 2, "tabular": 20, "lm": 1, "unet": 3}
SETTINGS = ["loop.checkpoint_seconds=2.0", "artifact.samples=0"]
BATCHES = {"image": 128, "tabular": 64, "lm": 32, "unet": 32}


def terminal() -> None:
    """Make standard error a terminal, so that the progress bar is drawn, and drain it."""
    if not hasattr(os, "openpty"):
        return
    import threading

    leader, follower = os.openpty()
    os.dup2(follower, 2)

    def drain() -> None:
        try:
            while os.read(leader, 65536):
                pass
        except OSError:
            return

    threading.Thread(target=drain, daemon=True).start()


def clock() -> list[float]:
    """Record when epochs begin and when their last checkpoint is on disk.

    Trial steps are recorded too: from the first to the last time is a run including its trial steps.
    """
    from benchdog.training.session import Session

    times: list[float] = []
    epochs, close = Session.epochs, Session.close

    def first(self: Session) -> Any:
        times.append(time.perf_counter())
        return epochs(self)

    def last(self: Session) -> None:
        close(self)
        times.append(time.perf_counter())

    Session.epochs, Session.close = first, last  # type: ignore[method-assign]
    return times


def main() -> None:
    """Train once and print the rate."""
    job, peers = sys.argv[1], sys.argv[2]
    os.environ["BENCHDOG_PEERS"] = peers
    terminal()
    import torch

    import benchdog.pipeline
    from benchdog.plugins.context import PluginContext
    from benchdog.recipe.compose import compose_draft

    _ = torch, benchdog.pipeline
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    given: dict[str, Any] = {
        "source.name": f"{HERE / 'work.py'}:{job.capitalize()}",
        "model.name": f"{HERE / 'work.py'}:{job}_net",
    }
    given |= {"loop.epochs": int(os.environ.get("EPOCHS", EPOCHS[job]))}
    given |= {"backend.name": os.environ.get("BACKEND", "cpu")}
    given |= {"loop.batch_size": BATCHES[job], "trainer.lr": 1e-3}
    with tempfile.TemporaryDirectory() as place:
        draft = compose_draft("", given, [*SETTINGS, *os.environ.get("SET", "").split()], PluginContext())
        grown: list[int] = []
        times = clock()
        finish = benchdog.pipeline.finish

        def finished(*args: object) -> None:
            grown.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            if os.environ.get("FINISH"):
                finish(*args)  # type: ignore[arg-type]

        # work after the last checkpoint is not part of the loop
        benchdog.pipeline.finish = finished  # type: ignore[assignment]
        run = benchdog.pipeline.train(draft, Path(place))
        seconds, steps = times[-1] - times[0], run.facts["steps_done"]
        train = run.facts["samples"]["train"] or 0
    seen = train * run.facts["epochs_done"]
    rate = {"tabular": steps, "lm": seen * 64}.get(job, seen) / seconds
    unit = {"tabular": "steps/s", "lm": "tokens/s", "unet": "images/s"}.get(job, "samples/s")
    print(f"benchdog\t{rate:.1f} {unit}\tgrown {grown[0] / 1024:.1f} MiB")


if __name__ == "__main__":
    main()
