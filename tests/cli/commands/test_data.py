from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from support.in_process import run


@pytest.fixture
def data(tmp_path: Path) -> Any:
    """Run `benchdog data ...` in a fresh working folder."""
    return lambda *args, code=0: run("data", *args, cwd=tmp_path, code=code)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a separate cache folder with one downloaded file of a source."""
    monkeypatch.setenv("BENCHDOG_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "digits"
    folder.mkdir(parents=True)
    (folder / "data.gz").write_bytes(b"x" * 1500)
    digest = hashlib.sha256(b"x" * 1500).hexdigest()
    (folder / "data.gz.sha256").write_text(f"{digest}  data.gz\n", encoding="utf-8")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lines = ["a,b,y", *(f"{i / 7:.3f},{i % 5},{'no' if i % 2 else 'yes'}" for i in range(80))]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "t.csv"


def test_data_list_in_a_separate_process(process: Any) -> None:
    assert "digits" in process("data", "list").out


def test_list_shows_sources_and_cache_sizes(data: Any, cached: Path) -> None:
    shown = data("list")
    assert "fashion-mnist" in shown.out
    assert "1.6 kB" in shown.out
    assert "cache:" in shown.err
    found = data("list", "--json").json
    assert found["bytes"] > 1500
    rows = {row["name"]: row for row in found["sources"]}
    assert {"digits", "csv", "image-folder", "fashion-mnist", "shapes", "text"} <= set(rows)
    assert rows["digits"]["cached"] == found["bytes"]
    assert rows["csv"]["cached"] == 0


def test_info_of_a_csv_file(data: Any, table: Path) -> None:
    shown = data("info", table)
    assert "target  y: class, 2 classes" in shown.out
    assert "samples" in shown.out
    assert "note: The target is the last column, 'y'" in shown.err
    found = data("info", table, "--set", "target=a", "--set", "drop=['b']", "--json", code=None)
    assert found.code == 0, found.err
    assert found.json["spec"]["target"]["kind"] == "number"
    assert sum(found.json["samples"].values()) == 80
    assert found.json["targets"]["train"]["lowest"] >= 0
    assert data("info", "digits", "--json").json["targets"]["test"]["7"] > 0


def test_info_of_an_image_folder(data: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(12):
        (tmp_path / "pets" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 9), np.uint8)).save(tmp_path / "pets" / "ab"[i % 2] / f"{i}.png")
    found = data("info", "./pets", "--json").json
    assert found["source"] == "image-folder"
    assert found["spec"]["fields"][0]["shape"] == [1, 9, 9]
    (tmp_path / "pets" / "a" / "bad.png").write_text("text")
    failed = data("info", "./pets", "--json", code=5)
    assert "a/bad.png" in failed.json["error"]["message"]


def test_data_usage_errors(data: Any, table: Path) -> None:
    assert "Did you mean 'digits'? Available: " in data("info", "digit", code=2).err
    assert "no option 'targt'" in data("info", table, "--set", "targt=a", code=2).err
    assert "has no column 'z'" in data("info", table, "--set", "target=z", code=2).err
    assert "doesn't exist" in data("info", "csv", "--set", "path=gone.csv", code=5).err


def test_fetch_reports_cached_bytes(data: Any, cached: Path) -> None:
    assert "nothing to download" in data("fetch", "shapes").err
    found = data("fetch", "digits", "--json").json
    assert found["bytes"] > 1500


def test_verify_checks_files_and_samples(data: Any, cached: Path, tmp_path: Path, table: Path) -> None:
    good = data("verify", "digits", "--json").json
    assert good["files"] == {"data.gz": True}
    assert good["samples"] == {"train": 64, "valid": 64, "test": 64}
    assert ": ok." in data("verify", table).err
    (tmp_path / "cache" / "digits" / "data.gz").write_bytes(b"changed")
    bad = data("verify", "digits", code=5)
    assert "data.gz" in bad.err
    assert "prune digits" in bad.err


LIAR = """
import numpy as np
from benchdog.api import Field, Raw, Spec, Target


class Split:
    def __len__(self):
        return 20

    def raw(self, i):
        return Raw(id=str(i), fields={"input": np.full((1, 4), i, np.float32)}, target=np.int64(i % 2))

    def batch(self, indices):
        at = np.asarray(indices)
        return (np.repeat(at[:, None, None], 4, 2).astype(np.float32) + (at > 17)[:, None, None],), at % 2


class Liar:
    def spec(self):
        field = Field(kind="audio", shape=(1, 4), dtype="float32")
        return Spec(fields=(field,), target=Target(kind="class", classes=("a", "b")))

    def open(self):
        return {"train": Split(), "valid": Split(), "test": Split()}
"""


def test_verify_compares_batch_with_single_samples(data: Any, tmp_path: Path) -> None:
    (tmp_path / "liar.py").write_text(LIAR, encoding="utf-8")
    assert "batch()" in data("verify", "liar.py:Liar", "--run-code", code=5).err


def test_prune_removes_only_the_named_cache_and_requires_yes(data: Any, cached: Path, tmp_path: Path) -> None:
    refused = data("prune", code=2)
    assert "--yes" in refused.err
    assert "Nothing of 'digitz'" in data("prune", "digitz", code=2).err
    assert data("prune", "csv", "--yes", "--json").json["removed"] == {}
    assert (tmp_path / "cache" / "digits" / "data.gz").exists()
    assert data("prune", "digits", "--yes", "--json").json["removed"]["digits"] > 1500
    assert not (tmp_path / "cache" / "digits").exists()
    assert "0 bytes freed" in data("prune", "--yes").err
