"""Report sections of an evaluation: intervals, calibration, thresholds, slices, heat maps; junk is ignored."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchdog.evaluation import report
from benchdog.evaluation.report import diagnostics, facts
from benchdog.evaluation.report.formatting import between
from evaluation.report.test_report import EVIL, page_of, put, write_run

CURVE = [{"from": 0.8, "to": 0.87, "count": 30, "said": 0.84, "true": 0.8},
         {"from": 0.93, "to": 1, "count": 70, "said": 0.98, "true": 0.97}]  # fmt: skip
REACHED = {"threshold": 0.3, "precision": 0.5, "recall": 0.75, "f1": 0.6}
MORE = {
    "intervals": {"accuracy": [0.8812, 0.9188], "loss": [0.2, 0.4]},
    "calibration": {"ece": 0.0201, "brier": 0.08, "curve": CURVE, "intervals": {"ece": [0.01, 0.03]}},
    "thresholds": [
        {"class": "dog", "positives": 3, "roc": [[0, 0], [0.5, 1], [1, 1]], "pr": [[0.5, 1], [1, 0.3]],
         "chosen": REACHED, "at_half": {**REACHED, "f1": 0.4}}
    ],
    "slices": {"by": "town", "monitor": "accuracy", "slices": [
        {"slice": "Aix", "samples": 40, "metrics": {"accuracy": 0.5, "loss": 1.2},
         "intervals": {"accuracy": [0.4, 0.6]}},
        {"slice": EVIL, "samples": 60, "metrics": {"accuracy": 0.9, "loss": 0.2}, "intervals": {}}]},
    "confident": [{"id": "sure-1", "sure": 0.99, "answer": {"label": "cat", "probability": 0.99}, "target": "dog"}],
    "attention": {"layer": "model.3", "why": None},
}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    folder = write_run(tmp_path / "run-1")
    document = json.loads((folder / "evaluation-test.json").read_text(encoding="utf-8"))
    document["worst"][0]["attention"] = "worst/0.png"
    put(folder, "evaluation-test.json", document | MORE)
    return folder


def test_report_shows_intervals(run):
    seen = page_of(run)
    assert "95\u202f% CI: 88.1\u202f% to 91.9\u202f% (n = 1\u202f000)." in seen.prose
    assert "accuracy – 0.9 0.9 0.881 to 0.919" in seen.prose
    assert "Intervals: 95\u202f% bootstrap CI." in seen.prose
    assert between(0.98111, (0.97123, 0.99999)) == "0.9811 (0.971 to 1)"


def test_report_has_a_reliability_diagram(run):
    prose = page_of(run).prose
    assert "Calibration" in prose
    assert "calibration error 0.0201 (0.01 to 0.03) Brier score 0.08" in prose
    assert "1.9 points higher than the observed frequencies" in prose


def test_report_has_threshold_curves_and_the_chosen_threshold(run):
    prose = page_of(run).prose
    assert "A ring marks the threshold with the best F1 on the validation split." in prose
    assert "dog 0.3 50.0\u202f% 75.0\u202f% 60.0\u202f% 40.0\u202f%" in prose


def test_report_lists_slices_worst_first_and_escaped(run):
    seen = page_of(run)
    assert "Metrics by slice: town" in seen.prose
    assert seen.prose.index("Aix 40 50.0\u202f%") < seen.prose.index(EVIL)
    assert "script" not in seen.tags
    assert "Intervals are drawn from 0.4 to 0.6." in seen.prose


def test_report_shows_confident_errors_and_heat_maps(run):
    seen = page_of(run)
    assert "Most confident errors" in seen.prose
    assert "sure-1 cat (99.0\u202f%) dog 0.99" in seen.prose
    assert seen.tags.count("img") == 2
    assert "no positive influence" not in seen.prose
    assert "the Grad\u2011CAM heat map of the last convolutional layer (3)." in seen.prose
    document = json.loads((run / "evaluation-test.json").read_text(encoding="utf-8"))
    put(run, "evaluation-test.json", document | {"attention": {"layer": None, "why": "there is no convolution"}})
    assert "There are no heat maps: there is no convolution." in page_of(run).prose
    document["confident"] = document["worst"]
    put(run, "evaluation-test.json", document)
    assert "The most confident errors are all among the highest-loss samples." in page_of(run).prose


def test_report_leaves_out_sections_without_data(tmp_path):
    prose = page_of(write_run(tmp_path / "run-1")).prose
    for title in (
        "Calibration",
        "Precision-recall",
        "Metrics by slice",
        "Most confident errors",
        "95\u202f% CI",
    ):
        assert title not in prose


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["ece", "brier", "curve", "said", "true", "count", "pr", "roc", "chosen", "at_half", "slices",
                         "metrics", "intervals", "accuracy", "layer", "why", "by", "monitor", "id", "answer"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(sorted(MORE)), JUNK, min_size=1))
def test_report_ignores_junk(tmp_path, junk):
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    document = {"metrics": {"accuracy": 0.5}, "target": {"kind": "class"}, **junk}
    (tmp_path / "evaluation-test.json").write_text(json.dumps(document), encoding="utf-8")
    read = facts.read(tmp_path)
    for part in (diagnostics.calibration, diagnostics.thresholds, diagnostics.slices):
        part(read)
    assert report.write(tmp_path).is_file()
