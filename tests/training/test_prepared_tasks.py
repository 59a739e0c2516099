"""Tasks that prepare what the model gets: in training, evaluation, artifacts, exports, predictions."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from benchdog.data.prepare import Prepare
from support.in_process import run, run_export, same, stop_at, weights
from support.noisy_tasks import write

pytestmark = pytest.mark.usefixtures("weights_alone")
KEYS = ("x0", "x1", "x2")
DECODED = ["--set", "loader.memory=0", "--workers", 0]


@pytest.fixture
def place(tmp_path):
    write(tmp_path)
    return tmp_path


def train(place, name, *more, source="sums", code=0):
    command = ["--plugin", "noisy.py", "train", source, "--task", "denoise", "--name", name, "--epochs", 2]
    short = ["--model", "net", "--batch-size", 20] if "--model" not in more else []
    return run(*command, *short, "--quiet", "--set", "trainer.lr=0.01", *more, cwd=place, code=code)


def metrics(place, name):
    lines = (place / "runs" / name / "metrics.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line["kind"] == "epoch"]


@pytest.mark.parametrize("more", [[], [*DECODED, "--set", "loop.accumulate=3"]])
def test_prepared_run_stopped_in_an_epoch_resumes_bit_identical(place, monkeypatch, more):
    train(place, "whole", *more)
    stop_at(monkeypatch, 7)
    train(place, "stopped", *more, code=143)
    monkeypatch.undo()
    run("train", "--resume", "stopped", "--quiet", cwd=place)
    assert same(place / "runs" / "whole", place / "runs" / "stopped")
    assert [line["valid.error"] for line in metrics(place, "whole")] == [
        line["valid.error"] for line in metrics(place, "stopped")
    ]


def test_prepared_run_gives_the_same_bits_in_memory_and_not_and_nearly_so_in_micro_batches(place):
    train(place, "memory")
    train(place, "decoded", *DECODED)
    assert same(place / "runs" / "memory", place / "runs" / "decoded")
    plain = ["--model", "flat", "--set", "trainer.optimizer=SGD", "--batch-size", 30]
    train(place, "one", *plain)
    train(place, "three", *plain, "--set", "loop.accumulate=3")
    first, second = (weights(place / "runs" / name) for name in ("one", "three"))
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], rtol=1e-4, atol=1e-6)


def test_evaluation_draws_the_same_noise_each_time_and_training_other_noise_per_epoch(place):
    train(place, "run")
    first = run("--plugin", "noisy.py", "evaluate", "run", "--split", "valid", "--json", cwd=place).json
    again = run("--plugin", "noisy.py", "evaluate", "run", "--split", "valid", "--json", cwd=place).json
    assert first["metrics"] == again["metrics"]
    best = min(line["valid.error"] for line in metrics(place, "run"))
    assert first["metrics"]["error"] == pytest.approx(best, rel=1e-5)


def test_noise_of_a_row_depends_on_sample_seed_and_epoch_alone(place):
    space: dict[str, Any] = {}
    exec((place / "noisy.py").read_text(), space)
    task = space["Denoise"]()
    prepare = Prepare(task, task.prepared_spec(space["Sums"]().spec()), seed=5)
    x, target = torch.arange(18.0).view(6, 3), torch.zeros(6)
    whole = prepare((x,), target, range(6), 1)
    parts = [prepare((x[i : i + 2],), target[i : i + 2], range(i, i + 2), 1) for i in (0, 2, 4)]
    assert torch.equal(whole[1], torch.cat([part[1] for part in parts]))
    assert not torch.equal(whole[1], prepare((x,), target, range(6), 2)[1])
    other = Prepare(task, task.prepared_spec(space["Sums"]().spec()), seed=6)
    assert not torch.equal(whole[1], other((x,), target, range(6), 1)[1])
    assert torch.equal(prepare((x,), target, range(6))[1], other((x,), target, range(6))[1])
    assert torch.equal(x, torch.arange(18.0).view(6, 3))


@pytest.mark.slow
def test_artifact_and_exports_take_the_prepared_inputs(place):
    train(place, "run")
    artifact = json.loads((place / "runs" / "run" / "artifact" / "artifact.json").read_text())
    assert [field["name"] for field in artifact["spec"]["fields"]] == ["input"]
    assert [field["name"] for field in artifact["model_spec"]["fields"]] == ["level", "input"]
    assert artifact["model_spec"]["target"]["kind"] == "noise"
    np.save(place / "row.npy", np.array([0.25, -1.5, 4.0], "float32"))
    command = ["--plugin", "noisy.py", "predict"]
    (expected,) = run(*command, "run", "row.npy", "--json", cwd=place).json["answers"]
    for form in ("torchscript", "safetensors", "onnx"):
        run_export("run", "--to", form, cwd=place)
        export = place / "runs" / "run" / "exports" / form
        (answer,) = run(*command, export, "row.npy", "--json", cwd=place).json["answers"]
        assert [answer[key] for key in KEYS] == pytest.approx([expected[key] for key in KEYS], abs=1e-4)


def test_data_field_keeps_its_transform_which_is_fitted_on_clean_samples(place):
    train(place, "prepared")
    command = ["--plugin", "noisy.py", "train", "sums", "--model", "net", "--epochs", 1, "--quiet"]
    run(*command, "--name", "plain", cwd=place)
    prepared, plain = (weights(place / "runs" / name) for name in ("prepared", "plain"))
    fitted = {key.removeprefix("transform.fields.0."): x for key, x in plain.items() if "transform.fields.0" in key}
    assert abs(fitted["0.mean"]).max() > 1
    for key, value in fitted.items():
        assert value.tobytes() == prepared[f"transform.fields.1.{key}"].tobytes(), key


def test_plan_and_find_lr_know_the_prepared_inputs(place):
    command = ["sums", "--set", "task=denoise", "--set", "model=net"]
    lines = run("--plugin", "noisy.py", "plan", *command, cwd=place).out
    assert "level 1 float32 + input 3 float32" in lines
    run("--plugin", "noisy.py", "find-lr", *command, "--steps", 20, "--quiet", cwd=place)


@pytest.mark.parametrize(
    ("task", "part"),
    [
        ("reshape", "describes the data's field 'input' differently"),
        ("half", "has only one of prepare() and prepared_spec()"),
        ("lie", "Lie.prepare() returns 1 inputs; its prepared_spec() has 2"),
    ],
)
def test_prepared_task_that_contradicts_itself_is_refused(place, task, part):
    command = ["--plugin", "noisy.py", "train", "sums", "--task", task, "--model", "net", "--quiet"]
    assert part in run(*command, cwd=place, code=2).err
