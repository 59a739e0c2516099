"""Targets of varying length: padded by the spec, or collated by the task, however samples are given."""

import json

import numpy as np
import pytest
import torch

from benchdog.api import BadData, BadUsage, Field, Raw, Spec, Target
from benchdog.data.collate import Collate, concatenate, pad
from benchdog.data.dataset import DecodedSplit, load_into_memory
from benchdog.data.decode.decoder import default_preprocess
from benchdog.data.fast_path import check_fast_path
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

NUMBERS = Target(kind="values", shape=(None,), dtype="float32", padding=-1)
BOXES = Target(kind="boxes", classes=("cat", "dog"), shape=(None, 5), dtype="float32", padding=-1)
FIELD = Field(kind="table", shape=(1,), dtype="float32")


def spec_of(target):
    return Spec(fields=(FIELD,), target=target)


def collated(target, *values):
    raws = [Raw(id=f"row-{i}", fields={"input": np.zeros(1, "float32")}, target=v) for i, v in enumerate(values)]
    return Collate(spec_of(target)).raws(raws)


def test_targets_of_different_length_are_padded():
    found = collated(NUMBERS, [1, 2, 3], [], [4])
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2, 3], [-1, -1, -1], [4, -1, -1]]
    assert NUMBERS.real_rows(found).tolist() == [[True, True, True], [False] * 3, [True, False, False]]
    assert NUMBERS.real_rows(torch.from_numpy(found)).sum(1).tolist() == [3, 0, 1]


def test_batch_of_empty_targets_has_one_row_of_padding():
    found = collated(BOXES, np.zeros((0, 5)), np.zeros((0, 5)))
    assert found.tolist() == [[[-1] * 5]] * 2
    assert not BOXES.real_rows(found).any()


def test_targets_without_declared_padding_are_refused_when_they_differ():
    target = Target(kind="values", shape=(None,), dtype="float32")
    with pytest.raises(BadData, match=r"\(2,\) \(row-0\) and \(1,\) \(row-1\)") as caught:
        collated(target, [1, 2], [3])
    assert "padding=-1" in caught.value.hint
    assert target.real_rows(collated(target, [1, np.nan], [3, 4])).all()


def test_row_that_equals_the_padding_is_refused():
    with pytest.raises(BadData, match="Sample row-1 has a row that is all padding in its target: -1"):
        collated(NUMBERS, [1, 2], [-1])


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target(kind="values", shape=(3,), dtype="float32", padding=-1), "its shape is"),
        (Target(kind="values", shape=(None, None), dtype="float32", padding=-1), "its shape is"),
        (Target(kind="values", shape=(None,), dtype="uint8", padding=-1), "is no value of uint8"),
        (Target(kind="values", shape=(None,), dtype="float32", padding=float("nan")), "is no value of float32"),
    ],
)
def test_padding_that_does_not_suit_the_target_is_refused(target, message):
    class Task:
        pass

    with pytest.raises(BadUsage, match=message):
        Collate.of(spec_of(target), Task())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([1, 1, 1, 4, 0], "a box without an area: its lower right corner is at: 1"),
        ([5, 1, 2, 4, 0], "a box without an area"),
        ([1, 1, 3, 4, 2], "a box of a class outside the 2 classes: 2"),
        ([1, 1, 3, 4, 0.5], "a box of a class outside the 2 classes: 0.5"),
        ([1, np.nan, 3, 4, 0], "a target that is not finite: nan"),
        ([1, 1, 3, 4], r"a target of the shape \(1, 4\); the spec says \('any', 5\)"),
    ],
)
def test_wrong_box_is_refused_with_the_name_of_its_sample(box, message):
    with pytest.raises(BadData, match=f"Sample row-1 has {message}"):
        collated(BOXES, [[0, 0, 2, 2, 1]], [box])


def test_spec_keeps_its_padding_and_old_specs_their_form():
    assert Spec.from_json(json.loads(json.dumps(spec_of(BOXES).to_json()))).target == BOXES
    plain = spec_of(Target(kind="class", classes=("a",)))
    assert "padding" not in plain.to_json()["target"]
    assert Spec.from_json(plain.to_json()) == plain


def test_batches_of_different_padding_are_concatenated():
    a, b = pad([np.ones((2, 5), "float32")], BOXES), pad([np.ones((4, 5), "float32")] * 2, BOXES)
    assert concatenate([a, b], BOXES).shape == (3, 4, 5)
    assert BOXES.real_rows(concatenate([a, b], BOXES)).sum(1).tolist() == [2, 4, 4]
    with pytest.raises(BadUsage, match="different shapes"):
        concatenate([np.zeros((1, 2, 5)), np.zeros((1, 2, 4))], BOXES)


class Ragged:
    """A split with a fast path, whose targets come as a list or padded."""

    def __init__(self, padded, lie=0.0):
        self.padded, self.lie = padded, lie

    def __len__(self):
        return 9

    def raw(self, i):
        target = np.arange(i % 4, dtype="float32")
        return Raw(id=f"row-{i}", fields={"input": np.full(1, i, "float32")}, target=target)

    def batch(self, indices):
        raws = [self.raw(i) for i in indices]
        targets = [raw.target + self.lie for raw in raws]
        given = pad(targets, NUMBERS) if self.padded else targets
        return (np.stack([raw.fields["input"] for raw in raws]),), given

    def whole(self):
        return self.batch(range(len(self)))


@pytest.mark.parametrize("padded", [True, False])
def test_fast_path_may_give_a_list_or_a_padded_array(padded):
    spec = spec_of(NUMBERS)
    samples = DecodedSplit(Ragged(padded), spec, default_preprocess(spec))
    check_fast_path(samples)
    assert np.array_equal(samples.read([3, 8, 1])[1], samples.read_raw([3, 8, 1])[1])
    whole = load_into_memory(samples)
    assert NUMBERS.real_rows(whole.target).sum(1).tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]


def test_fast_path_with_other_targets_is_found():
    spec = spec_of(NUMBERS)
    with pytest.raises(BadData, match="batch\\(\\) returns other targets than its raw"):
        check_fast_path(DecodedSplit(Ragged(True, lie=1.0), spec, default_preprocess(spec)))


PLUGIN = '''
"""Sets of numbers, of which a linear model predicts the sum; the task collates them in its own way, or not."""
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from benchdog.api import Answer, Doc, Field, Raw, Shard, SourceInfo, Spec, Target, TaskInfo, hookimpl

CONTRACT = 1


@dataclass(frozen=True, kw_only=True)
class Options:
    how: Annotated[str, Doc("How samples are given.")] = "list"


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="sets", summary="Sets of numbers.", target=":Sets", options=":Options")]


@hookimpl
def benchdog_tasks():
    more = {"summary": "Predict a sum.", "answer": ":answer", "models": {"table": "linear"}}
    return [
        TaskInfo(name="sum", target=":make_sum", targets=("set",), **more),
        TaskInfo(name="own-sum", target=":make_own", **more),
    ]


def answer(call, inputs, spec, options):
    return [Answer({"value": float(row[0])}) for row in call(*inputs)[0]]


def samples(count, seed):
    draw, found = np.random.default_rng(seed), []
    for i in range(count):
        values = draw.uniform(1, 2, draw.integers(0, 5)).astype("float32")
        x = np.array([values.sum(), len(values), i / count], "float32")
        found.append(Raw(id=f"set {seed}-{i}", fields={"input": x}, target=values))
    return found


class Stream:
    def __init__(self, samples):
        self.samples = samples

    def shards(self):
        return [Shard(name="one", samples=len(self.samples))]

    def read(self, shard, start):
        return iter(self.samples[start:])


class Fast:
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def raw(self, i):
        return self.samples[i]

    def batch(self, indices):
        chosen = [self.samples[i] for i in indices]
        return (np.stack([raw.fields["input"] for raw in chosen]),), [raw.target for raw in chosen]

    def whole(self):
        return self.batch(range(len(self)))


class Sets:
    def __init__(self, options):
        self.options = options

    def spec(self):
        target = Target(kind="set", shape=(None,), dtype="float32", padding=-1)
        return Spec(fields=(Field(kind="table", shape=(3,), dtype="float32"),), target=target)

    def open(self):
        parts = {"train": samples(40, 1), "valid": samples(20, 2)}
        if self.options.how == "list":
            return parts
        wrap = {"stream": Stream, "fast": Fast}[self.options.how]
        return {name: wrap(part) for name, part in parts.items()}


def make_sum():
    import torch
    from torch import nn

    class Meter:
        def __init__(self, total):
            self.total, self.sums = total, torch.zeros(2, dtype=torch.float64)

        def add(self, score, batch):
            error = (score[:, 0] - self.total(batch)).abs().sum()
            self.sums += torch.tensor([float(error), len(score)], dtype=torch.float64)

        def state(self):
            return {"sums": self.sums}

        def merge(self, state):
            self.sums += state["sums"]

        def value(self):
            return {"mae": float(self.sums[0] / self.sums[1].clamp(min=1)), "loss": 0.0}

    class Sum:
        monitor, better = "mae", "min"

        def check(self, spec):
            self.target = spec.target

        def output(self, spec):
            return (1,)

        def head(self, spec):
            return nn.Identity()

        def total(self, batch):
            return (batch.target * self.target.real_rows(batch.target)).sum(1)

        def loss(self, score, batch):
            return (score[:, 0] - self.total(batch)).square().sum(), len(score)

        def meter(self, spec):
            return Meter(self.total)

    return Sum()


def make_own():
    class OwnSum(type(make_sum())):
        def collate(self, targets, spec):
            return np.array([[each.sum(dtype="float64")] for each in targets], "float32")

        def total(self, batch):
            assert batch.target.shape[1:] == (1,)
            return batch.target[:, 0]

    return OwnSum()
'''
WORKERS = ["--workers", "1", "--set", "loader.memory=0", "--set", "source.how=fast"]
ALIKE = {
    ("sum", "list"): [],
    ("sum", "workers"): WORKERS,
    ("sum", "accumulated"): ["--set", "loop.accumulate=3"],
    ("sum", "stream"): ["--set", "source.how=stream"],
    ("own-sum", "list"): [],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, home):
    """Train with each task, however samples are given: the value of valid's metric by (task, how)."""
    folder = tmp_path_factory.mktemp("sets")
    (folder / "sets.py").write_text(PLUGIN, encoding="utf-8")
    found = {}
    for (task, how), flags in ALIKE.items():
        name = f"{task}-{how}"
        words = ["--task", task, "--epochs", "4", "--batch-size", "12", "--quiet", "--name", name]
        run("--plugin", "sets.py", "train", "sets", *words, *flags, cwd=folder)
        found[task, how] = json.loads((folder / "runs" / name / "evaluation-valid.json").read_text())
    return found


def test_result_is_the_same_however_samples_are_given(trained):
    values = {key: found["metrics"]["mae"] for key, found in trained.items() if key[1] != "stream"}
    assert len({round(value, 4) for value in values.values()}) == 1, values


def test_stream_of_varying_targets_trains(trained):
    assert trained["sum", "stream"]["samples"] == 20
    assert trained["sum", "stream"]["metrics"]["mae"] > 0


def test_metrics_of_padded_targets_have_intervals(trained):
    assert "mae" in trained["sum", "list"]["intervals"]
    assert "mae" in trained["own-sum", "list"]["intervals"]


def test_worst_samples_are_told_without_padding(trained):
    for entry in trained["sum", "list"]["worst"]:
        assert all(1 <= value <= 2 for value in entry["target"])


@pytest.mark.slow
def test_two_ranks_give_the_same_result_as_one(trained, tmp_path):
    (tmp_path / "sets.py").write_text(PLUGIN, encoding="utf-8")
    words = ["--epochs", "4", "--batch-size", "12", "--quiet", "--name", "two", "--set", "backend.ranks=2"]
    run("--plugin", "sets.py", "train", "sets", "--task", "sum", *words, cwd=tmp_path)
    found = json.loads((tmp_path / "runs" / "two" / "evaluation-valid.json").read_text())
    assert found["metrics"]["mae"] == pytest.approx(trained["sum", "list"]["metrics"]["mae"], abs=1e-4)
