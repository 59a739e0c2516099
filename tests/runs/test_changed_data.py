"""Runs whose data, log files or run.json changed: detected and refused, or resumed with a note."""

import json
import os

import numpy as np
import pytest

from support.in_process import run, same, stop_at, weights

pytestmark = pytest.mark.usefixtures("weights_alone")

SETTINGS = ("--target", "kind", "--model", "linear", "--batch-size", 16, "--set", "loop.checkpoint_steps=2",
            "--set", "source.group=who")  # fmt: skip
STEPS = 4


def table(folder, other=False, scale=1.0):
    """Write points and their classes; `other` flips the class of every point, with the same splits."""
    draw = np.random.default_rng(3)
    points = draw.normal(size=(120, 2)).tolist()
    classes = ["no" if (x > y) is other else "yes" for x, y in points]
    lines = [f"{i},{x * scale:.5f},{y * scale:.5f},{classes[i]}" for i, (x, y) in enumerate(points)]
    (folder / "data.csv").write_text("\n".join(["who,a,b,kind", *lines]) + "\n", encoding="utf-8")


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """Return a folder with data and a run `half` on it, stopped after some steps."""
    table(tmp_path)
    with monkeypatch.context() as patched:
        stop_at(patched, STEPS)
        words = ("train", "data.csv", *SETTINGS, "--epochs", 3, "--set", "loop.log_every=1", "--name", "half")
        run(*words, "--quiet", cwd=tmp_path, code=143)
    return tmp_path


def logged(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_resume_refuses_changed_labels(stopped):
    table(stopped, other=True)
    stderr = run("train", "--resume", "half", "--quiet", cwd=stopped, code=5).err
    assert "samples of the train split have changed since the training began" in stderr
    assert "Bring the old data back, or train again." in stderr
    table(stopped)
    run("train", "--resume", "half", "--quiet", cwd=stopped)


@pytest.mark.parametrize(("schedule", "code"), [("cosine", 2), ("constant", 0)])
def test_resume_refuses_more_epochs_if_the_schedule_depends_on_them(tmp_path, monkeypatch, schedule, code):
    table(tmp_path)
    words = ("train", "data.csv", *SETTINGS, "--epochs", 3, "--set", f"trainer.schedule={schedule}", "--quiet")
    with monkeypatch.context() as patched:
        stop_at(patched, STEPS)
        run(*words, "--name", "half", cwd=tmp_path, code=143)
    path = tmp_path / "runs" / "half" / "recipe.toml"
    text = path.read_text(encoding="utf-8")
    assert "epochs = 3\n" in text
    path.write_text(text.replace("epochs = 3\n", "epochs = 4\n"), encoding="utf-8")
    stderr = run("train", "--resume", "half", "--quiet", cwd=tmp_path, code=code).err
    assert ("was changed since the checkpoint: loop.epochs" in stderr) is (code == 2)
    if not code:
        run("train", path, "--name", "again", "--quiet", cwd=tmp_path)
        assert same(path.parent, tmp_path / "runs" / "again")


def test_repeat_refuses_runs_on_changed_labels(tmp_path):
    table(tmp_path)
    words = ("train", "data.csv", *SETTINGS, "--epochs", 1, "--name", "many", "--quiet")
    run(*words, "--repeat", 2, cwd=tmp_path)
    before = (tmp_path / "runs" / "many.repeats.json").read_bytes()
    table(tmp_path, other=True)
    stderr = run(*words, "--repeat", 3, cwd=tmp_path, code=5).err
    assert "The data of 'many-seed-2' differs from that of 'many-seed-0'" in stderr
    assert (tmp_path / "runs" / "many.repeats.json").read_bytes() == before


def test_repeat_refuses_names_outside_the_runs_folder(tmp_path):
    table(tmp_path)
    words = ("train", "data.csv", *SETTINGS, "--epochs", 1, "--repeat", 2, "--quiet")
    assert "A run can't be named '../x'" in run(*words, "--name", "../x", cwd=tmp_path, code=2).err
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["data.csv"]


def test_resume_continues_truncated_logs(stopped):
    run("train", "data.csv", *SETTINGS, "--epochs", 3, "--set", "loop.log_every=1", "--name", "whole", cwd=stopped)
    half, whole = stopped / "runs" / "half", stopped / "runs" / "whole"
    for name, bytes_less in (("metrics.jsonl", 20), ("losses.f32", 6)):
        os.truncate(half / name, (half / name).stat().st_size - bytes_less)
    stderr = run("train", "--resume", "half", cwd=stopped).err
    assert "the end of metrics.jsonl was lost" in stderr
    assert "the end of losses.f32 was lost" in stderr
    assert logged(half)[-3:] != []  # every line is whole
    losses, others = (np.frombuffer((each / "losses.f32").read_bytes(), "<f4") for each in (half, whole))
    lost = np.isnan(losses)
    assert len(losses) == len(others)
    assert 1 <= lost.sum() <= 2
    assert losses[~lost].tobytes() == others[~lost].tobytes()  # each at its step's place
    assert same(half, whole)
    assert "loss" not in [part["where"] for part in json.loads(run("runs", "why", "half", "whole", "--json",
                                                                  cwd=stopped).out)["partings"]]  # fmt: skip


@pytest.mark.parametrize(("key", "status"), [("status", ""), ("epochs_done", "finished"), ("best", "finished")])
def test_missing_key_in_run_json_is_refused(stopped, key, status):
    path = stopped / "runs" / "half" / "run.json"
    facts = {**json.loads(path.read_text(encoding="utf-8")), "status": status}
    del facts[key]
    path.write_text(json.dumps(facts), encoding="utf-8")
    stderr = run("train", "--resume", "half", "--quiet", cwd=stopped, code=5).err
    assert f"has no '{key}'" in stderr
    assert "Traceback" not in stderr


def test_damaged_metrics_log_of_a_finished_run_is_no_error(tmp_path):
    table(tmp_path)
    run("train", "data.csv", *SETTINGS, "--epochs", 1, "--name", "done", "--quiet", cwd=tmp_path)
    for damage in (b"\xff\xfe\x00", b"[1]\n", b'{"kind": "epoch"'):
        (tmp_path / "runs" / "done" / "metrics.jsonl").write_bytes(damage)
        assert "Traceback" not in run("train", "--resume", "done", cwd=tmp_path).err


def test_non_finite_prediction_is_reported(tmp_path):
    table(tmp_path, scale=0.01)  # so that the largest numbers are infinite once standardized
    run("train", "data.csv", *SETTINGS, "--epochs", 1, "--name", "done", "--quiet", cwd=tmp_path)
    (tmp_path / "new.csv").write_text("a,b\n0.005,0.0025\n1e38,1e38\n", encoding="utf-8")
    result = run("predict", "done", "new.csv", "--format", "csv", cwd=tmp_path, code=5)
    assert "the prediction is not a number" in result.err
    assert len(result.out.splitlines()) == 2  # the header and the good row


def test_zero_weight_decay_differs_from_the_default_value(tmp_path):
    table(tmp_path)
    words = ("train", "data.csv", *SETTINGS, "--epochs", 1, "--set", "trainer.optimizer=AdamW", "--quiet")
    for name, decay in (("default", None), ("none", 0.0), ("some", 0.01)):
        more = () if decay is None else ("--set", f"trainer.weight_decay={decay}")
        run(*words, *more, "--name", name, cwd=tmp_path)
    default, none, some = (
        b"".join(value.tobytes() for value in weights(tmp_path / "runs" / name).values())
        for name in ("default", "none", "some")
    )
    assert default == none != some
