"""Baselines: expected values, measured by the task's own metrics; reproducible."""

import math

import numpy as np
import pytest
import torch

from benchdog.api import Field, Spec, Target
from benchdog.builtin.tasks.classification import Classification
from benchdog.builtin.tasks.language import NextToken
from benchdog.builtin.tasks.options import NextTokenOptions, RegressionOptions
from benchdog.builtin.tasks.regression import Regression
from benchdog.builtin.tasks.segmentation import Segmentation
from benchdog.evaluation import baselines, linear_models


def field(kind, *shape):
    return Field(kind=kind, shape=shape, dtype="int64" if kind == "tokens" else "float32")


def named(lines):
    return {line["name"]: line["metrics"] for line in lines}


def clouds(samples, seed, classes=3, width=4):
    """Draw well-separated Gaussian clusters, one per class; a linear model separates them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, samples)
    return (((np.eye(classes, width)[y] * 4 + rng.normal(size=(samples, width))).astype(np.float32),), y)


CLASSES = Spec(fields=(field("table", 4),), target=Target(kind="class", classes=("a", "b", "c")), output=(3,))


def test_classification_baselines():
    train, held_out = clouds(900, 0), clouds(300, 1)
    lines = baselines.measure(train, held_out, CLASSES, Classification())
    assert [line["name"] for line in lines] == ["majority class", "linear model"]
    found = named(lines)
    most_common = np.bincount(train[1]).argmax()
    assert found["majority class"]["accuracy"] == pytest.approx((held_out[1] == most_common).mean())
    assert found["majority class"]["loss"] == pytest.approx(math.log(3), abs=0.05)
    assert found["linear model"]["accuracy"] > 0.95
    assert found["linear model"]["loss"] < 0.2
    assert len(found["linear model"]["confusion"]) == 3


def test_baselines_are_reproducible_and_subsampled_by_seed():
    train, held_out = clouds(900, 0, width=40), clouds(300, 1, width=40)
    spec = Spec(fields=(field("table", 40),), target=CLASSES.target, output=(3,))

    def loss(**options):
        return named(baselines.measure(train, held_out, spec, Classification(), **options))["linear model"]["loss"]

    assert loss() == loss()
    assert loss(limit=60, seed=1) == loss(limit=60, seed=1) != loss(limit=60, seed=2)
    assert loss(limit=60) > loss()


def test_linear_baseline_does_not_overfit_noise():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 300)).astype(np.float32), rng.integers(0, 2, 200)
    spec = Spec(fields=(field("table", 300),), target=Target(kind="class", classes=("a", "b")), output=(2,))
    held_out = ((rng.normal(size=(200, 300)).astype(np.float32),), rng.integers(0, 2, 200))
    found = named(baselines.measure(((x,), y), held_out, spec, Classification()))
    assert found["linear model"]["loss"] < 1.2 * math.log(2)


def test_linear_model_of_many_images_finds_the_pixels_that_matter():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 1, 28, 28)).astype(np.float32)
    y = (x.reshape(len(x), -1)[:, :10] * 3 + rng.normal(size=(4000, 10))).argmax(1)
    spec = Spec(fields=(field("image", 1, 28, 28),), target=Target(kind="class", classes=tuple("0123456789")))
    found = named(baselines.measure(((x[500:],), y[500:]), ((x[:500],), y[:500]), spec, Classification()))
    assert found["linear model"]["accuracy"] > 0.4


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 12, 30, 30), (1, 16000)])
def test_large_inputs_are_average_pooled(shape):
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    kind = {2: "audio", 3: "image", 4: "volume"}[len(shape)]
    spec = Spec(fields=(field(kind, *shape),), target=CLASSES.target)
    see = linear_models.features((x,), spec)
    seen = see((x,))
    assert 64 < seen.shape[1] <= linear_models.WIDEST
    assert seen.mean(0).abs().max() < 1e-5
    assert torch.allclose(see((x[2:3],)), seen[2:3])


def test_text_classification_baseline_counts_tokens():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    x = rng.integers(0, 5, (400, 20)) + y[:, None] * 2
    spec = Spec(fields=(field("tokens", 20),), target=Target(kind="class", classes=("a", "b")))
    unknown = ((np.full((4, 20), 99),), np.array([0, 1, 0, 1]))  # tokens not seen in training
    lines = baselines.measure(((x[:300],), y[:300]), ((x[300:],), y[300:]), spec, Classification())
    assert named(lines)["linear model"]["accuracy"] > 0.9
    assert math.isfinite(named(baselines.measure(((x,), y), unknown, spec, Classification()))["linear model"]["loss"])


# --- numbers


def line_of_numbers(samples, seed, width):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 3)).astype(np.float32)
    y = (500 + 100 * x[:, 0] - 30 * x[:, 1] + rng.normal(size=samples)).astype(np.float32)
    return (x,), np.stack([y, 7 - y / 10], 1) if width else y


@pytest.mark.parametrize("width", [0, 2])
@pytest.mark.parametrize("fitted", [False, True])
def test_regression_baselines_in_target_units(width, fitted):
    shape = (width,) if width else ()
    spec = Spec(fields=(field("table", 3),), target=Target(kind="number", shape=shape, dtype="float32"))
    train, held_out = line_of_numbers(500, 0, width), line_of_numbers(200, 1, width)
    task = Regression(RegressionOptions())
    if fitted:
        task.fit([torch.from_numpy(train[1])])
    found = named(baselines.measure(train, held_out, spec, task))
    assert list(found) == ["mean", "linear model"]
    expected = np.sqrt(((held_out[1] - train[1].mean(0)) ** 2).mean(0)).mean()
    assert found["mean"]["rmse"] == pytest.approx(expected, rel=1e-3)
    assert found["linear model"]["rmse"] == pytest.approx(1.0 if not width else 0.55, abs=0.15)
    assert found["linear model"]["r2"] > 0.99


def test_last_value_baseline_in_time_order():
    y = np.arange(100, dtype=np.float32)
    x = np.zeros((100, 2), np.float32)
    spec = Spec(fields=(field("table", 2),), target=Target(kind="number", dtype="float32"))
    task = Regression(RegressionOptions())
    lines = baselines.measure(((x[:80],), y[:80]), ((x[80:],), y[80:]), spec, task, time_order=True)
    assert [line["name"] for line in lines] == ["mean", "last value", "linear model"]
    assert named(lines)["last value"]["mae"] == pytest.approx(1.0)


def test_multi_step_last_value_baseline_does_not_look_ahead():
    series = np.arange(103, dtype=np.float32)
    y = np.stack([series[i : i + 3] for i in range(100)])  # each target: the next three values
    x = np.zeros((100, 1), np.float32)
    spec = Spec(fields=(field("table", 1),), target=Target(kind="number", shape=(3,), dtype="float32"))
    task = Regression(RegressionOptions())
    lines = baselines.measure(((x[:80],), y[:80]), ((x[80:],), y[80:]), spec, task, time_order=True)
    assert named(lines)["last value"]["mae"] == pytest.approx(2.0)  # 1, 2 and 3 behind


def test_baselines_of_constant_target():
    x, y = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32), np.full(50, 3.0, np.float32)
    spec = Spec(fields=(field("table", 2),), target=Target(kind="number", dtype="float32"))
    task = Regression(RegressionOptions())
    task.fit([torch.from_numpy(y)])
    found = named(baselines.measure(((x,), y), ((x,), y), spec, task))
    assert found["mean"]["mae"] == pytest.approx(0, abs=1e-5)
    assert found["linear model"]["mae"] == pytest.approx(0, abs=1e-4)


# --- masks and tokens


def discs(samples, seed, *size, bright=3.0):
    rng = np.random.default_rng(seed)
    mask = np.zeros((samples, *size), np.int64)
    mask[:, 1 : size[0] // 2, 2 : size[1] // 2] = 1
    x = rng.normal(size=(samples, 2, *size)) * 0.4
    x[:, 0] += bright * mask
    return (x.astype(np.float32),), mask


@pytest.mark.parametrize("bright", [3.0, -3.0])
@pytest.mark.parametrize("size", [(12, 12), (8, 8, 6)])
def test_mask_threshold_baseline_finds_brighter_or_darker_regions(bright, size):
    kind = "image" if len(size) == 2 else "volume"
    spec = Spec(
        fields=(field(kind, 2, *size),), target=Target(kind="mask", classes=("background", "disc"), shape=size)
    )
    held_out = discs(10, 1, *size, bright=bright)
    found = named(baselines.measure(discs(30, 0, *size, bright=bright), held_out, spec, Segmentation()))
    assert list(found) == ["majority class", "threshold"]
    assert found["majority class"]["iou"] == 0
    assert found["majority class"]["pixel_accuracy"] == pytest.approx((held_out[1] == 0).mean())
    assert found["threshold"]["iou"] > 0.95
    assert found["threshold"]["loss"] < found["majority class"]["loss"]


def test_mask_baselines_of_several_classes_and_constant_images():
    target = Target(kind="mask", classes=("a", "b", "c"), shape=(4, 4))
    spec = Spec(fields=(field("image", 1, 4, 4),), target=target)
    flat = ((np.zeros((3, 1, 4, 4), np.float32),), np.zeros((3, 4, 4), np.int64))
    assert list(named(baselines.measure(flat, flat, spec, Segmentation()))) == ["majority class"]
    two = Spec(fields=spec.fields, target=Target(kind="mask", classes=("a", "b"), shape=(4, 4)))
    assert named(baselines.measure(flat, flat, two, Segmentation()))["threshold"]["pixel_accuracy"] in (0.0, 1.0)


def test_unigram_and_bigram_baselines():
    text = np.tile([0, 1, 2, 1], 200)
    x, y = text[:-1][:796].reshape(-1, 4), text[1:][:796].reshape(-1, 4)
    spec = Spec(fields=(field("tokens", 4),), target=Target(kind="next-token", classes=("a", "b", "c"), shape=(4,)))
    found = named(baselines.measure(((x,), y), ((x[:9],), y[:9]), spec, NextToken(NextTokenOptions())))
    assert list(found) == ["unigram", "bigram"]
    assert found["unigram"]["loss"] == pytest.approx(1.5 * math.log(2), abs=0.01)
    assert found["bigram"]["loss"] == pytest.approx(0.5 * math.log(2), abs=0.02)


# --- edges


def test_empty_split_or_unknown_target_kind_has_no_baseline():
    full, empty = clouds(10, 0), ((np.zeros((0, 4), np.float32),), np.zeros(0, np.int64))
    assert baselines.measure(full, empty, CLASSES, Classification()) == []
    assert baselines.measure(empty, full, CLASSES, Classification()) == []
    unknown = Spec(fields=CLASSES.fields, target=Target(kind="rank"))
    assert baselines.measure(full, full, unknown, Classification()) == []


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_baselines_with_few_samples_are_finite(samples):
    found = named(baselines.measure(clouds(samples, 0), clouds(20, 1), CLASSES, Classification()))
    assert all(math.isfinite(metrics["loss"]) for metrics in found.values())


def test_ridge_recovers_linear_coefficients_without_noise():
    rng = np.random.default_rng(0)
    x, weight = torch.from_numpy(rng.normal(size=(100, 4))), torch.tensor([[1.0], [2.0], [0.0], [-3.0]]).double()
    found, bias = linear_models.ridge(x, x @ weight + 5)
    assert torch.allclose(found, weight, atol=1e-4)
    assert torch.allclose(bias, torch.tensor([5.0]).double(), atol=1e-4)
