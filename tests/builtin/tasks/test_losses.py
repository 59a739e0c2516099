"""Losses: additive over micro-batches, class indices equal one-hot targets, agreement with torch's criteria."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from benchdog.api import BadData, BadUsage, Batch
from benchdog.builtin.tasks.classification import Classification
from benchdog.builtin.tasks.embedding import Embedding
from benchdog.builtin.tasks.options import (
    ClassificationOptions,
    RegressionOptions,
    SegmentationOptions,
)
from benchdog.builtin.tasks.ordinal import Ordinal
from benchdog.builtin.tasks.regression import Regression
from benchdog.builtin.tasks.segmentation import Segmentation
from support.task_cases import (
    BY_NAME,
    CASES,
    MIXED,
    NAMES,
    classification,
    labels,
    loss_of,
    segmentation,
    spec_of,
)

SOFT = sorted(name for name, case in {**CASES, **MIXED}.items() if case.soft)


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from(sorted(CASES)),
    n=st.integers(1, 11),
    cuts=st.lists(st.integers(1, 10), max_size=4),
    soft=st.booleans(),
    seed=st.integers(0, 5),
)
def test_losses_add_up_over_micro_batches(name, n, cuts, soft, seed):
    case = CASES[name]
    task = case.task()
    assert getattr(task, "adds_up", True)
    score = case.scores(n, seed)
    target = case.blended(n, seed) if soft and case.soft else case.targets(n, seed)
    total, weight, gradient = loss_of(task, score, target)
    edges = [0, *sorted({cut for cut in cuts if cut < n}), n]
    parts = [loss_of(task, score[a:b], target[a:b]) for a, b in pairwise(edges)]
    torch.testing.assert_close(sum(part[0] for part in parts), total, rtol=1e-5, atol=1e-5)
    assert sum(part[1] for part in parts) == pytest.approx(weight, rel=1e-6)
    torch.testing.assert_close(torch.cat([part[2] for part in parts]), gradient, rtol=1e-5, atol=1e-6)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", sorted(CASES))
def test_losses_are_finite_and_decrease_in_training(name):
    case = CASES[name]
    task = case.task()
    score, target = case.scores(12, 0).requires_grad_(), case.targets(12, 0)
    optimizer = torch.optim.Adam([score], 0.1)
    means = []
    for _ in range(30):
        total, weight = task.loss(score, Batch((), target))
        means.append(float(total.detach()) / float(weight))
        optimizer.zero_grad()
        (total / weight).backward()
        optimizer.step()
    assert np.isfinite(means).all()
    assert means[-1] < means[0]


@pytest.mark.parametrize("name", SOFT)
def test_class_indices_equal_one_hot_targets(name):
    case = {**CASES, **MIXED}[name]
    task = case.task()
    score, codes = case.scores(9, 3), case.targets(9, 3)
    hard = loss_of(task, score, codes)
    soft = loss_of(task, score, F.one_hot(codes, len(NAMES)).float())
    torch.testing.assert_close(hard[0], soft[0], rtol=1e-5, atol=1e-6)
    assert hard[1] == pytest.approx(soft[1])
    torch.testing.assert_close(hard[2], soft[2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", ["none", "balanced", BY_NAME])
def test_class_weighted_loss_equals_torch_cross_entropy(weights, smoothing):
    case = classification(class_weights=weights, label_smoothing=smoothing)
    task = case.task()
    score, codes = case.scores(30, 1), case.targets(30, 1)
    values = task.weights.on(score.device)
    expected = nn.CrossEntropyLoss(weight=values, label_smoothing=smoothing)(score, codes)
    total, weight = task.loss(score, Batch((), codes))
    torch.testing.assert_close(total / weight, expected)


def test_balanced_class_weights_equal_scikit_learn_and_round_trip():
    from sklearn.utils.class_weight import compute_class_weight

    case = classification(class_weights="balanced")
    codes = torch.tensor([0, 0, 0, 1, 2, 2, 3, 3, 3, 3])
    task = case.make()
    task.check(case.spec)
    task.fit([codes[:4], codes[4:]])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=codes.numpy())
    assert task.state()["class_weights"] == pytest.approx(expected)
    other = case.make()
    other.check(case.spec)
    other.restore(task.state())
    assert other.state() == task.state()
    task.fit([torch.tensor([0, 0, 1])])  # an absent class counts as one sample
    assert task.state()["class_weights"] == pytest.approx([3 / 8, 3 / 4, 3 / 4, 3 / 4])
    with pytest.raises(BadData, match="no target"):
        task.fit([])


def test_fit_reads_no_targets_when_nothing_is_fitted():
    def targets():
        raise AssertionError("read")
        yield

    for task in (Classification(), Segmentation(), labels().make()):
        task.fit(targets())
        assert task.state() == {}
        task.restore({})


def test_focal_loss_equals_cross_entropy_at_gamma_0_and_stays_finite():
    score, codes = torch.randn(20, 4), torch.randint(0, 4, (20,))
    plain, flat, focal = (
        Classification(ClassificationOptions(criterion=c, gamma=g)).loss(score, Batch((), codes))[0]
        for c, g in (("cross-entropy", 0.0), ("focal", 0.0), ("focal", 2.0))
    )
    torch.testing.assert_close(plain, flat)
    p = score.softmax(1).gather(1, codes[:, None])[:, 0]
    torch.testing.assert_close(focal, (-((1 - p) ** 2) * p.log()).sum())
    for gamma in (0.5, 1.0, 3.0):  # the gradient stays finite at a loss of 0
        sure = torch.tensor([[200.0, 0.0, 0.0, 0.0]], requires_grad=True)
        task = Classification(ClassificationOptions(criterion="focal", gamma=gamma))
        task.loss(sure, Batch((), torch.tensor([0])))[0].backward()
        assert sure.grad is not None
        assert sure.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("CrossEntropyLoss", {}, lambda s, y: nn.CrossEntropyLoss()(s, y)),
        ("NLLLoss", {}, lambda s, y: nn.CrossEntropyLoss()(s, y)),
        ("MultiMarginLoss", {"margin": 0.5}, lambda s, y: nn.MultiMarginLoss(margin=0.5)(s, y)),
        ("BCEWithLogitsLoss", {}, lambda s, y: nn.BCEWithLogitsLoss()(s, F.one_hot(y, 4).float())),
        ("MSELoss", {}, lambda s, y: nn.MSELoss()(s.softmax(1), F.one_hot(y, 4).float())),
        ("HuberLoss", {"delta": 0.1}, lambda s, y: nn.HuberLoss(delta=0.1)(s.softmax(1), F.one_hot(y, 4).float())),
        ("SoftMarginLoss", {}, lambda s, y: nn.SoftMarginLoss()(s, 2 * F.one_hot(y, 4).float() - 1)),
        (
            "MultiLabelSoftMarginLoss",
            {},
            lambda s, y: nn.MultiLabelSoftMarginLoss()(s, F.one_hot(y, 4).float()),
        ),
        (
            "KLDivLoss",
            {},
            lambda s, y: nn.KLDivLoss(reduction="batchmean")(s.log_softmax(1), F.one_hot(y, 4).float()),
        ),
    ],
)
def test_torch_criterion_by_name_equals_its_mean(name, given, expected):
    case = classification(criterion=name, criterion_options=given)
    task = case.task()
    score, codes = case.scores(11, 2), case.targets(11, 2)
    total, weight = task.loss(score, Batch((), codes))
    torch.testing.assert_close(total / weight, expected(score, codes))


MINE = """
import torch
from torch import nn

class PerSample(nn.Module):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
    def forward(self, score, codes):
        return self.scale * (score.logsumexp(1) - score.gather(1, codes[:, None])[:, 0])

class Mean(nn.Module):
    def forward(self, score, target):
        return (score - target.view(len(score), -1).float()).square().mean()

class Learns(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

class Odd(nn.Module):
    def forward(self, score, target):
        return score[:1]

class Fails(nn.Module):
    def forward(self, score, target):
        raise ValueError("no such luck")
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "my_criteria.py").write_text(MINE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("mine")
def test_custom_criterion_per_sample():
    case = classification(criterion="my_criteria:PerSample", criterion_options={"scale": 2.0})
    task = case.task()
    assert task.adds_up
    score, codes = case.scores(8, 0), case.targets(8, 0)
    torch.testing.assert_close(
        task.loss(score, Batch((), codes))[0], 2 * F.cross_entropy(score, codes, reduction="sum")
    )
    shares = case.blended(8, 0)
    torch.testing.assert_close(
        task.loss(score, Batch((), shares))[0], 2 * F.cross_entropy(score, shares, reduction="sum")
    )


@pytest.mark.usefixtures("mine")
def test_custom_criterion_with_batch_mean_does_not_add_up():
    task = Regression(RegressionOptions(loss="my_criteria:Mean"))
    task.check(spec_of("number", (2,), classes=()))
    assert not task.adds_up
    score, target = torch.randn(6, 2), torch.randn(6, 2)
    total, weight = task.loss(score, Batch((), target))
    torch.testing.assert_close(total / weight, F.mse_loss(score, target))


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"criterion": "CrossEntropyLos"}, "no criterion"),
        ({"criterion": "CTCLoss"}, "no criterion"),
        ({"criterion": "nowhere:Loss"}, "can't be imported"),
        ({"criterion": "my_criteria:Learns"}, "parameters of its own"),
        ({"criterion": "my_criteria:Odd"}, "no loss per sample"),
        ({"criterion": "my_criteria:Fails"}, "no such luck"),
        ({"criterion": "MultiMarginLoss", "criterion_options": {"margn": 1.0}}, "no argument 'margn'"),
        ({"criterion": "MultiMarginLoss", "criterion_options": {"margin": "wide"}}, "margin"),
        ({"criterion": "MultiMarginLoss", "criterion_options": {"weight": [1, 2]}}, "can't be chosen"),
        ({"criterion": "MultiMarginLoss", "criterion_options": {"reduction": "sum"}}, "can't be chosen"),
        ({"criterion": "KLDivLoss", "criterion_options": {"log_target": True}}, "can't be chosen"),
        ({"criterion": "HuberLoss", "criterion_options": {"delta": -1.0}}, "delta"),
        ({"criterion": "focal", "criterion_options": {"gamma": 1}}, "takes no criterion_options"),
        ({"class_weights": {"eleven": 2.0}}, "'eleven', which is not a class"),
        ({"class_weights": {"9": -1.0}}, "counts -1"),
        ({"class_weights": {"9": float("nan")}}, "counts nan"),
        ({"class_weights": dict.fromkeys(NAMES, 0.0)}, "no class count"),
    ],
)
def test_invalid_classification_options_are_refused(options, message):
    with pytest.raises(BadUsage, match=message) as caught:
        classification(**options).task()
    assert caught.value.hint or "margin" in message
    assert "Traceback" not in str(caught.value)


def test_invalid_options_of_other_tasks_are_refused():
    with pytest.raises(BadUsage, match="not a code beyond"):
        Segmentation(SegmentationOptions(ignore=2)).check(segmentation().spec)
    weights = dict.fromkeys(NAMES[1:], 0.0)
    with pytest.raises(BadUsage, match="but the background"):
        Segmentation(SegmentationOptions(loss="dice", class_weights=weights)).check(segmentation().spec)
    with pytest.raises(BadUsage, match="takes no loss_options"):
        Regression(RegressionOptions(loss="mse", loss_options={"a": 1})).check(spec_of("number", classes=()))
    with pytest.raises(BadUsage, match="no criterion"):
        Regression(RegressionOptions(loss="NLLLoss")).check(spec_of("number", classes=()))
    with pytest.raises(BadUsage, match="needs labels"):
        labels().make().check(spec_of("class"))
    with pytest.raises(BadUsage, match="named labels"):
        labels().make().check(spec_of("labels", (3,)))
    for name in ("ordinal", "embedding"):
        task = {"ordinal": Ordinal, "embedding": Embedding}[name]()
        with pytest.raises(BadUsage, match="2 classes or more"):
            task.check(spec_of("number", classes=()))
