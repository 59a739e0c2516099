"""Modules imported at startup."""

import json
from pathlib import Path

import pytest

from support.fresh_process import run

HEAVY = ("torch", "numpy", "requests", "rich", "pydantic", "PIL", "matplotlib")

GOOD = """
from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_models():
    return [ModelInfo(name="third-net", summary="A third-party net.", target="third_party_nets:build")]
"""


def install(site: Path, name: str, text: str, entry: str | None = None) -> None:
    """Put a distribution on disk as pip leaves it: a module and its dist-info."""
    (site / f"{name}.py").write_text(text, encoding="utf-8")
    info = site / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[benchdog]\n{entry or name} = {name}\n", encoding="utf-8")


COMMANDS = (
    ("--help",),
    ("--version",),
    ("plugins", "list"),
    ("plugins", "list", "--json"),
    ("plugins", "--help"),
)


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_startup_with_a_lightweight_plugin_imports_no_heavy_modules(arguments, tmp_path):
    install(tmp_path, "third_party", GOOD)
    out, err, modules = run(*arguments, site=tmp_path)
    assert modules & set(HEAVY) == set()
    assert "third_party_nets" not in modules
    assert ("third_party" in modules) == (arguments[:2] == ("plugins", "list")), "help loads no plugin"
    assert err == ""
    if arguments == ("plugins", "list"):
        line = next(line for line in out.splitlines() if line.startswith("third_party"))
        assert "1.2" in line
        assert " healthy " in line


def test_plugin_that_imports_numpy_on_listing_is_reported(tmp_path):
    install(tmp_path, "greedy", "import numpy\n" + GOOD.replace('"third-net"', '"greedy-net"'))
    install(tmp_path, "third_party", GOOD)
    out, err, _ = run("plugins", "list", site=tmp_path)
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "numpy" in lines["greedy"]
    assert " healthy " in lines["third_party"]
    assert " healthy " in lines["builtin"]
    assert "greedy" in err
    out, _, _ = run("plugins", "list", "--json", site=tmp_path)
    rows = {row["name"]: row for row in json.loads(out)["plugins"]}
    assert rows["greedy"]["loads"] == ["numpy"]
    assert rows["greedy"]["state"] == "warning"
    assert rows["builtin"]["loads"] == rows["third_party"]["loads"] == []


@pytest.mark.slow
def test_doctor_reports_a_plugin_that_imports_numpy(tmp_path):
    install(tmp_path, "greedy", "import numpy\n" + GOOD.replace('"third-net"', '"greedy-net"'))
    (tmp_path / "torch.py").write_text("raise ImportError('this one is not to be imported')\n", encoding="utf-8")
    out, _, _ = run("doctor", "--json", site=tmp_path, code=1)
    (check,) = (check for check in json.loads(out)["checks"] if check["name"] == "plugin greedy")
    assert check["state"] == "warning"
    assert "numpy" in check["found"]
    assert "greedy" in check["remedy"]


def test_broken_plugin_is_listed_with_its_remedy(tmp_path):
    install(tmp_path, "broken", "import no_such_module\n")
    out, err, _ = run("plugins", "list", "--json", site=tmp_path)
    rows = {row["name"]: row for row in json.loads(out)["plugins"]}
    assert rows["broken"]["state"] == "wrong"
    assert "no_such_module" in rows["broken"]["fault"]
    assert rows["broken"]["remedy"]
    assert rows["builtin"]["state"] == "ok"
    assert "Traceback" not in err


def test_plan_counts_flops_without_importing_torchs_compiler(tmp_path):
    out, _, modules = run("plan", "digits", "--model", "linear", "--json", site=tmp_path)
    assert json.loads(out)["flops"]["forward"] == 2 * 64 * 10
    assert "torch" in modules
    assert "torch._dynamo" not in modules
