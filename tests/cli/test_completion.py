"""Completion: in real shells where they are, and quick: no component is loaded, nothing is said."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.in_process import run
from support.plugin_files import install, offer

SHELLS = Path(__file__).resolve().parents[2] / "src" / "benchdog" / "cli" / "completion" / "shells"
LOADED = """
import sys
sys.argv = ["benchdog"]
from benchdog.cli import main
try:
    main()
finally:
    print("LOADED", *sys.modules, file=open("loaded", "w"))
"""
STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
CASES = [
    ("benchdog tr", ["train"]),
    ("benchdog runs sh", ["show"]),
    ("benchdog train digi", ["digits"]),
    ("benchdog train mi", ["mine.toml"]),
    ("benchdog train digits --mod", ["--model"]),
    ("benchdog train digits --model cn", ["cnn"]),
    ("benchdog train digits --trainer superv", ["supervised"]),
    ("benchdog export last --to torch", ["torch-export", "torchscript"]),
    ("benchdog evaluate ", ["last", "second", "first"]),
    ("benchdog evaluate --runs-dir elsewhere fa", ["far"]),
    ("benchdog train --resume fi", ["first"]),
    ("benchdog train digits --set loop.ep", ["loop.epochs="]),
    ("benchdog train digits --model mlp --set model.dr", ["model.dropout="]),
    ("benchdog data info dig", ["digits"]),
    ("benchdog plugins info supervis", ["supervised"]),
    ("benchdog completion po", ["powershell"]),
    ("benchdog train digits --name ", []),
    ("benchdog nonsense ", []),
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Give a working folder with two runs and a recipe."""
    now = time.time()
    for number, name in enumerate(("runs/first", "runs/second", "elsewhere/far")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}", encoding="utf-8")
        os.utime(tmp_path / name, (now + number, now + number))
    (tmp_path / "mine.toml").write_text("source = 'digits'\n", encoding="utf-8")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(words: str, place: Path, **env: str) -> list[str]:
    """Ask as fish does; give the lines."""
    *before, last = words.split(" ")
    mine = {"BENCHDOG_COMPLETE": "fish", "BENCHDOG_WORDS": "\n".join(before), "BENCHDOG_WORD": last, **env}
    command = [sys.executable, "-c", LOADED]
    done = subprocess.run(command, cwd=place, env={**os.environ, **mine}, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[words for words, _ in CASES])
def test_what_words_could_go_on_with(words, expected, place):
    assert [line.partition("\t")[0] for line in asked(words, place)] == expected


def test_words_have_meanings(place):
    (line,) = asked("benchdog train digits --model cn", place)
    assert line.partition("\t")[2]
    (line,) = asked("benchdog find", place)
    assert line == "find-lr\tLook for a learning rate that suits."


@pytest.mark.parametrize("words", ["benchdog train digits --model ", "benchdog tr", "benchdog predict "])
def test_nothing_is_loaded_but_the_hooks_of_plugins(words, place):
    site = place / "site"
    site.mkdir()
    install(site, "friendly", offer("friendly").replace(":build", "friendly_nets:build"))
    found = asked(words, place, PYTHONPATH=str(site))
    loaded = (place / "loaded").read_text(encoding="utf-8").split()
    assert set(loaded) & {"torch", "numpy", "pydantic", "PIL", "requests", "friendly_nets"} == set()
    assert ("friendly" in loaded) == (words != "benchdog tr")
    assert any(line.startswith("friendly\t") for line in found) == ("--model" in words)


def test_a_plugin_that_fails_or_prints_spoils_no_line(place):
    site = place / "site"
    site.mkdir()
    install(site, "loud", "import os\nprint('noise')\nos.write(1, b'noise')\nos.write(2, b'noise')\n1 / 0")
    assert asked("benchdog train digits --model cn", place, PYTHONPATH=str(site))[0].startswith("cnn\t")


# --- real shells


@pytest.fixture
def path(place, monkeypatch):
    """Let a shell find the `benchdog` of this interpreter, with this suite's home."""
    folder = place / "bin"
    folder.mkdir()
    program = folder / "benchdog"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m benchdog "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return place


def has(shell):
    return pytest.mark.skipif(shutil.which(shell) is None or os.name != "posix", reason=f"there is no {shell} here")


def typed(shell: list[str], keys: str, expected: str, place: Path, **env: str) -> str:
    """Type into a shell on a terminal, until it shows what is expected."""
    import pty
    import select

    mine, its = pty.openpty()
    full = {**os.environ, "TERM": "xterm", "PS1": "READY ", "HOME": str(place / "home"), **env}
    process = subprocess.Popen(shell, cwd=place, env=full, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    shown, end, waiting = "", time.monotonic() + 40, ["READY"]
    try:
        while time.monotonic() < end and not (not waiting and expected in shown):
            if waiting and waiting[0] in shown:
                waiting.pop()
                shown = ""
                os.write(mine, keys.encode())
            if select.select([mine], [], [], 0.1)[0]:
                shown = STYLE.sub("", shown + os.read(mine, 65536).decode(errors="replace"))
        return shown
    finally:
        process.kill()
        process.wait()
        os.close(mine)


@has("bash")
@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("benchdog train digits --model cn", "cn", "cnn"),
        ("benchdog train digits --model=cn", "cn", "cnn"),
        ("benchdog train digits --model=", "=", "cnn"),
        ("benchdog train digits --set model=cn", "cn", "cnn"),
        ("benchdog train digits --set loop.ep", "loop.ep", "loop.epochs="),
        ("benchdog evaluate ", "", "last"),
    ],
)
def test_bash_gets_what_stands_behind_its_own_cuts(path, line, word, expected):
    script = f"""
. '{SHELLS / "benchdog.bash"}'
COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=(benchdog '{word}') COMP_CWORD=1
_benchdog benchdog '{word}' ''
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert expected in done.stdout.splitlines()


@has("bash")
def test_the_tabulator_in_bash_once_it_is_installed(path, monkeypatch):
    home = path / "home"
    (home / ".bashrc").write_text("PS1='READY '", encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    said = run("completion", "bash", "--install", cwd=path).err
    assert str(home / ".bashrc") in said
    run("completion", "bash", "--install", cwd=path)
    lines = (home / ".bashrc").read_text(encoding="utf-8").splitlines()
    assert lines == ["PS1='READY '", f". '{home / 'data' / 'benchdog' / 'benchdog.bash'}'"]
    shell = ["bash", "--noprofile", "--rcfile", str(home / ".bashrc"), "-i"]
    assert "train digits " in typed(shell, "benchdog train digi\t", "train digits ", path)


@has("zsh")
def test_the_tabulator_in_zsh(path, monkeypatch):
    home = path / "home"
    monkeypatch.setenv("ZDOTDIR", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    run("completion", "zsh", "--install", cwd=path)
    shown = typed(["zsh", "-i"], "benchdog train digi\t", "train digits ", path, ZDOTDIR=str(home))
    assert "train digits " in shown
    keys = "benchdog train digits --set loop.ep\t3"
    assert "loop.epochs=3" in typed(["zsh", "-i"], keys, "loop.epochs=3", path, ZDOTDIR=str(home))


@has("fish")
def test_fish_offers_words_and_meanings(path):
    for line, expected in (
        ("benchdog train digits --model cn", "cnn\t"),
        ("benchdog train digits --set loop.ep", "loop.epochs="),
    ):
        script = f"source '{SHELLS / 'benchdog.fish'}'; complete -C '{line}'"
        done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=60)
        assert done.stdout.startswith(expected), done.stderr


def test_the_script_is_printed_or_told(tmp_path):
    for shell, name in (("bash", "bash"), ("zsh", "zsh"), ("fish", "fish"), ("powershell", "ps1")):
        text = (SHELLS / f"benchdog.{name}").read_text(encoding="utf-8")
        assert run("completion", shell, cwd=tmp_path).out == text
        assert json.loads(run("completion", shell, "--json", cwd=tmp_path).out)["script"] == text
    assert "Did you mean 'bash'?" in run("completion", "bsh", cwd=tmp_path, code=2).err
    assert list(tmp_path.iterdir()) == []
