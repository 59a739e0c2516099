"""Run commands in this process through the entry point, without starting an interpreter and importing torch."""

import contextlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any, TextIO
from unittest import mock

import numpy as np
import pytest
from safetensors.numpy import load_file
from torch import Tensor, nn

from benchdog import cli
from benchdog.api import Spec
from benchdog.training.session import Session
from support import json_schemas
from support.bare import bare
from support.command import Result
from support.export_jobs import exports_in_process


def run(
    *args: object,
    cwd: Path,
    code: int | None = 0,
    env: dict[str, str] | None = None,
    stdin: str = "",
    stderr: TextIO | None = None,
) -> Result:
    """Run a command in `cwd`; any exception but SystemExit is raised here, so that no traceback goes unnoticed.

    Args:
        args: the words after `benchdog`.
        cwd: the working folder.
        code: the expected exit code; None for any.
        env: environment variables to change; those that Python reads at startup (PYTHONPATH) need `run_bench`.
        stdin: the standard input.
        stderr: where messages go in place of the result's `err`.
    """
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.dict(os.environ, env or {}),
        mock.patch.object(sys, "stdin", io.StringIO(stdin)),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(stderr or err),
    ):
        try:
            cli.main([str(arg) for arg in args])
            ended: object = 0
        except SystemExit as error:
            ended = error.code
    assert isinstance(ended, int)
    result = Result(out.getvalue(), err.getvalue(), ended)
    assert code is None or result.code == code, f"exit {result.code}\n{result.out}\n{result.err}"
    json_schemas.check(args, result.out)
    return result


def train(*args: object, cwd: Path, code: int | None = 0, env: dict[str, str] | None = None) -> Result:
    """Run `train` without graph and report (see `bare`)."""
    with bare():
        return run("train", *args, cwd=cwd, code=code, env=env)


def run_export(*args: object, cwd: Path, env: dict[str, str] | None = None) -> Result:
    """Run `export` with its two jobs in this process too; `run` starts separate processes for them."""
    with exports_in_process():
        return run("export", *args, cwd=cwd, env=env)


def weights(run_folder: Path) -> dict[str, np.ndarray]:
    """Return the weights of a run's artifact."""
    return dict(load_file(run_folder / "artifact" / "model.safetensors"))


def same(a: Path, b: Path) -> bool:
    """Return whether two runs end with bit-identical weights."""
    first, second = weights(a), weights(b)
    assert first.keys() == second.keys()
    return all(first[name].tobytes() == second[name].tobytes() for name in first)


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, where: str = "step") -> None:
    """Make SIGTERM arrive in the given step, or in the evaluation after it, on the thread of the loop."""
    step_done, evaluate = Session.step_done, Session.evaluate

    def in_step(self: Session, loss: Tensor, weight: float | Tensor) -> None:
        if where == "step" and self.step == step - 1:
            self.signals.notice(signal.SIGTERM, None)
        step_done(self, loss, weight)

    def in_evaluation(self: Session, split: str = "valid", model: nn.Module | None = None) -> dict[str, Any]:
        if where == "evaluation" and self.step >= step:
            self.signals.notice(signal.SIGTERM, None)
        return evaluate(self, split, model)

    monkeypatch.setattr(Session, "step_done", in_step)
    monkeypatch.setattr(Session, "evaluate", in_evaluation)


class Live(nn.Module):
    """A model class defined in a notebook cell."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, spec.outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out
