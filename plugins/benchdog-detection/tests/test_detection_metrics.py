"""COCO's metrics are those of COCO's own tool; resamples and pieces give what the samples themselves give."""

import contextlib
import io

import numpy as np
import pytest

from benchdog.api import Field, Spec, Target, compute_metrics
from benchdog_detection.boxes import PADDING
from benchdog_detection.metrics import METRICS, record

CLASSES, IMAGES, ROWS = 4, 40, 30
SPEC = Spec(
    fields=(Field(kind="image", shape=(3, 100, 100), dtype="uint8"),),
    target=Target(kind="boxes", classes=tuple("abcd"), shape=(None, 5), dtype="float32", padding=PADDING),
)


def boxes(draw, count):
    corner = draw.uniform(0, 70, (count, 2))
    return np.concatenate([corner, corner + draw.uniform(5, 30, (count, 2))], 1)


def random_data(seed):
    """Return predictions (N, ROWS, 6) and targets (N, 9, 5), padded: some are near, some far, some scores equal."""
    draw = np.random.default_rng(seed)
    predictions = np.full((IMAGES, ROWS, 6), PADDING, np.float32)
    targets = np.full((IMAGES, 9, 5), PADDING, np.float32)
    for i in range(IMAGES):
        truth = boxes(draw, draw.integers(0, 9))
        codes = draw.integers(0, CLASSES - (seed == 1), len(truth))  # with seed 1 a class never occurs
        targets[i, : len(truth)] = np.c_[truth, codes]
        near = truth + draw.normal(0, 1, truth.shape)
        twice = truth[: len(truth) // 2] + draw.normal(0, 2, (len(truth) // 2, 4))
        far = boxes(draw, draw.integers(0, 8))
        found = np.concatenate([near, twice, far])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        other = draw.integers(0, CLASSES, len(found))
        kinds = np.where(draw.random(len(found)) < 0.8, np.r_[codes, codes[: len(twice)], other[: len(far)]], other)
        scores = draw.integers(1, 40, len(found)) / 40 if seed == 2 else draw.random(len(found))
        order = np.argsort(-scores, kind="stable")
        predictions[i, : len(found)] = np.c_[found, scores, kinds][order]
    return predictions, targets


def ours(predictions, targets, weights=None):
    records, support = record(predictions, targets, SPEC, overlap=1.0)
    weights = np.ones((len(records), 1)) if weights is None else weights
    statistics = {"detections": records, "support": weights.T @ support, "weights": weights}
    return {name: value.tolist() for name, value in compute_metrics(METRICS, statistics).items()}


def coco(predictions, targets):
    """Return the same by COCO's tool."""
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def sides(box):
        x1, y1, x2, y2 = map(float, box)
        return [x1, y1, x2 - x1, y2 - y1]

    truth = [(i, row) for i, rows in enumerate(targets) for row in rows if row[4] >= 0]
    found = [(i, row) for i, rows in enumerate(predictions) for row in rows if row[5] >= 0]
    annotations = [
        {"id": n, "image_id": i, "category_id": int(row[4]), "bbox": sides(row[:4]), "iscrowd": 0,
         "area": float(np.prod(sides(row[:4])[2:]))}
        for n, (i, row) in enumerate(truth, 1)
    ]  # fmt: skip
    results = [
        {"image_id": i, "category_id": int(row[5]), "bbox": sides(row[:4]), "score": float(row[4])}
        for i, row in found
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        data = COCO()
        categories = [{"id": k, "name": str(k)} for k in range(CLASSES)]
        data.dataset = {
            "info": {}, "images": [{"id": i} for i in range(len(targets))], "categories": categories,
            "annotations": annotations,
        }  # fmt: skip
        data.createIndex()
        evaluation = COCOeval(data, data.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(("map", "ap50", "ap75"), evaluation.stats[:3].tolist(), strict=True))


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_average_precision_equals_that_of_pycocotools(seed):
    predictions, targets = random_data(seed)
    expected = coco(predictions, targets)
    found = ours(predictions, targets)
    assert 0.1 < expected["map"] < 0.9
    for name, value in expected.items():
        assert found[name][0] == pytest.approx(value, abs=1e-6), name


def test_image_drawn_twice_counts_as_two_images():
    predictions, targets = random_data(0)
    times = np.random.default_rng(1).integers(0, 3, IMAGES)
    again = ours(np.repeat(predictions, times, 0), np.repeat(targets, times, 0))
    weighted = ours(predictions, targets, times[:, None].astype(np.float64))
    for name in ("map", "ap50", "ap75"):
        assert weighted[name][0] == pytest.approx(again[name][0], abs=1e-9)


def test_metrics_without_any_box_are_undefined():
    predictions, targets = random_data(0)
    found = ours(predictions, np.full_like(targets, PADDING))
    assert np.isnan(found["map"][0])


def test_perfect_detections_reach_one():
    _, targets = random_data(0)
    real = targets[..., 4:] >= 0
    exact = np.where(real, np.concatenate([targets[..., :4], np.ones_like(real), targets[..., 4:]], -1), PADDING)
    assert ours(exact.astype(np.float32), targets) == {"map": [1.0], "ap50": [1.0], "ap75": [1.0]}
