"""Assignment of table rows to splits."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "splits.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^benchdog (train shop\.csv .+)$", PAGE, re.MULTILINE)


@pytest.fixture
def shop(tmp_path):
    draw = np.random.default_rng(0)
    lines = ["id,size,color,price,sold"]
    for i in range(200):
        size = draw.normal()
        lines.append(f"no{i % 150},{size:.3f},{draw.choice(['red', 'blue'])},{2 * size:.3f},{draw.normal():.3f}")
    (tmp_path / "shop.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def split_signature(place, name):
    """Return the fingerprint of a run's data and the sizes of its splits."""
    facts = json.loads((place / "runs" / name / "run.json").read_text())
    return facts["data"], facts["samples"]


def test_group_column_keeps_splits_when_columns_are_dropped(shop):
    names = []
    for command in COMMANDS:
        words = shlex.split(command)
        names.append(words[words.index("--name") + 1])
        run(*words, "--model", "linear", "--epochs", 1, "--quiet", cwd=shop)
    assert names == ["all", "without-color"]
    assert split_signature(shop, "all") == split_signature(shop, "without-color")
    other = [*shlex.split(COMMANDS[0]), "--model", "linear", "--epochs", 1, "--quiet"]
    other[other.index("price")], other[other.index("all")] = "sold", "sold"
    run(*other, cwd=shop)
    assert split_signature(shop, "all") == split_signature(shop, "sold")


def test_without_group_column_feature_content_decides_splits(shop):
    quick = ("--target", "price", "--model", "linear", "--epochs", 1, "--quiet")
    run("train", "shop.csv", *quick, "--name", "all", cwd=shop)
    run("train", "shop.csv", *quick, "--name", "again", cwd=shop)
    run("train", "shop.csv", *quick, "--set", 'source.drop=["color"]', "--name", "less", cwd=shop)
    assert split_signature(shop, "all") == split_signature(shop, "again")
    assert split_signature(shop, "all") != split_signature(shop, "less")
