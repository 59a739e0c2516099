"""The report's figures of trust: intervals, calibration, thresholds, parts, attention; junk is passed over."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchdog.evaluation import report
from benchdog.evaluation.report import facts, judged
from benchdog.evaluation.report.html import between
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
    told = json.loads((folder / "evaluation-test.json").read_text(encoding="utf-8"))
    told["worst"][0]["attention"] = "worst/0.png"
    put(folder, "evaluation-test.json", told | MORE)
    return folder


def test_intervals_stand_beside_their_figures(run):
    seen = page_of(run)
    assert "Chance on 1\u202f000 samples leaves it between 88.1\u202f% and 91.9\u202f%." in seen.said
    assert "accuracy – 0.9 0.9 0.881 to 0.919" in seen.said
    assert "95 % of resamples" in seen.said
    assert between(0.98111, (0.97123, 0.99999)) == "0.9811 (0.971 to 1)"


def test_calibration_is_drawn_and_said(run):
    said = page_of(run).said
    assert "How sure it is, and how right" in said
    assert "calibration error 0.0201 (0.01 to 0.03) Brier score 0.08" in said
    assert "1.9 points higher than what came true" in said


def test_thresholds_are_drawn_with_the_chosen_one(run):
    said = page_of(run).said
    assert "A ring marks the threshold with the best F1 on the validation split." in said
    assert "dog 0.3 50.0\u202f% 75.0\u202f% 60.0\u202f% 40.0\u202f%" in said


def test_parts_are_listed_the_worst_first_and_escaped(run):
    seen = page_of(run)
    assert "Part by part: town" in seen.said
    assert seen.said.index("Aix 40 50.0\u202f%") < seen.said.index(EVIL)
    assert "script" not in seen.tags
    assert "Intervals are drawn from 0.4 to 0.6." in seen.said


def test_the_surest_mistakes_follow_and_where_the_network_looked_is_beside(run):
    seen = page_of(run)
    assert "Surest and wrong" in seen.said
    assert "sure-1 cat (99.0\u202f%) dog 0.99" in seen.said
    assert seen.tags.count("img") == 2
    assert "no place spoke for it" not in seen.said
    assert "The second picture glows where the last feature maps (3)" in seen.said
    told = json.loads((run / "evaluation-test.json").read_text(encoding="utf-8"))
    put(run, "evaluation-test.json", told | {"attention": {"layer": None, "why": "there is no convolution"}})
    assert "no pictures of where the model looked: there is no convolution." in page_of(run).said
    told["confident"] = told["worst"]
    put(run, "evaluation-test.json", told)
    assert "are all among the costliest" in page_of(run).said


def test_nothing_new_is_said_of_a_run_that_has_none_of_it(tmp_path):
    said = page_of(write_run(tmp_path / "run-1")).said
    for title in (
        "How sure it is",
        "What a threshold trades",
        "Part by part",
        "Surest and wrong",
        "leaves it between",
    ):
        assert title not in said


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
def test_junk_is_passed_over(tmp_path, junk):
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    told = {"metrics": {"accuracy": 0.5}, "target": {"kind": "class"}, **junk}
    (tmp_path / "evaluation-test.json").write_text(json.dumps(told), encoding="utf-8")
    read = facts.read(tmp_path)
    for part in (judged.calibration, judged.thresholds, judged.slices):
        part(read)
    assert report.write(tmp_path).is_file()
