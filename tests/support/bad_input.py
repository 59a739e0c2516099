"""Every user error that Benchdog handles: how to provoke it, the exit code, parts of the message.

`python scripts/bad_input_table.py` runs each of them and prints the table of docs/reference/errors.md.
"""

import atexit
import contextlib
import csv
import functools
import json
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image

from support.command import Result
from support.in_process import run

Args = list[Any]
ONCE = ["--epochs", 1]
QUICK = ["--model", "linear", "--quiet", *ONCE]
TABLE = ["train", "table.csv", *QUICK]
ZOO = ["train", "zoo/", *QUICK]
ONE_CYCLE = ["--set", "trainer.schedule=one-cycle", "--set", "trainer.schedule_options={ total_steps = 1 }"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A user error: `make` prepares a folder and returns the command; `messages` are parts of the message.

    Meanwhile the environment has `env`, the file `hold` is locked, or the port that the command gets is in use
    (`taken_port`). `needs` is a package that the command requires.
    """

    name: str
    code: int
    messages: tuple[str, ...]
    make: Callable[[Path], Args]
    env: dict[str, str] | None = None
    hold: str = ""
    needs: str = ""
    taken_port: bool = False
    leaves_run: bool = False


def run_case(case: Case, place: Path) -> Result:
    """Run the case in an empty folder; return the result of its command."""
    args = case.make(place)
    before = {key: os.environ.get(key) for key in case.env or {}}
    os.environ.update({key: value.format(place=place) for key, value in (case.env or {}).items()})
    try:
        with contextlib.ExitStack() as stack:
            if case.hold:
                stack.enter_context(FileLock(place / case.hold))
            if case.taken_port:
                server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                args += ["--port", server.getsockname()[1]]
            return run(*args, cwd=place, code=None)
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key)
            else:
                os.environ[key] = value


def table_row(case: Case, result: Result, cwd: Path) -> str:
    """Return a case's row of the errors page: the lines about it, without this machine's folders."""
    assert result.code == case.code, result.err
    lines = [line for line in result.err.splitlines() if case.code or any(part in line for part in case.messages)]
    text = "\n".join(lines).replace(f"{cwd}{os.sep}", "").replace(str(cwd), "the folder")
    text = re.sub(r"\b[0-9a-f]{64}\b", "...", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8000", text))
    text = re.sub(r"\bPort \d+", "Port 8000", text)
    message = "<br>".join(line.strip().removeprefix("error: ").replace("|", "\\|") for line in text.splitlines())
    return f"| {case.name} | {case.code} | {message} |"


# --- preparation of the folder


def text(name: str, content: str, *args: Any) -> Callable[[Path], Args]:
    """Write a text file and run a command."""

    def make(place: Path) -> Args:
        (place / name).write_text(content, encoding="utf-8")
        return list(args)

    return make


def plain(*args: Any) -> Callable[[Path], Args]:
    """Run a command in an empty folder."""
    return lambda place: list(args)


def table(rows: int, change: Callable[[int, dict[str, Any]], None], *args: Any) -> Callable[[Path], Args]:
    """Write a CSV of numbers with a target, changed row by row, and run a command."""

    def make(place: Path) -> Args:
        draw = np.random.default_rng(0)
        with (place / "table.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["a", "b", "kind"])
            writer.writeheader()
            for i in range(rows):
                row: dict[str, Any] = {
                    "a": round(draw.normal(), 3),
                    "b": round(draw.normal(), 3),
                    "kind": "uv"[i % 2],
                }
                change(i, row)
                writer.writerow(row)
        return list(args)

    return make


def images(change: Callable[[Path], None], *args: Any) -> Callable[[Path], Args]:
    """Write ten images in each of two folders, change something, and run a command."""

    def make(place: Path) -> Args:
        draw = np.random.default_rng(0)
        for label in ("cat", "dog"):
            folder = place / "zoo" / label
            folder.mkdir(parents=True)
            for i in range(10):
                Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i}.jpg")
        change(place / "zoo")
        return list(args)

    return make


def damage(folder: Path) -> None:
    data = (folder / "cat" / "3.jpg").read_bytes()
    (folder / "cat" / "3.jpg").write_bytes(data[: len(data) // 2])
    (folder / "dog" / "note.png").write_text("This is not an image.", encoding="utf-8")


def only_one(folder: Path) -> None:
    for path in sorted((folder / "dog").iterdir())[1:]:
        path.unlink()


def set_(key: str, value: Any, at: Callable[[int], bool] = lambda i: True) -> Callable[[int, dict[str, Any]], None]:
    """Change a column where `at` holds."""

    def change(i: int, row: dict[str, Any]) -> None:
        if at(i):
            row[key] = value

    return change


def unchanged(i: int, row: dict[str, Any]) -> None:
    """Leave a row as it is."""


def trained(*args: Any, damage: Callable[[Path], None] = lambda folder: None) -> Callable[[Path], Args]:
    """Copy a finished run as "mine", damage it, and run a command."""

    def make(place: Path) -> Args:
        shutil.copytree(_finished(), place / "runs" / "mine")
        damage(place / "runs" / "mine")
        return list(args)

    return make


@functools.cache
def _finished() -> Path:
    """Train a run "mine" that is removed at the end."""
    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    run("train", "digits", *QUICK, "--name", "mine", cwd=place)
    return place / "runs" / "mine"


def stopped(*args: Any, damage: Callable[[Path], object] = lambda folder: None) -> Callable[[Path], Args]:
    """Leave a run "mine" as a killed process does, without training one."""

    def make(place: Path) -> Args:
        folder = place / "runs" / "mine"
        folder.mkdir(parents=True)
        facts = {"format": 1, "name": "mine", "status": "running", "created": "2026-01-01"}
        (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
        damage(folder)
        return list(args)

    return make


def flip(name: str) -> Callable[[Path], None]:
    """Change one byte of a file."""

    def change(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return change


def foreign_task(folder: Path) -> None:
    path = folder / "artifact" / "artifact.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    owner = {
        "name": "ranking",
        "dist": "benchdog-ranking",
        "version": "1.0",
        "install": "pip install benchdog-ranking",
    }
    meta["task"] = {"name": "ranking", "options": {}, "plugin": owner}
    path.write_text(json.dumps(meta), encoding="utf-8")


HOOK = "from benchdog.api import ModelInfo, hookimpl\n\nCONTRACT = 1\n\n\n@hookimpl\n"
OBSERVER = HOOK + "def benchdog_epoch_ended(run, epoch, metrics):\n    metrics['more'] = 1 / 0\n"
NETS = """
from torch import nn


class Narrow(nn.Linear):
    def __init__(self, spec):
        super().__init__(10, spec.outputs)


class Short(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.layer = nn.Linear(64, 3)

    def forward(self, x):
        return self.layer(x.flatten(1))
"""
DOWNLOAD = """
import functools
import http.server
import pathlib
import threading

from benchdog.api import SourceInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="far", summary="Far away.", target=":Far")]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Far:
    def spec(self):
        raise AssertionError

    open = spec

    def fetch(self, cache):
        handler = functools.partial(Quiet, directory=str(pathlib.Path(__file__).parent))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                cache.download(f"http://127.0.0.1:{server.server_port}/far.py", sha256="0" * 64, name="far.csv")
            finally:
                server.shutdown()
"""


def gzips(place: Path) -> Args:
    folder = place / "fashion"
    folder.mkdir()
    for part in ("train", "t10k"):
        for what in ("images-idx3", "labels-idx1"):
            (folder / f"{part}-{what}-ubyte.gz").write_bytes(b"\x1f\x8b\x08 damaged")
    return ["train", "fashion-mnist", "--data", "fashion", *QUICK]


def empty_folder(place: Path) -> Args:
    (place / "zoo").mkdir()
    return ["train", "zoo/", *QUICK]


CASES = [
    # the command line and the recipe
    Case(name="a mistyped command", code=2, messages=("'trian'", "'train'"), make=plain("trian", "digits")),
    Case(name="a mistyped source", code=2, messages=("'digit'", "'digits'"), make=plain("train", "digit")),
    Case(name="a mistyped model", code=2, messages=("'cn'", "'cnn'"), make=plain("train", "digits", "--model", "cn")),
    Case(
        name="a mistyped key in a recipe",
        code=2,
        messages=("recipe.toml", "'loop.epoch'", "'loop.epochs'"),
        make=text("recipe.toml", 'source = "digits"\n\n[loop]\nepoch = 3\n', "train", "recipe.toml"),
    ),
    Case(
        name="an unknown table in a recipe",
        code=2,
        messages=("'lop'", "'loop'"),
        make=text("recipe.toml", 'source = "digits"\n\n[lop]\nepochs = 3\n', "train", "recipe.toml"),
    ),
    Case(
        name="a mistyped option of a model",
        code=2,
        messages=("'mlp'", "'hiden'", "'hidden'"),
        make=plain("train", "digits", "--model", "mlp", "--set", "model.hiden=3"),
    ),
    Case(
        name="a string in place of a number",
        code=2,
        messages=("epochs", "'many'", "integer"),
        make=text("recipe.toml", 'source = "digits"\n\n[loop]\nepochs = "many"\n', "train", "recipe.toml"),
    ),
    Case(
        name="a number out of bounds",
        code=2,
        messages=("lr", "-1", "greater than 0"),
        make=plain("train", "digits", "--lr", "-1"),
    ),
    Case(
        name="a batch of -1 samples",
        code=2,
        messages=("batch_size is -1", "an integer from 1"),
        make=plain("train", "digits", "--batch-size", "-1"),
    ),
    Case(
        name="an amount of memory in another unit",
        code=2,
        messages=("'1TB'", "KiB, MiB, GiB"),
        make=plain("train", "digits", "--memory", "1TB"),
    ),
    Case(
        name="a schedule that ends before the run",
        code=2,
        messages=("ends at step 1", "the run has 20", "total_steps"),
        make=plain("train", "digits", *QUICK, "--batch-size", 64, *ONE_CYCLE),
    ),
    Case(
        name="a schedule that a recipe can't hold",
        code=2,
        messages=("'LambdaLR'", "functions or other schedules"),
        make=plain("train", "digits", *QUICK, "--set", "trainer.schedule=LambdaLR"),
    ),
    Case(
        name="arguments that an optimizer can't use",
        code=2,
        messages=("'Adam'", "`fused` and `foreach`", "trainer.optimizer_options"),
        make=plain("train", "digits", *QUICK, "--set", "trainer.optimizer_options={ fused = true, foreach = true }"),
    ),
    Case(
        name="a run in place of a source",
        code=2,
        messages=("'mine' is a run", "recipe.toml"),
        make=stopped("find-lr", "mine"),
        leaves_run=True,
    ),
    Case(
        name="a recipe that is not TOML",
        code=2,
        messages=("recipe.toml is not TOML", "line 1"),
        make=text("recipe.toml", "source = digits\n", "train", "recipe.toml"),
    ),
    Case(
        name="a key given twice",
        code=2,
        messages=("loop.epochs is given twice", "2", "3"),
        make=plain("train", "digits", "--epochs", 2, "--set", "loop.epochs=3"),
    ),
    Case(
        name="a recipe that isn't there", code=2, messages=("no recipe mine.toml",), make=plain("train", "mine.toml")
    ),
    Case(name="an unknown run", code=2, messages=("no run 'mine'",), make=plain("train", "--resume", "mine")),
    Case(
        name="a run's name that is taken",
        code=2,
        messages=("There is a run 'mine' already",),
        make=trained("train", "digits", *QUICK, "--name", "mine"),
        leaves_run=True,
    ),
    # hardware and plugins
    Case(
        name="hardware that isn't here",
        code=3,
        messages=("'mps' is not available", "cpu"),
        make=plain("train", "digits", *QUICK, "--backend", "mps"),
    ),
    Case(
        name="a plugin file that isn't there",
        code=2,
        messages=("no plugin file", "mine.py"),
        make=plain("--plugin", "mine.py", "train", "digits"),
    ),
    Case(
        name="a plugin that raises at import",
        code=0,
        messages=("plugin 'bad'", "ZeroDivisionError", "line 1", "Fix"),
        make=text("bad.py", "1 / 0\n", "--plugin", "bad.py", "plan", "digits", "--model", "linear"),
    ),
    Case(
        name="a model of a plugin that raises at import",
        code=2,
        messages=("plugin 'bad'", "ZeroDivisionError", "no model 'bad-net'"),
        make=text("bad.py", "1 / 0\n", "--plugin", "bad.py", "train", "digits", "--model", "bad-net"),
    ),
    Case(
        name="a plugin that raises in a hook",
        code=0,
        messages=("plugin 'bad'", "benchdog_models", "RuntimeError: no idea"),
        make=text(
            "bad.py",
            HOOK + "def benchdog_models():\n    raise RuntimeError('no idea')\n",
            *("--plugin", "bad.py", "plan", "digits", "--model", "linear"),
        ),
    ),
    Case(
        name="a plugin that raises in an event",
        code=0,
        messages=("plugin 'bad'", "benchdog_epoch_ended raised ZeroDivisionError", "the run continues"),
        make=text("bad.py", OBSERVER, "--plugin", "bad.py", "train", "digits", *QUICK),
        leaves_run=True,
    ),
    # data
    Case(
        name="a table that isn't there",
        code=5,
        messages=("no file table.csv",),
        make=plain("train", "table.csv", *QUICK),
    ),
    Case(
        name="a path that isn't there",
        code=5,
        messages=("nowhere doesn't exist",),
        make=plain("train", "image-folder", "--data", "nowhere", *QUICK),
    ),
    Case(name="an empty folder", code=5, messages=("has no images",), make=empty_folder),
    Case(
        name="a class with one image",
        code=5,
        messages=("needs 3 images", "'dog' has 1"),
        make=images(only_one, *ZOO),
    ),
    Case(
        name="a truncated JPEG and a text named .png among good images",
        code=5,
        messages=("2 of 21 files", "cat/3.jpg", "dog/note.png", 'source.bad="skip"'),
        make=images(damage, *ZOO),
    ),
    Case(
        name="damaged images, skipped by source.bad",
        code=0,
        messages=("2 damaged files are skipped", "cat/3.jpg", "dog/note.png"),
        make=images(damage, "train", "zoo/", "--model", "linear", *ONCE, "--set", "source.bad=skip"),
        leaves_run=True,
    ),
    Case(
        name="rows without a target",
        code=5,
        messages=("'kind' is missing in 2 of 60 rows", "line 5, 9", 'target_missing="drop"'),
        make=table(60, set_("kind", "", lambda i: i in (3, 7)), *TABLE),
    ),
    Case(
        name="an infinite number",
        code=5,
        messages=("table.csv", "'a'", "line 5"),
        make=table(60, set_("a", "inf", lambda i: i == 3), *TABLE),
    ),
    Case(
        name="a typing error in a column of numbers",
        code=5,
        messages=("column 'a' holds numbers", "1 of 60 cell", "line 5 ('12.O')", "--set 'source.drop=[\"a\"]'"),
        make=table(60, set_("a", "12.O", lambda i: i == 3), *TABLE),
    ),
    Case(
        name="a typing error in a target of numbers",
        code=5,
        messages=("the target 'a' holds numbers", "line 5 ('12.O')"),
        make=table(60, set_("a", "12.O", lambda i: i == 3), *TABLE, "--target", "a"),
    ),
    Case(
        name="a target of one value",
        code=5,
        messages=("'kind' has 1 different values", "another target"),
        make=table(60, set_("kind", "u"), *TABLE),
    ),
    Case(
        name="a column of one value",
        code=0,
        messages=("'b' is dropped: every value is 7",),
        make=table(60, set_("b", 7), "train", "table.csv", "--model", "linear", *ONCE),
        leaves_run=True,
    ),
    Case(
        name="an Excel workbook as a table",
        code=5,
        messages=("table.xlsx is an Excel workbook", "CSV UTF-8"),
        make=text("table.xlsx", "PK\x03\x04xl/workbook.xml", "train", "table.xlsx", *QUICK),
    ),
    Case(
        name="an Excel workbook with the suffix of a table",
        code=5,
        messages=("table.csv is an Excel workbook", "CSV UTF-8"),
        make=text("table.csv", "PK\x03\x04xl/workbook.xml", *TABLE),
    ),
    Case(
        name="a file of unknown kind",
        code=2,
        messages=("no source 'table.dat'", "csv --data table.dat"),
        make=text("table.dat", "a,b\n1,2\n", "train", "table.dat", *QUICK),
    ),
    Case(
        name="a quotation mark that isn't closed",
        code=5,
        messages=("table.csv: a quotation mark is not closed in line 3", "--set source.quote=none"),
        make=text("table.csv", 'a,y\n1,u\n"2,v\n3,u\n', *TABLE),
    ),
    Case(
        name="a word among numbers",
        code=5,
        messages=("column 'a' holds numbers", "('unknown', 15 times)", "--set 'source.na_values=[\"unknown\"]'"),
        make=table(60, set_("a", "unknown", lambda i: i % 4 == 0), *TABLE),
    ),
    Case(
        name="a class that may mean a missing value",
        code=5,
        messages=("'NA' (30)", "If NA is a class"),
        make=table(60, set_("kind", "NA", lambda i: i % 2 == 0), *TABLE),
    ),
    Case(
        name="a table without rows",
        code=5,
        messages=("table.csv", "no rows"),
        make=table(0, set_("kind", "u"), *TABLE),
    ),
    Case(
        name="an empty file",
        code=5,
        messages=("table.csv", "empty"),
        make=text("table.csv", "", "train", "table.csv", *QUICK),
    ),
    Case(
        name="an unknown target column",
        code=2,
        messages=("no column 'Kind'", "Did you mean 'kind'"),
        make=table(60, unchanged, *TABLE, "--target", "Kind"),
    ),
    Case(
        name="a text that is too short",
        code=5,
        messages=("poem.txt", "a window needs 129"),
        make=text("poem.txt", "tiger tiger\n", "train", "text", "--data", "poem.txt", "--quiet"),
    ),
    Case(name="a damaged data set", code=5, messages=("ubyte.gz is damaged", "download it again"), make=gzips),
    Case(
        name="a download whose hash doesn't match",
        code=5,
        messages=("not the expected one", "SHA-256", "It was removed"),
        make=text("far.py", DOWNLOAD, "--plugin", "far.py", "train", "far", *QUICK),
    ),
    # a model and its training
    Case(
        name="a model for images on a table",
        code=2,
        messages=("cnn", "table"),
        make=table(60, unchanged, "train", "table.csv", "--model", "cnn"),
    ),
    Case(
        name="a custom model that doesn't fit the data",
        code=2,
        messages=("nets.py:Narrow", "doesn't fit the data", "(2, 1, 8, 8)"),
        make=text("nets.py", NETS, "train", "digits", "--model", "nets.py:Narrow"),
    ),
    Case(
        name="a model that returns too few scores",
        code=2,
        messages=("returns (2, 3) for two samples", "(2, 10)", "spec.outputs"),
        make=text("nets.py", NETS, "train", "digits", "--model", "nets.py:Short"),
    ),
    Case(
        name="a loss that is NaN",
        code=1,
        messages=("The loss is nan at step 2 (epoch 1)", "--lr"),
        make=plain("train", "digits", *QUICK, "--lr", "1e38", "--set", "trainer.optimizer=SGD"),
        leaves_run=True,
    ),
    # files and folders
    Case(
        name="a runs folder that can't be created",
        code=1,
        messages=("taken", "can't be written"),
        make=text("taken", "", "train", "digits", *QUICK, "--runs-dir", "taken"),
    ),
    Case(
        name="a cache folder that can't be created",
        code=1,
        messages=("cache folder", "can't be written", "BENCHDOG_CACHE"),
        make=lambda place: text("taken", "", *images(lambda zoo: None, *ZOO)(place))(place),
        env={"BENCHDOG_CACHE": "{place}/taken"},
    ),
    Case(
        name="a run that another process uses",
        code=1,
        messages=("'mine' is used by another process",),
        make=stopped("train", "--resume", "mine"),
        hold="runs/mine/lock",
        leaves_run=True,
    ),
    Case(
        name="a run without its recipe",
        code=5,
        messages=("recipe.toml is missing", "killed before it started"),
        make=stopped("train", "--resume", "mine"),
        leaves_run=True,
    ),
    Case(
        name="a run whose run.json is damaged",
        code=5,
        messages=("run.json can't be read",),
        make=stopped("train", "--resume", "mine", damage=lambda run: (run / "run.json").write_text("{", "utf-8")),
        leaves_run=True,
    ),
    Case(
        name="a port in use",
        code=1,
        messages=("Port", "is in use", "--port"),
        make=stopped("serve", "mine"),
        needs="benchdog_serve",
        taken_port=True,
        leaves_run=True,
    ),
    # artifacts
    Case(
        name="an artifact with one byte changed",
        code=5,
        messages=("model.safetensors is not what was written", "SHA-256"),
        make=trained("predict", "mine", "x.png", damage=flip("artifact/model.safetensors")),
        leaves_run=True,
    ),
    Case(
        name="an artifact of a plugin that is not installed",
        code=3,
        messages=("'ranking'", "'benchdog-ranking' is not installed", "pip install benchdog-ranking"),
        make=trained("predict", "mine", "x.png", damage=foreign_task),
        leaves_run=True,
    ),
    Case(
        name="an input image that is not an image",
        code=5,
        messages=("x.png", "1 of 1 inputs can't be read", "--skip-bad"),
        make=lambda place: text("x.png", "no picture", *trained("predict", "mine", "x.png")(place))(place),
        leaves_run=True,
    ),
    Case(
        name="a run without an artifact",
        code=2,
        messages=("'mine' has no artifact", "--resume mine"),
        make=stopped("predict", "mine", "x.png"),
        leaves_run=True,
    ),
]
