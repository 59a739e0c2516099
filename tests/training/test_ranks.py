"""Training on two ranks: the results of one rank, stopping, and resuming with another number of ranks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchdog.runs import state
from support import rank_cases
from support.accumulation_cases import BATCH_DEPENDENT
from support.in_process import run, same, stop_at, weights

MODEL = ["--model", "mlp", "--set", "trainer.optimizer=SGD", "--quiet"]
SETTINGS = [*MODEL, "--epochs", "20", "--lr", "0.05"]
TWO = ["--set", "backend.ranks=2"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an uninterrupted run on two ranks."""
    place = tmp_path_factory.mktemp("two")
    run("train", "digits", *SETTINGS, *TWO, "--name", "two", cwd=place)
    return place / "runs" / "two"


def test_two_ranks_train_the_weights_of_one(tmp_path, two):
    run("train", "digits", *SETTINGS, "--name", "one", cwd=tmp_path)
    alone, shared = weights(tmp_path / "runs" / "one"), weights(two)
    assert alone.keys() == shared.keys()
    for name, values in alone.items():
        # 400 steps: the halves' rounding grows, by how much depends on the processor
        np.testing.assert_allclose(shared[name], values, rtol=1e-3, atol=1e-3, err_msg=name)
    logs = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (tmp_path / "runs" / "one", two)]
    epochs = [[json.loads(line) for line in log if '"kind": "epoch"' in line] for log in logs]
    for mine, others in zip(*epochs, strict=True):
        assert mine["step"] == others["step"]
        assert mine["train.loss"] == pytest.approx(others["train.loss"], rel=1e-3)
    facts = [json.loads((folder / "run.json").read_text()) for folder in (tmp_path / "runs" / "one", two)]
    assert facts[0]["best"]["epoch"] == facts[1]["best"]["epoch"]
    assert facts[0]["steps_done"] == facts[1]["steps_done"] == epochs[0][-1]["step"]


def test_gradient_accumulation_trains_the_weights_of_whole_batches(tmp_path):
    for name, micro_batches in (("whole", 1), ("cut", 3)):
        more = ["--set", f"loop.accumulate={micro_batches}", "--epochs", 3, "--set", "trainer.optimizer=SGD"]
        run("train", "digits", "--model", "mlp", "--quiet", *more, "--name", name, cwd=tmp_path)
    whole, cut = (weights(tmp_path / "runs" / name) for name in ("whole", "cut"))
    for name, values in whole.items():
        np.testing.assert_allclose(cut[name], values, rtol=1e-4, atol=1e-6, err_msg=name)


TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """Return the results of each of two ranks for every case of accumulation_cases."""
    place = tmp_path_factory.mktemp("pair")
    command = [sys.executable, "-m", "support.rank_cases"]
    ranks = [
        subprocess.Popen([*command, str(rank), str(place)], cwd=TESTS, stderr=subprocess.PIPE) for rank in (0, 1)
    ]
    errors = [rank.communicate(timeout=240)[1].decode()[-2000:] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    return [state.read(place / f"rank-{rank}.safetensors") for rank in (0, 1)]


@pytest.mark.slow
def test_two_ranks_compute_the_gradients_losses_and_metrics_of_one(pair):
    # Odd batches, a batch of one, micro-batches on top of ranks, weights, ignored codes; 7 validation samples, or 1.
    for (name, kind, micro_batches), first, second in zip(rank_cases.runs(), *pair, strict=True):
        assert first["metrics"] == second["metrics"], name
        for a, b in zip(first["gradients"], second["gradients"], strict=True):
            assert all(torch.equal(mine, others) for mine, others in zip(a, b, strict=True)), name
        assert all(torch.equal(a, b) for a, b in zip(first["buffers"], second["buffers"], strict=True)), name
        if name in BATCH_DEPENDENT:
            continue
        alone = rank_cases.epoch(name, kind, micro_batches)
        np.testing.assert_allclose(first["losses"].numpy(), alone.losses, rtol=1e-4, atol=1e-6, err_msg=name)
        for a, b in zip(first["gradients"], alone.gradients, strict=True):
            scale = max(float(gradient.abs().max()) for gradient in b)
            for mine, others in zip(a, b, strict=True):
                np.testing.assert_allclose(mine, others, rtol=1e-3, atol=1e-6 + 1e-4 * scale, err_msg=name)
        assert_alike(json.loads(first["metrics"]), json.loads(json.dumps(alone.metrics)), name)


def assert_alike(a: Any, b: Any, where: str) -> None:
    """Compare nested metrics: counts exactly, other numbers to rounding."""
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_alike(a[key], b[key], f"{where}: {key}")
    elif isinstance(a, list):
        assert a == b, where
    else:
        assert a == pytest.approx(b, rel=1e-5, abs=1e-7, nan_ok=True), where


STOPPING = """
import os, signal
from benchdog.api import hookimpl
CONTRACT = 1

@hookimpl
def benchdog_step_ended(run, step):
    if step == 14:
        os.kill(os.getppid(), signal.SIGTERM)
"""


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM that a process could handle")
@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_run_resumes_with_another_number_of_ranks(tmp_path, monkeypatch, before, after):
    (tmp_path / "stop.py").write_text(STOPPING, encoding="utf-8")
    common = ["train", "digits", *MODEL, "--lr", "0.01", "--epochs", 2, "--batch-size", 16,
              "--set", "loop.log_every=2", "--set", "trainer.average=ema"]  # fmt: skip
    run(*common, "--name", "whole", cwd=tmp_path)
    common += ["--set", f"backend.ranks={before}", "--name", "stopped"]
    if before == 1:
        with monkeypatch.context() as patched:
            stop_at(patched, 14)
            run(*common, cwd=tmp_path, code=143)
    else:  # an observer of the first rank signals the parent, which stops both
        command = [sys.executable, "-m", "benchdog", "--plugin", "stop.py", *map(str, common)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
        assert done.returncode == 143, done.stderr.decode()
    folder, whole = tmp_path / "runs" / "stopped", tmp_path / "runs" / "whole"
    step = stopped_at(folder)
    assert step == 14 if before == 1 else 14 <= step < 156  # an observer is notified of a step some steps later
    run("train", "--resume", "stopped", "--set", f"backend.ranks={after}", "--quiet", cwd=tmp_path)
    alone, shared = weights(whole), weights(folder)
    for name, values in alone.items():
        np.testing.assert_allclose(shared[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    facts = json.loads((folder / "run.json").read_text())
    assert facts["status"] == "finished"
    assert facts["ranks"] == [{"step": 0, "ranks": before}, {"step": step, "ranks": after}]
    assert facts["best"]["epoch"] == json.loads((whole / "run.json").read_text())["best"]["epoch"]
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert {"kind": "ranks", "step": step, "ranks": after} in log
    assert f"ranks = {after}" in (folder / "recipe.toml").read_text()
    pair = [[line for line in map(json.loads, f.read_text().splitlines()) if line["kind"] == "epoch"]
            for f in (folder / "metrics.jsonl", whole / "metrics.jsonl")]  # fmt: skip
    for mine, others in zip(*pair, strict=True):
        assert mine["train.loss"] == pytest.approx(others["train.loss"], rel=1e-4)
        assert mine["valid.loss"] == pytest.approx(others["valid.loss"], rel=1e-4)
    differences = json.loads(run("runs", "why", "whole", "stopped", "--json", cwd=tmp_path).out)["partings"]
    changed = next(p for p in differences if p["what"].startswith("backend.ranks, changed"))
    assert changed["values"] == ["1", f"{before}, {after} from step {step + 1}"]


def stopped_at(folder: Path) -> int:
    """Return the step of a run's last checkpoint."""
    return int(sorted((folder / "checkpoints").glob("step-*"))[-1].stem.removeprefix("step-"))


@pytest.mark.slow
def test_batch_dependent_run_does_not_resume_with_more_ranks(tmp_path, monkeypatch):
    more = ["--model", "resnet", "--set", "model.depth=10", "--set", "model.width=8",
            "--set", "loop.log_every=1", "--epochs", 1, "--quiet"]  # fmt: skip
    with monkeypatch.context() as patched:
        stop_at(patched, 3)
        for name, allowed in (("refuse", "false"), ("allow", "true")):
            setting = f"loop.allow_batch_dependence={allowed}"
            run("train", "digits", *more, "--set", setting, "--name", name, cwd=tmp_path, code=143)
    two = ["--set", "backend.ranks=2", "--quiet"]
    recipes = [(tmp_path / "runs" / name / "recipe.toml").read_text() for name in ("refuse", "allow")]
    result = run("train", "--resume", "refuse", *two, cwd=tmp_path, code=2)
    assert "can't be split into micro-batches on 2 ranks" in result.err
    # Batch-dependent training on two ranks is a different computation than on one.
    result = run("train", "--resume", "allow", *two, cwd=tmp_path, code=2)
    assert "changed since the checkpoint: backend.ranks" in result.err
    for number in ('"two"', "0"):
        result = run("train", "--resume", "allow", "--set", f"backend.ranks={number}", cwd=tmp_path, code=2)
        assert "ranks" in result.err
    result = run("train", "--resume", "allow", "--set", "trainer.lr=1", cwd=tmp_path, code=2)
    assert "--set backend.ranks=N may change" in result.err
    assert recipes == [(tmp_path / "runs" / name / "recipe.toml").read_text() for name in ("refuse", "allow")]
    run("train", "--resume", "refuse", "--quiet", cwd=tmp_path)
    assert "ranks" not in json.loads((tmp_path / "runs" / "refuse" / "run.json").read_text())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM that a process could handle")
def test_both_ranks_stop_on_sigterm_to_their_parent_and_resume(tmp_path, two):
    (tmp_path / "stop.py").write_text(STOPPING, encoding="utf-8")
    words = ("train", "digits", *SETTINGS, *TWO, "--set", "loop.log_every=2", "--name", "stopped")
    stderr = run("--plugin", "stop.py", *words, cwd=tmp_path, code=143).err
    folder = tmp_path / "runs" / "stopped"
    check_stopped(folder, stderr)
    run("train", "--resume", "stopped", "--quiet", cwd=tmp_path)
    assert same(folder, two)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX's")
def test_both_ranks_stop_on_ctrl_c_to_their_group(tmp_path):
    command = [sys.executable, "-m", "benchdog", "train", "digits", *SETTINGS, *TWO, "--name", "stopped"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    folder = tmp_path / "runs" / "stopped"
    wait_for_epochs(folder, 3, process)
    os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    check_stopped(folder, stderr)


def check_stopped(folder: Path, stderr: str) -> None:
    """Assert that both ranks stopped after the same step, with one checkpoint."""
    assert "Traceback" not in stderr
    assert "--resume" in stderr
    assert len(list((folder / "checkpoints").glob("step-*"))) == 1
    assert not list(folder.rglob("*.tmp"))
    assert json.loads((folder / "run.json").read_text())["status"] == "stopped"
    assert 14 <= stopped_at(folder) < 400


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
def test_ranks_end_with_their_parent(tmp_path):
    settings = [*MODEL, *TWO, "--epochs", "100000", "--name", "killed"]
    process = subprocess.Popen([sys.executable, "-m", "benchdog", "train", "digits", *settings], cwd=tmp_path)
    folder = tmp_path / "runs" / "killed"
    wait_for_epochs(folder, 1, process)
    process.kill()
    process.wait()
    time.sleep(1)
    length = (folder / "metrics.jsonl").stat().st_size
    time.sleep(1)
    assert (folder / "metrics.jsonl").stat().st_size == length


@pytest.mark.slow
def test_failing_rank_reports_its_error(tmp_path):
    result = run("train", "digits", *MODEL, *TWO, "--epochs", 2, "--lr", "1e30", cwd=tmp_path, code=1)
    assert "The loss is nan at step 2 (epoch 1)" in result.err


QUITS = """
import os
import torch


class Net(torch.nn.Sequential):
    def __init__(self, spec):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(64, spec.outputs))
        self.calls = 0

    def forward(self, x):
        self.calls += self.training
        if self.calls == 30:  # in the second epoch: a checkpoint of the first lies there
            os._exit(0)
        return super().forward(x)
"""


@pytest.mark.slow
def test_rank_that_exits_with_code_0_has_not_trained_to_its_end(tmp_path):
    (tmp_path / "net.py").write_text(QUITS, encoding="utf-8")
    words = ["--model", "net.py:Net", *TWO, "--epochs", 4, "--name", "quits", "--quiet"]
    result = run("train", "digits", *words, cwd=tmp_path, code=1)
    assert "os._exit(0) would have ended the command" in result.err
    assert json.loads((tmp_path / "runs/quits/run.json").read_text(encoding="utf-8"))["status"] == "failed"


def wait_for_epochs(folder: Path, count: int, process: subprocess.Popen[Any]) -> None:
    """Wait until a run has logged so many epochs."""
    log, end = folder / "metrics.jsonl", time.monotonic() + 120
    while not log.is_file() or log.read_text().count('"kind": "epoch"') < count:
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < end
        time.sleep(0.02)
