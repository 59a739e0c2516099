"""A package of plugins written before contract 1 was widened: one component of each kind, which work unchanged.

Its sources under tests/support/thirdparty/settler are never edited, whatever the templates say today.
"""

import hashlib
import shutil
import tomllib
from pathlib import Path

import pytest

from support import in_process
from support.thirdparty import venvs

SETTLER = Path(__file__).parents[1] / "support" / "thirdparty" / "settler"
CHOICE = ("--model", "tiny-net", "--task", "brier", "--trainer", "plain-sgd", "--backend", "one-core")
SOURCES = "94e821c8e2db95e4"


def digest() -> str:
    """Return a digest of the package's sources."""
    text = hashlib.sha256()
    for path in sorted((SETTLER / "src").rglob("*.py")):
        text.update(path.name.encode() + path.read_text(encoding="utf-8").encode())
    return text.hexdigest()[:16]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the package as pip leaves it: sources and a dist-info."""
    site = tmp_path / "site"
    shutil.copytree(SETTLER / "src", site)
    project = tomllib.loads((SETTLER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / "benchdog_settler-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 1.0.0\nSummary: Old.\n")
    groups = project["entry-points"]
    lines = [
        f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items()) for group, entries in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.syspath_prepend(str(site))
    return tmp_path


def use(place: Path) -> None:
    """Use the package's components as a user does: train, evaluate, predict, export, list."""
    run = in_process.run
    run("train", "stars", *CHOICE, "--epochs", 2, "--name", "old", "--quiet", cwd=place)
    facts = run("runs", "show", "old", "--json", cwd=place).json
    assert "stars" in str(facts)
    assert "old: tiny-net on stars ended with" in (place / "runs" / "old" / "diary.txt").read_text(encoding="utf-8")
    document = run("evaluate", "old", "--json", cwd=place).json
    assert document["metrics"]["accuracy"] > 0.5
    assert document["notes"] == ["no baselines: the task 'brier' declares none"]
    (place / "star.csv").write_text("color,brightness\n3.0,3.0\n", encoding="utf-8")
    answers = run("predict", "old", "star.csv", "--json", cwd=place).json["answers"]
    assert [each["label"] for each in answers] == ["giant"]
    in_process.run_export("old", "--to", "xz", cwd=place)
    (place / "runs" / "old" / "exports" / "xz" / "graph.pt2").stat()
    exported = run("predict", place / "runs" / "old" / "exports" / "xz", "star.csv", "--json", cwd=place).json
    assert exported["answers"] == answers
    assert "float32" in run("tensors", "old", cwd=place).out.lower().replace("f32", "float32")
    augmented = ("--set", "loader.augment=['dim']", "--epochs", 1, "--name", "dark", "--quiet")
    run("train", "digits", "--model", "tiny-net", *augmented, cwd=place)


def test_sources_of_the_old_package_are_untouched() -> None:
    assert digest() == SOURCES


def test_old_package_has_a_component_of_each_kind_and_no_faults(installed: Path) -> None:
    rows = in_process.run("plugins", "list", "--json", cwd=installed).json["plugins"]
    own = [row for row in rows if row["distribution"] == "benchdog-settler"]
    assert {row["state"] for row in own} == {"ok"}, own
    kinds = {kind for row in own for kind in row["components"]}
    assert kinds >= {"source", "model", "task", "augmentation", "trainer", "exporter", "backend"}


def test_old_package_works_unchanged(installed: Path) -> None:
    use(installed)


def test_stopped_run_of_the_old_package_resumes_bit_for_bit(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = ("stars", *CHOICE, "--epochs", 2, "--quiet")
    in_process.train(*choice, "--name", "whole", cwd=installed)
    with monkeypatch.context() as patch:
        in_process.stop_at(patch, 4)
        in_process.train(*choice, "--name", "stopped", cwd=installed, code=143)
    in_process.train("--resume", "runs/stopped", "--quiet", cwd=installed)
    assert in_process.same(installed / "runs" / "whole", installed / "runs" / "stopped")


@pytest.mark.slow
def test_old_package_works_as_a_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(SETTLER, tmp_path / "settler")
    wheels = venvs.wheels(tmp_path / "wheels", tmp_path / "settler")
    python = venvs.environment(tmp_path / "venv")
    venvs.install(python, *wheels)
    monkeypatch.syspath_prepend(str(venvs.site_packages(tmp_path / "venv")))
    place = tmp_path / "work"
    place.mkdir()
    use(place)
