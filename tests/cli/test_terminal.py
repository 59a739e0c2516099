"""Terminals: the progress bar and confirmation prompts; plain output without a terminal."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from support import in_process
from support.command import Bench

pty = pytest.importorskip("pty", reason="terminals are POSIX's")
termios = pytest.importorskip("termios", reason="terminals are POSIX's")
DRAWN = re.compile(r"\r(?!\n)")
QUICK = ("train", "digits", "--model", "linear", "--epochs", "1")


def on_terminal(*args: str, cwd: Path, typed: str = "", **env: str) -> tuple[int, str]:
    """Run a command with all its streams on a terminal; return its exit code and output."""
    mine, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 100))
    process = subprocess.Popen(
        [sys.executable, "-m", "benchdog", *args],
        cwd=cwd, env={**os.environ, "TERM": "xterm", **env}, stdin=its, stdout=its, stderr=its, close_fds=True,
    )  # fmt: skip
    os.close(its)
    os.write(mine, typed.encode())
    shown = b""
    try:
        while part := os.read(mine, 65536):
            shown += part
    except OSError:  # Linux raises this when the terminal is closed
        pass
    os.close(mine)
    return process.wait(timeout=60), shown.decode()


def shown_by_training(*args: str, cwd: Path, **env: str) -> str:
    """Return the output of a training run whose stderr is a terminal."""
    mine, its = pty.openpty()
    termios.tcsetwinsize(its, (24, 100))
    shown: list[bytes] = []

    def read() -> None:
        try:
            while part := os.read(mine, 65536):
                shown.append(part)
        except OSError:  # Linux raises this when the terminal is closed
            pass

    reader = Thread(target=read)
    reader.start()
    with os.fdopen(its, "w", encoding="utf-8") as terminal:
        in_process.run(*QUICK, *args, cwd=cwd, env={"TERM": "xterm", **env}, stderr=terminal)
    reader.join()
    os.close(mine)
    return b"".join(shown).decode()


def test_progress_bar_on_a_terminal_without_colors(tmp_path):
    shown = shown_by_training(cwd=tmp_path)
    assert DRAWN.search(shown)
    assert "epoch 1/1:" in shown
    assert "\x1b[" not in shown.replace("\x1b[A", "")  # up a line, to draw there


@pytest.mark.parametrize(("more", "env"), [(("--quiet",), {}), ((), {"TERM": "dumb", "NO_COLOR": "1"})])
def test_no_progress_bar_with_quiet_or_a_dumb_terminal(tmp_path, more, env):
    shown = shown_by_training(*more, cwd=tmp_path, **env)
    assert not DRAWN.search(shown)
    assert "\x1b" not in shown
    assert ("epoch 1/1" in shown) == (not more)


def test_no_progress_bar_without_a_terminal(bench: Bench) -> None:
    result = bench(*QUICK)
    assert "\r" not in result.err
    assert "epoch 1/1" in result.err


@pytest.mark.parametrize("args", [("runs", "rm", "digits"), ("data", "prune", "digits")], ids=" ".join)
def test_confirmation_prompt_only_on_a_terminal(
    process: Bench, tmp_path: Path, digits_run: Path, args: tuple[str, ...]
) -> None:
    shutil.copytree(digits_run, tmp_path / "runs" / "digits")
    env = {"BENCHDOG_CACHE": str(tmp_path / "cache")}
    kept = [tmp_path / "runs" / "digits" / "run.json", tmp_path / "cache" / "digits" / "data"]
    kept[1].parent.mkdir(parents=True)
    kept[1].write_text("x", encoding="utf-8")
    assert "--yes" in process(*args, env=env, stdin="y\n", code=2).err
    code, shown = on_terminal(*args, cwd=tmp_path, typed="n\n", **env)
    assert (code, "Nothing was removed." in shown) == (0, True)
    assert all(path.is_file() for path in kept)
    code, shown = on_terminal(*args, cwd=tmp_path, typed="y\n", **env)
    assert code == 0
    assert sum(path.is_file() for path in kept) == 1


def test_nothing_is_printed_past_the_functions_that_escape():
    root = Path(__file__).parents[2]
    allowed = {"output.py", "terminal.py", "torch_probe.py", "completion.py", "new.py", "root.py", "hookspecs.py"}
    for file in (*root.glob("src/benchdog/**/*.py"), *root.glob("plugins/*/src/**/*.py")):
        if file.name in allowed or {"templates", "checks"} & set(file.parts):
            continue
        text = file.read_text(encoding="utf-8")
        found = re.search(r"^ *(print|typer\.echo)\((?!ejected\.text)", text, re.MULTILINE)
        assert found is None, f"{file}: {found}"
