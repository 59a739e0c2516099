"""Conformance kit: faults of plugins at loading, and of commands."""

from inspect import signature

import pytest

from benchdog import hookspecs
from support.in_process import run
from support.planted.loading import COMMANDS, FILES, HELPER_MODULES
from support.planted.rows import documented


@pytest.mark.parametrize("name", FILES)
def test_loading_fault_is_reported_with_its_remedy(name, tmp_path, monkeypatch):
    text, check, part = FILES[name]
    for helper, code in HELPER_MODULES.items():
        (tmp_path / helper).write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / f"{name.replace('-', '_')}.py"
    file.write_text(text, encoding="utf-8")
    done = run("plugins", "check", file, "--only", check, "--json", cwd=tmp_path, code=4)
    (fault,) = (result for result in done.json["results"] if result["state"] == "fault")
    assert part in fault["found"]
    assert fault["check"] == check
    assert fault["remedy"]
    assert documented(name, fault), "python scripts/planted_faults.py rewrites the table"


@pytest.mark.parametrize("name", COMMANDS)
def test_command_fault_is_reported_with_its_remedy(name, tmp_path, monkeypatch):
    text, check, part = COMMANDS[name]
    (tmp_path / f"command_{name}.py").write_text(text, encoding="utf-8")
    info = tmp_path / f"benchdog_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: benchdog-{name}\nVersion: 1.0\nSummary: A test.\n")
    attribute = "tune" if name == "whistle" else name
    (info / "entry_points.txt").write_text(f"[benchdog.commands]\n{name} = command_{name}:{attribute}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = run("plugins", "check", f"benchdog-{name}", "--only", check, "--json", cwd=tmp_path, code=4)
    (fault,) = (result for result in done.json["results"] if result["state"] == "fault")
    assert part in fault["found"]
    assert (fault["kind"], fault["name"], fault["check"]) == ("command", name, check)
    assert fault["remedy"]
    assert documented(name, fault), "python scripts/planted_faults.py rewrites the table"


def test_every_event_is_emitted_to_observers(tmp_path):
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("benchdog_")}
    events = {name: list(signature(hook).parameters) for name, hook in hooks.items() if signature(hook).parameters}
    functions = [
        f"@hookimpl\ndef {name}({', '.join(parameters)}):\n    pass\n" for name, parameters in events.items()
    ]
    file = tmp_path / "all_events.py"
    text = "\n\n".join(["from benchdog.api import hookimpl\n\nCONTRACT = 1", *functions])
    file.write_text(text, encoding="utf-8")
    (result,) = run("plugins", "check", file, "--only", "hears", "--json", cwd=tmp_path).json["results"]
    assert result["found"].split(", ") == sorted(name.removeprefix("benchdog_") for name in events)


def test_unknown_plugin_check_or_option_is_bad_usage(tmp_path):
    stderr = run("plugins", "check", "benchdog-starz", cwd=tmp_path, code=2).err
    assert "There is no plugin 'benchdog-starz'" in stderr
    assert "benchdog-sklearn" in stderr
    stderr = run("plugins", "check", "benchdog", "--only", "imports", cwd=tmp_path, code=2).err
    assert "Did you mean 'import'?" in stderr
    stderr = run("plugins", "check", "nowhere.py", cwd=tmp_path, code=2).err
    assert "There is no plugin file nowhere.py" in stderr
    stderr = run("plugins", "check", "benchdog", "--set", "path=x", cwd=tmp_path, code=2).err
    assert "For example --set stars.count=50" in stderr
