"""Local files import modules from their folder: in every process, from a run's copies, each its own."""

import sys

import pytest

from benchdog.errors import BadUsage
from benchdog.plugins.loading import load_file
from benchdog.plugins.neighbors import digest, neighbors
from support.command import run_bench
from support.in_process import run, same, stop_at, train

NET = """
from torch import nn
from parts.layers import head


class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.flat, self.head = nn.Flatten(), head(64, spec.outputs)

    def forward(self, x):
        from scale import factor  # as late as can be
        return self.head(self.flat(x)) * factor
"""
LAYERS = "from torch import nn\nfrom .widths import WIDTH\n\n\ndef head(n, out):\n"
LAYERS += "    return nn.Sequential(nn.Linear(n, WIDTH), nn.ReLU(), nn.Linear(WIDTH, out))\n"


@pytest.fixture
def place(tmp_path):
    """Return a folder with `net.py`, a package and a module that it imports, and one that it doesn't."""
    folder = tmp_path / "project"
    (folder / "parts").mkdir(parents=True)
    (folder / "net.py").write_text(NET, encoding="utf-8")
    (folder / "parts" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "parts" / "layers.py").write_text(LAYERS, encoding="utf-8")
    (folder / "parts" / "widths.py").write_text("WIDTH = 8\n", encoding="utf-8")
    (folder / "scale.py").write_text("factor = 2.0\n", encoding="utf-8")
    (folder / "other.py").write_text("raise RuntimeError\n", encoding="utf-8")
    return folder


def test_neighbors_are_the_imported_files_in_the_folder(place):
    names = [path.relative_to(place).as_posix() for path in neighbors(place / "net.py")]
    assert names == ["parts/__init__.py", "parts/layers.py", "parts/widths.py", "scale.py"]
    before = digest(place / "net.py")
    (place / "other.py").write_text("", encoding="utf-8")
    assert digest(place / "net.py") == before
    (place / "parts" / "widths.py").write_text("WIDTH = 9\n", encoding="utf-8")
    assert digest(place / "net.py") != before


def test_equal_names_in_two_folders_are_two_modules(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "common_part.py").write_text(f"value = {name!r}\n", encoding="utf-8")
        (tmp_path / name / "user.py").write_text("from common_part import value\n", encoding="utf-8")
    assert load_file(tmp_path / "a" / "user.py").value == "a"
    assert load_file(tmp_path / "b" / "user.py").value == "b"
    (tmp_path / "b" / "common_part.py").write_text("value = 'edited'\n", encoding="utf-8")
    assert load_file(tmp_path / "b" / "user.py").value == "edited"
    assert load_file(tmp_path / "a" / "user.py").value == "a"
    del sys.modules["common_part"]


def test_neighbor_that_raises_is_named(tmp_path):
    (tmp_path / "broken_part.py").write_text("1 / 0\n", encoding="utf-8")
    (tmp_path / "user.py").write_text("import broken_part\n", encoding="utf-8")
    with pytest.raises(BadUsage, match="ZeroDivisionError"):
        load_file(tmp_path / "user.py")


@pytest.mark.slow
def test_network_with_neighbors_resumes_bit_identically_from_the_run_alone(place, monkeypatch):
    words = ("digits", "--model", "project/net.py:Net", "--epochs", 2, "--workers", 1)
    here = place.parent
    train(*words, "--name", "whole", cwd=here)
    with monkeypatch.context() as patch:
        stop_at(patch, 12)
        train(*words, "--name", "cut", cwd=here, code=143)
    local = here / "runs" / "cut" / "local" / "project"
    assert (local / "parts" / "widths.py").is_file()
    (place / "scale.py").write_text("factor = 100.0\n", encoding="utf-8")  # what the run copied counts
    run_bench("train", "--resume", "cut", cwd=here)
    assert same(here / "runs" / "whole", here / "runs" / "cut")
    run("export", "cut", "--to", "safetensors", "--json", cwd=here)


@pytest.mark.slow
def test_changed_neighbor_of_a_run_is_not_executed_without_trust(place, monkeypatch):
    here = place.parent
    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        train("digits", "--model", "project/net.py:Net", "--epochs", 1, "--name", "cut", cwd=here, code=143)
    (here / "runs" / "cut" / "local" / "project" / "scale.py").write_text("factor = 3.0\n", encoding="utf-8")
    said = run_bench("train", "--resume", "cut", cwd=here, code=4).err
    assert "brings code of its own (net.py), which wasn't put there on this machine, or was changed since" in said


@pytest.mark.slow
def test_network_with_neighbors_trains_on_two_ranks(place):
    words = ("digits", "--model", "project/net.py:Net", "--epochs", 1, "--set", "backend.ranks=2", "--name", "two")
    run("train", *words, "--quiet", cwd=place.parent)
    assert run("runs", "show", "two", "--json", cwd=place.parent).json["status"] == "finished"
