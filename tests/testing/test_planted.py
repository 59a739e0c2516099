"""Conformance kit: finds every fault planted in a component, and none in sound components."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.command import run_bench
from support.planted.planted_table import FAULTS
from support.planted.rows import documented

pytestmark = pytest.mark.slow
PLANTED = Path(__file__).parents[1] / "support" / "planted"


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, home: Path) -> dict[str, Any]:
    """Check the distribution with the planted plugin and the sound one."""
    site = tmp_path_factory.mktemp("site")
    info = site / "benchdog_planted-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: benchdog-planted\nVersion: 1.0\nSummary: A test.\n")
    (info / "entry_points.txt").write_text("[benchdog]\nplanted = planted\nsound = planted.sound\n")
    env = {"PYTHONPATH": os.pathsep.join([str(site), str(PLANTED)])}
    done = run_bench("plugins", "check", "benchdog-planted", "--json", cwd=site, env=env, code=4)
    document: dict[str, Any] = json.loads(done.out)
    return document


@pytest.mark.parametrize(("kind", "name", "check", "part"), FAULTS, ids=[f"{f[0]} {f[1]}" for f in FAULTS])
def test_planted_fault_is_reported_with_its_remedy(checked, kind, name, check, part):
    (result,) = (r for r in checked["results"] if (r["kind"], r["name"], r["check"]) == (kind, name, check))
    assert result["state"] == "fault", result["found"]
    assert part in result["found"]
    assert result["remedy"]
    assert documented(name, result), "python scripts/planted_faults.py rewrites the table"
    assert result["where"] == "" or ".py, line" in result["where"]


def test_most_faults_are_reported_with_their_source_line(checked):
    faults = [r for r in checked["results"] if r["state"] == "fault"]
    assert len([r for r in faults if "planted" in r["where"]]) > 0.8 * len(faults)


def test_sound_components_have_no_faults(checked):
    sound = [r for r in checked["results"] if r["name"].startswith("sound")]
    assert {r["kind"] for r in sound} >= {"plugin", "source", "model", "task", "trainer", "exporter", "backend"}
    assert [(r["name"], r["check"], r["found"]) for r in sound if r["state"] != "ok"] == []


def test_checks_that_can_not_run_here_are_skipped_with_a_reason(checked):
    found = {(r["name"], r["check"]): r for r in checked["results"]}
    package, option = found["lacks-package", "opens"], found["lacks-option", "opens"]
    assert (package["state"], option["state"]) == ("skipped", "skipped")
    assert package["found"] == "needs no_such_package, which is not installed. Get it."
    assert option["found"].startswith("needs table: set it with --set lacks-option.table=...")
    assert found["lacks-option", "options"]["state"] == "ok"  # it is documented
    data = found["lacks-data", "opens"]
    assert (data["state"], data["found"]) == ("skipped", "its data isn't here: benchdog data fetch lacks-data")


def test_check_that_kills_its_process_does_not_affect_others(checked):
    found = [r for r in checked["results"] if r["name"] == "vanishes"]
    assert [r["check"] for r in found][-2:] == ["prints", "files"]
    assert found[-1]["state"] == "ok"


def test_check_document_has_a_stable_format(checked):
    assert (checked["format"], checked["checked"], checked["conforms"]) == (1, "benchdog-planted", False)
    assert sum(checked["counts"].values()) == len(checked["results"])
    keys = {"kind", "name", "check", "state", "found", "where", "remedy", "seconds"}
    assert all(set(result) == keys for result in checked["results"])
