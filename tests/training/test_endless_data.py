"""Epochs that end after a number of steps: endless streams, streams read on, trainers that bring their data."""

import json

import pytest

from support.in_process import run, same, stop_at
from support.noisy_tasks import write

pytestmark = pytest.mark.usefixtures("weights_alone")
OWN = ["--set", "trainer=own-data", "--set", "task=regression"]


@pytest.fixture
def place(tmp_path):
    write(tmp_path)
    return tmp_path


def train(place, source, name, *more, code=0, env=None, steps=7, workers=0):
    command = ["--plugin", "noisy.py", "train", source, "--model", "net", "--name", name, "--epochs", 3, "--quiet"]
    size = ["--batch-size", 4, "--workers", workers, "--set", "loader.shuffle=8"]
    limit = ["--set", f"loop.steps_per_epoch={steps}"] if steps else []
    return run(*command, *size, *limit, *more, cwd=place, code=code, env=env)


def facts(place, name):
    return json.loads((place / "runs" / name / "run.json").read_text())


@pytest.mark.parametrize("step", [4, 7, 9])
def test_endless_run_stopped_resumes_bit_identical(place, monkeypatch, step):
    train(place, "endless", "whole")
    assert facts(place, "whole")["steps_done"] == 21
    stop_at(monkeypatch, step)
    train(place, "endless", "stopped", code=143)
    monkeypatch.undo()
    run("train", "--resume", "stopped", "--quiet", cwd=place)
    assert same(place / "runs" / "whole", place / "runs" / "stopped")


@pytest.mark.slow
def test_endless_run_is_the_same_with_worker_processes(place):
    train(place, "endless", "here")
    train(place, "endless", "workers", workers=2)
    assert same(place / "runs" / "here", place / "runs" / "workers")


def test_stream_is_read_on_from_epoch_to_epoch_and_again_at_its_end(place):
    """Three shards of 11 samples, 4 streams, batches of 4: 9 steps are a pass, three epochs of 6 steps are two."""
    noted = place / "noted.txt"
    train(place, "turning", "run", "--set", "trainer=noting", steps=6, env={"NOTED": str(noted)})
    steps = [line.split() for line in noted.read_text().splitlines()]
    assert len(steps) == 18
    first, second = ([name for step in part for name in step] for part in (steps[:9], steps[9:]))
    assert len(set(first)) == len(first) == 33
    assert sorted(first) == sorted(second)
    assert first != second


def test_schedule_over_a_stream_knows_its_steps_if_epochs_end_by_steps(place):
    assert "cosine" in train(place, "turning", "no", "--set", "trainer.schedule=cosine", steps=0, code=2).err
    train(place, "turning", "yes", "--set", "trainer.schedule=cosine")


def test_epoch_of_samples_with_positions_ends_after_the_steps_too(place):
    train(place, "sums", "short", steps=2)
    train(place, "sums", "whole", steps=900)
    train(place, "sums", "plain", steps=0)
    assert facts(place, "short")["steps_done"] == 6
    assert same(place / "runs" / "whole", place / "runs" / "plain")


def test_endless_stream_without_steps_and_evaluation_on_it_are_refused(place):
    err = train(place, "endless", "run", steps=0, code=2).err
    assert "The train split of 'endless' is endless, so an epoch needs an end." in err
    assert "--set loop.steps_per_epoch=100" in err
    assert "The valid split is endless" in train(place, "endless-valid", "run", code=5).err
    train(place, "endless", "run")
    command = ["--plugin", "noisy.py", "evaluate", "run"]
    assert "The train split is endless" in run(*command, "--split", "train", cwd=place, code=2).err
    assert run(*command, "--split", "valid", "--json", cwd=place).json["samples"] == 60


# --- a trainer with its own data


def test_own_data_run_resumes_bit_identical_and_predicts(place, monkeypatch):
    train(place, "bare", "whole", *OWN)
    assert facts(place, "whole")["status"] == "finished"
    assert facts(place, "whole")["samples"] == {}
    stop_at(monkeypatch, 10)
    train(place, "bare", "stopped", *OWN, code=143)
    monkeypatch.undo()
    run("train", "--resume", "stopped", "--quiet", cwd=place)
    assert same(place / "runs" / "whole", place / "runs" / "stopped")
    artifact = json.loads((place / "runs" / "whole" / "artifact" / "artifact.json").read_text())
    assert artifact["samples"] == []
    assert artifact["metrics"] == {facts(place, "whole")["best"]["metric"]: facts(place, "whole")["best"]["value"]}


def test_what_needs_samples_is_refused_for_a_trainer_with_its_own_data(place):
    assert "brings its own data, so an epoch needs an end" in train(place, "bare", "run", *OWN, steps=0, code=2).err
    timed = ["train", "bare", *OWN, "--model", "net", "--set", "loop.steps_per_epoch=5", "--time", "20s"]
    assert "brings its own data" in run("--plugin", "noisy.py", *timed, cwd=place, code=2).err
    assert "brings its own data" in train(place, "bare", "run", *OWN, "--smoke", code=2).err
    train(place, "bare", "run", *OWN)
    assert "brings its own data" in run("--plugin", "noisy.py", "evaluate", "run", cwd=place, code=2).err
    planned = ["bare", *OWN, "--set", "model=net", "--set", "loop.steps_per_epoch=5"]
    assert "50 (10 epochs of 5" in run("--plugin", "noisy.py", "plan", *planned, cwd=place).out
