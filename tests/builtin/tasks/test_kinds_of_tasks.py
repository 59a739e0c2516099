"""Losses of the segmentation, ordinal, multi-label and embedding tasks."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from benchdog.api import BadUsage, Batch
from benchdog.builtin.tasks.embedding import Embedding
from benchdog.builtin.tasks.options import EmbeddingOptions, OrdinalOptions, SegmentationOptions
from benchdog.builtin.tasks.ordinal import Levels, Ordinal
from benchdog.builtin.tasks.segmentation import Segmentation
from support.task_cases import BY_NAME, IGNORED, MIXED, labels, loss_of, ordinal, segmentation, spec_of

# --- masks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["cross-entropy", "focal", "dice", "dice+cross-entropy", "batch-dice"])
def test_ignored_pixels_do_not_change_the_loss(loss):
    case = segmentation(loss=loss, class_weights=BY_NAME)
    task = case.task()
    score, target = case.scores(6, 0), case.targets(6, 0)
    before = loss_of(task, score, target)
    changed = score + 5 * torch.randn(score.shape) * (target == IGNORED).unsqueeze(1)
    after = loss_of(task, changed, target)
    torch.testing.assert_close(before[0], after[0])
    assert before[1] == pytest.approx(after[1])
    assert (before[2] * (target == IGNORED).unsqueeze(1)).abs().max() == 0
    all_ignored = torch.full_like(target, IGNORED)
    total, weight, gradient = loss_of(task, score, all_ignored)
    assert (float(total), weight, float(gradient.abs().max())) == (0, 0, 0)
    # A fully ignored sample changes nothing.
    if loss != "batch-dice":
        more = loss_of(task, torch.cat([score, score]), torch.cat([target, all_ignored]))
        torch.testing.assert_close(more[0], before[0])
        assert more[1] == pytest.approx(before[1])


def test_dice_loss_value():
    spec = spec_of("mask", (1, 4), classes=("ground", "cell"))
    target = torch.tensor([[[0, 1, 1, 0]]])
    score = torch.tensor([[0.0, 0.0, 0.0, 0.0], [0.0, 30.0, -30.0, 30.0]]).view(1, 2, 1, 4)
    # Of the cell: 0.5 + 1 + 0 + 1 predicted, 2 actual, intersection 1; smoothed by 1 pixel.
    expected = 1 - (2 * 1 + 1) / (2.5 + 2 + 1)
    task = Segmentation(SegmentationOptions(loss="dice"))
    task.check(spec_of("mask", (3, 4)))
    total, weight = task.loss(score, Batch((), target))
    assert float(total) == pytest.approx(expected)
    assert float(weight) == 1
    both = Segmentation(SegmentationOptions(loss="dice+cross-entropy")).loss(score, Batch((), target))
    assert float(both[0]) == pytest.approx(expected + float(F.cross_entropy(score, target)))
    assert spec.classes == 2


def test_batch_dice_depends_on_the_whole_batch():
    case = MIXED["batch-dice"]
    task = case.task()
    assert not task.adds_up
    score, target = case.scores(6, 1), case.targets(6, 1)
    whole = task.loss(score, Batch((), target))
    parts = [task.loss(score[a:b], Batch((), target[a:b])) for a, b in ((0, 3), (3, 6))]
    assert float(whole[1]) == sum(float(part[1]) for part in parts)
    assert float(whole[0]) != pytest.approx(sum(float(part[0]) for part in parts), rel=1e-4)


# --- order -----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 100), classes=st.integers(2, 7), scale=st.sampled_from([0.1, 3.0, 60.0]))
def test_ordinal_probabilities_are_consistent_and_sum_to_1(seed, classes, scale):
    g = torch.Generator().manual_seed(seed)
    score = torch.randn((50, classes - 1), generator=g) * scale
    levels = Levels(torch.randn(classes - 1, generator=g))
    falling = levels(score)
    assert (falling.diff(dim=1) <= 0).all()
    shares = levels.log_shares(score)
    assert shares.isfinite().all()
    torch.testing.assert_close(shares.exp().sum(1), torch.ones(50), rtol=1e-5, atol=1e-5)
    above = shares.exp().flip(1).cumsum(1).flip(1)[:, 1:]
    torch.testing.assert_close(above, falling.sigmoid(), rtol=1e-4, atol=1e-5)


def test_ordinal_thresholds_are_initialized_from_class_frequencies():
    case = ordinal()
    task = case.make()
    task.check(case.spec)
    codes = torch.tensor([0] * 50 + [1] * 20 + [2] * 5 + [3] * 25)
    task.fit([codes])
    shares = task.head(case.spec)(torch.zeros(1, 3))
    # One is added to each count.
    torch.testing.assert_close(shares[0], torch.tensor([51.0, 21.0, 6.0, 26.0]) / 104, rtol=1e-4, atol=1e-5)
    other = case.make()
    other.check(case.spec)
    other.restore(task.state())
    score = torch.randn(4, 3)
    assert torch.equal(other.head(case.spec)(score), task.head(case.spec)(score))
    answer = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1]])
    torch.testing.assert_close(task.head(case.spec)(task.score_of(answer)), answer, rtol=1e-4, atol=1e-5)


def test_ordinal_likelihood_loss_is_cross_entropy_of_the_prediction():
    case = ordinal(loss="likelihood")
    task = case.task()
    score, codes = case.scores(9, 0), case.targets(9, 0)
    total, weight = task.loss(score, Batch((), codes))
    torch.testing.assert_close(total / weight, F.nll_loss(task.head(case.spec)(score).log(), codes))


@pytest.mark.parametrize(
    ("classes", "order", "ranks", "noted"),
    [
        (("10", "9", "100", "1"), (), [2, 1, 3, 0], False),
        (("-1", "-10", "0.5"), (), [1, 0, 2], False),
        (("high", "low", "medium"), ("low", "medium", "high"), [2, 0, 1], False),
        (("low", "medium", "high"), (), [0, 1, 2], True),
    ],
)
def test_ordinal_class_order_by_option_value_or_listing(classes, order, ranks, noted):
    task = Ordinal(OrdinalOptions(order=order))
    spec = spec_of("class", classes=classes)
    task.check(spec)
    assert task._ranks == ranks
    assert bool(task.notes) == noted
    assert all("low < medium < high" in note for note in task.notes)


@pytest.mark.parametrize(
    ("order", "message"),
    [(("low", "high"), "every class once"), (("low", "mid"), "not a class"), (("low",) * 3, "once")],
)
def test_invalid_ordinal_class_order_is_refused(order, message):
    with pytest.raises(BadUsage, match=message):
        Ordinal(OrdinalOptions(order=order)).check(spec_of("class", classes=("low", "medium", "high")))


# --- labels and vectors ----------------------------------------------------------------------------


def test_balanced_pos_weight_of_rare_labels():
    case = labels(pos_weight="balanced")
    task = case.make()
    rows = torch.zeros(10, 4)
    rows[:2, 0] = 1
    rows[:5, 1] = 1
    rows[:, 3] = 1
    task.fit([rows[:3], rows[3:]])
    assert task.state()["pos_weight"] == pytest.approx([4, 1, 10, 0.1])
    score = torch.randn(10, 4)
    expected = F.binary_cross_entropy_with_logits(score, rows, pos_weight=torch.tensor([4.0, 1, 10, 0.1]))
    total, weight = task.loss(score, Batch((), rows))
    torch.testing.assert_close(total / weight, expected)
    other = case.make()
    other.restore(task.state())
    assert other.state() == task.state()


def test_contrastive_loss_value():
    task = Embedding(EmbeddingOptions(dim=2, temperature=0.5))
    score = torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [-1.0, 0.0]])
    codes = torch.tensor([0, 1, 0, 2])
    unit = F.normalize(score, dim=1)
    near = (unit @ unit.T / 0.5).exp()
    first = -torch.log(near[0, 2] / (near[0, 1] + near[0, 2] + near[0, 3]))
    third = -torch.log(near[2, 0] / (near[2, 0] + near[2, 1] + near[2, 3]))
    total, weight = task.loss(score, Batch((), codes))
    assert float(weight) == 2  # the others have no pair
    torch.testing.assert_close(total, first + third)
    torch.testing.assert_close(
        task.losses(score, Batch((), codes)), torch.stack([first, total * 0, third, total * 0])
    )


@pytest.mark.parametrize("n", [1, 3])
def test_contrastive_loss_without_pairs_is_zero(n):
    task = Embedding(EmbeddingOptions(dim=2))
    total, weight, gradient = loss_of(task, torch.randn(n, 2), torch.arange(n))
    assert (float(total), weight, float(gradient.abs().max())) == (0, 0, 0)
    assert not task.adds_up
