"""Kill training again and again, resume it, and compare the end with an undisturbed run: bit for bit.

    python scripts/kill_drill.py [--kills 18] [--recipe NAME ...] [--epochs N] [--benchdog COMMAND]

Each recipe is trained once undisturbed, then killed (SIGKILL) at random moments: at any time, while it validates,
while a checkpoint is written, and again before it has got on. Weights, metrics log (without its clock), and the ids
of every sample must be the same at the end. Prints a line per recipe; exit code 1 when one differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = '''
"""Samples by position and in shards, and the plain trainer, which also notes the ids of every batch."""

from pathlib import Path

import numpy as np

from benchdog.api import Field, Raw, Shard, SourceInfo, Spec, Target, TrainerInfo, hookimpl
from benchdog.builtin.trainers.supervised import Supervised

CONTRACT = 1
MARK = Path(MARKED)


def sample(split, i):
    rng = np.random.default_rng([i, len(split)])
    code = int(rng.integers(3))
    image = rng.integers(0, 128, (1, 12, 12)) + 40 * code * (np.arange(12) > 6)
    return Raw(id=f"{split}-{i}", fields={"input": image.astype("uint8")}, target=code)


class Part:
    def __init__(self, split, count):
        self.split, self.count = split, count

    def __len__(self):
        return self.count

    def raw(self, i):
        if self.split == "valid":
            MARK.touch()
        return sample(self.split, i)

    def shards(self):
        return [Shard(name=str(k), samples=self.count // 5) for k in range(5)]

    def read(self, shard, start):
        first = int(shard.name) * shard.samples
        for i in range(start, shard.samples):
            if self.split == "valid":
                MARK.touch()
            yield sample(self.split, first + i)


class Numbered:
    def spec(self):
        image = Field(kind="image", shape=(1, 12, 12), dtype="uint8", range=(0, 255))
        return Spec(fields=(image,), target=Target(kind="class", classes=("a", "b", "c")))

    def open(self):
        return {"train": Part("train", 450), "valid": Part("valid", 300)}


class Stream:
    def __init__(self, part):
        self.shards, self.read = part.shards, part.read


class Sharded(Numbered):
    def open(self):
        return {name: Stream(part) for name, part in super().open().items()}


@hookimpl
def benchdog_sources():
    names = ("numbered", "sharded")
    return [SourceInfo(name=n, summary="For the drill.", target=f":{n.capitalize()}") for n in names]


class Noted(Supervised):
    def train(self, session):
        batches = session.batches

        def noted():
            with (session.run.folder / "ids.txt").open("a") as file:
                file.write("\\n")  # the line before may have been torn by a kill
                piece = 0
                for batch in batches():
                    file.write(f"{session.step} {piece} {','.join(map(str, batch.ids))}\\n")
                    file.flush()
                    yield batch
                    piece = 0 if batch.last else piece + 1

        session.batches = noted
        return super().train(session)


@hookimpl
def benchdog_trainers():
    options = "benchdog.builtin.trainers.options:Supervised"
    return [TrainerInfo(name="noted", summary="For the drill.", target=":Noted", options=options)]
'''

RECIPES = {
    "plain": """
source = "digits"
model = { name = "cnn", width = 4, hidden = 32, dropout = 0.1 }
trainer = { name = "noted", schedule = "cosine", warmup = 0.1 }
loop = { epochs = EPOCHS, batch_size = 32, checkpoint_steps = 7, log_every = 5 }
""",
    "averaged": """
source = "digits"
model = { name = "cnn", width = 4, hidden = 32, dropout = 0.1 }
trainer = { name = "noted", optimizer = "AdamW", average = "ema", clip_norm = 1.0, weight_decay = 0.01 }
loader = { augment = ["flip", { name = "crop", padding = 1 }, "affine", "color", "noise", "cut-out", "mix-up"] }
loop = { epochs = EPOCHS, batch_size = 48, checkpoint_steps = 5, log_every = 3 }
""",
    "accumulated": """
source = "digits"
model = { name = "mlp", hidden = [48] }
loop = { epochs = EPOCHS, batch_size = 50, accumulate = 4, checkpoint_steps = 9, log_every = 4 }
[trainer]
name = "noted"
optimizer = "SGD"
optimizer_options = { momentum = 0.9, nesterov = true }
schedule = "one-cycle"
lr = 0.05
""",
    "workers": """
source = "numbered"
model = { name = "resnet", width = 8 }
trainer = { name = "noted", average = "swa", swa_start = 0.3 }
loader = { memory = 0, workers = 2, augment = ["flip", "noise"] }
loop = { epochs = EPOCHS, batch_size = 32, checkpoint_steps = 6, log_every = 4 }
""",
    "stream": """
source = "sharded"
model = { name = "cnn", width = 4, hidden = 16, dropout = 0.2 }
trainer = { name = "noted", schedule = "plateau", schedule_options = { patience = 0, factor = 0.7 } }
loader = { workers = 0, streams = 3, shuffle = 40, augment = ["flip"] }
loop = { epochs = EPOCHS, batch_size = 20, checkpoint_steps = 8, log_every = 4 }
""",
    "large": """
source = "digits"
model = { name = "mlp", hidden = [1536, 1536] }
trainer = { name = "noted", schedule = "StepLR", schedule_options = { step_size = 2 } }
loop = { epochs = EPOCHS, batch_size = 64, checkpoint_steps = 1, log_every = 5 }
""",
}
EPOCHS = {"plain": 40, "averaged": 20, "accumulated": 40, "workers": 16, "stream": 20, "large": 6}
MOMENTS = ("any", "writing", "validating")
LONGEST = 180.0
"""Seconds in which a kill must have been possible."""


@dataclass
class Drill:
    """A recipe that is trained in a folder, undisturbed as `whole` and killed as `drilled`."""

    place: Path
    recipe: str
    epochs: int
    benchdog: list[str]
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*MOMENTS, "again"), 0))

    def __post_init__(self) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        self.mark = self.place / "validating"
        self.local = self.place / "drill_sources.py"
        self.local.write_text(SOURCES.replace("MARKED", repr(str(self.mark))), encoding="utf-8")
        text = RECIPES[self.recipe].replace("EPOCHS", str(self.epochs))
        (self.place / "recipe.toml").write_text(f'plugins = ["drill_sources.py"]\n{text}', encoding="utf-8")

    @property
    def folder(self) -> Path:
        """The killed run."""
        return self.place / "runs" / "drilled"

    @property
    def newest(self) -> int:
        """The step of the newest checkpoint; 0 when there is none."""
        names = [path.name for path in (self.folder / "checkpoints").glob("step-*.safetensors")]
        return max((int(name[5:14]) for name in names), default=0)

    @property
    def writing(self) -> bool:
        """Whether a checkpoint is half written."""
        return any((self.folder / "checkpoints").glob(".step-*.tmp"))

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Start a run, or resume it."""
        there = (self.place / "runs" / name).exists()
        what = ["train", "--resume", name] if there else ["train", "recipe.toml", "--name", name]
        return subprocess.Popen(
            [*self.benchdog, *what, "--quiet"], cwd=self.place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def finish(self, name: str) -> None:
        """Carry a run to its end."""
        process = self.start(name)
        _, said = process.communicate(timeout=600)
        if process.returncode:
            raise SystemExit(f"{self.recipe}: exit {process.returncode}: {said.decode()}")

    def kill(self, moment: str, draw: random.Random) -> bool:
        """Continue and kill at a moment; say whether it came before the end of the run."""
        begun, process = self.newest, self.start("drilled")
        ahead = 0 if moment == "again" else draw.randrange(1, 12)
        self.mark.unlink(missing_ok=True)
        end = time.monotonic() + LONGEST
        while process.poll() is None:
            ready = self.newest > begun + ahead if ahead else (self.folder / "recipe.toml").exists()
            if ready and moment == "writing":
                ready = self.writing
            if ready and moment == "validating":
                ready = self.mark.exists()
            if ready:
                break
            self.mark.unlink(missing_ok=True)
            time.sleep(0.001)
            if time.monotonic() > end:
                process.kill()
                raise SystemExit(f"{self.recipe}: no chance to kill it ({moment})")
        time.sleep(draw.random() * (0.001 if moment in ("writing", "validating") else 0.1))
        process.kill()
        _, said = process.communicate()
        if process.returncode > 0:
            raise SystemExit(f"{self.recipe}: exit {process.returncode}: {said.decode()}")
        killed = process.returncode == -9
        self.kills[moment] += killed
        return killed

    def trace(self, name: str) -> dict[str, str]:
        """Return hashes of what a run leaves: weights, log without its clock, each step's loss, each batch's ids."""
        folder = self.place / "runs" / name
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        log = [{k: v for k, v in line.items() if k != "time"} for line in lines]
        weights = (folder / "artifact" / "model.safetensors").read_bytes()
        ids: dict[tuple[str, str], str] = {}  # a step that was gone through twice counts as the second time
        for line in (folder / "ids.txt").read_text(encoding="utf-8").splitlines():
            parts = line.split(" ")
            if len(parts) == 3:  # else torn, or empty: the step was gone through again
                ids[parts[0], parts[1]] = parts[2]
        kept = {"weights": weights, "log": json.dumps(log).encode(), "losses": (folder / "losses.f32").read_bytes()}
        kept["ids"] = json.dumps(sorted((int(a), int(b), names) for (a, b), names in ids.items())).encode()
        return {key: hashlib.sha256(data).hexdigest() for key, data in kept.items()}


def drill(place: Path, recipe: str, kills: int, epochs: int, benchdog: list[str]) -> tuple[bool, str]:
    """Run one recipe's drill; say whether the ends are the same, and a line about it."""
    it = Drill(place, recipe, epochs or EPOCHS[recipe], benchdog)
    it.finish("whole")
    draw = random.Random(recipe)
    moments = [m for m in MOMENTS if m != "validating" or recipe in ("workers", "stream")]
    for number in range(kills):
        moment = moments[number % len(moments)]
        if not it.kill("again" if number % 5 == 4 else moment, draw):
            break
    it.finish("drilled")
    ends = it.trace("whole"), it.trace("drilled")
    differing = [key for key in ends[0] if ends[0][key] != ends[1][key]]
    steps = json.loads((it.folder / "run.json").read_text(encoding="utf-8"))["steps_done"]
    told = ", ".join(f"{count} {moment}" for moment, count in it.kills.items() if count)
    end = f"DIFFERENT: {', '.join(differing)}" if differing else "the same bits"
    return not differing, f"{recipe:<12} {sum(it.kills.values()):>3} kills ({told}), {steps} steps: {end}"


def main() -> int:
    """Drill the recipes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=18, help="kills of each recipe")
    parser.add_argument("--recipe", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    parser.add_argument("--epochs", type=int, default=0, help="in place of each recipe's own")
    parser.add_argument("--benchdog", help="the command that trains (default: this Python's benchdog)")
    options = parser.parse_args()
    benchdog = [options.benchdog] if options.benchdog else [sys.executable, "-m", "benchdog"]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        for recipe in options.recipe:
            same, line = drill(Path(folder) / recipe, recipe, options.kills, options.epochs, benchdog)
            good = good and same
            print(line, flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
