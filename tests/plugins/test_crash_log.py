"""What is remembered of plugins: one that ended the process is named by the next start, and tried when changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchdog.plugins import trial_load
from benchdog.plugins.crash_log import CrashLog
from support.plugin_files import install, offer

CRASH = "import ctypes\nctypes.string_at(0)\n"


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHDOG_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def plugin(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("", encoding="utf-8")
    return str(file)


def end_while_loading(file):
    """Let a process end while it loads a plugin."""
    code = (
        "import os, sys\nfrom benchdog.plugins.crash_log import CrashLog\n"
        "with CrashLog().loading() as note:\n    note('/somewhere/else.py')\n    note(sys.argv[1])\n    os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", code, file], check=True, timeout=60)


def collected():
    log = CrashLog()
    log.collect()
    log.save()
    return CrashLog()


def test_process_that_ends_while_loading_leaves_a_suspicion(state, plugin):
    end_while_loading(plugin)
    log = collected()
    assert log.suspicions(plugin) == 1
    assert not log.known(plugin)
    assert list((state / "loading").iterdir()) == []
    end_while_loading(plugin)
    assert collected().suspicions(plugin) == 2


def test_process_that_is_loading_is_not_suspected(state, plugin):
    with CrashLog().loading() as note:
        note(plugin)
        assert collected().suspicions(plugin) == 0
        assert len(list((state / "loading").iterdir())) == 1
    assert list((state / "loading").iterdir()) == []
    assert not (state / "plugins.json").exists()


def test_changed_plugin_is_unknown_again(state, plugin):
    log = CrashLog()
    log.record(plugin, ended="ended with exit code 0")
    log.save()
    assert CrashLog().ended(plugin) == "ended with exit code 0"
    with Path(plugin).open("a", encoding="utf-8") as file:
        file.write("# fixed\n")
    assert CrashLog().ended(plugin) == ""
    assert not CrashLog().known(plugin)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 3}', "\x00"])
def test_damaged_memory_is_forgotten(state, plugin, text):
    state.mkdir()
    (state / "plugins.json").write_text(text, encoding="utf-8")
    log = CrashLog()
    assert not log.known(plugin)
    log.record(plugin)
    log.save()
    assert CrashLog().known(plugin)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions, which root ignores")
def test_memory_that_cannot_be_written_is_done_without(state, plugin):
    state.mkdir(mode=0o500)
    log = CrashLog()
    log.record(plugin)
    log.save()
    with log.loading() as note:
        note(plugin)
    assert list(state.iterdir()) == []
    assert not CrashLog().known(plugin)


def test_trial_finds_what_ends_raises_and_hangs(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    install(tmp_path, "dies-hard", CRASH + offer("x"))
    install(tmp_path, "raises-it", "raise OSError('hm')")
    install(tmp_path, "hangs-on", "import time\ntime.sleep(60)")
    install(tmp_path, "fine", "print('{}')\n" + offer("y"))
    install(
        tmp_path,
        "dies-in-hook",
        offer("z").replace("    return [", "    import os; os.kill(os.getpid(), 9)\n    return ["),
    )
    found = trial_load.tried(["fine", "dies_hard", "raises_it", "hangs_on", "dies_in_hook", "fine"], 1.0)
    assert set(found) == {"dies_hard", "raises_it", "hangs_on", "dies_in_hook"}
    assert "SIGSEGV" in found["dies_hard"]
    assert found["raises_it"] == "raises OSError: hm"
    assert found["hangs_on"] == "takes longer than 1 s to import: busy in hangs_on.py, line 2"
    assert "SIGKILL" in found["dies_in_hook"]


def test_plugin_that_crashes_later_is_named_by_the_next_start_until_it_is_changed(tmp_path, process):
    """It survives its first start and all trials; then something below it changes."""
    switch = tmp_path / "switch"
    install(
        tmp_path,
        "turns",
        f"import os\nif os.path.exists({str(switch)!r}):\n    os.kill(os.getpid(), 9)\n" + offer("t"),
    )
    env = {"PYTHONPATH": str(tmp_path), "BENCHDOG_STATE": str(tmp_path / "state"), "BENCHDOG_PLUGINS": "turns"}
    assert '"t"' in process("schema", env=env).out
    switch.touch()
    assert process("schema", env=env, code=-9).out == ""
    for _ in range(2):
        result = process("schema", env=env)
        assert "plugin 'turns': can't be loaded: the process that tried it was ended by signal 9" in result.err
        assert "`benchdog doctor` tries it again" in result.err
        assert '"t"' not in result.out
    switch.unlink()
    (row,) = (r for r in process("plugins", "list", "--json", env=env).json["plugins"] if r["name"] == "turns")
    assert row["state"] == "ok"
    assert '"t"' in process("schema", env=env).out


@pytest.mark.slow
def test_plugin_that_ends_only_real_starts_is_left_out_after_two(tmp_path, process):
    code = "import sys, os\nif 'benchdog.cli' in sys.modules:\n    os.kill(os.getpid(), 9)\n"
    install(tmp_path, "picky", code + offer("t"))
    env = {"PYTHONPATH": str(tmp_path), "BENCHDOG_STATE": str(tmp_path / "state"), "BENCHDOG_PLUGINS": "picky"}
    process("schema", env=env, code=-9)
    process("schema", env=env, code=-9)
    assert "is well, but 2 commands ended while they loaded it" in process("schema", env=env).err
    (tmp_path / "picky.py").write_text(offer("t"), encoding="utf-8")
    assert '"t"' in process("schema", env=env).out
