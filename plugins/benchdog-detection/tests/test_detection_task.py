"""Head, loss and answers of the task, by hand."""

import numpy as np
import pytest
import torch

from benchdog.api import Answer, BadUsage, Batch, Field, Spec, Target
from benchdog_detection.answers import answer, place
from benchdog_detection.boxes import PADDING, detections, iou
from benchdog_detection.model import build
from benchdog_detection.options import DetectionOptions, DetectorOptions
from benchdog_detection.task import Detection

TARGET = Target(kind="boxes", classes=("cat", "dog"), shape=(None, 5), dtype="float32", padding=PADDING)
SPEC = Spec(fields=(Field(kind="image", shape=(3, 32, 48), dtype="uint8", range=(0, 255)),), target=TARGET)


def made(**options):
    task = Detection(DetectionOptions(**options))
    task.check(SPEC)
    return task


def score_with(*found):
    """Return a score (1, 6, 8, 12) with a peak for each (row, column, class, logit) and sides of 8 pixels."""
    score = torch.full((1, 6, 8, 12), -6.0)
    score[:, :4] = float(np.log(2))  # two cells of four pixels
    for row, column, code, logit in found:
        score[0, 4 + code, row, column] = logit
    score[0, 4:] += torch.linspace(0, 1e-3, 2 * 96).view(
        2, 8, 12
    )  # no plateau: no peaks but these and a few low ones
    return score


def test_head_returns_the_likeliest_boxes_first():
    found = made(outputs=20).head(SPEC)(score_with((2, 3, 1, 2.0), (6, 9, 0, 4.0)))
    assert found.shape == (1, 20, 6)
    assert found[0, 0, :4].tolist() == pytest.approx([30, 18, 46, 32], abs=1e-4)  # cut off at the lower edge
    assert found[0, 0, 5] == 0
    assert found[0, 0, 4] == pytest.approx(torch.tensor(4.0).sigmoid().item(), abs=1e-3)
    assert found[0, 1, :4].tolist() == pytest.approx([6, 2, 22, 18], abs=1e-4)
    assert found[0, 1, 5] == 1
    assert found[0, -1].tolist() == [PADDING] * 6


def test_answer_leaves_out_padding_and_what_is_unlikely():
    prediction = made().head(SPEC)(score_with((2, 3, 1, 2.0), (6, 9, 0, 4.0))).numpy()
    call = lambda *_: (prediction, prediction)  # noqa: E731
    (both,) = answer(call, (), SPEC, DetectionOptions(threshold=0.5))
    assert (both.values["count"], [box["label"] for box in both.values["boxes"]]) == (2, ["cat", "dog"])
    (likely,) = answer(call, (), SPEC, DetectionOptions(threshold=0.95))
    assert likely.values["boxes"][0]["box"] == [30.0, 18.0, 46.0, 32.0]
    (few,) = answer(call, (), SPEC, DetectionOptions(threshold=0.0, limit=1))
    assert few.values["count"] == 1


def test_boxes_are_placed_in_the_image_file():
    given = Answer({"count": 1, "boxes": [{"label": "cat", "probability": 0.9, "box": [12.0, 8.0, 24.0, 32.0]}]}, "a")
    placed = place(given, (10.0, 0.0, 96.0, 96.0), SPEC, None)
    assert placed.values["boxes"][0]["box"] == [34.0, 24.0, 58.0, 96.0]
    assert placed.id == "a"


def test_overlapping_boxes_of_a_class_are_dropped():
    rows = np.array(
        [[0, 0, 10, 10, 0.9, 0], [1, 0, 11, 10, 0.8, 0], [1, 0, 11, 10, 0.7, 1], [20, 0, 30, 10, 0.6, 0]], np.float32
    )
    padded = np.concatenate([rows, np.full((2, 6), PADDING, np.float32)])
    assert detections(padded, 0.6)[:, 4].tolist() == pytest.approx([0.9, 0.7, 0.6])
    assert len(detections(padded, 1.0)) == 4
    assert iou(rows[:1, :4], rows[1:2, :4])[0, 0] == pytest.approx(90 / 110)


def batch(*images, weight=None):
    target = np.full((len(images), 3, 5), PADDING, np.float32)
    for row, each in zip(target, images, strict=True):
        row[: len(each)] = np.reshape(each, (-1, 5))
    return Batch((), torch.from_numpy(target), weight=weight)


ONE = [[6, 2, 22, 18, 1]]


def test_loss_is_small_for_the_right_boxes_alone():
    task, right = made(), score_with((2, 3, 1, 8.0))
    good, count = task.loss(right, batch(ONE))
    wrong_class, _ = task.loss(score_with((2, 3, 0, 8.0)), batch(ONE))
    missed, _ = task.loss(score_with(), batch(ONE))
    assert count == 1
    assert float(good) < 1.0 < float(wrong_class)
    assert float(good) < float(missed)


def test_image_without_boxes_learns_the_background():
    score = score_with((2, 3, 1, 3.0)).requires_grad_()
    loss, _ = made().loss(score, batch([]))
    loss.backward()
    assert bool(torch.isfinite(score.grad).all())
    assert float(score.grad[0, 5, 2, 3]) > 0
    assert not score.grad[:, :4].any()


def test_loss_honors_sample_weights():
    task, score = made(), score_with((2, 3, 1, 3.0)).repeat(2, 1, 1, 1)
    alone, _ = task.loss(score[:1], batch(ONE))
    weighted, weight = task.loss(score, batch(ONE, [], weight=torch.tensor([3.0, 0.0])))
    assert float(weighted) == pytest.approx(3 * float(alone), rel=1e-5)
    assert float(weight) == 3


def test_meters_merge_to_the_whole():
    task = made()
    score = torch.cat([score_with((2, 3, 1, 3.0)), score_with((6, 9, 0, 2.0)), score_with()])
    images: tuple[list[list[int]], ...] = (ONE, [[30, 18, 46, 32, 0], *ONE], [])
    whole, one, two = (task.meter(SPEC) for _ in range(3))
    whole.add(score, batch(*images))
    one.add(score[:1], batch(images[0]))
    two.add(score[1:], batch(*images[1:]))
    one.merge(two.state())
    one.merge(task.meter(SPEC).state())
    got, expected = one.value(), whole.value()
    assert got.pop("ap_by_class") == expected.pop("ap_by_class") == {"cat": 1.0, "dog": pytest.approx(51 / 101)}
    assert got == pytest.approx(expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (Spec(fields=SPEC.fields, target=Target(kind="class", classes=("a", "b"))), "needs boxes"),
        (Spec(fields=(Field(kind="image", shape=(3, None, None), dtype="uint8"),), target=TARGET), "of one size"),
    ],
)
def test_other_data_is_refused(spec, message):
    with pytest.raises(BadUsage, match=message):
        Detection().check(spec)


@pytest.mark.parametrize("stride", [2, 4, 8, 16])
def test_model_returns_a_cell_per_stride(stride):
    spec = SPEC.with_output(*made(stride=stride).output(SPEC))
    score = build(spec, DetectorOptions(width=8))(torch.zeros(2, 3, 32, 48))
    assert tuple(score.shape[1:]) == spec.output == (6, 32 // stride, 48 // stride)
