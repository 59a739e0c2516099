"""Bad input: exit code and helpful message without a traceback; checkpoints stay intact."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchdog.runs import state
from support.bad_input import CASES, Case, run_case, table_row
from support.in_process import run, same, weights

pytestmark = pytest.mark.usefixtures("weights_alone")

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
MLP = ["--model", "mlp", "--set", "model.hidden=[256]", "--epochs", 1, "--quiet", "--set", "loop.checkpoint_steps=5"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_bad_input_exit_code_and_message(case: Case, tmp_path: Path) -> None:
    if case.needs:
        pytest.importorskip(case.needs)
    result = run_case(case, tmp_path)
    assert result.code == case.code, result.err
    for part in case.messages:
        assert part in result.err, result.err
    assert "Traceback" not in result.err
    assert len(result.err.splitlines()) <= 12, result.err
    if case.code:
        assert result.out == ""
        assert "error: " in result.err
    runs = list((tmp_path / "runs").glob("*")) if (tmp_path / "runs").is_dir() else []
    assert bool(runs) == case.leaves_run, runs
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".part")]
    if sys.platform == "linux":  # the page shows what Linux without a GPU prints
        rows = [without_numbers(line) for line in PAGE.read_text(encoding="utf-8").splitlines()]
        assert without_numbers(table_row(case, result, tmp_path)) in rows, "run scripts/bad_input_table.py"


def without_numbers(text: str) -> str:
    return re.sub(r"\d+(?:\.\d+)?", "0", text)


def test_errors_page_lists_every_case():
    page = PAGE.read_text(encoding="utf-8")
    documented = dict(re.findall(r"^\| (.+?) \| ([0-5]) \| ", page, re.MULTILINE))
    assert documented == {case.name: str(case.code) for case in CASES}


def test_usage_error_under_json_is_one_document(tmp_path):
    result = run("train", "digit", "--json", cwd=tmp_path, code=2)
    assert result.json["error"]["code"] == 2
    assert "'digits'" in result.json["error"]["hint"]


def test_non_finite_loss_fails_run_and_keeps_last_good_checkpoint(tmp_path):
    # The learning rate grows by a factor of 10^4 per step: a few steps are finite, then weights overflow.
    (tmp_path / "wild.py").write_text(WILD, encoding="utf-8")
    settings = ["--model", "mlp", "--epochs", 2, "--quiet", "--set", "loop.checkpoint_steps=1"]
    result = run("train", "digits", "--trainer", "wild.py:Wild", *settings, "--name", "wild", cwd=tmp_path, code=1)
    assert "step" in result.err
    folder = tmp_path / "runs" / "wild"
    facts = json.loads((folder / "run.json").read_text())
    assert facts["status"] == "failed"
    assert facts["error"] in result.err
    newest = state.read(max((folder / "checkpoints").glob("step-*")))
    assert newest["step"] >= 2
    assert all(bool(tensor.isfinite().all()) for tensor in newest["model"].values())
    assert bool(newest["log"]["losses"]["values"].isfinite().all())


WILD = """
import torch


class Wild:
    def train(self, session):
        optimizer = torch.optim.SGD(session.model.parameters(), lr=1e-9)
        session.track(optimizer=optimizer)
        for _ in session.epochs():
            for batch in session.batches():
                loss, weight = session.task.loss(session.model(*batch.inputs), batch)
                session.backward(loss, weight, batch)
                optimizer.step()
                optimizer.zero_grad()
                optimizer.param_groups[0]["lr"] *= 1e4
                session.step_done(loss, weight)
            session.epoch_done(session.evaluate())
        return session.model
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of 512 KiB, where that is allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("needs root on Linux")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip("mount isn't allowed here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_run_stopped_by_full_disk_resumes_bit_identical(tmp_path, small_disk):
    run("train", "digits", *MLP, "--name", "whole", cwd=tmp_path)
    result = run("train", "digits", *MLP, "--name", "full", "--runs-dir", small_disk, cwd=tmp_path, code=1)
    assert "The disk is full" in result.err
    assert str(small_disk / "full") in result.err
    assert "Traceback" not in result.err
    for path in (small_disk / "full" / "checkpoints").glob("*.safetensors"):
        assert state.read(path)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    run("train", "--resume", "full", "--runs-dir", small_disk, "--quiet", cwd=tmp_path)
    assert same(small_disk / "full", tmp_path / "runs" / "whole")
    assert not list((small_disk / "full").rglob(".*.tmp"))


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limit the size of every file that this process writes, in bytes."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.skipif(os.name != "posix", reason="a limit of POSIX systems")
def test_failed_checkpoint_write_leaves_no_partial_file(tmp_path):
    with largest_file(100_000):
        result = run("train", "digits", *MLP, "--name", "full", cwd=tmp_path, code=1)
    assert "step-000000005.safetensors can't be written: File too large" in result.err
    folder = tmp_path / "runs" / "full"
    assert not list((folder / "checkpoints").iterdir())
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    run("train", "--resume", "full", "--quiet", cwd=tmp_path)
    run("train", "digits", *MLP, "--name", "whole", cwd=tmp_path)
    assert same(folder, tmp_path / "runs" / "whole")
    assert weights(folder)
