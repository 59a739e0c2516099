"""Repeated runs: same data with different seeds, resuming, and comparison by confidence intervals."""

import json
import shutil

import numpy as np
import pytest
from scipy import stats

from benchdog.cli.repeat import spread, student_t
from support.in_process import run, same, train

pytestmark = pytest.mark.usefixtures("weights_alone")


@pytest.mark.parametrize("freedom", [1, 2, 5, 20, 21, 30, 100, 10_000])
def test_student_t_quantiles(freedom):
    assert student_t(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-5)


def test_spread_mean_deviation_and_interval():
    result = spread([0.8, 0.9, 0.85])
    low, high = stats.t.interval(0.95, 2, np.mean(result["values"]), stats.sem(result["values"]))
    assert result["mean"] == pytest.approx(0.85)
    assert result["deviation"] == pytest.approx(0.05)
    assert result["interval"] == pytest.approx([low, high], rel=1e-5)
    assert spread([0.5])["interval"] is None
    assert spread([0.99, 0.9], fraction=True)["interval"][1] == 1.0 < spread([0.99, 0.9])["interval"][1]
    assert spread([99.0, 90.0], fraction=True)["interval"] == spread([99.0, 90.0])["interval"]


@pytest.fixture(scope="module")
def repeated(tmp_path_factory):
    place = tmp_path_factory.mktemp("repeated")
    draw = np.random.default_rng(0)
    values = draw.normal(size=(300, 2))
    lines = [f"{x:.3f},{y:.3f},{'yes' if x + y > draw.normal() else 'no'}" for x, y in values]
    (place / "dots.csv").write_text("\n".join(["x,y,above", *lines]), encoding="utf-8")
    args = ("train", place / "dots.csv", "--model", "linear", "--epochs", 1, "--seed", 3, "--name", "lin", "--quiet")
    run(*args, "--repeat", 2, cwd=place)
    return place, args


def test_repeated_runs_differ_only_by_the_seed(repeated):
    place, _ = repeated
    document = json.loads((place / "runs/lin.repeats.json").read_text(encoding="utf-8"))
    assert [line["run"] for line in document["runs"]] == ["lin-seed-3", "lin-seed-4"]
    facts = [json.loads((place / f"runs/lin-seed-{n}/run.json").read_text(encoding="utf-8")) for n in (3, 4)]
    assert facts[0]["data"] == facts[1]["data"]
    assert not same(place / "runs/lin-seed-3", place / "runs/lin-seed-4")
    values = [line["metrics"]["accuracy"] for line in document["runs"]]
    assert document["split"] == "test"
    assert document["metrics"]["accuracy"]["mean"] == pytest.approx(np.mean(values))


def test_repeat_keeps_finished_runs_and_resumes_stopped_ones(repeated, tmp_path):
    place, args = repeated
    shutil.copytree(place / "runs", tmp_path / "runs")
    stopped = tmp_path / "runs/lin-seed-4"
    facts = json.loads((stopped / "run.json").read_text(encoding="utf-8"))
    (stopped / "run.json").write_text(json.dumps(facts | {"status": "stopped"}), encoding="utf-8")
    shutil.rmtree(stopped / "artifact")
    (stopped / "evaluation-test.json").unlink()
    before = (tmp_path / "runs/lin-seed-3/run.json").stat().st_mtime_ns
    summary = run(*args, "--repeat", 3, "--json", cwd=tmp_path).lines[-1]
    assert [line["seed"] for line in summary["runs"]] == [3, 4, 5]
    assert (tmp_path / "runs/lin-seed-3/run.json").stat().st_mtime_ns == before
    assert same(stopped, place / "runs/lin-seed-4")
    text = run(*args, "--repeat", 2, cwd=tmp_path).out
    assert text.splitlines()[0].split("  ")[0] == "test, 2 seeds"
    assert " to " in text


def test_repeat_refuses_a_different_recipe(repeated):
    place, args = repeated
    assert "with a different recipe: trainer.lr" in run(*args, "--repeat", 2, "--lr", 0.5, cwd=place, code=2).err
    fewer = [arg for arg in args if arg not in ("--model", "linear")]
    assert "with a different recipe: model.name" in run(*fewer, "--repeat", 2, cwd=place, code=2).err


def test_repeat_without_a_name_numbers_each_repetition(repeated, tmp_path):
    place, _ = repeated
    words = (place / "dots.csv", "--model", "linear", "--quiet", "--repeat", 2, "--json", "--epochs")
    first = train(*words, 1, cwd=tmp_path).lines[-1]
    assert [line["run"] for line in first["runs"]] == [
        "dots-linear-repeated-1-seed-0",
        "dots-linear-repeated-1-seed-1",
    ]
    assert train(*words, 1, cwd=tmp_path).lines[-1]["name"] == "dots-linear-repeated-2"
    (tmp_path / "runs/dots-linear-repeated-2.repeats.json").unlink()  # as if it had been interrupted
    assert train(*words, 1, cwd=tmp_path).lines[-1]["name"] == "dots-linear-repeated-2"
    (tmp_path / "runs/dots-linear-repeated-2.repeats.json").unlink()
    assert train(*words, 2, cwd=tmp_path).lines[-1]["name"] == "dots-linear-repeated-3"


@pytest.mark.parametrize(
    "words", [("evaluate", "lin"), ("predict", "lin", "dots.csv"), ("export", "lin", "--to", "safetensors")]
)
def test_name_of_repeated_runs_is_refused_where_a_single_run_is_required(repeated, words):
    stderr = run(*words, cwd=repeated[0], code=2).err
    assert "'lin' names repeated runs" in stderr
    assert "Available: lin-seed-3, lin-seed-4." in stderr


def test_repeat_refuses_time_smoke_and_resume(repeated):
    place, args = repeated
    timed = run("train", "digits", "--repeat", 2, "--time", "9s", cwd=place, code=2)
    assert "--time and --repeat can't be combined" in timed.err
    assert "--smoke tests one run" in run(*args, "--repeat", 2, "--smoke", cwd=place, code=2).err
    assert "--resume continues a run unchanged" in run(
        "train", "--resume", "lin-seed-3", "--repeat", 2, cwd=place, code=2
    ).err  # fmt: skip


# --- comparing


def stored(runs, name, accuracy, interval, better="max"):
    folder = runs / name
    folder.mkdir(parents=True)
    facts = {"format": 1, "name": name, "status": "finished", "monitor": "accuracy", "better": better}
    evaluation = {"metrics": {"accuracy": accuracy}, "intervals": {"accuracy": interval} if interval else {}}
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    (folder / "evaluation-test.json").write_text(json.dumps(evaluation), encoding="utf-8")


@pytest.mark.parametrize(
    ("other", "better", "verdict"),
    [
        ((0.9, [0.88, 0.92]), "max", "b is best: its test accuracy is 0.9."),
        ((0.81, [0.78, 0.84]), "max", "No significant difference: the intervals overlap."),
        ((0.9, [0.88, 0.92]), "min", "a is best: its test accuracy is 0.8."),
        ((0.9, None), "max", "Whether the difference is significant is unknown"),
        ((0.8, [0.7, 0.9]), "max", "The test accuracy of the best runs is equal: 0.8."),
    ],
)
def test_runs_are_ranked_only_if_their_intervals_do_not_overlap(tmp_path, other, better, verdict):
    stored(tmp_path / "runs", "a", 0.8, [0.78, 0.82], better)
    stored(tmp_path / "runs", "b", other[0], other[1], better)
    document = run("runs", "compare", "a", "b", "--json", "--out", "both.html", cwd=tmp_path).json
    assert verdict in document["verdict"]
    assert document["intervals"]["test.accuracy"] == [[0.78, 0.82], other[1]]
    assert verdict.split(" its")[0] in (tmp_path / "both.html").read_text(encoding="utf-8").replace("&#x27;", "'")
    assert verdict in run("runs", "compare", "a", "b", cwd=tmp_path).out
    assert "0.8 (0.78 to 0.82)" in run("runs", "compare", "a", "b", cwd=tmp_path).out


def test_repeated_runs_are_compared_by_mean_and_its_interval(repeated):
    place, _ = repeated
    document = run("runs", "compare", "lin", "lin-seed-3", "--json", cwd=place).json
    summary = json.loads((place / "runs/lin.repeats.json").read_text(encoding="utf-8"))
    assert document["runs"] == ["lin", "lin-seed-3"]
    assert document["metrics"]["test.accuracy"][0] == summary["metrics"]["accuracy"]["mean"]
    assert document["intervals"]["test.accuracy"][0] == summary["metrics"]["accuracy"]["interval"]
    assert "the intervals overlap" in document["verdict"]
