"""Text source from files to predictions, on the command line."""

import csv
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from support.in_process import run, same

pytestmark = pytest.mark.usefixtures("weights_alone")
NOVEL = "".join(f"Line {i}: the näive cat number {i * 7 % 13} sat on the mat.\n" for i in range(300))


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.txt"
    path.write_text(NOVEL, encoding="utf-8")
    return path


def table(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


SMALL = ["--set", "model.width=16", "--set", "model.layers=1", "--set", "model.heads=2", "--quiet"]


def test_byte_language_model_end_to_end(tmp_path, novel):
    given = ["--data", novel, "--set", "source.unit=byte", "--set", "source.length=24", "--set", "task.length=30"]
    run("train", "text", *given, *SMALL, "--epochs", 8, "--lr", "0.01", "--name", "bytes", cwd=tmp_path)
    metrics = run("evaluate", "bytes", "--json", cwd=tmp_path).json["metrics"]
    # ä is two bytes, so a character costs a little more than a byte; each token is a byte.
    assert metrics["bits_per_byte"] == pytest.approx(metrics["loss"] / np.log(2), rel=1e-5)
    assert metrics["bits_per_byte"] < metrics["bits_per_character"] < 1.05 * metrics["bits_per_byte"]
    assert metrics["perplexity"] == pytest.approx(np.exp(metrics["loss"]), rel=1e-4)
    assert metrics["bits_per_byte"] < 3.5
    (answer,) = run("predict", "bytes", "Line 7: the nä", "--json", cwd=tmp_path).json["answers"]
    assert answer["prompt"] == "Line 7: the nä"
    assert len(answer["text"].encode()) >= 30


def test_bpe_merges_are_stored_in_the_artifact(tmp_path, novel, monkeypatch):
    pytest.importorskip("tokenizers")
    given = [
        "--data",
        novel,
        "--set",
        "source.unit=bpe",
        "--set",
        "source.vocabulary=300",
        "--set",
        "source.length=12",
    ]
    run("train", "text", *given, *SMALL, "--epochs", 3, "--lr", "0.01", "--name", "bpe", cwd=tmp_path)
    # The artifact alone is enough, and needs no library.
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    meta = json.loads((tmp_path / "runs" / "bpe" / "artifact" / "artifact.json").read_text(encoding="utf-8"))
    assert len(meta["preprocess"]["decode"]["input"][0]["merges"]) == len(meta["spec"]["target"]["classes"]) - 256
    (answer,) = run("predict", "bpe", "Line 3", "--json", cwd=tmp_path).json["answers"]
    assert answer["prompt"] == "Line 3"
    assert len(answer["text"]) > 8


def test_text_classification_end_to_end(tmp_path):
    rows = [
        ("review", "mood"),
        *((f"{'snow and ice' if i % 2 else 'sun and sand'}, day {i}", "cw"[i % 2]) for i in range(200)),
    ]
    data = table(tmp_path / "a.csv", rows)
    given = [
        "--data",
        data,
        "--set",
        "source.column=review",
        "--set",
        "source.label=mood",
        "--set",
        "source.length=24",
    ]
    run("train", "text", *given, *SMALL, "--epochs", 8, "--lr", "0.01", "--name", "mood", cwd=tmp_path)
    assert run("evaluate", "mood", "--json", cwd=tmp_path).json["metrics"]["accuracy"] > 0.9
    prompts = ["ice!", "sun and sand, sun and sand, sun and sand", "\u4e00"]
    answers = run("predict", "mood", *prompts, "--json", cwd=tmp_path).json["answers"]
    assert [answer["label"] for answer in answers[:2]] == ["w", "c"]
    rows_of_csv = run("predict", "mood", data, "--json", cwd=tmp_path).json["answers"]
    assert len(rows_of_csv) == 200


def test_text_training_is_reproducible(tmp_path, novel):
    given = ["--data", novel, "--set", "source.length=24", *SMALL, "--epochs", 1]
    for name in ("a", "b"):
        run("train", "text", *given, "--name", name, cwd=tmp_path)
    assert same(tmp_path / "runs" / "a", tmp_path / "runs" / "b")
