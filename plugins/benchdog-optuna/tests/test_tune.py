"""`benchdog tune` through the command line, with real trainings."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from support.in_process import run

RECIPE = """\
source = "digits"
model = {{ name = "linear" }}
[loop]
epochs = {epochs}
[tune]
trials = {trials}
startup = 1
{more}
[tune.space]
"trainer.lr" = {{ low = 1e-4, high = 1e-1, log = true }}
"loop.batch_size" = {{ low = 32, high = 128, step = 32 }}
"""
POSIX = pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")


def alone(cwd: Path) -> dict[str, str]:
    """Return the environment of a command with this plugin alone."""
    return {"BENCHDOG_PLUGINS": "benchdog-optuna", "BENCHDOG_CACHE": str(cwd / "cache")}


def start(*args: object, cwd: Path) -> subprocess.Popen[str]:
    words, env = [sys.executable, "-m", "benchdog", *map(str, args)], {**os.environ, **alone(cwd)}
    return subprocess.Popen(words, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def bench(*args: object, cwd: Path, code: int = 0) -> tuple[str, str]:
    done = run(*args, cwd=cwd, code=code, env=alone(cwd))
    return done.out, done.err


def recipe(place: Path, trials: int, epochs: int = 2, more: str = "") -> str:
    text = RECIPE.format(trials=trials, epochs=epochs, more=more)
    (place / "r.toml").write_text(text, encoding="utf-8")
    return "r.toml"


def told(place: Path, study: str) -> dict:
    return json.loads((place / "runs" / study / "tune.json").read_text(encoding="utf-8"))


def chosen(document: dict) -> list[dict]:
    return [trial["values"] for trial in document["trials"]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tuned")
    out, _ = bench("tune", recipe(place, 3), "--study", "one", "--json", cwd=place)
    document = json.loads(out)
    assert document == told(place, "one")
    return place


def test_each_trial_is_a_run_and_the_best_is_chosen_on_valid(place):
    document = told(place, "one")
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
    assert first == {"trainer.lr": 0.001, "loop.batch_size": 64}  # the recipe as it stands
    out, _ = bench("runs", "list", "--runs-dir", runs, "--json", cwd=place)
    assert len(json.loads(out)["runs"]) == 3


def test_the_best_recipe_repeats_the_best_trial(place):
    best = told(place, "one")["best"]
    text = (place / "runs" / "one" / "best.toml").read_text(encoding="utf-8")
    assert text.startswith(f"# Trial {best['number']} of study one: valid.accuracy")
    bench("train", "runs/one/best.toml", "--name", "again", "--quiet", cwd=place)
    files = [place / "runs" / name / "artifact" / "model.safetensors" for name in ("again", f"one/{best['run']}")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_train_leaves_the_table_alone(place):
    bench("train", "r.toml", "--name", "plain", "--quiet", cwd=place)
    resolved = (place / "runs" / "plain" / "recipe.toml").read_text(encoding="utf-8")
    assert "tune" not in resolved
    schema = json.loads(bench("schema", cwd=place)[0])
    assert "trainer" in schema["properties"]
    assert schema["properties"]["tune"]["additionalProperties"] is False
    assert schema["properties"]["tune"]["properties"]["trials"]["type"] == "integer"


def test_more_trials_go_on_from_those_there_are(place):
    before = chosen(told(place, "one"))
    _, err = bench("tune", "--resume", "one", "--trials", 4, cwd=place)
    document = told(place, "one")
    assert chosen(document)[:3] == before
    assert len(document["trials"]) == 4
    assert "trial 3: accuracy" in err
    whole = recipe(place, 4)
    bench("tune", whole, "--study", "whole", "--quiet", cwd=place)
    assert chosen(told(place, "whole")) == chosen(document)  # a stop changes nothing


def test_the_page_is_complete_in_itself_and_links_the_runs(place):
    page = (place / "runs" / "one" / "tune.html").read_text(encoding="utf-8")
    assert "is best: its valid accuracy is" in page
    assert not re.search(r'(src|href)="(https?:)?//', page)
    assert "<script" not in page
    for link in re.findall(r'href="(?!data:)([^"#]+)"', page):
        assert (place / "runs" / "one" / link).is_file()
    assert page.count("report.html") == len(told(place, "one")["trials"])
    for key in ("trainer.lr", "loop.batch_size"):
        assert page.count(key) >= 3
    assert page.count("<svg") >= 4


def test_in_a_small_space_no_values_are_tried_twice(tmp_path):
    words = ["tune", "digits", "--model", "linear", "--epochs", 1, "--pruner", "none"]
    choices = ["--space", "trainer.lr=[0.001, 0.01]", "--space", "loop.batch_size={ low = 64, high = 65 }"]
    _, err = bench(*words, *choices, "--trials", 3, "--study", "some", cwd=tmp_path)
    assert len(told(tmp_path, "some")["trials"]) == 3  # of four: TPE chooses
    _, err = bench("tune", "--resume", "some", "--trials", 9, cwd=tmp_path)
    values = chosen(told(tmp_path, "some"))
    assert sorted({(v["trainer.lr"], v["loop.batch_size"]) for v in values}) == [
        (0.001, 64), (0.001, 65), (0.01, 64), (0.01, 65),
    ]  # fmt: skip
    _, err = bench(*words, *choices, "--trials", 6, "--study", "all", cwd=tmp_path)
    values = chosen(told(tmp_path, "all"))
    assert len(values) == len({(v["trainer.lr"], v["loop.batch_size"]) for v in values}) == 4
    assert "all 4 combinations of values were tried" in err


def test_a_space_accepts_renamed_keys(tmp_path):
    space = ["--space", 'trainer.optimiser=["SGD"]', "--space", 'loop.mixing=["refuse"]']
    bench("tune", "digits", "--model", "linear", "--epochs", 1, "--trials", 1, *space, "--study", "old", cwd=tmp_path)
    (trial,) = told(tmp_path, "old")["trials"]
    recipe = tomllib.loads((tmp_path / "runs" / "old" / trial["run"] / "recipe.toml").read_text(encoding="utf-8"))
    assert recipe["trainer"]["optimizer"] == "SGD"
    assert recipe["loop"]["allow_batch_dependence"] is False


def test_trials_judged_on_other_samples_are_not_ranked(tmp_path):
    (tmp_path / "points.csv").write_text(
        "\n".join(["x,y", *(f"{i * 37 % 101}.5,{i * 7 % 11}.25" for i in range(100))]), encoding="utf-8"
    )
    words = ["--target", "y", "--set", "source.kind=number", "--model", "linear", "--epochs", 1, "--trials", 3]
    split = ["--space", "source.split_seed=[1, 2]", "--pruner", "none", "--study", "splits"]
    bench("tune", "points.csv", *words, *split, cwd=tmp_path)
    trials = told(tmp_path, "splits")["trials"]
    seeds = [trial["values"]["source.split_seed"] for trial in trials]
    assert len(set(seeds)) == 2
    for trial, seed in zip(trials, seeds, strict=True):
        assert trial["state"] == ("complete" if seed == seeds[0] else "failed")
        assert seed == seeds[0] or "evaluated on other samples than trial-000" in trial["error"]


def test_a_trial_that_fails_is_written_down_and_the_study_goes_on(place):
    words = ["--space", "trainer.lr=[0.01, 1e38]", "--set", "trainer.optimizer=SGD", "--pruner", "none", "--seed", 1]
    _, err = bench(
        *("tune", "digits", "--model", "linear", "--epochs", 1, "--trials", 4, "--study", "nan", *words), cwd=place
    )
    document = told(place, "nan")
    states = {trial["values"]["trainer.lr"]: trial["state"] for trial in document["trials"]}
    assert states == {0.01: "complete", 1e38: "failed"}
    failed = next(trial for trial in document["trials"] if trial["state"] == "failed")
    assert "The loss is nan" in failed["error"]
    assert "failed: The loss is nan" in err
    assert "The loss is nan" in (place / "runs" / "nan" / "tune.html").read_text(encoding="utf-8")


def test_when_all_fail_the_exit_code_says_so(place):
    words = ["--space", "trainer.lr=[1e37, 1e38]", "--set", "trainer.optimizer=SGD"]
    _, err = bench(
        *("tune", "digits", "--model", "linear", "--epochs", 1, "--trials", 2, "--study", "bad", *words),
        cwd=place,
        code=1,
    )
    assert "None of 2 trials has a result. The first one: The loss is " in err
    assert not (place / "runs" / "bad" / "best.toml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
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
def test_a_mistake_is_told_before_anything_is_made(place, words, said):
    before = sorted(path.name for path in (place / "runs").iterdir())
    _, err = bench("tune", *words, cwd=place, code=2)
    assert said in " ".join(err.split())
    assert sorted(path.name for path in (place / "runs").iterdir()) == before


def test_poor_trials_are_pruned_and_their_runs_are_whole(place):
    space = ["--space", "trainer.lr=[1e-2, 2e-2, 1e-6, 2e-6, 3e-6, 4e-6]"]
    more = ["--set", "tune.startup=2", "--set", "tune.warmup=1", "--seed", 3]
    bench(
        *("tune", "digits", "--model", "linear", "--epochs", 6, "--trials", 6, "--study", "cut", *space, *more),
        cwd=place,
    )
    document = told(place, "cut")
    pruned = [trial for trial in document["trials"] if trial["state"] == "pruned"]
    assert pruned
    for trial in pruned:
        folder = place / "runs" / "cut" / trial["run"]
        facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert facts["status"] == "finished"
        assert 1 < facts["epochs_done"] < 6
        assert (folder / "artifact" / "artifact.json").is_file()
        assert "to end after epoch" in (folder / "log.txt").read_text(encoding="utf-8")
        assert trial["values"]["trainer.lr"] < 1e-3
    assert document["best"]["values"]["trainer.lr"] > 1e-3


def wait_for(process: subprocess.Popen[str], ready, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def running(place: Path, study: str, number: int) -> bool:
    """Say whether a trial is in the middle of its run, a checkpoint behind it."""
    return any((place / "runs" / study / f"trial-{number:03d}" / "checkpoints").glob("step-*"))


@POSIX
@pytest.mark.slow
def test_killed_it_goes_on_with_the_trial_that_it_was_at(tmp_path):
    more = 'pruner = "none"'
    name = recipe(tmp_path, 4, epochs=30, more=more)
    keep = ["--set", "loop.checkpoint_epochs=2"]
    bench("tune", name, "--study", "whole", "--quiet", *keep, cwd=tmp_path)
    process = start("tune", name, "--study", "killed", "--quiet", *keep, cwd=tmp_path)
    wait_for(process, lambda: running(tmp_path, "killed", 1))
    process.kill()
    process.communicate()
    with sqlite3.connect(tmp_path / "runs" / "killed" / "study.db") as table:
        states = [state for (state,) in table.execute("select state from trials order by number")]
    assert states == ["COMPLETE", "RUNNING"]
    bench("tune", "--resume", "killed", "--quiet", cwd=tmp_path)
    one, other = told(tmp_path, "whole"), told(tmp_path, "killed")
    assert chosen(one) == chosen(other)
    assert [trial["value"] for trial in one["trials"]] == [trial["value"] for trial in other["trials"]]
    assert len(list((tmp_path / "runs" / "killed").glob("trial-*"))) == 4


@POSIX
def test_ctrl_c_says_how_to_go_on(tmp_path):
    name = recipe(tmp_path, 3, epochs=60, more='pruner = "none"')
    process = start("tune", name, "--study", "stopped", "--set", "loop.checkpoint_epochs=1", cwd=tmp_path)
    wait_for(process, lambda: running(tmp_path, "stopped", 0))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert "benchdog tune --resume" in err
    assert (tmp_path / "runs" / "stopped" / "tune.html").is_file()
    assert told(tmp_path, "stopped")["trials"][0]["state"] == "running"
    bench("tune", "--resume", "stopped", "--trials", 1, "--quiet", cwd=tmp_path)
    assert [trial["state"] for trial in told(tmp_path, "stopped")["trials"]] == ["complete"]


@POSIX
@pytest.mark.slow
def test_two_processes_share_a_study_and_one_may_die(tmp_path):
    name = recipe(tmp_path, 6, epochs=40, more='pruner = "none"')
    words = ["--study", "two", "--jobs", 2, "--set", "loop.checkpoint_epochs=1"]
    process = start("tune", name, *words, cwd=tmp_path)
    wait_for(process, lambda: running(tmp_path, "two", 0) and running(tmp_path, "two", 1))
    table = sqlite3.connect(tmp_path / "runs" / "two" / "study.db")
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
    document = told(tmp_path, "two")
    states = {trial["number"]: trial["state"] for trial in document["trials"]}
    assert states == {n: "failed" if n == number else "complete" for n in range(6)}
    assert "exit code -9" in document["trials"][number]["error"]


@POSIX
@pytest.mark.slow
def test_a_killed_parent_takes_its_processes_along_and_all_goes_on(tmp_path):
    name = recipe(tmp_path, 4, epochs=40, more='pruner = "none"')
    words = ["--study", "two", "--jobs", 2, "--set", "loop.checkpoint_epochs=1", "--quiet"]
    process = start("tune", name, *words, cwd=tmp_path)
    wait_for(process, lambda: running(tmp_path, "two", 0) and running(tmp_path, "two", 1))
    process.kill()
    process.communicate()
    bench("tune", "--resume", "two", "--quiet", cwd=tmp_path)
    assert [trial["state"] for trial in told(tmp_path, "two")["trials"]] == ["complete"] * 4
