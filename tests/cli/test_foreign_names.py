"""Names from elsewhere that hold control characters, changes of direction, or bytes that aren't UTF-8."""

import io
import json
import re
import sys

import pytest
from PIL import Image

from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

ESC, TURN = "\x1b[2J", "\u202e"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
TARGET = f"kind{TURN}"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a table whose columns and classes are such names, and a run of it."""
    folder = tmp_path_factory.mktemp("names")
    rows = [f"{i % 7},{i % 5},{f'y{ESC}es' if i % 2 else 'no'}" for i in range(100)]
    text = "\n".join([f'a{ESC},"b\nerror: made up",{TARGET}', *rows])
    (folder / "t.csv").write_text(text, encoding="utf-8", newline="")
    run("train", "t.csv", "--target", TARGET, "--model", "linear", "--epochs", 1, "--name", "one", cwd=folder)
    return folder


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("data", "info", "t.csv", "--set", f"target={TARGET}"), 0),
        (("data", "info", "t.csv", "--set", f"target={TARGET}", "--json"), 0),
        (("plan", "t.csv", "--target", TARGET), 0),
        (("predict", "one", "t.csv"), 0),
        (("predict", "one", "t.csv", "--json"), 0),
        (("predict", "one", "t.csv", "--format", "jsonl"), 0),
        (("predict", "one", f"no{ESC}.csv"), 5),
        (("evaluate", "one"), 0),
        (("runs", "show", "one"), 0),
        (("runs", "list", "--json"), 0),
        (("plan", f"./no{ESC}"), 5),
        (("plan", "digits", "--set", f"loop.{ESC}=1"), 2),
        (("plan", "digits", f"--{ESC}"), 2),
        ((ESC,), 2),
        (("plan", b"\xff.csv".decode(errors="surrogateescape")), 5),
    ],
    ids=repr,
)
def test_control_characters_in_names_are_escaped(place, words, code):
    shown = run(*words, cwd=place, code=code)
    assert not OBEYED.search(shown.out + shown.err)
    assert not re.search("^error: made up", shown.out + shown.err, re.MULTILINE)


def test_json_keeps_the_names_and_a_program_gets_csv_unchanged(place):
    document = run("data", "info", "t.csv", "--set", f"target={TARGET}", "--json", cwd=place).json
    assert document["spec"]["target"]["name"] == TARGET
    table = run("predict", "one", "t.csv", "--format", "csv", cwd=place).out
    assert f"y{ESC}es" in table


class Terminal(io.StringIO):
    """A terminal's stream."""

    def isatty(self) -> bool:
        return True


def test_csv_on_a_terminal_is_escaped(place, monkeypatch):
    monkeypatch.setattr(io, "StringIO", Terminal)  # those that `run` makes
    monkeypatch.setenv("TERM", "dumb")
    assert f"y{ESC}es" not in run("predict", "one", "t.csv", "--format", "csv", cwd=place).out


def test_log_holds_no_control_characters(place):
    assert not OBEYED.search((place / "runs" / "one" / "log.txt").read_text(encoding="utf-8"))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that aren't UTF-8")
@pytest.mark.parametrize("fmt", ["table", "csv", "jsonl"])
def test_predictions_for_names_beyond_utf8_are_all_written(place, tmp_path, fmt):
    run("train", "digits", "--model", "linear", "--epochs", 1, "--name", "d", "--quiet", cwd=tmp_path)
    name = b"caf\xe9.png".decode(errors="surrogateescape")
    for each in ("a.png", name):
        Image.new("L", (8, 8)).save(tmp_path / each, "PNG")
    run("predict", "d", "a.png", name, "--format", fmt, "--out", "answers", cwd=tmp_path)
    text = (tmp_path / "answers").read_text(encoding="utf-8")
    assert r"caf\udce9.png" in text
    assert "a.png" in text
    if fmt == "jsonl":
        assert [json.loads(line)["id"] for line in text.splitlines()] == ["a.png", name]
    assert r"caf\udce9.png" in run("predict", "d", "a.png", name, "--format", fmt, cwd=tmp_path).out


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names that aren't UTF-8")
def test_recipe_refuses_a_path_beyond_utf8(tmp_path):
    folder = tmp_path / b"caf\xe9".decode(errors="surrogateescape")
    (folder / "cats").mkdir(parents=True)
    for words in (("plan", f"./{folder.name}"), ("data", "info", f"./{folder.name}")):
        assert "is not UTF-8" in run(*words, cwd=tmp_path, code=2).err
