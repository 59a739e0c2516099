"""What a source found is what it used and skipped: on messy data, for every built-in source."""

import numpy as np
import pytest
from PIL import Image

from support.in_process import run


@pytest.fixture
def messy(tmp_path):
    """Fill a folder with tables, texts and images that are not all usable."""
    rows = [f"{i},{i % 7},{int(i % 10 > 0)},{'no' if i % 3 else 'yes'}" for i in range(60)]
    rows[20], rows[30] = "   ", "1,2,1,"
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,w,y", *rows, "", ""]))
    texts = [f"number {i},{'ab'[i % 2]}" for i in range(40)]
    (tmp_path / "texts.csv").write_text("\n".join(["text,label", *texts, "  ", ""]))
    for i in range(40):
        place = tmp_path / "zoo" / ("cat", "dog")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (4, 4), np.uint8)
        Image.fromarray(pixels).save(place / f"{i}.png")
        (place / f"{i}.txt").write_text(f"text {i}")
    (tmp_path / "zoo" / ".hidden").touch()
    listed = [f"{('cat', 'dog')[i % 2]}/{i}.png,{i % 2},{int(i > 3)}" for i in range(30)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label,weight", *listed]))
    (tmp_path / "one.txt").write_text("a text of some words " * 100)
    return tmp_path


CASES = {
    "digits": (("digits",), (1797, 1797)),
    "shapes": (("shapes", "count=40"), (40, 40)),
    "csv": (("rows.csv", "target=y", "weight=w", "target_missing=drop"), (60, 54)),
    "table of texts": (("text", "path=texts.csv", "column=text", "label=label"), (41, 40)),
    "folder of texts": (("text", "path=zoo", "length=8"), (81, 40)),
    "one text": (("text", "path=one.txt"), (1, 1)),
    "image folder": (("./zoo",), (81, 40)),
    "labels file": (("./zoo", "labels=labels.csv", "weight=weight"), (40, 26)),
}


@pytest.mark.parametrize("case", CASES)
def test_found_is_used_and_skipped(messy, case):
    (source, *options), (found, used) = CASES[case]
    document = run("data", "info", source, *(f"--set={each}" for each in options), "--json", cwd=messy).json
    read = document["read"]
    assert read["found"] == read["used"] + sum(read["skipped"].values())
    assert (read["found"], read["used"]) == (found, used)
    assert "for no reason given" not in read["skipped"]
    assert any(note.startswith(f"Read {used} of {found}") for note in document["notes"]) is (used < found)
