"""Whether a run is a function of its recipe on a card too: train nets and tasks twice, and stopped in between.

    python scripts/card_drill.py [--backend cuda] [--text FILE --table CSV] [--jobs 8] [--case NAME ...]

Each case is trained twice and, a third time, stopped by a signal in a step and resumed. Weights and each step's loss
must be the same bits, and the first loss the processor's to rounding, except where a card draws other numbers. Prints
a line per case; exit code 1 when one differs or fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

STOP = 4
"""The step in which the third run is stopped."""
DIGITS = ["digits", "--batch-size", "64"]
SHAPES = ["shapes", "--set", "source.count=100", "--set", "source.size=32", "--batch-size", "16"]
BALLS = ["shapes", "--set", "source.count=40", "--set", "source.dimensions=3", "--batch-size", "8"]
BALLS += ["--set", "source.size=16"]
CASES = {
    "linear": [*DIGITS, "--model", "linear"],
    "mlp": [*DIGITS, "--model", "mlp"],
    "cnn": [*DIGITS, "--model", "cnn"],
    "resnet": [*DIGITS, "--model", "resnet", "--set", "model.width=8"],
    "vit": [*DIGITS, "--model", "vit"],
    "dropout": [*DIGITS, "--model", "cnn", "--set", "model.dropout=0.2"],
    "averaged": [*DIGITS, "--model", "mlp", "--set", "trainer.average=ema", "--set", "trainer.clip_norm=1"],
    "augmented": [*DIGITS, "--set", 'loader.augment=["flip","affine","color","noise","cut-out","crop","mix-up"]'],
    "accumulated": [*DIGITS, "--model", "mlp", "--set", "loop.accumulate=3"],
    "workers": [*DIGITS, "--model", "mlp", "--set", "loader.memory=0", "--set", "loader.workers=2"],
    "balanced": [*DIGITS, "--model", "mlp", "--set", "task.class_weights=balanced"],
    "smoothed": [*DIGITS, "--model", "mlp", "--set", "task.label_smoothing=0.1"],
    "ordinal": [*DIGITS, "--model", "mlp", "--task", "ordinal"],
    "embedding": [*DIGITS, "--model", "mlp", "--task", "embedding"],
    "bf16": [*DIGITS, "--model", "cnn", "--set", "backend.precision=bf16"],
    "compiled": [*DIGITS, "--model", "cnn", "--set", "trainer.compile=yes"],
    "plateau": [*DIGITS, "--model", "mlp", "--set", "trainer.optimizer=NAdam", "--set", "trainer.schedule=plateau"],
    "unet": [*SHAPES, "--model", "unet"],
    "unet-dice": [*SHAPES, "--model", "unet", "--set", "task.loss=dice+cross-entropy"],
    "unet-focal": [*SHAPES, "--model", "unet", "--set", "task.loss=focal", "--set", "task.class_weights=balanced"],
    "unet-ignore": [*SHAPES, "--model", "unet", "--set", "task.ignore=255"],
    "unet-deep": [*SHAPES, "--model", "unet", "--set", "model.deep_supervision=true"],
    "unet-3d": [*BALLS, "--model", "unet"],
    "unet-augmented": [*SHAPES, "--set", 'loader.augment=["flip","affine","noise"]'],
}
TEXT = {
    "gpt": ["--model", "gpt", "--set", "source.length=64", "--set", "source.stride=512"],
    "gpt-rotary": ["--model", "gpt", "--set", "model.positions=rotary", "--set", "source.stride=1024"],
    "gpt-bf16": ["--model", "gpt", "--set", "backend.precision=bf16", "--set", "source.stride=1024"],
}
TABLE = {
    "table": ["--model", "tabular"],
    "table-regression": ["--model", "mlp", "--set", "source.kind=number"],
    "table-ordinal": ["--model", "mlp", "--task", "ordinal"],
}
COMMANDS = """
import json, signal, sys
from benchdog import cli
from benchdog.training.session import Session
done, stop = Session.step_done, 0
def step_done(self, loss, weight):
    if stop and self.step + 1 == stop:
        self.signals.notice(signal.SIGTERM, None)
    done(self, loss, weight)
Session.step_done = step_done
for words, code, stop in json.loads(sys.argv[1]):
    sys.argv = ["benchdog", *words]
    try:
        ended = cli.main() or 0
    except SystemExit as error:
        ended = error.code or 0
    if ended != code:
        sys.exit(f"{' '.join(words[-4:])}: exit {ended}")
"""
"""One process goes through a case: what costs most is torch's import."""


class Failed(Exception):
    """A command ended otherwise than it should."""


def go(place: Path, commands: list[tuple[list[str], int, int]]) -> None:
    """Run commands, each with the exit code that it should have, and the step that a signal arrives in; 0: none."""
    words = [sys.executable, "-c", COMMANDS, json.dumps(commands)]
    done = subprocess.run(words, cwd=place, capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise Failed(done.stderr.strip()[-700:])


def end(place: Path, name: str) -> str:
    """Return a hash of a run's weights and losses."""
    folder = place / "runs" / name
    parts = [(folder / "artifact" / "model.safetensors").read_bytes(), (folder / "losses.f32").read_bytes()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def check(case: str, words: list[str], backend: str) -> str:
    """Go through a case; say what is wrong, "" for nothing."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        train = ["train", *words, "--epochs", "2", "--quiet", "--set", "loop.log_every=3", "--backend"]
        runs = [([*train, backend, "--name", name], 0, 0) for name in ("first", "second")]
        runs += [([*train, backend, "--name", "third"], 143, STOP), (["train", "--resume", "third", "--quiet"], 0, 0)]
        runs += [([*train, "cpu", "--name", "processor"], 0, 0)]
        try:
            go(place, runs)
        except Failed as error:
            return str(error)
        losses = [np.fromfile(place / "runs" / name / "losses.f32", "<f4") for name in ("first", "processor")]
        ends = [end(place, name) for name in ("first", "second", "third")]
        if ends[0] != ends[1]:
            return "DIFFERENT the second time"
        if ends[0] != ends[2]:
            return "DIFFERENT after a stop"
        away = abs(losses[0][0] - losses[-1][0]) / abs(losses[-1][0])
        return (
            ""
            if away < (1e-2 if "bf16" in case or case == "dropout" else 1e-4)
            else f"the first loss is {away:.2g} from the processor's"
        )


def main() -> int:
    """Go through the cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--backend", default="cuda")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--jobs", type=int, default=8)
    parser.add_argument("--case", nargs="*")
    options = parser.parse_args()
    cases = dict(CASES)
    for more, path in ((TEXT, options.text), (TABLE, options.table)):
        if path:
            cases |= {name: [str(path.resolve()), *words, "--batch-size", "64"] for name, words in more.items()}
    cases = {name: words for name, words in cases.items() if not options.case or name in options.case}
    with ThreadPoolExecutor(options.jobs) as pool:
        told = pool.map(lambda case: check(case[0], case[1], options.backend), list(cases.items()))
        faults = 0
        for case, fault in zip(cases, told, strict=True):
            faults += bool(fault)
            print(f"{case:<18} {fault or 'the same bits three times'}", flush=True)
    print(f"{len(cases)} cases, {faults} at fault")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
