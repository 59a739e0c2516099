"""`benchdog tune` through the command line, with real trainings."""

import gc
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from benchdog_optuna import plots
from support.bare import bare
from support.in_process import run

RECIPE = """\
seed = 1
source = {{ name = "csv", path = "points.csv", target = "kind" }}
model = {{ name = "{model}" }}
trainer = {{ lr = 0.02 }}
[loop]
epochs = {epochs}
batch_size = 64
[tune]
trials = {trials}
startup = 1
{more}
[tune.space]
"trainer.lr" = {{ low = 0.01, high = 1.0, log = true }}
"loop.batch_size" = {{ low = 32, high = 128, step = 32 }}
"""
POINTS = "x,y,kind\n" + "".join(f"{n * 37 % 101}.5,{n * 7 % 11}.25,{'ab'[n * 37 % 101 > 50]}\n" for n in range(200))
NET = """
import os
import time

from torch import nn


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.last = nn.Linear(spec.fields[0].shape[0], spec.outputs)

    def forward(self, x):
        time.sleep(float(os.environ.get("PAUSE", "0")))
        return self.last(x)
"""
SMALL = ("points.csv", "--target", "kind", "--model", "linear", "--epochs", 1)
POSIX = pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")


def environment(cwd: Path) -> dict[str, str]:
    """Return environment variables that enable this plugin alone."""
    return {"BENCHDOG_PLUGINS": "benchdog-optuna", "BENCHDOG_CACHE": str(cwd / "cache")}


def start(*args: object, cwd: Path) -> subprocess.Popen[str]:
    """Start a command in a subprocess, where each forward pass of NET takes 0.1 seconds more."""
    command = [sys.executable, "-m", "benchdog", *map(str, args)]
    env = {**os.environ, **environment(cwd), "PAUSE": "0.1"}
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench(*args: object, cwd: Path, code: int = 0) -> tuple[str, str]:
    """Run a command without the reports of its runs and the plots of its page."""
    with bare(), mock.patch.object(plots, "_svg", return_value=""):
        done = run(*args, cwd=cwd, code=code, env=environment(cwd))
    return done.out, done.err


def recipe(place: Path, trials: int, epochs: int = 2, more: str = "", *, model: str = "linear") -> str:
    """Write a recipe for POINTS."""
    text = RECIPE.format(model=model, trials=trials, epochs=epochs, more=more)
    (place / "r.toml").write_text(text, encoding="utf-8")
    return "r.toml"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Return a folder with POINTS and NET."""
    (tmp_path / "points.csv").write_text(POINTS, encoding="utf-8")
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    return tmp_path


def read_study(place: Path, study: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((place / "runs" / study / "tune.json").read_text(encoding="utf-8"))
    return document


def values_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [trial["values"] for trial in document["trials"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("studies")
    gc.collect()
    gc.freeze()  # each trial ends with a garbage collection, which would traverse the imported libraries
    (place / "points.csv").write_text(POINTS, encoding="utf-8")
    document = run("tune", recipe(place, 3), "--study", "one", "--json", cwd=place, env=environment(place)).json
    assert document == read_study(place, "one")
    return place


def test_each_trial_is_a_run_and_best_is_selected_on_validation(place):
    document = read_study(place, "one")
    assert document["metric"] == "valid.accuracy"
    assert [trial["state"] for trial in document["trials"]] == ["complete"] * 3
    runs = place / "runs" / "one"
    for trial in document["trials"]:
        facts = json.loads((runs / trial["run"] / "run.json").read_text(encoding="utf-8"))
        assert facts["status"] == "finished"
        assert facts["best"]["value"] == trial["value"]
        assert not (runs / trial["run"] / "evaluation-test.json").exists()
        resolved = tomllib.loads((runs / trial["run"] / "recipe.toml").read_text(encoding="utf-8"))
        assert "tune" not in resolved
        assert resolved["trainer"]["lr"] == trial["values"]["trainer.lr"]
        assert resolved["loop"]["batch_size"] == trial["values"]["loop.batch_size"]
    assert document["best"]["value"] == max(trial["value"] for trial in document["trials"])
    first = document["trials"][0]["values"]
    assert first == {"trainer.lr": 0.02, "loop.batch_size": 64}  # the recipe's own values
    out, _ = bench("runs", "list", "--runs-dir", runs, "--json", cwd=place)
    assert len(json.loads(out)["runs"]) == 3


def test_best_recipe_reproduces_the_best_trial(place):
    best = read_study(place, "one")["best"]
    text = (place / "runs" / "one" / "best.toml").read_text(encoding="utf-8")
    assert text.startswith(f"# Trial {best['number']} of study one: valid.accuracy")
    bench("train", "runs/one/best.toml", "--name", "again", "--quiet", cwd=place)
    files = [place / "runs" / name / "artifact" / "model.safetensors" for name in ("again", f"one/{best['run']}")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_train_ignores_the_tune_table(place):
    bench("train", "r.toml", "--name", "plain", "--quiet", cwd=place)
    resolved = (place / "runs" / "plain" / "recipe.toml").read_text(encoding="utf-8")
    assert "tune" not in resolved
    schema = json.loads(bench("schema", cwd=place)[0])
    assert "trainer" in schema["properties"]
    assert schema["properties"]["tune"]["additionalProperties"] is False
    assert schema["properties"]["tune"]["properties"]["trials"]["type"] == "integer"


@pytest.mark.slow
def test_study_resumed_with_more_trials_equals_an_uninterrupted_one(small):
    bench("tune", recipe(small, 2), "--study", "one", cwd=small)
    before = values_of(read_study(small, "one"))
    _, err = bench("tune", "--resume", "one", "--trials", 3, cwd=small)
    document = read_study(small, "one")
    assert values_of(document)[:2] == before
    assert len(document["trials"]) == 3
    assert "trial 2: accuracy" in err
    bench("tune", recipe(small, 3), "--study", "whole", "--quiet", cwd=small)
    assert values_of(read_study(small, "whole")) == values_of(document)


def test_best_of_equal_trials_has_the_lowest_loss_and_the_data_may_move(small):
    rates = ["--space", "trainer.lr=[1e-9, 3e-9, 2e-9]", "--pruner", "none"]
    bench("tune", *SMALL, *rates, "--trials", 2, "--study", "one", "--quiet", cwd=small)
    (small / "data").mkdir()
    (small / "points.csv").rename(small / "data" / "moved.csv")
    _, err = bench("tune", "--resume", "one", "--trials", 3, cwd=small, code=5)
    assert "points.csv doesn't exist" in err
    assert "benchdog tune --resume one --data PATH" in err
    (small / "other.csv").write_text(POINTS.replace("a", "c"), encoding="utf-8")
    _, err = bench("tune", "--resume", "one", "--data", "other.csv", cwd=small, code=5)
    assert "The data isn't what this run was trained on" in err
    assert len(read_study(small, "one")["trials"]) == 2  # none was spent on it
    bench("tune", "--resume", "one", "--trials", 3, "--data", "data/moved.csv", "--quiet", cwd=small)
    document = read_study(small, "one")
    assert [trial["state"] for trial in document["trials"]] == ["complete"] * 3
    assert len({trial["value"] for trial in document["trials"]}) == 1
    paths = [small / "runs" / "one" / trial["run"] / "evaluation-valid.json" for trial in document["trials"]]
    losses = [json.loads(path.read_text(encoding="utf-8"))["metrics"]["loss"] for path in paths]
    assert document["best"]["number"] == losses.index(min(losses))


def test_page_is_self_contained_and_links_runs(place):
    page = (place / "runs" / "one" / "tune.html").read_text(encoding="utf-8")
    assert "is best: its valid accuracy is" in page
    assert read_study(place, "one")["best"]["number"] > 0  # so the page compares it with the recipe's own values
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert "<script" not in page
    for link in re.findall(r'href="(?!data:)([^"#]+)"', page):
        assert (place / "runs" / "one" / link).is_file()
    assert page.count("report.html") == len(read_study(place, "one")["trials"])
    for key in ("trainer.lr", "loop.batch_size"):
        assert page.count(key) >= 3
    assert page.count("<svg") >= 4


def test_combinations_of_a_small_space_are_tried_once(small):
    arguments = ["tune", *SMALL, "--pruner", "none"]
    choices = ["--space", "trainer.lr=[0.001, 0.01]", "--space", "loop.batch_size={ low = 64, high = 65 }"]
    _, err = bench(*arguments, *choices, "--trials", 3, "--study", "some", cwd=small)
    assert len(read_study(small, "some")["trials"]) == 3  # of 4 combinations; TPE samples them
    _, err = bench("tune", "--resume", "some", "--trials", 9, cwd=small)
    values = values_of(read_study(small, "some"))
    assert sorted({(v["trainer.lr"], v["loop.batch_size"]) for v in values}) == [
        (0.001, 64), (0.001, 65), (0.01, 64), (0.01, 65),
    ]  # fmt: skip
    _, err = bench(*arguments, *choices, "--trials", 6, "--study", "all", cwd=small)
    values = values_of(read_study(small, "all"))
    assert len(values) == len({(v["trainer.lr"], v["loop.batch_size"]) for v in values}) == 4
    assert "all 4 combinations of values were tried" in err


def test_space_accepts_renamed_keys(small):
    space = ["--space", 'trainer.optimiser=["SGD"]', "--space", 'loop.mixing=["refuse"]']
    bench("tune", *SMALL, "--trials", 1, *space, "--study", "old", cwd=small)
    (trial,) = read_study(small, "old")["trials"]
    recipe = tomllib.loads((small / "runs" / "old" / trial["run"] / "recipe.toml").read_text(encoding="utf-8"))
    assert recipe["trainer"]["optimizer"] == "SGD"
    assert recipe["loop"]["allow_batch_dependence"] is False


def test_trials_evaluated_on_other_samples_are_not_ranked(small):
    split = ["--space", "source.split_seed=[1, 2]", "--pruner", "none", "--study", "splits"]
    numbers = ["--target", "y", "--set", "source.kind=number"]
    bench("tune", SMALL[0], *numbers, *SMALL[3:], "--trials", 3, *split, cwd=small)
    trials = read_study(small, "splits")["trials"]
    seeds = [trial["values"]["source.split_seed"] for trial in trials]
    assert len(set(seeds)) == 2
    for trial, seed in zip(trials, seeds, strict=True):
        assert trial["state"] == ("complete" if seed == seeds[0] else "failed")
        assert seed == seeds[0] or "evaluated on other samples than trial-000" in trial["error"]


def test_failed_trial_is_recorded_and_study_continues(small):
    arguments = ["--space", "trainer.lr=[0.01, 1e39]", "--set", "trainer.optimizer=SGD", "--batch-size", 16]
    arguments += ["--pruner", "none", "--seed", 1]
    _, err = bench("tune", *SMALL, "--trials", 4, "--study", "nan", *arguments, cwd=small)
    document = read_study(small, "nan")
    states = {trial["values"]["trainer.lr"]: trial["state"] for trial in document["trials"]}
    assert states == {0.01: "complete", 1e39: "failed"}
    failed = next(trial for trial in document["trials"] if trial["state"] == "failed")
    assert "The loss is nan" in failed["error"]
    assert "failed: The loss is nan" in err
    assert "The loss is nan" in (small / "runs" / "nan" / "tune.html").read_text(encoding="utf-8")


def test_exit_code_is_1_when_all_trials_fail(small):
    arguments = ["--space", "trainer.lr=[1e39, 2e39]", "--set", "trainer.optimizer=SGD", "--batch-size", 16]
    _, err = bench("tune", *SMALL, "--trials", 2, "--study", "bad", *arguments, cwd=small, code=1)
    assert "None of 2 trials has a result. The first one: The loss is " in err
    assert not (small / "runs" / "bad" / "best.toml").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits"], "There is nothing to search"),
        (["r.toml", "--lr", "0.1"], "trainer.lr is both given and searched"),
        (["r.toml", "--study", "one"], "There is a study 'one' already"),
        (["digits", "--space", "trainer.lrr=[1, 2]"], "no option 'lrr'. Did you mean 'lr'"),
        (["digits", "--space", "trainer.lr=[-1.0, 2.0]"], "lr is -1.0"),
        (["digits", "--space", "model.name=['mlp', 'mpl']"], "There is no model 'mpl'"),
        (["--resume", "two"], "There is no study 'two'"),
        (["--resume", "one", "--lr", "0.1"], "--resume takes a study as it is"),
        (["r.toml", "--set", "tune.sampler=best"], "sampler"),
    ],
)
def test_invalid_arguments_are_refused_before_anything_is_written(place, arguments, message):
    before = sorted(path.name for path in (place / "runs").iterdir())
    _, err = bench("tune", *arguments, cwd=place, code=2)
    assert message in " ".join(err.split())
    assert sorted(path.name for path in (place / "runs").iterdir()) == before


def test_poor_trials_are_pruned_and_their_runs_are_complete(small):
    space = ["--space", "trainer.lr=[0.1, 0.2, 1e-6, 2e-6, 3e-6, 4e-6]"]
    more = ["--set", "tune.startup=2", "--set", "tune.warmup=1", "--seed", 3, "--epochs", 5, "--batch-size", 16]
    bench("tune", *SMALL[:-2], "--trials", 6, "--study", "cut", *space, *more, cwd=small)
    document = read_study(small, "cut")
    pruned = [trial for trial in document["trials"] if trial["state"] == "pruned"]
    assert pruned
    for trial in pruned:
        folder = small / "runs" / "cut" / trial["run"]
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert facts["status"] == "finished"
        assert 1 < facts["epochs_done"] < 5
        assert (folder / "artifact" / "artifact.json").is_file()
        assert "to end after epoch" in (folder / "log.txt").read_text(encoding="utf-8")
        assert trial["values"]["trainer.lr"] < 1e-3
    assert document["best"]["values"]["trainer.lr"] > 1e-3


def wait_for(process: subprocess.Popen[str], ready: Callable[[], object], seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def is_running(place: Path, study: str, number: int) -> bool:
    """Return whether a trial is running and has written a checkpoint."""
    return any((place / "runs" / study / f"trial-{number:03d}" / "checkpoints").glob("step-*"))


@POSIX
@pytest.mark.slow
def test_killed_study_resumes_the_trial_in_progress(small):
    name = recipe(small, 3, epochs=6, more='pruner = "none"', model="net.py:Net")
    checkpoints = ["--set", "loop.checkpoint_epochs=2"]
    bench("tune", name, "--study", "whole", "--quiet", *checkpoints, cwd=small)
    process = start("tune", name, "--study", "killed", "--quiet", *checkpoints, cwd=small)
    wait_for(process, lambda: is_running(small, "killed", 1))
    process.kill()
    process.communicate()
    with sqlite3.connect(small / "runs" / "killed" / "study.db") as table:
        states = [state for (state,) in table.execute("select state from trials order by number")]
    assert states == ["COMPLETE", "RUNNING"]
    bench("tune", "--resume", "killed", "--quiet", cwd=small)
    whole, killed = read_study(small, "whole"), read_study(small, "killed")
    assert values_of(whole) == values_of(killed)
    assert [trial["value"] for trial in whole["trials"]] == [trial["value"] for trial in killed["trials"]]
    assert len(list((small / "runs" / "killed").glob("trial-*"))) == 3


@pytest.mark.slow
@POSIX
def test_ctrl_c_prints_how_to_resume(small):
    name = recipe(small, 3, epochs=6, more='pruner = "none"', model="net.py:Net")
    process = start("tune", name, "--study", "stopped", "--set", "loop.checkpoint_epochs=1", cwd=small)
    wait_for(process, lambda: is_running(small, "stopped", 0))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert "benchdog tune --resume" in err
    assert (small / "runs" / "stopped" / "tune.html").is_file()
    assert read_study(small, "stopped")["trials"][0]["state"] == "running"
    bench("tune", "--resume", "stopped", "--trials", 1, "--quiet", cwd=small)
    assert [trial["state"] for trial in read_study(small, "stopped")["trials"]] == ["complete"]


@POSIX
@pytest.mark.slow
def test_study_of_two_processes_continues_when_one_is_killed(small):
    name = recipe(small, 4, epochs=6, more='pruner = "none"', model="net.py:Net")
    arguments = ["--study", "two", "--jobs", 2, "--set", "loop.checkpoint_epochs=1"]
    process = start("tune", name, *arguments, cwd=small)
    wait_for(process, lambda: is_running(small, "two", 0) and is_running(small, "two", 1))
    table = sqlite3.connect(small / "runs" / "two" / "study.db")
    query = (
        "select t.number, a.value_json from trials t join trial_user_attributes a on a.trial_id = t.trial_id "
        "where a.key = 'process' and t.state = 'RUNNING'"
    )
    workers = {int(number): int(value) for number, value in table.execute(query)}
    table.close()
    number, pid = min(workers.items())
    os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    document = read_study(small, "two")
    states = {trial["number"]: trial["state"] for trial in document["trials"]}
    assert states == {n: "failed" if n == number else "complete" for n in range(4)}
    assert "exit code -9" in document["trials"][number]["error"]


@POSIX
@pytest.mark.slow
def test_processes_of_a_killed_parent_end_and_study_resumes(small):
    name = recipe(small, 3, epochs=6, more='pruner = "none"', model="net.py:Net")
    arguments = ["--study", "two", "--jobs", 2, "--set", "loop.checkpoint_epochs=1", "--quiet"]
    process = start("tune", name, *arguments, cwd=small)
    wait_for(process, lambda: is_running(small, "two", 0) and is_running(small, "two", 1))
    process.kill()
    process.communicate()
    bench("tune", "--resume", "two", "--quiet", cwd=small)
    assert [trial["state"] for trial in read_study(small, "two")["trials"]] == ["complete"] * 3
