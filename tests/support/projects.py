"""Train an example project as its README says; then again, interrupted and resumed, for the same bits."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.bare import bare
from support.command import Result, run_bench
from support.in_process import run, stop_at

SILENT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


@dataclass(frozen=True)
class Project:
    """A folder with train.toml, code and README.md.

    Comments of train.toml say how it is tried: "# prepare: benchdog ..." runs before the training (repeatable),
    "# test: --epochs 2 ..." makes the training short, "# predict: benchdog predict last ..." runs after it.
    """

    folder: Path

    def comments(self, name: str) -> list[list[str]]:
        """Return the words of each comment with this name, without a leading `benchdog`."""
        lines = (self.folder / "train.toml").read_text(encoding="utf-8").splitlines()
        start = f"# {name}:"
        words = [shlex.split(line.removeprefix(start)) for line in lines if line.startswith(start)]
        return [line[1:] if line[:1] == ["benchdog"] else line for line in words]

    @property
    def reduction(self) -> list[str]:
        """Flags that make the training short."""
        return [word for words in self.comments("test") for word in words]

    def lines_of_code(self) -> int:
        """Count the lines of its Python files that hold code: no comments, docstrings or blank lines."""
        return sum(_lines_of_code(path.read_text(encoding="utf-8")) for path in self.folder.rglob("*.py"))

    def copied(self, to: Path) -> Project:
        """Copy it, without runs."""
        shutil.copytree(self.folder, to, ignore=shutil.ignore_patterns("runs", "__pycache__"))
        return Project(to)

    def prepare(self) -> None:
        """Run what must run before the training."""
        for words in self.comments("prepare"):
            run(*words, cwd=self.folder)

    def train(self, name: str) -> Path:
        """Train in this process; return the run's folder."""
        run("train", "train.toml", *self.reduction, "--name", name, "--quiet", cwd=self.folder)
        return self.folder / "runs" / name

    def train_interrupted(self, name: str, stops: Sequence[int]) -> Path:
        """Train, stopped by a signal at these steps; the last part runs in a process of its own."""
        arguments = ["train", "train.toml", *self.reduction, "--name", name, "--quiet"]
        for step in stops:
            with pytest.MonkeyPatch.context() as patch, bare():
                stop_at(patch, step)
                stopped = run(*arguments, cwd=self.folder, code=143)
            assert f"Stopped at step {step} " in stopped.err
            arguments = ["train", "--resume", name, "--quiet"]
        run_bench(*arguments, cwd=self.folder, module="support.bare")
        return self.folder / "runs" / name

    def predict(self) -> list[Result]:
        """Run the predictions of the README on the last run."""
        return [run(*words, cwd=self.folder) for words in self.comments("predict")]


def _lines_of_code(text: str) -> int:
    lines: set[int] = set()
    before = tokenize.NEWLINE  # of the token before: a string that begins a statement is a docstring
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        docstring = token.type == tokenize.STRING and before in SILENT
        if token.type not in SILENT and not docstring:
            lines.update(range(token.start[0], token.end[0] + 1))
        before = token.type
    return len(lines)


def steps_done(run_folder: Path) -> int:
    """Return the number of steps of a finished run."""
    facts = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    assert facts["status"] == "finished", facts
    steps: int = facts["steps_done"]
    return steps


def same_artifacts(a: Path, b: Path) -> bool:
    """Return whether two runs end with the same weights, byte for byte."""
    first, second = (folder / "artifact" / "model.safetensors" for folder in (a, b))
    return first.read_bytes() == second.read_bytes()
