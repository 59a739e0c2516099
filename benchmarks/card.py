"""How much of a card's matrix rate training reaches: a GPT of 85 million parameters, a residual net of 50 layers.

    python benchmarks/card.py [--text FILE] [--job gpt|resnet ...] [--batch N] [--seconds 20] [--set KEY=VALUE ...]

The card's rate is that of products of 8192 x 8192 matrices in bf16. A net's is its products' and convolutions'
arithmetic, forward and backward, as torch's counter counts it, over the time of its steps; all that a run does is in
them: batches, loss, optimiser, log. The first lines of the log are left out: there the net is compiled.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch

SIDE, TIMES = 8192, 30
PICTURES = '''
import numpy as np
from benchdog.api import Field, Raw, Spec, Target


class Noise:
    """Pictures of 3 x 224 x 224 pixels in 1000 classes, made up."""

    def spec(self):
        image = Field(kind="image", shape=(3, 224, 224), dtype="uint8", range=(0, 255))
        return Spec(fields=(image,), target=Target(kind="class", classes=tuple(map(str, range(1000)))))

    def open(self):
        return {"train": Split(8192), "valid": Split(64)}


class Split:
    def __init__(self, count):
        draw = np.random.default_rng(count)
        self.x = draw.integers(0, 256, (count, 3, 224, 224), dtype=np.uint8)
        self.y = draw.integers(0, 1000, count)

    def __len__(self):
        return len(self.x)

    def raw(self, i):
        return Raw(id=str(i), fields={"input": self.x[i]}, target=int(self.y[i]))

    def batch(self, indices):
        return (self.x[indices],), self.y[indices]
'''
JOBS = {
    "gpt": ["--model", "gpt", "--set", "model.size=gpt2", "--set", "source.length=1024", "--set", "source.stride=64"],
    "resnet": ["--model", "resnet", "--set", "model.depth=50", "--set", "loader.memory=8192"],
}
BATCHES = {"gpt": 32, "resnet": 256}


def rate_of_card() -> float:
    """Measure the card's matrix rate, operations per second."""
    a, b = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(TIMES):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(10):
            a @ b
        torch.cuda.synchronize()
        seconds.append((time.perf_counter() - begun) / 10)
    return float(2 * SIDE**3 / median(seconds))


def planned(words: list[str], place: Path) -> Any:
    """Ask Benchdog what it would build: its arithmetic and its parameters."""
    command = [sys.executable, "-m", "benchdog", "plan", *words, "--json"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def rate_of_training(words: list[str], batch: int, seconds: float, place: Path) -> tuple[float, float, int]:
    """Train for a while; give seconds per step (median over the log's lines), the best of them, and steps."""
    more = ["--set", "backend.precision=bf16", "--set", "trainer.compile=yes", "--epochs", "1000"]
    more += ["--batch-size", str(batch), "--set", "loop.log_every=10", "--name", "run", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "benchdog", "train", *words, *more], cwd=place, stdout=subprocess.DEVNULL
    )
    log, end = place / "runs" / "run" / "metrics.jsonl", 0.0
    lines: list[dict[str, Any]] = []
    while process.poll() is None and not (end and time.monotonic() > end):
        time.sleep(0.5)
        if log.exists():
            lines = [json.loads(x) for x in log.read_text().splitlines(keepends=True) if x.endswith("\n")]
            lines = [line for line in lines if line["kind"] == "step"]
        if len(lines) > 2 and not end:
            end = time.monotonic() + seconds
    process.kill()
    process.wait()
    if len(lines) < 6:
        sys.exit("too few steps were done")
    steps = sorted((b["time"] - a["time"]) / (b["step"] - a["step"]) for a, b in pairwise(lines[2:]))
    return median(steps), steps[0], lines[-1]["step"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--job", nargs="*", choices=list(JOBS), default=list(JOBS))
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--backend", default="cuda")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    options = parser.parse_args()
    card = rate_of_card()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {card / 1e12:.0f} TFLOP/s", flush=True)
    torch.cuda.empty_cache()
    for job in options.job:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "noise.py").write_text(PICTURES, encoding="utf-8")
            data = str(options.text.resolve()) if job == "gpt" else "noise.py:Noise"
            words = [
                data,
                *JOBS[job],
                "--set",
                f"backend.name={options.backend}",
                *(word for each in options.settings for word in ("--set", each)),
            ]
            batch = options.batch or BATCHES[job]
            plan = planned(words, place)
            step, best, steps = rate_of_training(words, batch, options.seconds, place)
            rate = plan["flops"]["training"] * batch / step
            print(
                f"{job}: {plan['needs']['parameters'] / 1e6:.1f} M parameters, batch {batch}, {steps} steps: "
                f"{step * 1000:.1f} ms (best {best * 1000:.1f}), {batch / step:.0f} samples/s, "
                f"{rate / 1e12:.0f} TFLOP/s, {rate / card:.1%} of the card's",
                flush=True,
            )


if __name__ == "__main__":
    main()
