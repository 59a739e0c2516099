"""A local plugin file with data sources, as users write them: lists, map-style and sharded."""

from pathlib import Path

CODE = '''
import os
import time
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from benchdog.api import Bounds, Doc, Field, Raw, Shard, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1
CLASSES = ("no", "yes", "perhaps")


@dataclass(frozen=True, kw_only=True)
class Options:
    shards: Annotated[int, Doc("How many."), Bounds(ge=0)] = 5
    wrong: Annotated[str, Doc("What is wrong.")] = ""
    samples: Annotated[int, Doc("Samples of the train split.")] = 90


def sample(name, number):
    time.sleep(float(os.environ.get("SOURCE_SLEEP", "0")))
    rng = np.random.default_rng([number, sum(name.encode())])
    code = int(rng.integers(3))
    return Raw(id=f"{name}/{number}", fields={"input": rng.normal(code, 1, 4).astype("float32")}, target=code)


def spec():
    field = Field(kind="table", shape=(4,), dtype="float32")
    return Spec(fields=(field,), target=Target(kind="class", classes=CLASSES))


class Numbered:
    def __init__(self, name, count, wrong=""):
        self.name, self.count, self.wrong = name, count, wrong
        if wrong.startswith("fast"):
            self.batch = self.fast

    def __len__(self):
        return self.count

    def raw(self, i):
        raw = sample(self.name, i)
        if self.wrong == "code" and i == 7:
            return Raw(id=raw.id, fields=raw.fields, target=3)
        return raw

    def fast(self, indices):
        raws = [self.raw(i) for i in indices]
        x, y = np.stack([r.fields["input"] for r in raws]), np.array([r.target for r in raws])
        changed = {
            "fast values": ((x + 1,), y),
            "fast dtype": ((x.astype("float64"),), y),
            "fast target": ((x,), (y + 1) % 3),
            "fast target dtype": ((x,), y.astype("int32")),
            "fast no tuple": (x, y),
            "fast too many": ((x, x), y),
        }
        return changed.get(self.wrong, ((x,), y))


class Positions:
    def __init__(self, options):
        self.options = options

    def spec(self):
        return spec()

    def open(self):
        wrong = self.options.wrong
        valid = wrong.removeprefix("valid ") if wrong.startswith("valid ") else ""
        train = Numbered("train", self.options.samples, "" if valid else wrong)
        return {"train": train, "valid": Numbered("valid", 30, valid)}


class Sharded:
    """Shards of 0, 7, 14, ... samples."""

    def __init__(self, options):
        self.options = options

    def shards(self):
        return [Shard(name=f"s{i}", samples=7 * i) for i in range(self.options.shards)]

    def read(self, shard, start):
        raws = (sample(shard.name, i) for i in range(start, shard.samples))
        if self.options.wrong == "code":
            raws = (Raw(id=r.id, fields=r.fields, target=9) if r.id == "s2/3" else r for r in raws)
        return list(raws) if self.options.wrong == "list" else raws


class Streamed:
    def __init__(self, options):
        self.options = options

    def spec(self):
        return spec()

    def open(self):
        return {"train": Sharded(self.options), "valid": [sample("valid", i) for i in range(30)]}


@hookimpl
def benchdog_sources():
    return [
        SourceInfo(name="positions", summary="By position.", target=":Positions", options=":Options"),
        SourceInfo(name="streamed", summary="In shards.", target=":Streamed", options=":Options"),
    ]
'''


def write(folder: Path) -> Path:
    """Write the plugin file into a folder."""
    path = folder / "local_sources_plugin.py"
    path.write_text(CODE, encoding="utf-8")
    return path
