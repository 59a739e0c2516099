"""Targets are checked like inputs: no code is cast to another, and no shape is left to the loss."""

import numpy as np
import pytest

from benchdog.api import BadData, Field, Raw, Spec, Target
from benchdog.data.collate import Collate
from benchdog.data.dataset import DecodedSplit
from benchdog.data.decode.decoder import default_preprocess
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

SOURCE = """
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from benchdog.api import Doc, Field, Raw, Shard, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1


@dataclass(frozen=True, kw_only=True)
class Options:
    wrong: Annotated[str, Doc("What is wrong with the last mask.")] = ""
    how: Annotated[str, Doc("How samples are given.")] = "list"


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="cells", summary="Images and masks.", target=":Cells", options=":Options")]


def mask(wrong):
    good = np.eye(6, dtype="int64")
    return {
        "size": good[:5], "rgb": np.stack([good] * 3, -1), "scaled": good * 0.7, "code": good * 2, "missing": None,
        "negative": -good, "gaps": np.where(good, np.nan, 0.0), "text": "a mask", "": good,
        "uint8": good + 255,
    }[wrong]


class Stream:
    def __init__(self, samples):
        self.samples = samples

    def shards(self):
        return [Shard(name="one")]

    def read(self, shard, start):
        return iter(self.samples[start:])


class Whole:
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def raw(self, i):
        return self.samples[i]

    def whole(self):
        targets = [raw.target for raw in self.samples[:-1]]
        images = np.stack([raw.fields["input"] for raw in self.samples])
        return (images,), np.stack([*targets, np.broadcast_to(self.samples[-1].target, targets[0].shape)])


class Cells:
    def __init__(self, options):
        self.options = options

    def spec(self):
        image = Field(kind="image", shape=(1, 6, 6), dtype="uint8", range=(0, 255))
        dtype = "uint8" if self.options.wrong == "uint8" else "int64"
        mask = Target(kind="mask", classes=("background", "disc"), shape=(6, 6), dtype=dtype)
        return Spec(fields=(image,), target=mask)

    def open(self):
        image = np.zeros((1, 6, 6), "uint8")
        parts = {}
        for name in ("train", "valid"):
            wrongs = [""] * 11 + [self.options.wrong if name == "train" else ""]
            parts[name] = [Raw(id=f"cell-{i}", fields={"input": image}, target=mask(w)) for i, w in enumerate(wrongs)]
        if self.options.how == "list":
            return parts
        return {name: {"stream": Stream, "whole": Whole}[self.options.how](part) for name, part in parts.items()}
"""


@pytest.fixture
def cells(tmp_path):
    (tmp_path / "cells.py").write_text(SOURCE)

    def command(*words, wrong, how="list", code=5):
        options = ["--set", f"source.wrong={wrong}", "--set", f"source.how={how}"]
        return run("--plugin", "cells.py", *words, "cells", *options, cwd=tmp_path, code=code)

    return command


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("size", "a target of the shape (5, 6); the spec says (6, 6)"),
        ("rgb", "a target of the shape (6, 6, 3); the spec says (6, 6)"),
        ("scaled", "a target that int64 can't hold: 0.7"),
        ("code", "a target outside the 2 classes: 2"),
        ("negative", "a target outside the 2 classes: -1"),
        ("gaps", "a target that int64 can't hold: nan"),
        ("uint8", "a target that uint8 can't hold: 256"),
        ("missing", "no target"),
        ("text", "the target 'a mask', which is not a number"),
    ],
)
def test_wrong_mask_is_refused_before_training(cells, tmp_path, wrong, message):
    shown = cells("train", "--model", "unet", "--epochs", "1", "--quiet", wrong=wrong).err
    assert f"Sample cell-11 has {message}." in shown
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("*/artifact"))


@pytest.mark.parametrize("wrong", ["scaled", "code"])
@pytest.mark.parametrize("how", ["stream", "whole"])
def test_wrong_mask_is_refused_however_samples_are_given(cells, how, wrong):
    shown = cells("train", "--model", "unet", "--epochs", "1", "--quiet", wrong=wrong, how=how).err
    assert "Sample cell-11 has a target" in shown


def classes(target, kind="class", names=("a", "b", "c"), dtype="int64"):
    spec = Spec(fields=(Field(kind="table", shape=(1,), dtype="float32"),),
                target=Target(kind=kind, classes=names, dtype=dtype))  # fmt: skip
    return Collate(spec).raws([Raw(id="one", fields={}, target=target)])


@pytest.mark.parametrize("target", [1.9, -1, 3, np.nan, "1", None, [1], 2**70, 1 + 0j])
def test_wrong_class_is_refused(target):
    with pytest.raises(BadData, match="Sample one has"):
        classes(target)


@pytest.mark.parametrize("target", [1, 1.0, True, np.float32(1), np.uint8(1), np.array(1)])
def test_class_in_another_dtype_is_the_same_class(target):
    found = classes(target)
    assert (found.tolist(), found.dtype) == ([1], np.int64)


@pytest.mark.parametrize("target", [np.nan, np.inf, 1e39, "1.5"])
def test_number_that_is_not_finite_is_refused(target):
    with pytest.raises(BadData, match="Sample one has"):
        classes(target, "number", (), "float32")


class Fast:
    """A split whose fast path returns what it is given."""

    def __init__(self, target, weight=None):
        self.given = target, weight

    def __len__(self):
        return 2

    def raw(self, i):
        return Raw(id=f"row-{i}", fields={"input": np.zeros(1, "float32")}, target=i)

    def batch(self, indices):
        target, weight = self.given
        inputs = (np.zeros((len(indices), 1), "float32"),)
        return (inputs, target) if weight is None else (inputs, target, weight)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.array([0, 7]),), r"Sample row-1 has a target outside the 2 classes: 7"),
        ((np.array([[0], [1]]),), r"Sample row-0 has a target of the shape \(1,\)"),
        ((np.array([0.0, 0.5]),), r"other targets than the spec says, float64 for int64"),
        ((np.array([0, 1, 1]),), "another number of rows"),
        ((np.array([0, 1]), np.array([1, -1])), "Sample row-1 has the weight -1"),
        ((np.array([0, 1]), np.array([1, np.nan])), "Sample row-1 has the weight nan"),
    ],
)
def test_wrong_target_of_a_fast_path_is_refused(given, message):
    spec = Spec(
        fields=(Field(kind="table", shape=(1,), dtype="float32"),), target=Target(kind="class", classes=("a", "b"))
    )
    with pytest.raises(BadData, match=message):
        DecodedSplit(Fast(*given), spec, default_preprocess(spec)).read([0, 1])


def test_data_info_names_a_wrong_target(cells):
    assert "Sample cell-11 has a target of the shape (6, 6, 3)" in cells("data", "info", wrong="rgb").err
