"""Hostile plugins: the culprit is named, and every command works all the same, at its first start too."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import fork_server
from support.hostile import PLUGINS, rows
from support.plugin_files import install, offer

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "isolation.md"


@pytest.fixture(scope="module")
def commands():
    with fork_server.serving(weights_alone=True) as folder:
        yield folder


def start(commands, site, name, *args):
    """Run a command at its first start: nothing is remembered from another."""
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("BENCHDOG_")},
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(site),
        "BENCHDOG_PLUGINS": f"{name},good",
        "BENCHDOG_STATE": str(site / f"state-{args[0]}"),
        "BENCHDOG_RUNS": str(site / "runs"),
        "BENCHDOG_PATIENCE": "2" if "blocks" not in name else "1",
    }
    return subprocess.run(
        ["benchdog", *args],
        env=env,
        cwd=site,
        input="",
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def result(commands, place, name):
    """Return what went wrong with a plugin, as lines; none is well."""
    plugin = PLUGINS[name]
    install(place, name, plugin.code)
    install(place, "good", offer("good-net"))
    if plugin.source is not None:
        (place / f"{name}.py").write_bytes(plugin.source)
    wrong = []
    helped = start(commands, place, name, "--help")
    if helped.returncode or "train" not in helped.stdout or helped.stderr:
        wrong.append(f"--help: {helped}")
    listed = start(commands, place, name, "plugins", "list", "--json")
    try:
        rows = {row["name"]: row for row in json.loads(listed.stdout)["plugins"]}
        row = rows[name]
        if plugin.told not in row["fault"] or row["state"] != plugin.health or rows["good"]["state"] != "ok":
            wrong.append(f"plugins list: {row}, {rows['good']}")
        if plugin.told and f"plugin {name!r}: " not in listed.stderr:
            wrong.append(f"plugins list: {listed.stderr}")
    except (ValueError, KeyError) as error:
        wrong.append(f"plugins list: {error!r} {listed}")
    args = ("train", "digits", "--model", "linear", "--epochs", "1", "--name", "one", "--quiet")
    trained = start(commands, place, name, *args)
    run = place / "runs" / "one" / "run.json"
    status = json.loads(run.read_text(encoding="utf-8"))["status"] if run.is_file() else "no run"
    told = plugin.training or plugin.told
    if trained.returncode or status != "finished" or not trained.stdout.strip().endswith("one"):
        wrong.append(f"train: {status}, {trained}")
    if told and (f"plugin {name!r}: " not in trained.stderr or told not in trained.stderr):
        wrong.append(f"train: {trained.stderr}")
    return wrong


@pytest.mark.slow
def test_hostile_plugins_are_named_and_break_nothing(commands, tmp_path):
    def attempt(name):
        place = tmp_path / name
        place.mkdir()
        return result(commands, place, name)

    with ThreadPoolExecutor(2) as pool:
        wrong = {name: lines for name, lines in zip(PLUGINS, pool.map(attempt, PLUGINS), strict=True) if lines}
    assert not wrong, json.dumps(wrong, indent=1)


def test_page_lists_every_hostile_plugin():
    assert PAGE.read_text(encoding="utf-8").rstrip().splitlines()[-len(PLUGINS) :] == rows()
