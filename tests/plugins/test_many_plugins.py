"""Thirty third-party plugins, three of them faulty: commands report these without waiting for them."""

import time
from pathlib import Path

import pytest

from support.fresh_process import run
from support.plugin_files import install, offer

GOOD = 27
SLEEPER = "import time\n\ntime.sleep({seconds})\n" + offer("sleepy").replace("{", "{{").replace("}", "}}")
GREEDY = "import torch\n" + offer("greedy-net")
COMMAND = "def command():\n    print('it shines')\n"


@pytest.fixture
def site(tmp_path):
    """Return a folder with 27 good plugins with commands; one that raises, one that sleeps, one that loads torch."""
    for number in range(GOOD):
        name = f"star_{number:02d}"
        entries = f"[benchdog]\n{name} = {name}\n[benchdog.commands]\nshine-{number} = {name}_cli:command\n"
        install(tmp_path, name.replace("_", "-"), offer(f"star-{number}"), entries=entries)
        (tmp_path / f"{name}_cli.py").write_text(COMMAND, encoding="utf-8")
    install(tmp_path, "raiser", "raise RuntimeError('no luck')")
    install(tmp_path, "sleeper", SLEEPER.format(seconds=60))
    install(tmp_path, "greedy", GREEDY)
    (tmp_path / "torch.py").write_text("", encoding="utf-8")  # a stand-in: importing the real one takes seconds
    return tmp_path


def third_party(modules):
    return {name for name in modules if name.startswith(("star_", "raiser", "sleeper", "greedy"))}


def test_help_lists_plugin_commands_without_importing_plugins(site):
    out, err, modules = run("--help", site=site)
    assert err == ""
    assert [f"shine-{number}" for number in range(GOOD) if f"shine-{number} " not in out] == []
    assert third_party(modules) == set()
    assert "torch" not in modules


def test_plugin_command_imports_only_its_own_module(site):
    out, _, modules = run("shine-3", site=site)
    assert out == "it shines\n"
    assert third_party(modules) == {"star_03_cli"}


def test_plugins_list_reports_faulty_plugins_without_waiting(site, process):
    begun = time.monotonic()
    result = process("plugins", "list", "--json", env={"PYTHONPATH": str(site)})
    assert time.monotonic() - begun < 45, "it waited for the sleeper"
    rows = {row["name"]: row for row in result.json["plugins"]}
    assert {f"star_{number:02d}" for number in range(GOOD)} <= set(rows)
    assert {row["state"] for name, row in rows.items() if name.startswith("star")} == {"ok"}
    assert "RuntimeError: no luck" in rows["raiser"]["fault"]
    assert "longer than 1 s to import: busy in sleeper.py, line 3." in rows["sleeper"]["fault"]
    assert (rows["sleeper"]["state"], rows["sleeper"]["loaded"]) == ("warning", False)
    assert "the author of sleeper" in rows["sleeper"]["remedy"]
    assert (rows["greedy"]["loads"], rows["greedy"]["state"]) == (["torch"], "warning")
    for name in ("raiser", "sleeper"):
        assert f"plugin {name!r}" in result.err


def test_plugins_list_shows_packages_with_only_commands(site, process):
    install(site, "lonely", COMMAND, entries="[benchdog.commands]\nlonely = lonely:command\n")
    install(site, "future", COMMAND + "\nCONTRACT = 7\n", entries="[benchdog.commands]\nodd = future:command\n")
    install(site, "damaged", COMMAND, entries="[benchdog.commands]\nbroken = damaged:command\n")
    (site / "damaged-1.2.dist-info" / "METADATA").write_text("", encoding="utf-8")
    rows = {row["name"]: row for row in process("plugins", "list", "--json", env=patient(site)).json["plugins"]}
    assert rows["broken"]["version"] == ""
    assert rows["star_03"]["components"] == {"model": ["star-3"], "command": ["shine-3"]}
    assert (rows["lonely"]["components"], rows["lonely"]["state"]) == ({"command": ["lonely"]}, "ok")
    assert (rows["future"]["state"], rows["future"]["loaded"]) == ("wrong", False)
    assert "contract 7" in rows["future"]["fault"]


def patient(site):
    """Return environment variables that disable the faulty plugins, so that nothing waits for them."""
    return {"PYTHONPATH": str(site), "BENCHDOG_PLUGINS": "-raiser,-sleeper,-greedy"}


def test_doctor_reports_faulty_plugins_without_waiting(site, process):
    # packages of Benchdog's own, whose libraries doctor would import too
    env = {"PYTHONPATH": str(site), "BENCHDOG_PLUGINS": "-huggingface,-timm,-onnx,-scikit-learn,-detection"}
    begun = time.monotonic()
    result = process("doctor", "--json", env=env, code=1)
    assert time.monotonic() - begun < 55, "it waited for the sleeper"
    checks = {check["name"]: check for check in result.json["checks"]}
    assert checks["plugin raiser"]["state"] == "wrong"
    assert checks["plugin sleeper"]["state"] == checks["plugin greedy"]["state"] == "warning"
    assert "line 3" in checks["plugin sleeper"]["found"]
    assert "torch" in checks["plugin greedy"]["found"]
    assert checks["plugin star_26"]["state"] == "ok"


def test_working_command_waits_longer_and_names_the_slow_plugin(tmp_path):
    install(tmp_path, "sleeper", SLEEPER.format(seconds=2))
    out, err, _ = run("schema", site=tmp_path)
    assert '"sleepy"' in out
    assert err == "benchdog: waiting for the plugin in sleeper: busy in sleeper.py, line 3\n"


def test_patience_is_configurable(tmp_path, process):
    install(tmp_path, "sleeper", SLEEPER.format(seconds=60))
    env = {"PYTHONPATH": str(tmp_path), "BENCHDOG_PATIENCE": "0.2"}
    result = process("schema", env=env)
    assert "'sleeper': takes longer than 0.2 s" in result.err
    assert "BENCHDOG_PATIENCE=60 waits longer" in result.err
    assert '"sleepy"' not in result.out
    result = process("schema", env={**env, "BENCHDOG_PATIENCE": "soon"}, code=2)
    assert "BENCHDOG_PATIENCE is 'soon'" in result.err


def test_slow_hook_is_abandoned(tmp_path, process):
    hook = offer("sleepy").replace("    return [", "    import time\n    time.sleep(60)\n    return [")
    install(tmp_path, "sleeper", hook)
    document = process("plugins", "list", "--json", env={"PYTHONPATH": str(tmp_path)}).json
    (row,) = (row for row in document["plugins"] if row["name"] == "sleeper")
    assert row["fault"] == "takes longer than 1 s to return its components: busy in sleeper.py, line 13."
    assert (row["state"], row["loaded"]) == ("warning", False)


def test_plugin_is_imported_on_the_main_thread(tmp_path):
    code = "import signal\nsignal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))\n" + offer("loud")
    install(tmp_path, "handler", code)
    out, err, _ = run("plugins", "list", site=tmp_path)
    assert err == ""
    assert "models: loud" in out


@pytest.mark.slow
def test_child_processes_skip_a_slow_plugin(tmp_path, process):
    mark = tmp_path / "imported.txt"
    counting = f"open({str(mark)!r}, 'a').write('once ')\n" + SLEEPER.format(seconds=60)
    install(tmp_path, "sleeper", counting)
    env = {"PYTHONPATH": str(tmp_path), "BENCHDOG_PATIENCE": "0.5"}
    artifact = Path(__file__).parents[1] / "golden" / "format-1" / "finished" / "artifact"
    result = process("export", artifact, "--to", "safetensors", "--out", tmp_path / "out", env=env)
    assert "'sleeper': takes longer than 0.5 s" in result.err
    assert (tmp_path / "out" / "export.json").is_file()
    assert mark.read_text(encoding="utf-8") == "once "
