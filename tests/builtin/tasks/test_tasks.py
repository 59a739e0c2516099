"""Built-in tasks: additive losses, metrics equal to scikit-learn's, merging of meters, refusals."""

import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torch import nn

from benchdog.api import BadData, BadUsage, Batch, Field, Spec, Target
from benchdog.builtin.tasks.classification import Classification
from benchdog.builtin.tasks.language import NextToken
from benchdog.builtin.tasks.metrics import meters
from benchdog.builtin.tasks.options import NextTokenOptions, RegressionOptions
from benchdog.builtin.tasks.regression import Regression
from benchdog.builtin.tasks.segmentation import Segmentation
from support.task_cases import fixed

IMAGE = Field(kind="image", shape=(1, 4, 5), dtype="uint8")
TOKENS = Field(kind="tokens", shape=(6,), dtype="int64")
LETTERS = ("a", "b", "c")


def spec_of(kind, *, classes=(), shape=(), field=IMAGE):
    return Spec(fields=(field,), target=Target(kind=kind, classes=classes, shape=shape))


def regression(loss="mse"):
    return Regression(RegressionOptions(loss=loss))


CASES = {
    "classification": (Classification(), spec_of("class", classes=LETTERS)),
    "binary": (Classification(), spec_of("class", classes=LETTERS[:2])),
    "regression": (regression(), spec_of("number")),
    "several": (regression("huber"), spec_of("number", shape=(2,))),
    "segmentation": (Segmentation(), spec_of("mask", classes=LETTERS, shape=(4, 5))),
    "next-token": (
        NextToken(NextTokenOptions()),
        spec_of("next-token", classes=LETTERS, shape=(6,), field=TOKENS),
    ),
}


def draw(name, n, seed=0):
    """Make scores and targets of `n` samples."""
    task, spec = CASES[name]
    g = torch.Generator().manual_seed(seed)
    score = torch.randn((n, *task.output(spec)), generator=g)
    if spec.target.kind == "number":
        return score, torch.randn((n, *spec.target.shape), generator=g)
    return score, torch.randint(0, spec.classes, (n, *spec.target.shape), generator=g)


def measure(task, spec, score, target, cuts=()):
    meter = task.meter(spec)
    edges = [0, *sorted(cuts), len(score)]
    for a, b in pairwise(edges):
        meter.add(score[a:b], Batch((), target[a:b]))
    return meter.value()


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_same(value, other[name])
        else:
            np.testing.assert_allclose(value, other[name], rtol=1e-6, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_task_members_follow_the_contract(name):
    task, spec = CASES[name]
    task.check(spec)
    score, target = draw(name, 7)
    answer = task.head(spec)(score)
    total, weight = task.loss(score, Batch((), target))
    assert task.monitor in measure(task, spec, score, target)
    assert task.better in ("max", "min")
    assert answer.shape[0] == 7
    assert total.shape == ()
    assert weight == target.numel()
    assert float(total) > 0


@pytest.mark.parametrize("name", CASES)
def test_loss_adds_up_over_micro_batches_and_has_a_gradient(name):
    task, _ = CASES[name]
    score, target = draw(name, 9)
    score.requires_grad_()
    whole, weight = task.loss(score, Batch((), target))
    parts = [task.loss(score[a:b], Batch((), target[a:b])) for a, b in ((0, 4), (4, 9))]
    torch.testing.assert_close(whole, parts[0][0] + parts[1][0])
    assert weight == parts[0][1] + parts[1][1]
    whole.backward()
    assert score.grad.abs().sum() > 0


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(CASES)),
    cuts=st.lists(st.integers(0, 25), max_size=5),
    owner=st.lists(st.booleans(), min_size=6, max_size=6),
    seed=st.integers(0, 3),
)
def test_merged_meters_equal_one_meter(name, cuts, owner, seed):
    task, spec = CASES[name]
    score, target = draw(name, 25, seed)
    meters = task.meter(spec), task.meter(spec)
    edges = [0, *sorted(cuts), 25]
    for a, b, second in zip(edges, edges[1:], owner, strict=False):
        meters[second].add(score[a:b], Batch((), target[a:b]))
    merged = task.meter(spec)
    for meter in meters:
        merged.merge(meter.state())
    assert_same(merged.value(), measure(task, spec, score, target))


@pytest.mark.parametrize("name", CASES)
def test_meter_state_is_a_snapshot_that_can_be_resumed(name):
    task, spec = CASES[name]
    score, target = draw(name, 10)
    meter = task.meter(spec)
    meter.add(score[:4], Batch((), target[:4]))
    state = meter.state()
    kept = copy.deepcopy(state)
    meter.add(score[4:], Batch((), target[4:]))
    assert all(torch.equal(state[key], kept[key]) for key in kept)
    resumed = task.meter(spec)
    resumed.merge(state)
    resumed.add(score[4:], Batch((), target[4:]))
    assert_same(resumed.value(), meter.value())


@pytest.mark.parametrize("name", CASES)
def test_empty_meter_has_a_value(name):
    task, spec = CASES[name]
    value = task.meter(spec).value()
    assert np.isnan(value["loss"])


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), classes=st.integers(2, 6), n=st.integers(2, 60), coarse=st.booleans())
def test_classification_metrics_equal_scikit_learn(seed, classes, n, coarse):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(n, classes)).astype(np.float32)
    score = score.round() if coarse else score  # many ties
    target = rng.integers(0, classes, n)
    spec = spec_of("class", classes=tuple("abcdef"[:classes]))
    value = measure(Classification(), spec, torch.from_numpy(score), torch.from_numpy(target), cuts=(n // 2,))
    # torch and numpy both take the first of equal scores.
    predicted = torch.from_numpy(score).max(1).indices.numpy()
    assert value["accuracy"] == pytest.approx(sk.accuracy_score(target, predicted))
    assert value["macro_f1"] == pytest.approx(sk.f1_score(target, predicted, average="macro", zero_division=0))
    labels = list(range(classes))
    assert value["confusion"] == sk.confusion_matrix(target, predicted, labels=labels).tolist()
    columns = sk.precision_recall_fscore_support(target, predicted, labels=labels, zero_division=0)
    for i, row in enumerate(value["per_class"].values()):
        assert list(row.values()) == pytest.approx([column[i] for column in columns])
    probability = torch.from_numpy(score).double().softmax(1).numpy()
    assert value["loss"] == pytest.approx(sk.log_loss(target, probability, labels=labels), rel=1e-5)
    there = set(target.tolist())
    if len(there) == 1:
        assert "roc_auc" not in value
    elif classes == 2:
        margin = score[:, 1].astype(np.float64) - score[:, 0]
        assert value["roc_auc"] == pytest.approx(sk.roc_auc_score(target, margin))
    else:
        areas = [sk.roc_auc_score(target == k, probability[:, k]) for k in there]
        assert value["roc_auc"] == pytest.approx(np.mean(areas))


def test_roc_auc_is_exact_where_float32_probabilities_saturate():
    target = torch.arange(100) % 2
    score = torch.stack([torch.zeros(100), 40 + torch.arange(100.0) / 100], 1)
    value = measure(Classification(), spec_of("class", classes=("n", "y")), score, target)
    assert value["roc_auc"] == pytest.approx(sk.roc_auc_score(target, score[:, 1]))


def test_roc_auc_is_omitted_above_sample_limit(monkeypatch):
    monkeypatch.setattr(meters, "RANKED", 20)
    spec = spec_of("class", classes=LETTERS)
    score, target = draw("classification", 6)
    meter = Classification().meter(spec)
    meter.add(score, Batch((), target))
    assert "roc_auc" in meter.value()
    other = Classification().meter(spec)
    other.merge(meter.state())
    other.add(score[:1], Batch((), target[:1]))
    assert "roc_auc" not in other.value()
    assert other.state()["scores"].numel() == 0
    meter.merge(other.state())
    assert "roc_auc" not in meter.value()
    assert meter.value()["accuracy"] > 0 or meter.value()["confusion"]


def test_nan_scores_yield_nan_metrics():
    score = torch.tensor([[1.0, float("nan")], [0.0, 1.0]])
    value = measure(Classification(), spec_of("class", classes=("n", "y")), score, torch.tensor([0, 1]))
    assert np.isnan(value["loss"])
    assert np.isnan(value["roc_auc"])


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(2, 50),
    k=st.integers(1, 3),
    offset=st.sampled_from([0.0, 1e3, -1e5]),
    fit=st.booleans(),
)
def test_regression_metrics_equal_scikit_learn_in_target_units(seed, n, k, offset, fit):
    rng = np.random.default_rng(seed)
    target = (rng.normal(size=(n, k)) * 3 + offset).astype(np.float32)
    task = regression()
    if fit:
        task.fit([torch.from_numpy(target)])
    score = torch.from_numpy(rng.normal(size=(n, k)).astype(np.float32))
    predicted = score.double().numpy() * task.std.numpy() + task.mean.numpy()
    given_target = torch.from_numpy(target if k > 1 else target[:, 0])
    spec = spec_of("number", shape=(k,) if k > 1 else ())
    value = measure(task, spec, score, given_target, cuts=(n // 3,))
    assert value["mae"] == pytest.approx(sk.mean_absolute_error(target, predicted), rel=1e-6)
    assert value["rmse"] == pytest.approx(sk.root_mean_squared_error(target, predicted), rel=1e-6)
    assert value["r2"] == pytest.approx(sk.r2_score(target, predicted), rel=1e-6, abs=1e-6)
    answer = task.head(spec)(score).numpy()
    np.testing.assert_allclose(answer, predicted, rtol=1e-5, atol=1e-4)
    assert ("per_target" in value) == (k > 1)


def test_regression_on_constant_target():
    task = regression()
    task.fit([torch.full((5,), 7.0)])
    assert task.state() == {"mean": [7.0], "std": [1.0]}
    value = measure(task, spec_of("number"), torch.zeros(4, 1), torch.full((4,), 7.0))
    assert (value["rmse"], value["r2"]) == (0, 1)
    assert measure(task, spec_of("number"), torch.ones(4, 1), torch.full((4,), 7.0))["r2"] == 0


@pytest.mark.parametrize(
    ("loss", "criterion"), [("mse", nn.MSELoss()), ("mae", nn.L1Loss()), ("huber", nn.HuberLoss())]
)
def test_regression_loss_uses_standardized_targets(loss, criterion):
    task = regression(loss)
    target = torch.tensor([[10.0, -1], [30.0, 5], [20.0, 2]])
    task.fit(iter([target[:2], target[2:]]))
    score = torch.tensor([[0.5, 1], [-2.0, 0.3], [0.1, 0.0]])
    total, weight = task.loss(score, Batch((), target))
    standardized = (target - target.mean(0)) / target.std(0, correction=0)
    torch.testing.assert_close(total / weight, criterion(score, standardized))


def test_regression_state_round_trips_into_its_head():
    task, other = regression(), regression()
    target = torch.randn(50, dtype=torch.float64) * 4 + 1e6
    task.fit([target[:13], target[13:], target[:0]])
    assert task.state()["std"][0] == pytest.approx(target.std(correction=0).item())
    other.restore(task.state())
    spec = spec_of("number")
    score = torch.randn(5, 1)
    assert torch.equal(other.head(spec)(score), task.head(spec)(score))
    assert other.state() == task.state()
    one_for_all = regression().head(spec_of("number", shape=(3,)))
    assert torch.equal(one_for_all(torch.ones(2, 3)), torch.ones(2, 3))


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), classes=st.integers(2, 4), rare=st.booleans())
def test_mask_metrics_equal_scikit_learn(seed, classes, rare):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(3, classes, 4, 5)).astype(np.float32)
    target = rng.integers(0, 1 if rare else classes, (3, 4, 5))
    spec = spec_of("mask", classes=tuple("abcd"[:classes]), shape=(4, 5))
    value = measure(Segmentation(), spec, torch.from_numpy(score), torch.from_numpy(target), cuts=(1,))
    predicted = score.argmax(1).reshape(-1)
    true = target.reshape(-1)
    met = [k for k in range(1, classes) if k in true or k in predicted]
    iou = sk.jaccard_score(true, predicted, labels=met, average=None, zero_division=0)
    dice = sk.f1_score(true, predicted, labels=met, average=None, zero_division=0)
    assert value["iou"] == pytest.approx(iou.mean())
    assert value["dice"] == pytest.approx(dice.mean())
    assert value["pixel_accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    assert value["confusion"] == sk.confusion_matrix(true, predicted, labels=range(classes)).tolist()


def test_mask_without_foreground_has_iou_and_dice_0():
    spec = spec_of("mask", classes=("ground", "cell"), shape=(2, 2))
    score = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    value = measure(Segmentation(), spec, score, torch.zeros(1, 2, 2, dtype=torch.int64))
    assert (value["iou"], value["dice"], value["pixel_accuracy"]) == (0, 0, 1)


def test_segmentation_of_volumes_with_uint8_masks():
    spec = spec_of(
        "mask",
        classes=LETTERS,
        shape=(2, 3, 4),
        field=Field(kind="volume", shape=(1, 2, 3, 4), dtype="int16"),
    )
    task = Segmentation()
    task.check(spec)
    score = torch.randn(2, *fixed(task.output(spec)))
    target = torch.randint(0, 3, (2, 2, 3, 4), dtype=torch.uint8)
    assert measure(task, spec, score, target)["pixel_accuracy"] >= 0
    answer = task.head(spec)(score)
    assert answer.dtype == torch.uint8
    assert torch.equal(answer.long(), score.argmax(1))


def test_next_token_metrics():
    task, spec = CASES["next-token"]
    score, target = draw("next-token", 8)
    value = measure(task, spec, score, target, cuts=(3,))
    expected = nn.functional.cross_entropy(score.flatten(0, 1), target.flatten()).item()
    assert value["loss"] == pytest.approx(expected, rel=1e-6)
    assert value["perplexity"] == pytest.approx(np.exp(expected), rel=1e-6)
    assert value["accuracy"] == pytest.approx((score.argmax(-1) == target).float().mean().item())


@pytest.mark.parametrize(
    ("task", "spec", "message"),
    [
        (Classification(), spec_of("number"), "a number"),
        (Classification(), spec_of("class", classes=("a",)), "at least 2"),
        (regression(), spec_of("class", classes=LETTERS), "a class"),
        (regression(), spec_of("number", shape=(2, 2)), "(k,)"),
        (Segmentation(), spec_of("class", classes=LETTERS), "a class"),
        (Segmentation(), spec_of("mask", classes=LETTERS, shape=(6,), field=TOKENS), "needs an image or a volume"),
        (Segmentation(), spec_of("mask", classes=("a",), shape=(4, 5)), "2 to 256"),
        (Segmentation(), spec_of("mask", classes=LETTERS, shape=(9, 9)), "(9, 9)"),
        (NextToken(NextTokenOptions()), spec_of("class", classes=LETTERS), "tokens"),
        (NextToken(NextTokenOptions()), spec_of("next-token", field=TOKENS), "vocabulary"),
    ],
)
def test_unsuitable_task_is_refused_with_a_reason(task, spec, message):
    with pytest.raises(BadUsage, match="The task") as caught:
        task.check(spec)
    assert caught.value.hint
    assert message in str(caught.value)


def test_regression_fit_refuses_empty_and_nan_targets():
    with pytest.raises(BadData, match="no target"):
        regression().fit([])
    with pytest.raises(BadData, match="infinite"):
        regression().fit([torch.tensor([1.0, float("nan")])])


def test_regression_hint_for_integer_targets_treated_as_classes() -> None:
    spec = Spec(fields=(Field(kind="table", shape=(1,), dtype="float32"),), target=Target(kind="class"))
    with pytest.raises(BadUsage, match="target is a class") as caught:
        Regression(RegressionOptions()).check(spec)
    assert '--set source.kind="number"' in caught.value.hint
