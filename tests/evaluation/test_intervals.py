"""Evaluation: bootstrap intervals, calibration, thresholds, slices and Grad-CAM, checked against scikit-learn."""

import json
import time
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    cohen_kappa_score,
    f1_score,
    jaccard_score,
    precision_recall_curve,
    r2_score,
    roc_auc_score,
)
from torch import nn

from benchdog.api import Batch, Column, Field, MetricSet, Spec, Target
from benchdog.builtin.tasks.classification import Classification
from benchdog.builtin.tasks.metrics import definitions
from benchdog.builtin.tasks.metrics.per_sample import (
    CLASS_METRICS,
    LABEL_METRICS,
    MASK_METRICS,
    NUMBER_METRICS,
    ORDINAL_METRICS,
    TOKEN_METRICS,
    MaskStatistics,
    NumberStatistics,
    RankStatistics,
    TokenStatistics,
)
from benchdog.errors import BadUsage
from benchdog.evaluation import bootstrap, calibration, thresholds
from benchdog.evaluation.grad_cam import NO_LAYER, GradCam
from benchdog.evaluation.intervals import Measuring, metrics_of
from benchdog.evaluation.per_sample import Recorder, Records
from benchdog.evaluation.slices import Slicer
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

IMAGE = Field(kind="image", shape=(1, 8, 8), dtype="uint8")


def classes(count):
    return Spec(fields=(IMAGE,), target=Target(kind="class", classes=tuple(map(str, range(count)))))


def simulated_predictions(n=400, count=3, seed=0):
    """Return predictions, scores and targets of a classifier that is right more often than not."""
    draw = np.random.default_rng(seed)
    target = draw.integers(0, count, n)
    score = draw.normal(size=(n, count)).astype(np.float32)
    score[np.arange(n), target] += 1.5
    share = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    return share.astype(np.float32), score, target


def recorded(spec, answer, score, target, loss=None, task=None):
    recorder = Recorder(spec, metrics_of(task, spec))
    for rows in np.array_split(np.arange(len(target)), 3):
        given_loss = [1.0] * len(rows) if loss is None else loss[rows].tolist()
        recorder.add(answer[rows], score[rows], target[rows], given_loss, [1.0] * len(rows))
    return recorder


# --- metrics from records


@pytest.mark.parametrize("count", [2, 3, 12])
def test_metrics_from_records_equal_the_meter(count):
    answer, score, target = simulated_predictions(count=count)
    task, spec = Classification(), classes(count)
    meter = task.meter(spec)
    meter.add(torch.from_numpy(score), Batch((), torch.from_numpy(target)))
    loss = -np.log(answer[np.arange(len(target)), target])
    records = recorded(spec, answer, score, target, loss).records()
    measuring = Measuring.of(records, task, spec, task.metrics(spec), meter.value())
    assert {metric.name for metric in measuring.exact} == {"loss", "accuracy", "macro_f1", "roc_auc"}
    assert measuring.metered == ()
    point = bootstrap.point(records, CLASS_METRICS)
    assert point["macro_f1"] == pytest.approx(f1_score(target, score.argmax(1), average="macro"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30))
def test_weighted_ranking_metrics_equal_repeated_samples(samples):
    score, positive, weight = (np.array(column) for column in zip(*samples, strict=True))
    area, precision = definitions.rank_metrics(score.astype(float), positive, weight[:, None].astype(np.float32))
    score, positive = np.repeat(score, weight), np.repeat(positive, weight)
    if positive.all() or not positive.any():
        assert not np.isfinite(area[0])
        return
    assert area[0] == pytest.approx(roc_auc_score(positive, score))
    assert precision[0] == pytest.approx(average_precision_score(positive, score))


def records_of(per_sample, answer, score, target):
    """Record samples, each of loss 1, with the given per-sample statistics."""
    recorder = Recorder(
        Spec(fields=(IMAGE,), target=Target(kind="own")), MetricSet(metrics=(), per_sample=per_sample)
    )
    recorder.add(answer, score, target, [1.0] * len(answer), [1.0] * len(answer))
    return recorder.records()


def test_weighted_number_mask_and_token_metrics_equal_repeated_samples():
    draw = np.random.default_rng(1)
    true = draw.normal(1e6, 2, (50, 2))
    predicted = true + draw.normal(size=(50, 2))
    rows = draw.integers(0, 50, 50)
    weights = np.bincount(rows, minlength=50)[:, None].astype(np.float32)

    def values(metrics, per_sample, *arrays):
        records = records_of(per_sample, *arrays)
        return bootstrap.evaluate_metrics(metrics, records.statistics(weights))

    numbers = values(NUMBER_METRICS, NumberStatistics(), predicted, predicted, true)
    assert numbers["r2"][0] == pytest.approx(r2_score(true[rows], predicted[rows]))
    assert numbers["mae"][0] == pytest.approx(np.abs(true - predicted)[rows].mean())
    assert numbers["rmse"][0] == pytest.approx(np.sqrt(np.square(true - predicted)[rows].mean(0)).mean())
    masks, answers = draw.integers(0, 4, (2, 50, 3, 4)).astype(np.uint8)
    assert values(MASK_METRICS, MaskStatistics(4), answers, answers, masks)["iou"][0] == pytest.approx(
        jaccard_score(masks[rows].ravel(), answers[rows].ravel(), labels=[1, 2, 3], average="macro")
    )
    kept = masks[rows] != 3
    ignoring = values(MASK_METRICS, MaskStatistics(3, ignore=3), answers % 3, answers, masks)
    iou = jaccard_score(masks[rows][kept], (answers % 3)[rows][kept], labels=[1, 2], average="macro")
    assert ignoring["iou"][0] == pytest.approx(iou)
    score, tokens = draw.normal(size=(50, 9, 5)), draw.integers(0, 5, (50, 9))
    right = (score.argmax(-1) == tokens)[rows]
    assert values(TOKEN_METRICS, TokenStatistics(5), score, score, tokens)["accuracy"][0] == pytest.approx(
        right.mean()
    )


def test_weighted_ordinal_metrics_equal_repeated_samples():
    draw = np.random.default_rng(3)
    ranks, codes, rows = [2, 0, 1], draw.integers(0, 3, 60), draw.integers(0, 60, 60)
    predicted = draw.integers(0, 3, 60)
    records = records_of(RankStatistics(ranks, lambda score: predicted), codes, codes, codes)
    weights = np.bincount(rows, minlength=60)[:, None].astype(np.float32)
    values = bootstrap.evaluate_metrics(ORDINAL_METRICS, records.statistics(weights))
    actual = np.array(ranks)[codes]
    kappa = cohen_kappa_score(actual[rows], predicted[rows], weights="quadratic")
    assert values["quadratic_kappa"][0] == pytest.approx(kappa)
    assert values["mae"][0] == pytest.approx(np.abs(actual - predicted)[rows].mean())


def test_multi_label_metrics_from_records_equal_scikit_learn():
    draw = np.random.default_rng(2)
    truth = draw.random((300, 4)) < 0.3
    score = draw.normal(size=(300, 4)) + 1.5 * truth - 0.5
    answer = (1 / (1 + np.exp(-score))).astype(np.float32)
    spec = Spec(fields=(IMAGE,), target=Target(kind="labels", classes=tuple("abcd"), shape=(4,), dtype="float32"))
    records = recorded(spec, answer, score, truth.astype(np.float32)).records()
    point = bootstrap.point(records, (*LABEL_METRICS, *calibration.METRICS))
    assert point["micro_f1"] == pytest.approx(f1_score(truth, answer >= 0.5, average="micro"))
    assert point["macro_f1"] == pytest.approx(f1_score(truth, answer >= 0.5, average="macro"))
    assert point["roc_auc"] == pytest.approx(roc_auc_score(truth, answer))
    assert point["mean_average_precision"] == pytest.approx(average_precision_score(truth, answer))
    assert point["exact_match"] == pytest.approx((truth == (answer >= 0.5)).all(1).mean())
    assert point["calibration.brier"] == pytest.approx(np.square(answer - truth).mean(), rel=1e-5)


# --- intervals


def test_bootstrap_interval_matches_normal_approximation():
    n, share = 400, 0.8
    right = np.arange(n) < share * n
    columns = {"loss": np.where(right, 0.1, 2.0), "weight": np.ones(n)}
    columns |= {"right": np.where(right, 0, 2), "support": (~right).astype(np.int64)}
    records = Records(columns=columns, codes={"right": 2, "support": 2})
    replicas = bootstrap.bootstrap(records, CLASS_METRICS)
    found = bootstrap.interval(replicas["accuracy"])
    assert found is not None
    half = 1.96 * np.sqrt(share * (1 - share) / n)
    assert found == pytest.approx((share - half, share + half), abs=0.006)
    again = bootstrap.bootstrap(records, CLASS_METRICS)
    assert all(np.array_equal(replicas[name], again[name]) for name in replicas)


def test_interval_of_perfect_accuracy_is_clopper_pearson():
    answer, score, target = simulated_predictions(11)
    target = score.argmax(1)
    task, spec = Classification(), classes(3)
    meter = task.meter(spec)
    meter.add(torch.from_numpy(score), Batch((), torch.from_numpy(target)))
    loss = -np.log(answer[np.arange(len(target)), target])
    found = Measuring.of(
        recorded(spec, answer, score, target, loss).records(), task, spec, task.metrics(spec), meter.value()
    ).intervals()
    assert found["accuracy"] == pytest.approx([0.025 ** (1 / 11), 1.0])
    assert stats.binomtest(11, 11).proportion_ci(0.95).low == pytest.approx(found["accuracy"][0])
    assert "macro_f1" not in found
    assert found["loss"][0] < found["loss"][1]


def test_bootstrap_of_10000_samples_takes_less_than_two_seconds():
    answer, score, target = simulated_predictions(10_000, 10)
    records = recorded(classes(10), answer, score, target).records()
    begun = time.process_time()
    values = bootstrap.bootstrap(records, CLASS_METRICS)
    assert time.process_time() - begun < 2
    assert len(values["roc_auc"]) == bootstrap.resample_count(10_000) == 500


def test_interval_is_none_if_many_resamples_are_nan():
    assert bootstrap.interval(np.array([np.nan] * 10 + [1.0] * 90)) is None
    assert bootstrap.interval(np.array([np.nan] + [1.0] * 99)) == (1.0, 1.0)


def test_macro_f1_interval_contains_value_with_a_rare_class():
    draw = np.random.default_rng(0)
    target = np.r_[np.arange(300) % 2, 2]  # one sample of the third class, misclassified
    predicted = np.where(draw.random(301) < 0.9, target, 1 - target % 2)
    predicted[-1] = 0
    score = np.eye(3, dtype=np.float32)[predicted] * 2 + draw.normal(0, 0.1, (301, 3)).astype(np.float32)
    records = recorded(classes(3), score, score, target, np.ones(301)).records()
    replicas, whole = bootstrap.bootstrap(records, CLASS_METRICS), bootstrap.point(records, CLASS_METRICS)
    assert len(replicas["accuracy"]) == 1000
    assert 500 < len(replicas["macro_f1"]) < 750  # resamples that contain that sample: 63 %
    found = bootstrap.interval(replicas["macro_f1"])
    assert found is not None
    low, high = found
    assert low < whole["macro_f1"] < high
    assert high - low < 0.1  # not up to the mean of two classes, which is 1.5 times as much
    rare = np.r_[np.zeros(20, np.int64), 1 + np.arange(20)]  # no resample has all of these
    score = np.eye(21, dtype=np.float32)[rare]
    replicas = bootstrap.bootstrap(recorded(classes(21), score, score, rare, np.ones(40)).records(), CLASS_METRICS)
    assert bootstrap.interval(replicas["macro_f1"]) is None
    assert bootstrap.interval(replicas["accuracy"]) is not None


class Odd(Classification):
    """A task whose meter has a metric that can't be computed from records."""

    def meter(self, spec):
        inner = super().meter(spec)
        whole = inner.value
        inner.value = lambda: {**whole(), "odd": whole()["accuracy"] ** 2}  # type: ignore[method-assign]
        return inner


def test_custom_metric_is_resampled_through_its_meter():
    answer, score, target = simulated_predictions(200)
    task, spec = Odd(), classes(3)
    meter = task.meter(spec)
    meter.add(torch.from_numpy(score), Batch((), torch.from_numpy(target)))
    loss = -np.log(answer[np.arange(len(target)), target])
    measuring = Measuring.of(
        recorded(spec, answer, score, target, loss).records(), task, spec, task.metrics(spec), meter.value()
    )
    assert measuring.metered == ("odd",)
    found = measuring.intervals()
    assert found["odd"] == pytest.approx(np.square(found["accuracy"]), abs=0.03)
    assert measuring.values(np.arange(50))["odd"] == pytest.approx((score.argmax(1) == target)[:50].mean() ** 2)


# --- calibration and thresholds


def test_calibration_error_and_curve():
    chance = np.array([[0.95], [0.95], [0.95], [0.35]])
    truth = np.array([[True], [True], [False], [True]])
    squared = np.square(chance - truth).sum(1)
    counted = calibration.per_sample(calibration.Statements(chance=chance, truth=truth, squared=squared))
    summary = calibration.summary(counted["bins"], squared.sum(), counted["statements"].sum())
    assert summary["ece"] == pytest.approx((3 * abs(2 / 3 - 0.95) + abs(1 - 0.35)) / 4)
    curve = [[line["count"], line["said"], line["true"]] for line in summary["curve"]]
    assert np.array(curve) == pytest.approx(np.array([[1, 0.35, 1.0], [3, 0.95, 2 / 3]]))


@pytest.mark.parametrize("count", [2, 4])
def test_brier_score_equals_scikit_learn(count):
    answer, score, target = simulated_predictions(count=count)
    recorder = recorded(classes(count), answer, score, target)
    records = recorder.records()
    sums = (records[f"calibration.{name}"].sum() for name in ("squared", "statements"))
    summary = calibration.summary(recorder.bins(), *sums)
    shares = answer.astype(np.float64)
    shares /= shares.sum(1, keepdims=True)
    expected = brier_score_loss(target, shares[:, 1]) if count == 2 else brier_score_loss(target, shares)
    assert summary["brier"] == pytest.approx(expected, rel=1e-5)
    assert sum(line["count"] for line in summary["curve"]) == len(target)


def test_non_probability_predictions_have_no_calibration():
    _, score, target = simulated_predictions()
    recorder = recorded(classes(3), score, score, target)
    assert recorder.bins() is None
    assert "calibration.gap" not in recorder.records()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_best_threshold_maximizes_f1(samples):
    chance, positive = (np.array(column) for column in zip(*samples, strict=True))
    chance = (chance / 7)[:, None].astype(np.float64)
    (line,) = thresholds.curves(chance, positive[:, None], ["yes"])
    if positive.all() or not positive.any():
        assert "best" not in line
        return
    precision, recall, _ = precision_recall_curve(positive, chance[:, 0])
    best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
    assert line["best"]["f1"] == pytest.approx(best)
    assert line["best"]["f1"] == pytest.approx(f1_score(positive, chance[:, 0] >= line["best"]["threshold"]))
    assert line["roc"][0] == [0, 0]
    assert line["roc"][-1] == [1, 1]
    assert line["pr"][-1][0] == 1


def test_long_roc_curve_is_thinned_and_keeps_its_ends():
    chance = np.random.default_rng(0).random((5000, 1))
    (line,) = thresholds.curves(chance, chance > np.random.default_rng(1).random((5000, 1)), ["yes"])
    assert 100 < len(line["roc"]) <= thresholds.POINTS + 2
    assert (line["roc"][0], line["roc"][-1]) == ([0, 0], [1, 1])


# --- slices


TABLE = Spec(
    fields=(
        Field(
            kind="table",
            shape=(2,),
            dtype="float32",
            columns=(Column(name="age"), Column(name="town", kind="category", categories=("Aix", "Bonn"))),
        ),
    ),
    target=Target(kind="number", dtype="float32"),
)


def cut(by, rows, spec=TABLE, target=None, ids=()):
    slicer = Slicer(spec, by)
    rows = np.array(rows, np.float32)
    slicer.add((rows,), np.zeros(len(rows)) if target is None else target, lambda: ids)
    return {name: places.tolist() for name, places in slicer.slices()}


def test_slices_of_a_column_by_value_quartile_or_category():
    few = [[1, 0], [2, 1], [2, 2], [np.nan, 1]]
    assert cut("age", few) == {"1": [0], "2": [1, 2], "(missing)": [3]}
    assert cut("town", few) == {"(missing or never seen)": [0], "Aix": [1, 3], "Bonn": [2]}
    many = cut("age", [[i, 1] for i in range(100)])
    assert list(many) == ["0 to 24", "25 to 49", "50 to 74", "75 to 99"]
    assert sorted(chain.from_iterable(many.values())) == list(range(100))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.integers(0, 20), st.just(float("nan"))), min_size=1, max_size=60))
def test_quartile_slices_contain_every_sample_once(values):
    slices = cut("age", [[value, 1] for value in values])
    assert sorted(chain.from_iterable(slices.values())) == list(range(len(values)))


def test_slices_by_folder_and_class():
    ids = ["a/x.png", "b/c/y.png", "a/z.png"]
    images = np.zeros((3, 1, 8, 8))
    assert cut("folder", images, classes(2), np.array([0, 1, 1]), ids) == {"a": [0, 2], "b/c": [1]}
    assert cut("class", images, classes(2), np.array([0, 1, 1])) == {"0": [0], "1": [1, 2]}
    with pytest.raises(BadUsage, match="have no folder"):
        cut("folder", images, classes(2), np.array([0, 1, 1]), ["x", "y", "z"])
    with pytest.raises(BadUsage, match="can't be sliced by 'agee'") as caught:
        Slicer(TABLE, "agee")
    assert "Did you mean 'age'?" in caught.value.hint


# --- Grad-CAM


def test_grad_cam_highlights_the_relevant_region():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(1, 2, 3, padding=1)
            self.act = nn.ReLU(inplace=True)
            self.last = nn.Conv2d(2, 2, 1)
            self.never = nn.Conv2d(2, 2, 1)

        def forward(self, x):
            x = self.last(self.act(self.first(x.float()))).relu_()
            score = x.mean((2, 3))
            return score.softmax(1), score

    net = Net().requires_grad_(False).eval()
    net.first.weight.fill_(1)
    net.first.get_parameter("bias").fill_(0)
    net.last.weight.copy_(torch.tensor([[1.0, 0], [0, 0]])[..., None, None])
    net.last.get_parameter("bias").fill_(0)
    image = np.zeros((1, 1, 12, 12), np.uint8)
    image[..., 2:4, 8:10] = 200
    look = GradCam(net, (image,))
    assert look.layer == "last"
    heat = look((image,), 0)
    assert heat.max() == 1
    assert heat[1:5, 7:11].mean() > 0.5
    assert heat[6:, :6].max() == 0
    assert not any(module._forward_hooks for module in net.modules())
    assert not look((image,), 1).any()


def test_grad_cam_uses_feature_maps_after_normalization_and_activation():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Identity()
            self.body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
            self.pool = nn.AdaptiveAvgPool2d(1)

        def forward(self, x):
            score = self.pool(self.body(self.scale(x.float()))).flatten(1)
            return score, score

    assert GradCam(Net().eval(), (np.zeros((1, 1, 8, 8), np.uint8),)).layer == "body"


def test_grad_cam_of_network_without_convolutions():
    class Flat(nn.Module):
        def forward(self, x):
            score = x.float().flatten(1)[:, :2]
            return score, score

    assert GradCam(Flat(), (np.zeros((1, 1, 4, 4), np.uint8),)).layer == ""


# --- command line


@pytest.fixture(scope="module")
def wines(tmp_path_factory):
    place = tmp_path_factory.mktemp("wines")
    draw = np.random.default_rng(0)
    lines = ["alcohol,type,good"]
    for _ in range(600):
        alcohol, kind = draw.normal(10, 1.5), draw.integers(0, 2)
        good = alcohol + 2 * kind + draw.normal() > 11
        lines.append(f"{alcohol:.3f},{'red' if kind else 'white'},{'yes' if good else 'no'}")
    (place / "wines.csv").write_text("\n".join(lines), encoding="utf-8")
    run("train", "wines.csv", "--target", "good", "--epochs", 3, "--name", "wines", "--quiet", cwd=place)
    return place


def test_evaluate_reports_intervals_calibration_and_thresholds(wines):
    out = run("evaluate", "wines", cwd=wines)
    line = next(line for line in out.out.splitlines() if line.startswith("accuracy"))
    assert " to " in line
    assert "calibration error" in out.out
    assert "tuned for F1 on valid" in out.out
    assert "95 % bootstrap CI, 1,000 resamples" in out.err
    evaluation = run("evaluate", "wines", "--json", cwd=wines).json
    for name in ("accuracy", "loss", "macro_f1", "roc_auc"):
        low, high = evaluation["intervals"][name]
        assert low <= evaluation["metrics"][name] <= high
    assert 0 <= evaluation["calibration"]["ece"] <= 1
    (curve,) = evaluation["thresholds"]
    valid = json.loads((wines / "runs/wines/evaluation-valid.json").read_text(encoding="utf-8"))
    assert curve["class"] == "yes"
    assert curve["chosen"]["threshold"] == valid["thresholds"][0]["chosen"]["threshold"]


def test_evaluate_by_column_lists_worst_slice_first(wines):
    slices = run("evaluate", "wines", "--by", "alcohol", "--json", cwd=wines).json["slices"]
    values = [line["metrics"]["accuracy"] for line in slices["slices"]]
    assert len(values) == 4
    assert values == sorted(values)
    text = run("evaluate", "wines", "--by", "type", cwd=wines).out
    assert {"red", "white"} <= {line.split()[0] for line in text.splitlines() if line}
    wrong = run("evaluate", "wines", "--by", "alcohl", cwd=wines, code=2)
    assert "Did you mean 'alcohol'?" in wrong.err


def test_confident_errors_and_heat_maps_are_saved(digits_run):
    evaluation = json.loads((digits_run / "evaluation-valid.json").read_text(encoding="utf-8"))
    assert evaluation["attention"]["layer"].startswith("model.")
    assert evaluation["confident"] == sorted(evaluation["confident"], key=lambda entry: -entry["sure"])
    for entry in evaluation["confident"]:
        assert entry["answer"]["label"] != entry["target"]
        assert (digits_run / entry["picture"]).is_file()
    assert any((digits_run / entry["attention"]).is_file() for entry in evaluation["worst"] if entry["attention"])


LABELS = """
import random

import torch
from torch import nn

from benchdog.api import Answer, Column, Field, Raw, SourceInfo, Spec, Target, TaskInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="tags", summary="Two tags per row.", target=":Tags")]


@hookimpl
def benchdog_tasks():
    return [TaskInfo(name="several", summary="Tags.", target=":Several", answer=":answer", targets=("labels",),
                     models={"table": "mlp"})]


class Tags:
    def spec(self):
        field = Field(kind="table", shape=(2,), dtype="float32", columns=(Column(name="x"), Column(name="y")))
        target = Target(kind="labels", classes=("big", "tall"), shape=(2,), dtype="float32")
        return Spec(fields=(field,), target=target)

    def open(self):
        draw, found = random.Random(0), []
        for i in range(900):
            x, y = draw.gauss(0, 1), draw.gauss(0, 1)
            target = torch.tensor([x + draw.gauss(0, 0.5) > 0.5, y + draw.gauss(0, 0.5) > 1]).float().numpy()
            found.append(Raw(id=str(i), fields={"input": {"x": x, "y": y}}, target=target))
        return found


class Meter:
    def __init__(self):
        self.sums = torch.zeros(4, dtype=torch.float64)

    def add(self, score, batch):
        said, true = score > 0, batch.target > 0.5
        loss = nn.functional.binary_cross_entropy_with_logits(score, batch.target, reduction="sum")
        new = [loss, (said & true).sum(), said.sum() + true.sum(), torch.tensor(score.numel())]
        self.sums += torch.stack([x.double() for x in new])

    def state(self):
        return {"sums": self.sums}

    def merge(self, state):
        self.sums += state["sums"]

    def value(self):
        loss, hits, both, count = self.sums.tolist()
        return {"loss": loss / count, "micro_f1": 2 * hits / max(both, 1)}


class Several:
    monitor, better = "micro_f1", "max"

    def check(self, spec):
        pass

    def output(self, spec):
        return (spec.classes,)

    def head(self, spec):
        return nn.Sigmoid()

    def loss(self, score, batch):
        loss = nn.functional.binary_cross_entropy_with_logits(score, batch.target, reduction="sum")
        return loss, score.numel()

    def meter(self, spec):
        return Meter()


def answer(call, inputs, spec, options):
    shares, _ = call(*inputs)
    return [Answer({"probabilities": dict(zip(spec.target.classes, map(float, row)))}) for row in shares]
"""


@pytest.mark.usefixtures("graph_and_report")
def test_multi_label_task_has_thresholds_calibration_and_slices(tmp_path):
    (tmp_path / "tags.py").write_text(LABELS, encoding="utf-8")
    run("--plugin", "tags.py", "train", "tags", "--epochs", 12, "--name", "tags", "--quiet", cwd=tmp_path)
    evaluation = run("evaluate", "tags", "--by", "class", "--json", cwd=tmp_path).json
    assert [line["class"] for line in evaluation["thresholds"]] == ["big", "tall"]
    for line in evaluation["thresholds"]:
        assert 0 < line["chosen"]["threshold"] < 1
        assert line["chosen"]["f1"] > 0.5
    low, high = evaluation["intervals"]["micro_f1"]
    assert low < evaluation["metrics"]["micro_f1"] < high
    assert evaluation["calibration"]["ece"] < 0.2
    assert {line["slice"] for line in evaluation["slices"]["slices"]} == {"big", "tall", "(none)"}
    assert isinstance(evaluation["worst"][0]["target"], list)
    page = (tmp_path / "runs/tags/report.html").read_text(encoding="utf-8")
    assert "Precision-recall and ROC" in page


def test_image_slices_by_folder(tmp_path):
    draw = np.random.default_rng(0)
    for label in ("dark", "light"):
        for camera in ("one", "two"):
            folder = tmp_path / "photos" / label / camera
            folder.mkdir(parents=True)
            for i in range(20):
                pixels = draw.normal(200 if label == "light" else 60, 20, (8, 10))
                Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    classes = ("--set", "source.folders=classes")
    run("train", "./photos", *classes, "--model", "linear", "--epochs", 1, "--name", "p", "--quiet", cwd=tmp_path)
    evaluation = run("evaluate", "p", "--by", "folder", "--json", cwd=tmp_path).json
    assert {line["slice"] for line in evaluation["slices"]["slices"]} <= {
        f"{label}/{camera}" for label in ("dark", "light") for camera in ("one", "two")
    }
    assert sum(line["samples"] for line in evaluation["slices"]["slices"]) == evaluation["samples"]
    assert evaluation["attention"] == {"layer": None, "why": NO_LAYER}
    seen = json.loads((tmp_path / "runs/p/artifact/artifact.json").read_text(encoding="utf-8"))["ranges"]
    assert seen["fields"]["input"]["longer"] == [10, 10]
