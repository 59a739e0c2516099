"""Cost of observers on the training thread: runs with none, a blocked one, a raising one, and trackers, interleaved.

    python benchmarks/emit.py [--rounds 5] [--epochs 30] [--every 1] [--source digits] [--model mlp]

Each call of emit in the loop (steps, epochs, checkpoints) is timed; the table has their sum per step and the median
call. On a busy machine the sum is larger, since it includes the time when the thread was not scheduled. "step" is the
training time per step, "wait" the time that the run waited for observers at its end. Weights and exit codes must be
equal.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

HOOKS = ("run_started", "step_ended", "epoch_ended", "checkpoint_saved", "run_ended")
ARGUMENTS = {"step_ended": "step, loss", "epoch_ended": "metrics", "checkpoint_saved": "path", "run_ended": "metrics"}


def observer(body: str) -> str:
    """Return the code of an observer that runs `body` at every event."""
    handlers = [f"@hookimpl\ndef benchdog_{name}({ARGUMENTS.get(name, 'run')}):\n    {body}\n" for name in HOOKS]
    return "import time\n\nfrom benchdog.api import hookimpl\n\nCONTRACT = 1\n\n\n" + "\n\n".join(handlers)


def cases(place: Path, stack: ExitStack) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return each case's arguments before `train` and its environment."""
    (place / "blocked.py").write_text(observer("time.sleep(10)"), encoding="utf-8")
    (place / "raising.py").write_text(observer("raise OSError('no luck')"), encoding="utf-8")
    mute = stack.enter_context(socket.create_server(("127.0.0.1", 0)))  # accepts, never responds
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = closed.getsockname()[1]
    none = {"BENCHDOG_PLUGINS": ""}

    def mlflow(uri: str) -> dict[str, str]:
        return {"BENCHDOG_PLUGINS": "benchdog-mlflow", "MLFLOW_TRACKING_URI": uri}

    return {
        "no observer": ([], none),
        "sleeps 10 s at each event": (["--plugin", str(place / "blocked.py")], none),
        "raises": (["--plugin", str(place / "raising.py")], none),
        "mlflow, no server": ([], mlflow(f"http://127.0.0.1:{dead}")),
        "mlflow, a server that hangs": ([], mlflow(f"http://127.0.0.1:{mute.getsockname()[1]}")),
        "mlflow, sqlite": ([], mlflow(f"sqlite:///{(place / 'mlflow.db').as_posix()}")),
        "tensorboard": ([], {"BENCHDOG_PLUGINS": "benchdog-tensorboard"}),
    }


def child(words: list[str]) -> None:
    """Train in this process, timing emit and close; print the times as JSON."""
    from benchdog.cli import main
    from benchdog.plugins import manager

    took: dict[str, Any] = {"emit": [], "wait": 0.0}
    emit, close = manager.Plugins.emit, manager.Plugins.close

    def timed_emit(self: Any, event: str, **facts: Any) -> None:
        begun = time.perf_counter()
        emit(self, event, **facts)
        if not event.startswith("benchdog_run_"):  # emitted before and after the loop
            took["emit"].append(time.perf_counter() - begun)

    def timed_close(self: Any) -> None:
        begun = time.perf_counter()
        close(self)
        took["wait"] += time.perf_counter() - begun

    manager.Plugins.emit, manager.Plugins.close = timed_emit, timed_close  # type: ignore[method-assign]
    sys.argv = ["benchdog", *words]
    try:
        main()
    finally:
        print("TOOK " + json.dumps(took), flush=True)


def measure(words: list[str], env: dict[str, str], options: argparse.Namespace) -> dict[str, Any]:
    """Train once; return times per step in microseconds, the wait, the exit code and a hash of the weights."""
    with tempfile.TemporaryDirectory() as place:
        train = ["train", options.source, "--model", options.model, "--epochs", str(options.epochs), "--quiet",
                 "--set", f"loop.log_every={options.every}", "--name", "run"]  # fmt: skip
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, __file__, "--child", *words, *train],
            cwd=place,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
        )
        wall = time.perf_counter() - begun
        if "TOOK " not in done.stdout:
            sys.exit(done.stderr)
        took = json.loads(done.stdout.rpartition("TOOK ")[2])
        run = Path(place, "runs", "run")
        facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
        weights = hashlib.sha256((run / "artifact" / "model.safetensors").read_bytes()).hexdigest()
    steps = facts["steps_done"]
    warnings = [line for line in done.stderr.splitlines() if line.startswith("benchdog: ")]
    return {
        "emit": 1e6 * sum(took["emit"]) / steps,
        "call": 1e6 * statistics.median(took["emit"]),
        "step": 1e6 * facts["seconds"] / steps,
        "wait": took["wait"],
        "wall": wall,
        "steps": steps,
        "emits": len(took["emit"]),
        "code": done.returncode,
        "weights": weights[:8],
        "warning": warnings[0] if warnings else "",
    }


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--every", type=int, default=1, help="steps between two logged steps")
    parser.add_argument("--source", default="digits")
    parser.add_argument("--model", default="mlp")
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        todo = cases(place, stack)
        for _ in range(options.rounds):
            for name, (words, env) in todo.items():
                found.setdefault(name, []).append(measure(words, env, options))
    first = next(iter(found.values()))[0]
    print(f"{first['steps']} steps, logged every {options.every}: {first['emits']} events; {options.rounds} rounds")
    print("| observer | emit per step, us | a call, us | step, us | share | wait at the end, s | exit | weights |")
    print("|---|---|---|---|---|---|---|---|")
    for name, lines in found.items():
        emit, call, step, wait = (
            statistics.median(line[key] for line in lines) for key in ("emit", "call", "step", "wait")
        )
        codes, weights = ({line[key] for line in lines} for key in ("code", "weights"))
        row = f"| {name} | {emit:.2f} | {call:.2f} | {step:.0f} | {100 * emit / step:.2f} % | {wait:.2f} |"
        print(row, "/".join(map(str, codes)), "|", "/".join(weights), "|")
    for name, lines in found.items():
        if lines[0]["warning"]:
            print(f"{name}: {lines[0]['warning']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    else:
        main()
