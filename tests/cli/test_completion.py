"""Shell completion: candidates, imported modules, and the shell scripts in real terminals."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.main import get_command, get_install_completion_arguments

from benchdog.cli import COMPLETE
from benchdog.cli.root import app
from support.in_process import run
from support.plugin_files import install, offer

SHELLS = Path(__file__).resolve().parents[2] / "src" / "benchdog" / "cli" / "completion" / "shells"
LOADED = """
import sys
from benchdog.cli import main
try:
    main([])
finally:
    print(*sys.modules, file=open("loaded", "w"))
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
    ("benchdog train digits --set model=cn", ["model=cnn"]),
    ("benchdog train digits --model mlp --set model.dr", ["model.dropout="]),
    ("benchdog data info dig", ["digits"]),
    ("benchdog plugins info supervis", ["supervised"]),
    ("benchdog completion po", ["powershell"]),
    ("benchdog train digits --name ", []),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a working directory with two runs and a recipe."""
    now = time.time()
    for number, name in enumerate(("runs/first", "runs/second", "elsewhere/far")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "run.json").write_text("{}", encoding="utf-8")
        os.utime(tmp_path / name, (now + number, now + number))
    (tmp_path / "mine.toml").write_text("source = 'digits'\n", encoding="utf-8")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def environment(line: str) -> dict[str, str]:
    """Return the environment variables with which the shell scripts request the candidates of a line."""
    return {COMPLETE: "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": line}


def complete(line: str, cwd: Path, **env: str) -> list[str]:
    """Return the candidates of a fresh process, as "value TAB description"."""
    command = [sys.executable, "-c", LOADED]
    env = {**os.environ, **environment(line), **env}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _ in CASES])
def test_candidates(line, expected, folder, monkeypatch, capsys):
    for name, value in environment(line).items():
        monkeypatch.setenv(name, value)
    get_install_completion_arguments()
    with pytest.raises(SystemExit):
        get_command(app).main([], prog_name="benchdog", complete_var=COMPLETE)
    assert [row.partition("\t")[0] for row in capsys.readouterr().out.splitlines() if row] == expected


def test_candidates_have_descriptions(folder):
    (line,) = complete("benchdog find", folder)
    assert line == "find-lr\tFind a good learning rate."


@pytest.mark.parametrize("line", ["benchdog train digits --epochs 3 --model ", "benchdog tr"])
def test_completion_loads_only_hook_modules(line, folder):
    site = folder / "site"
    site.mkdir()
    install(site, "friendly", offer("friendly").replace(":build", "friendly_nets:build"))
    candidates = complete(line, folder, PYTHONPATH=str(site))
    loaded = (folder / "loaded").read_text(encoding="utf-8").split()
    assert set(loaded) & {"torch", "numpy", "pydantic", "PIL", "requests", "friendly_nets"} == set()
    assert ("friendly" in loaded) == (line != "benchdog tr")
    assert any(each.startswith("friendly\t") for each in candidates) == ("--model" in line)


def test_completion_runs_no_local_file(folder, monkeypatch, capsys):
    (folder / "evil.py").write_text("open('ran', 'w').close()\ncommand = print\n", encoding="utf-8")
    for line in ("benchdog --plugin evil.py ev", "benchdog --plugin evil.py train digits --model "):
        for name, value in environment(line).items():
            monkeypatch.setenv(name, value)
        get_install_completion_arguments()
        with pytest.raises(SystemExit):
            get_command(app).main([], prog_name="benchdog", complete_var=COMPLETE)
    assert not (folder / "ran").exists()


def test_completion_survives_plugin_that_prints_and_raises(folder):
    site = folder / "site"
    site.mkdir()
    install(site, "loud", "import os\nprint('noise')\nos.write(1, b'noise')\nos.write(2, b'noise')\n1 / 0")
    assert complete("benchdog train digits --model cn", folder, PYTHONPATH=str(site))[0].startswith("cnn\t")
    assert complete("benchdog nonsense ", folder) == []


# --- real shells


@pytest.fixture
def path(folder, monkeypatch):
    """Put the `benchdog` of this interpreter on the PATH."""
    programs = folder / "bin"
    programs.mkdir()
    program = programs / "benchdog"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m benchdog "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return folder


def requires(shell):
    return pytest.mark.skipif(shutil.which(shell) is None or os.name != "posix", reason=f"{shell} is not installed")


def type_keys(shell: list[str], keys: str, expected: str, cwd: Path, **env: str) -> str:
    """Type into a shell on a terminal until it shows the expected text; return its screen."""
    import pty
    import select

    ours, theirs = pty.openpty()
    full = {**os.environ, "TERM": "xterm", "PS1": "READY ", "HOME": str(cwd / "home"), **env}
    process = subprocess.Popen(
        shell, cwd=cwd, env=full, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    screen, end, ready = "", time.monotonic() + 40, False
    try:
        while time.monotonic() < end and not (ready and expected in screen):
            if not ready and "READY" in screen:
                ready, screen = True, ""
                os.write(ours, keys.encode())
            if select.select([ours], [], [], 0.1)[0]:
                screen = STYLE.sub("", screen + os.read(ours, 65536).decode(errors="replace"))
        return screen
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@requires("bash")
def test_bash_completes_after_equals_signs(path):
    """Bash replaces only what follows the last "=" of a word."""
    lines = {
        "benchdog train digits --model cn": "cnn",
        "benchdog train digits --model=cn": "cnn",
        "benchdog train digits --set model=cn": "cnn",
        "benchdog train digits --set loop.ep": "loop.epochs=",
        "benchdog evaluate ": "last",
    }
    script = f". '{SHELLS / 'benchdog.bash'}'\n" + "\n".join(
        f"COMP_LINE='{line}' COMP_POINT={len(line)}; _benchdog benchdog; echo \"${{COMPREPLY[0]}}\"" for line in lines
    )
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == list(lines.values())


@requires("bash")
def test_bash_completes_once_installed(path, monkeypatch):
    home = path / "home"
    (home / ".bashrc").write_text("PS1='READY '", encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    assert str(home / ".bashrc") in run("completion", "bash", "--install", cwd=path).err
    run("completion", "bash", "--install", cwd=path)
    lines = (home / ".bashrc").read_text(encoding="utf-8").splitlines()
    assert lines == ["PS1='READY '", f". '{home / 'data' / 'benchdog' / 'benchdog.bash'}'"]
    shell = ["bash", "--noprofile", "--rcfile", str(home / ".bashrc"), "-i"]
    assert "train digits " in type_keys(shell, "benchdog train digi\t", "train digits ", path)


@requires("zsh")
def test_zsh_completes_once_installed(path, monkeypatch):
    home = path / "home"
    monkeypatch.setenv("ZDOTDIR", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    run("completion", "zsh", "--install", cwd=path)
    screen = type_keys(["zsh", "-i"], "benchdog train digi\t", "train digits ", path, ZDOTDIR=str(home))
    assert "train digits " in screen
    keys = "benchdog train digits --set loop.ep\t3"
    assert "loop.epochs=3" in type_keys(["zsh", "-i"], keys, "loop.epochs=3", path, ZDOTDIR=str(home))


@requires("fish")
def test_fish_offers_candidates(path):
    for line, expected in (
        ("benchdog train digits --model cn", "cnn\t"),
        ("benchdog train digits --set loop.ep", "loop.epochs="),
    ):
        script = f"source '{SHELLS / 'benchdog.fish'}'; complete -C '{line}'"
        done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=60)
        assert done.stdout.startswith(expected), done.stderr


def test_completion_prints_the_script(tmp_path):
    for shell, suffix in (("bash", "bash"), ("zsh", "zsh"), ("fish", "fish"), ("powershell", "ps1")):
        text = (SHELLS / f"benchdog.{suffix}").read_text(encoding="utf-8")
        assert run("completion", shell, cwd=tmp_path).out == text
        assert json.loads(run("completion", shell, "--json", cwd=tmp_path).out)["script"] == text
    assert "Did you mean 'bash'?" in run("completion", "bsh", cwd=tmp_path, code=2).err
    assert list(tmp_path.iterdir()) == []
