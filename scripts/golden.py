"""Make tests/golden/format-N: a run, a stopped one and exports as this version writes them, and what they answer.

    python scripts/golden.py

Run it once when a format gets a new number, with the packages under plugins/ installed. Folders of earlier numbers
stay as they are: what they hold is read for ever.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchdog.system import format_versions

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
NUMBER = max(format_versions.ARTIFACT, format_versions.EXPORT, format_versions.RUN, format_versions.CHECKPOINT)
BENCHDOG = (sys.executable, "-m", "benchdog")
SETTINGS = (
    "model.hidden=[8]", "trainer.schedule=cosine", "trainer.average=ema", "trainer.compile=no", "loop.log_every=20",
    "loader.workers=0", "backend=cpu",
)  # fmt: skip
TRAIN = ("train", "digits", "--model", "mlp", "--quiet", *(w for s in SETTINGS for w in ("--set", s)))
EXPORTERS = ("torch-export", "safetensors", "torchscript", "onnx")
DERIVED = ("report.html", "worst", "lock")
"""What a run's folder holds that is made again from the rest."""


def bench(*words: str, cwd: Path) -> Any:
    """Run a command with --json; give its document, of events the last line."""
    done = subprocess.run([*BENCHDOG, *words, "--json"], cwd=cwd, check=True, capture_output=True, encoding="utf-8")
    return json.loads(done.stdout.splitlines()[-1] if words[0] == "train" else done.stdout)


def stopped(cwd: Path) -> None:
    """Make a run and stop it in the middle, as Ctrl-C does."""
    process = subprocess.Popen([*BENCHDOG, *TRAIN, "--epochs", "40", "--name", "stopped"], cwd=cwd)
    log = cwd / "runs" / "stopped" / "metrics.jsonl"
    while process.poll() is None:
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        if sum('"epoch"' in line and '"kind": "epoch"' in line for line in lines) >= 10:
            process.send_signal(signal.SIGINT)
            break
        time.sleep(0.01)
    assert process.wait() == 130, "it ended before it could be stopped"


def answers(cwd: Path) -> dict[str, Any]:
    """Return what the finished run answers, how it is judged, and how the stopped one ends."""
    told = bench("predict", "finished", str(Path("runs", "finished", "artifact", "samples")), cwd=cwd)
    judged = bench("evaluate", "finished", cwd=cwd)
    shutil.copytree(cwd / "runs" / "stopped", cwd / "runs" / "resumed")
    resumed = bench("train", "--resume", "resumed", cwd=cwd)
    return {"answers": told["answers"], "metrics": scalars(judged["metrics"]), "resumed": resumed["best"]}


def scalars(metrics: dict[str, Any]) -> dict[str, float]:
    """Leave out the tables."""
    return {name: value for name, value in metrics.items() if isinstance(value, int | float)}


def anonymous(path: Path) -> None:
    """Take this machine's names out of what a run says of it."""
    text = path.read_text(encoding="utf-8")
    names = {sys.executable: "/usr/bin/python3", platform.platform(): platform.system(), platform.node(): "here"}
    for name, other in names.items():
        text = text.replace(name, other)
    path.write_text(text, encoding="utf-8")


def main() -> None:
    """Make the folder of this number."""
    target = GOLDEN / f"format-{NUMBER}"
    os.environ |= {"OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as place:
        cwd = Path(place)
        subprocess.run([*BENCHDOG, *TRAIN, "--epochs", "20", "--name", "finished"], cwd=cwd, check=True)
        for exporter in EXPORTERS:
            bench("export", "finished", "--to", exporter, cwd=cwd)
        stopped(cwd)
        told = answers(cwd)
        shutil.rmtree(target, ignore_errors=True)
        for run in ("finished", "stopped"):
            shutil.copytree(cwd / "runs" / run, target / run, ignore=shutil.ignore_patterns(*DERIVED))
        (target / "answers.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        for path in target.rglob("*"):
            if path.name in ("environment.json", "log.txt"):
                anonymous(path)
            with contextlib.suppress(UnicodeDecodeError):
                assert not path.is_file() or place not in path.read_text(encoding="utf-8"), f"{path} names {place}"
    sizes = [path.stat().st_size for path in target.rglob("*") if path.is_file()]
    print(f"{target}: {len(sizes)} files, {sum(sizes):,} bytes")


if __name__ == "__main__":
    main()
