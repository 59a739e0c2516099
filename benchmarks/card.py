"""Training throughput relative to the GPU's matrix rate: a GPT of 85 million parameters and a ResNet-50.

    python benchmarks/card.py [--text FILE] [--job gpt|resnet ...] [--batch N] [--seconds 20] [--set KEY=VALUE ...]

The GPU's rate is that of multiplying 8192 x 8192 matrices in bf16. A network's rate is the FLOPs of its matrix
products and convolutions, forward and backward, as counted by torch, divided by the step time, which includes
everything that a run does: batches, loss, optimizer, log. The first log lines are excluded, since the network is
compiled then.
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
SYNTHETIC = '''
import numpy as np
from benchdog.api import Field, Raw, Spec, Target


class Noise:
    """Synthetic images of 3 x 224 x 224 pixels in 1000 classes."""

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


def gpu_rate() -> float:
    """Measure the GPU's matrix rate, in FLOP/s."""
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
    """Return the output of `benchdog plan`: FLOPs and parameters."""
    command = [sys.executable, "-m", "benchdog", "plan", *words, "--json"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def training_rate(words: list[str], batch: int, seconds: float, place: Path) -> tuple[float, float, int]:
    """Train for a while; return seconds per step (median over the log lines), the best of them, and the steps."""
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
        sys.exit("too few steps were run")
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
    card = gpu_rate()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}: {card / 1e12:.0f} TFLOP/s", flush=True)
    torch.cuda.empty_cache()
    for job in options.job:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            (place / "noise.py").write_text(SYNTHETIC, encoding="utf-8")
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
            step, best, steps = training_rate(words, batch, options.seconds, place)
            rate = plan["flops"]["training"] * batch / step
            print(
                f"{job}: {plan['needs']['parameters'] / 1e6:.1f} M parameters, batch {batch}, {steps} steps: "
                f"{step * 1000:.1f} ms (best {best * 1000:.1f}), {batch / step:.0f} samples/s, "
                f"{rate / 1e12:.0f} TFLOP/s, {rate / card:.1%} of the GPU's",
                flush=True,
            )


if __name__ == "__main__":
    main()
