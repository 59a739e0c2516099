"""Sources with faults."""

import itertools
import os
import random
import socket
import sys
from pathlib import Path

import numpy as np

from benchdog.api import Field, Preprocess, Raw, SampleCounts, Shard, Spec, Target

calls = itertools.count()


class Good:
    shape, dtype, reach = (2,), "float32", (-20, 20)
    target = Target(kind="class", classes=("no", "yes"))

    def __init__(self, options=None):
        self.options = options

    def spec(self):
        field = Field(kind="table", shape=self.shape, dtype=self.dtype, range=self.reach)
        return Spec(fields=(field,), target=self.target)

    def draw(self, i):
        return random.Random(i)

    def row(self, i):
        draw = self.draw(i)
        return np.array([draw.gauss(i % 2, 1), draw.gauss(0, 1)], "float32")

    def sample(self, i):
        return Raw(id=str(i), fields={"input": self.row(i)}, target=i % 2)

    def open(self):
        return {"train": [self.sample(i) for i in range(40)], "valid": [self.sample(i) for i in range(40, 60)]}


class Split:
    def __init__(self, sample, count=40):
        self.sample, self.count = sample, count

    def __len__(self):
        return self.count

    def raw(self, i):
        return self.sample(i)


class Lazy(Good):
    def open(self):
        return {"train": Split(self.sample), "valid": Split(self.sample, 20)}


class Miscounts(Good):
    counts = SampleCounts(found=60, used=50, skipped={"blank": 5})


class Unseeded(Good):
    def draw(self, i):
        return random.Random()


class GlobalSeed(Good):
    def open(self):
        np.random.seed(0)
        return super().open()


class Drifts(Lazy):
    def draw(self, i):
        return random.Random(next(calls))


class Reuses(Lazy):
    buffer = np.zeros(2, "float32")

    def row(self, i):
        self.buffer[:] = super().row(i)
        return self.buffer


class WrongShape(Good):
    shape = (3,)


class WrongType(Good):
    def row(self, i):
        return np.array([[0.5, 1.5]], "float32")


class OutOfRange(Good):
    reach = (0, 1)


class UnknownClass(Good):
    target = Target(kind="class", classes=("no",))


class WrongTarget(Good):
    target = Target(kind="number", dtype="float32", shape=(2,))


class CutTarget(Good):
    target = Target(kind="number", dtype="int64")

    def sample(self, i):
        return Raw(id=str(i), fields={"input": self.row(i)}, target=i + 0.5)


class SomeWeights(Good):
    def sample(self, i):
        return Raw(id=str(i), fields={"input": self.row(i)}, target=i % 2, weight=None if i % 3 else 1.0)


class HidesLabels(Good):
    def open(self):
        return {**super().open(), "unlabeled": [self.sample(i) for i in range(60, 70)]}


class Bare(Good):
    def open(self):
        bare = [Raw(id=f"bare {i}", fields={"input": self.row(i)}) for i in range(60, 90)]
        return {**super().open(), "unlabeled": bare}


class SameIds(Good):
    def sample(self, i):
        return Raw(id="sample", fields={"input": self.row(i)}, target=i % 2)


class Fast(Split):
    def batch(self, indices):
        raws = [self.sample(i) for i in indices]
        return (np.stack([raw.fields["input"] + 1 for raw in raws]),), np.array([raw.target for raw in raws])


class FastLies(Good):
    def open(self):
        return {"train": Fast(self.sample), "valid": Fast(self.sample, 20)}


class Whole(Split):
    def whole(self):
        raws = [self.sample(i) for i in range(len(self))]
        return (np.stack([raw.fields["input"] for raw in raws[::-1]]),), np.array([raw.target for raw in raws])


class WholeLies(Good):
    def open(self):
        return {"train": Whole(self.sample), "valid": Whole(self.sample, 20)}


class Indexed(Split):
    def id(self, i):
        return f"row {i}"


class OtherIds(Good):
    def open(self):
        return {"train": Indexed(self.sample), "valid": Indexed(self.sample, 20)}


class Targeted(Split):
    @property
    def targets(self):
        return np.zeros(len(self), np.int64)


class OtherTargets(Good):
    def open(self):
        return {"train": Targeted(self.sample), "valid": Targeted(self.sample, 20)}


class UnknownTransform(Good):
    def preprocess(self, spec):
        array = {"op": "array", "dtype": "float32", "shape": [2]}
        return Preprocess(decode={"input": [array]}, transform={"input": [{"op": "standardize-twice"}]})


class ByHash(Good):
    def draw(self, i):
        return random.Random(hash(f"sample {i}"))


class LeavesFiles(Good):
    def open(self):
        Path("index.cache").write_text("here", encoding="utf-8")
        return super().open()


class CallsHome(Good):
    def open(self):
        socket.create_connection(("data.example", 80), timeout=1)
        return super().open()


class Prints(Good):
    def open(self):
        print("loading 60 samples")
        return super().open()


class NoValid(Good):
    def open(self):
        return {"train": [self.sample(i) for i in range(40)]}


class Shards(Good):
    def shards(self):
        return [Shard(name="a", samples=20), Shard(name="b", samples=20)]

    def read(self, shard, start):
        for i in range(start, 20):
            yield self.sample(i + 20 * (shard.name == "b"))

    def open(self):
        return {"train": self, "valid": super().open()["valid"]}


class LostPlace(Shards):
    def read(self, shard, start):
        return itertools.islice(super().read(shard, 0), 20 - start)


class NoOpen:
    def spec(self):
        return Good().spec()


class TwoSpecs(Good):
    def spec(self):
        target = Target(kind="class", classes=("no", "yes", f"{next(calls)}"))
        return Spec(fields=super().spec().fields, target=target)


class Exits(Good):
    def open(self):
        sys.exit(7)


class Vanishes(Good):
    def open(self):
        os._exit(9)


class Downloads(Good):
    def fetch(self, cache):
        cache.download("http://data.example/rows.csv", sha256="0" * 64)


class BadPath(Good):
    def open(self):
        if self.options.path:
            self.options.path.read_text(encoding="utf-8")
        return super().open()


class AnyPath(Good):
    pass
