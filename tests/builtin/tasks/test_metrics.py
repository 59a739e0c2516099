"""Metrics: merging, agreement with scikit-learn, and consistency with predictions."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.neighbors import NearestNeighbors

from benchdog.api import Answer, Batch
from benchdog.builtin.tasks import answers
from benchdog.builtin.tasks.metrics import meters
from benchdog.builtin.tasks.options import EmbeddingOptions, LabelsOptions, OrdinalOptions
from benchdog.builtin.tasks.ordinal import Ordinal
from support.task_cases import CASES, IGNORED, MIXED, labels, ordinal, segmentation, spec_of

EVERY = {**CASES, **MIXED}


def measure(task, spec, score, target, cuts=()):
    meter = task.meter(spec)
    for a, b in pairwise([0, *sorted(cuts), len(score)]):
        meter.add(score[a:b], Batch((), target[a:b]))
    return meter.value()


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        if isinstance(value, dict):
            assert_same(value, other[name])
        else:
            np.testing.assert_allclose(value, other[name], rtol=1e-5, atol=1e-7, err_msg=name)


@settings(deadline=None, max_examples=80)
@given(
    name=st.sampled_from(sorted(name for name in EVERY if name != "batch-dice")),
    cuts=st.lists(st.integers(0, 25), max_size=4),
    second=st.integers(0, 4),
    seed=st.integers(0, 3),
)
def test_merged_meters_equal_one_meter(name, cuts, second, seed):
    case = EVERY[name]
    task = case.task()
    score, target = case.scores(25, seed), case.targets(25, seed)
    meters = task.meter(case.spec), task.meter(case.spec)
    for place, (a, b) in enumerate(pairwise([0, *sorted(cuts), 25])):
        meters[place >= second].add(score[a:b], Batch((), target[a:b]))
    merged = task.meter(case.spec)
    for meter in meters:
        merged.merge(meter.state())
    whole = measure(task, case.spec, score, target)
    assert task.monitor in whole
    assert_same(merged.value(), whole)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_empty_meter_has_a_value(name):
    case = EVERY[name]
    task = case.task()
    value = task.meter(case.spec).value()
    assert np.isnan(value["loss"])
    assert task.monitor in value


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), n=st.integers(1, 60), k=st.integers(1, 5), coarse=st.booleans(), rare=st.booleans())
def test_multi_label_metrics_equal_scikit_learn(seed, n, k, coarse, rare):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(n, k)).astype(np.float32)
    score = (score * 2).round() + 0.5 if coarse else score  # many ties
    true = rng.random((n, k)) < (0.05 if rare else 0.4)
    names = tuple("abcde"[:k])
    task = labels().make()
    spec = spec_of("labels", (k,), classes=names)
    value = measure(task, spec, torch.from_numpy(score), torch.from_numpy(true).float(), cuts=(n // 2,))
    predicted = score > 0
    assert value["micro_f1"] == pytest.approx(sk.f1_score(true.ravel(), predicted.ravel(), zero_division=0))
    met = [j for j in range(k) if true[:, j].any() or predicted[:, j].any()]
    f1 = [sk.f1_score(true[:, j], predicted[:, j], zero_division=0) for j in range(k)]
    assert value["macro_f1"] == pytest.approx(np.mean([f1[j] for j in met]) if met else 0)
    assert value["exact_match"] == pytest.approx((true == predicted).all(1).mean())
    assert value["hamming_loss"] == pytest.approx((true != predicted).mean())
    there = [j for j in range(k) if true[:, j].any()]
    if there:
        expected = [sk.average_precision_score(true[:, j], score[:, j]) for j in there]
        assert value["mean_average_precision"] == pytest.approx(np.mean(expected))
    both = [j for j in there if not true[:, j].all()]
    assert ("roc_auc" in value) == bool(both)
    if both:
        assert value["roc_auc"] == pytest.approx(np.mean([sk.roc_auc_score(true[:, j], score[:, j]) for j in both]))
    probability = 1 / (1 + np.exp(-score.astype(np.float64)))
    expected = -np.where(true, np.log(probability), np.log1p(-probability)).mean()
    assert value["loss"] == pytest.approx(expected, rel=1e-5)
    for j, row in enumerate(value["per_class"].values()):
        assert row["support"] == true[:, j].sum()
        assert row["f1"] == pytest.approx(f1[j])


def test_ranking_metrics_are_omitted_above_sample_limit(monkeypatch):
    monkeypatch.setattr(meters, "RANKED", 40)
    case = labels()
    task = case.task()
    score, target = case.scores(12, 0), case.targets(12, 0)
    meter = task.meter(case.spec)
    meter.add(score[:10], Batch((), target[:10]))
    assert "roc_auc" in meter.value()
    other = task.meter(case.spec)
    other.merge(meter.state())
    other.add(score[10:], Batch((), target[10:]))
    assert "roc_auc" not in other.value()
    meter.merge(other.state())
    assert "mean_average_precision" not in meter.value()


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 1000), n=st.integers(1, 60), k=st.integers(2, 6))
def test_ordinal_metrics_equal_scikit_learn(seed, n, k):
    rng = np.random.default_rng(seed)
    names = tuple(str(i) for i in rng.permutation(k))
    spec = spec_of("class", classes=names)
    task = Ordinal()
    task.check(spec)
    score = torch.from_numpy(rng.normal(size=(n, k - 1)).astype(np.float32) * 2)
    codes = torch.from_numpy(rng.integers(0, k, n))
    value = measure(task, spec, score, codes, cuts=(n // 3,))
    ranks = np.array([int(name) for name in names])
    predictions = answers.ordinal(
        lambda s: (task.head(spec)(torch.from_numpy(s)).numpy(), s), (score.numpy(),), spec, None
    )
    predicted = np.array([int(each.values["label"]) for each in predictions])
    true = ranks[codes.numpy()]
    assert value["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    assert value["mae"] == pytest.approx(sk.mean_absolute_error(true, predicted))
    if len({*true, *predicted}) > 1:
        expected = sk.cohen_kappa_score(true, predicted, weights="quadratic", labels=range(k))
        assert value["quadratic_kappa"] == pytest.approx(expected)
    else:
        assert value["quadratic_kappa"] == 1
    by_rank = [names[code] for code in range(k)]
    confusion = sk.confusion_matrix(true.astype(str), predicted.astype(str), labels=by_rank)
    assert value["confusion"] == confusion.tolist()
    for each in predictions:
        assert sum(each.values["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert list(each.values["probabilities"]) == sorted(names, key=int)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 1000), n=st.integers(2, 80), k=st.integers(1, 6))
def test_retrieval_metrics_equal_exact_nearest_neighbors(seed, n, k):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 5)).astype(np.float32)
    codes = rng.integers(0, k, n)
    task = MIXED["embedding"].make()
    value = measure(task, MIXED["embedding"].spec, torch.from_numpy(vectors), torch.from_numpy(codes), cuts=(n // 2,))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = NearestNeighbors(n_neighbors=n).fit(unit).kneighbors(unit, return_distance=False)
    first, fifth, precision = [], [], []
    for i in range(n):
        right = codes[[j for j in order[i] if j != i]] == codes[i]
        like = int(right.sum())
        if like:
            first.append(right[:1].any())
            fifth.append(right[:5].any())
            hits = right[:like]
            precision.append(sum(hits[: j + 1].mean() for j in range(like) if hits[j]) / like)
    if not first:
        assert np.isnan(value["recall_at_1"])
        return
    assert value["recall_at_1"] == pytest.approx(np.mean(first))
    assert value["recall_at_5"] == pytest.approx(np.mean(fifth))
    assert value["map_at_r"] == pytest.approx(np.mean(precision), abs=1e-6)


def test_retrieval_metrics_in_chunks_equal_unchunked(monkeypatch):
    from benchdog.builtin.tasks.metrics import retrieval

    case = MIXED["embedding"]
    score, target = case.scores(50, 0), case.targets(50, 0)
    whole = measure(case.make(), case.spec, score, target)
    monkeypatch.setattr(retrieval, "ROWS", 7)
    chunked = measure(case.make(), case.spec, score, target)
    assert {k: v for k, v in chunked.items() if k != "loss"} == pytest.approx(
        {k: v for k, v in whole.items() if k != "loss"}
    )


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000))
def test_mask_metrics_exclude_ignored_pixels(seed):
    case = segmentation()
    task = case.task()
    score, target = case.scores(4, seed), case.targets(4, seed)
    value = measure(task, case.spec, score, target, cuts=(1,))
    seen = (target != IGNORED).numpy()
    true, predicted = target.numpy()[seen], score.argmax(1).numpy()[seen]
    met = [k for k in range(1, 4) if k in true or k in predicted]
    assert value["pixel_accuracy"] == pytest.approx(sk.accuracy_score(true, predicted) if len(true) else 0)
    assert sum(map(sum, value["confusion"])) == seen.sum()
    if met:
        iou = [((true == k) & (predicted == k)).sum() / ((true == k) | (predicted == k)).sum() for k in met]
        dice = [
            2 * ((true == k) & (predicted == k)).sum() / ((true == k).sum() + (predicted == k).sum()) for k in met
        ]
        assert value["iou"] == pytest.approx(np.mean(iou))
        assert value["dice"] == pytest.approx(np.mean(dice))


# --- predictions ------------------------------------------------------------------------------------


def test_multi_label_prediction_uses_threshold():
    spec = spec_of("labels", (3,), classes=("a", "b", "c"))
    shares = np.array([[0.5, 0.49, 0.9], [0.1, 0.2, 0.3]], np.float32)
    predictions = answers.multi_label(lambda x: (shares, shares), (shares,), spec, None)
    assert [each.values["labels"] for each in predictions] == [["a", "c"], []]
    assert predictions[0].values["probabilities"] == pytest.approx({"a": 0.5, "b": 0.49, "c": 0.9})
    higher = answers.multi_label(lambda x: (shares, shares), (shares,), spec, LabelsOptions(threshold=0.6))
    assert [each.values["labels"] for each in higher] == [["c"], []]


def test_ordinal_prediction_is_the_median_class():
    spec = spec_of("class", classes=("high", "low", "medium"))
    options = OrdinalOptions(order=("low", "medium", "high"))
    shares = np.array([[0.4, 0.35, 0.25], [0.6, 0.2, 0.2], [0.2, 0.51, 0.29]], np.float32)
    predictions = answers.ordinal(lambda x: (shares, shares), (shares,), spec, options)
    assert [each.values["label"] for each in predictions] == ["medium", "high", "low"]
    assert predictions[0].values["probability"] == pytest.approx(0.25)
    assert list(predictions[0].values["probabilities"]) == ["low", "medium", "high"]


def test_embedding_prediction_names_nearest_neighbors():
    spec = MIXED["embedding"].spec
    vectors = np.array([[1.0, 0], [0.6, 0.8], [0, 1.0]], np.float32)
    predictions = answers.embedding(lambda x: (vectors, vectors), (vectors,), spec, None)
    assert predictions[1].values["vector"] == pytest.approx([0.6, 0.8])
    named = [Answer(each.values, id=f"image {i}") for i, each in enumerate(predictions)]
    near = answers.neighbors(named, spec, EmbeddingOptions(nearest=2))
    assert [each.values["nearest"] for each in near] == ["image 1", "image 2", "image 1"]
    assert [each["id"] for each in near[0].values["neighbours"]] == ["image 1", "image 2"]
    assert near[0].values["neighbours"][1]["distance"] == pytest.approx(2**0.5)
    assert near[0].values["distance"] == pytest.approx(0.8**0.5, rel=1e-6)
    assert near[2].id == "image 2"
    none = answers.neighbors(named, spec, EmbeddingOptions(nearest=0))
    assert "nearest" not in none[0].values


def test_ordinal_accuracy_agrees_with_predictions():
    case = ordinal()
    task = case.task()
    score, codes = case.scores(40, 5), case.targets(40, 5)
    value = measure(task, case.spec, score, codes)
    predictions = answers.ordinal(
        lambda s: (task.head(case.spec)(torch.from_numpy(s)).numpy(), s), (score.numpy(),), case.spec, None
    )
    right = [
        each.values["label"] == case.spec.target.classes[code] for each, code in zip(predictions, codes, strict=True)
    ]
    assert value["accuracy"] == pytest.approx(np.mean(right))
