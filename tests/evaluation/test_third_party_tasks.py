"""A third party's task: nothing in its evaluation assumes that scores mean what they do in a built-in one."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.bare import without_graph
from support.in_process import run

ODD = Path(__file__).parents[1] / "support" / "thirdparty" / "scores" / "src" / "odd_tasks.py"


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    return Path(shutil.copy(ODD, tmp_path / "odd.py"))


def evaluated(plugin: Path, source: str, task: str) -> tuple[dict[str, Any], str]:
    """Train, evaluate; return the evaluation's document and the report."""
    place = plugin.parent
    options = ("--task", task, "--epochs", 1, "--quiet", "--name", task)
    with without_graph():
        run("--plugin", plugin, "train", source, *options, cwd=place)
    document = run("--plugin", plugin, "evaluate", task, "--json", cwd=place).json
    return document, (place / "runs" / task / "report.html").read_text(encoding="utf-8")


NONE = "no baselines: the task {!r} declares none"


def test_task_that_declares_no_baselines_has_none(plugin: Path) -> None:
    document, report = evaluated(plugin, "counts", "poisson")
    assert document["baselines"] == []
    assert document["notes"] == [NONE.format("poisson")]
    assert "No baselines: the task &#39;poisson&#39; declares none." in report
    stored = json.loads((plugin.parent / "runs" / "poisson" / "baseline.json").read_text(encoding="utf-8"))
    assert (stored["lines"], stored["note"]) == ([], NONE.format("poisson"))
    printed = run("--plugin", plugin, "evaluate", "poisson", cwd=plugin.parent)
    assert f"note: {NONE.format('poisson')}" in printed.err


def test_subclass_with_another_loss_inherits_no_baselines(plugin: Path) -> None:
    document, _ = evaluated(plugin, "counts", "rates")
    assert (document["baselines"], document["notes"]) == ([], [NONE.format("rates")])


def test_wrong_declaration_is_found_out(plugin: Path) -> None:
    document, _ = evaluated(plugin, "counts", "wrongly")
    assert document["baselines"] == []
    assert "declares usual_scores, but its targets as scores have a loss of" in document["notes"][0]
    assert "worse than" in document["notes"][0]


def test_task_with_its_own_baselines_is_measured_by_them(plugin: Path) -> None:
    document, _ = evaluated(plugin, "counts", "own")
    assert [line["name"] for line in document["baselines"]] == ["rate of 20"]
    assert document["notes"] == []
    assert document["baselines"][0]["metrics"]["loss"] == pytest.approx(20 - 20 * 2.9957, abs=2)


def test_quantiles_are_not_drawn_as_the_predicted_number(plugin: Path) -> None:
    document, report = evaluated(plugin, "counts", "quantiles")
    assert "pairs" not in document
    assert "Predicted vs. actual" not in report
    assert document["baselines"] == []


@pytest.mark.parametrize("task", ["steps", "margins"])
def test_scores_of_classes_that_are_no_probabilities_have_no_confident_errors(plugin: Path, task: str) -> None:
    document, report = evaluated(plugin, "places", task)
    assert document["confident"] == []
    assert not {"calibration", "thresholds"} & set(document)
    assert document["baselines"] == []
    assert "misclassified" not in report


@pytest.mark.parametrize("task", ["ranking", "percent"])
def test_target_of_its_own_kind_is_reported_by_the_monitor(plugin: Path, task: str) -> None:
    document, report = evaluated(plugin, "relevance", task)
    assert document["notes"] == [NONE.format(task)]
    assert "The loss is" in report
    assert "classified correctly" not in report
    assert "8700" not in report.replace("\u202f", "")


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("monitorless", "chooses the best epoch by 'ndcg', which is not among the metrics: loss."),
        ("higher", "Task 'higher' has better = 'higher'."),
    ],
)
def test_task_that_can_not_choose_an_epoch_is_refused(plugin: Path, task: str, told: str) -> None:
    result = run("--plugin", plugin, "train", "counts", "--task", task, "--epochs", 2, cwd=plugin.parent, code=2)
    assert told in result.err
