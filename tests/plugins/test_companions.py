"""Components and commands of Benchdog packages that are not installed.

tests/packaging/test_conda.py checks it in an environment without the packages.
"""

import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from benchdog.plugins import Plugins, companions
from support.in_process import run

ROOT = Path(__file__).parents[2]
OURS = [
    tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"]
    for file in sorted(ROOT.glob("plugins/*/pyproject.toml"))
]


def test_companions_table_matches_the_packages():
    found: dict[str, set[tuple[str, str]]] = {package: set() for package in OURS}
    for plugin in Plugins.discover().healthy:
        for kind, names in plugin.components.items():
            if plugin.dist in found:
                found[plugin.dist] |= {(kind, name) for name in names}
    for package, offered in found.items():
        points = metadata.distribution(package).entry_points.select(group="benchdog.commands")
        offered |= {("command", point.name) for point in points}
    table = {package: set(offered) for package, offered in companions.PACKAGES.items()}
    assert table == {package: offered for package, offered in found.items() if offered}


def test_installed_or_unknown_components_are_not_reported_absent():
    assert companions.absent("exporter", "onnx") == ""
    assert companions.absent("exporter", "onxx") == ""


@pytest.mark.parametrize(("made_by", "command"), [("pip", "pip install"), ("conda", "conda install")])
def test_install_command_matches_the_environment(made_by, command, tmp_path, monkeypatch):
    if made_by == "conda":
        (tmp_path / "conda-meta").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert companions.install("benchdog-onnx") == f"{command} benchdog-onnx"


@pytest.mark.parametrize(
    ("argv", "what"), [(["fly", "last"], "command 'fly'"), (["train", "digits", "--model", "wing"], "model 'wing'")]
)
def test_component_of_an_absent_package_names_the_package(argv, what, tmp_path, monkeypatch):
    monkeypatch.setitem(companions.PACKAGES, "benchdog-bird", (("command", "fly"), ("model", "wing")))
    result = run(*argv, cwd=tmp_path, code=3)
    assert f"The {what} comes with the package benchdog-bird, which is not installed." in result.err
    assert "install benchdog-bird" in result.err
