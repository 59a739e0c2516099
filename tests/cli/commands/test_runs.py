"""`benchdog runs`: list, show, report, compare, and safe removal."""

import json
import sys
from datetime import UTC, datetime, timedelta

import pytest
from filelock import FileLock
from PIL import Image

from benchdog.errors import BadUsage
from benchdog.runs.run import Run


def make(runs, name, *, hours=0, status="finished", accuracy=0.9, epochs=5, **recipe):
    folder = runs / name
    folder.mkdir(parents=True)
    best = {"epoch": 2, "metric": "accuracy", "value": accuracy}
    facts = {"format": 1, "name": name, "status": status, "source": "digits", "model": "cnn",
             "task": "classification",
             "created": (datetime.now(UTC) - timedelta(hours=hours)).isoformat(), "epochs_done": epochs, "best": best,
             "monitor": "accuracy", "better": "max", "error": None}  # fmt: skip
    lines = [
        {"name": "majority class", "metrics": {"accuracy": 0.1}},
        {"name": "linear model", "metrics": {"accuracy": 0.8}},
    ]
    log = [{"kind": "epoch", "epoch": e, "step": e, "valid.loss": 1 / e, "valid.accuracy": accuracy} for e in (1, 2)]
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    (folder / "baseline.json").write_text(json.dumps({"split": "valid", "lines": lines}), encoding="utf-8")
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, log)), encoding="utf-8")
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in recipe.items())
    (folder / "recipe.toml").write_text(f"seed = 0\n[loop]\n{text}", encoding="utf-8")
    return folder


@pytest.fixture
def runs(tmp_path):
    place = tmp_path / "runs"
    make(place, "old", hours=50, accuracy=0.7, epochs=9, batch_size=32)
    make(place, "new", hours=2, batch_size=64)
    return place


# --- list


def test_list_shows_newest_runs_first(bench, runs):
    document = bench("runs", "list", "--json").json
    assert document["format"] == 1
    assert [run["name"] for run in document["runs"]] == ["new", "old"]
    first = document["runs"][0]
    assert (first["source"], first["model"], first["status"], first["epochs"]) == ("digits", "cnn", "finished", 5)
    assert (first["metric"], first["value"]) == ("accuracy", 0.9)
    assert first["baseline"] == {"name": "linear model", "value": 0.8}
    out = bench("runs", "list").out
    assert out.index("new") < out.index("old")
    assert "2 hours ago" in out
    assert "2 days ago" in out
    assert "0.8 (linear model)" in out


def test_list_without_runs_suggests_training(bench):
    result = bench("runs", "list")
    assert result.out == ""
    assert "benchdog train digits" in result.err
    assert bench("runs", "list", "--json").json["runs"] == []


def test_list_shows_damaged_and_dead_runs(bench, runs):
    make(runs, "dead", status="running")
    (make(runs, "torn") / "run.json").write_text("{", encoding="utf-8")
    states = {run["name"]: run["status"] for run in bench("runs", "list", "--json").json["runs"]}
    assert states == {"new": "finished", "old": "finished", "dead": "interrupted", "torn": "unknown"}


def test_locked_run_is_listed_as_running(bench, runs):
    folder = make(runs, "busy", status="running")
    with FileLock(folder / "lock"):
        states = {run["name"]: run["status"] for run in bench("runs", "list", "--json").json["runs"]}
    assert states["busy"] == "running"


def test_runs_folder_by_flag_and_environment_variable(bench, tmp_path):
    make(tmp_path / "elsewhere", "far")
    assert [r["name"] for r in bench("runs", "list", "--json", "--runs-dir", "elsewhere").json["runs"]] == ["far"]
    env = {"BENCHDOG_RUNS": str(tmp_path / "elsewhere")}
    assert bench("runs", "show", "--json", env=env).json["name"] == "far"


# --- show and report


def test_show_metrics_recipe_and_baselines(bench, runs):
    document = bench("runs", "show", "old", "--json").json
    assert document["metrics"]["valid.accuracy"] == 0.7
    assert document["recipe"] == {"seed": 0, "loop": {"batch_size": 32}}
    assert [line["name"] for line in document["baselines"]] == ["majority class", "linear model"]
    out = bench("runs", "show").out  # the last one
    assert "The best validation accuracy is 90.0" in out
    assert "batch_size = 64" in out


def test_unknown_run_suggests_the_nearest(bench, runs):
    result = bench("runs", "show", "odl", "--json", code=2)
    assert "'old'" in result.json["error"]["hint"]


def test_report_writes_the_page_and_prints_its_path(bench, runs):
    (runs / "old" / "report.html").write_text("stale", encoding="utf-8")
    out = bench("runs", "report", "old").out.strip()
    assert out == str(runs / "old" / "report.html")
    assert "digits" in (runs / "old" / "report.html").read_text(encoding="utf-8")
    document = bench("runs", "report", "--json").json
    assert document == {"format": 1, "run": "new", "report": str(runs / "new" / "report.html")}


# --- compare


def test_compare_shows_metrics_and_differing_keys(bench, runs):
    document = bench("runs", "compare", "old", "new", "--json").json
    assert document["runs"] == ["old", "new"]
    assert document["metrics"]["valid.accuracy"] == [0.7, 0.9]
    assert document["recipe"] == {"loop.batch_size": [32, 64]}
    out = bench("runs", "compare", "old", "last").out
    assert "loop.batch_size" in out
    assert "seed" not in out


@pytest.mark.parametrize("name", ["both.html", "deep/both.png"])
def test_compare_writes_learning_curves(bench, runs, tmp_path, name):
    document = bench("runs", "compare", "old", "new", "--out", name, "--json").json
    path = tmp_path / name
    assert document["out"] == str(path)
    if path.suffix == ".png":
        with Image.open(path) as image:
            assert image.format == "PNG"
    else:
        assert "new is best" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("args", "message"),
    [(("old",), "can't be compared with itself"), (("new", "last"), "can't be compared with itself"),
     (("old", "new", "--out", "x.gif"), "neither .html nor .png")],
)  # fmt: skip
def test_compare_refuses_same_run_and_unknown_file_types(bench, runs, args, message):
    assert message in bench("runs", "compare", *args, code=2).err


# --- rm


def test_rm_removes_the_named_run(bench, runs):
    assert bench("runs", "rm", "old", "--yes", "--json").json["removed"] == ["old"]
    assert [path.name for path in runs.iterdir()] == ["new"]


def test_rm_without_a_terminal_requires_yes(bench, runs):
    result = bench("runs", "rm", "old", "new", code=2)
    assert "--yes" in result.err
    assert bench("runs", "rm", "old", "--json", code=2).json["error"]["code"] == 2
    assert (runs / "old").is_dir()


def test_rm_refuses_a_locked_run_and_removes_nothing(bench, runs):
    with FileLock(runs / "new" / "lock"):
        result = bench("runs", "rm", "old", "new", "--yes", code=1)
    assert "used by another process" in result.err
    assert (runs / "new").is_dir()
    assert (runs / "old").is_dir()  # a mistake in the list removes nothing


def test_rm_removes_a_run_whose_process_died(bench, runs):
    (make(runs, "dead", status="running") / "lock").touch()
    bench("runs", "rm", "dead", "--yes")
    assert not (runs / "dead").exists()


def test_rm_refuses_folders_outside_the_runs_folder(bench, runs, tmp_path):
    outside = make(tmp_path / "elsewhere", "precious")
    assert "is not in" in bench("runs", "rm", outside, "--yes", code=2).err
    assert "is not in" in bench("runs", "rm", "../elsewhere/precious", "--yes", code=2).err
    assert (outside / "run.json").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_rm_does_not_follow_symbolic_links(bench, runs, tmp_path):
    outside = make(tmp_path / "elsewhere", "precious")
    (runs / "linked").symlink_to(outside)
    (runs / "twin").symlink_to(runs / "new")
    (runs / "old" / "inside").symlink_to(outside)
    for name in ("linked", "twin"):
        assert "is a symbolic link" in bench("runs", "rm", name, "--yes", code=2).err
    bench("runs", "rm", "old", "--yes")
    assert not (runs / "old").exists()
    assert (outside / "run.json").is_file()
    assert (runs / "new").is_dir()


def test_rm_of_a_run_named_twice_removes_it_once(bench, runs):
    assert bench("runs", "rm", "new", "last", "--yes", "--json").json["removed"] == ["new"]


@pytest.mark.parametrize("name", ["é" * 101, "a\nb", "a\x1b[31m", " a", "a ", "\udcff", "last", ".a", "a/b"])
def test_invalid_run_names_are_refused(tmp_path, name):
    with pytest.raises(BadUsage, match="can't be named") as caught:
        Run.create(tmp_path / "runs", name, {"source": "s", "model": "m"})
    assert caught.value.message.isprintable()
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["é" * 100, "my run", ""])
def test_valid_run_names_are_accepted(tmp_path, name):
    run = Run.create(tmp_path / "runs", name, {"source": "s", "model": "m"})
    assert run.name == (name or "s-m-1")
    run.release()


def test_killed_run_is_shown_as_interrupted_with_how_to_resume_it(bench, runs):
    folder = make(runs, "dead", status="running")
    result = bench("runs", "show", "dead")
    assert "interrupted" in result.out
    assert f"benchdog train --resume {folder}" in result.err
    assert bench("runs", "show", "dead", "--json").json["status"] == "interrupted"
    bench("runs", "report", "dead")
    assert "This run was interrupted" in (folder / "report.html").read_text(encoding="utf-8")
