"""Benchdog's own components, and those of the packages under plugins/, pass the conformance kit."""

import json
import os
from importlib.metadata import distributions
from pathlib import Path

import pytest
from PIL import Image

from support.in_process import run

NAMES = Path(__file__).parents[1] / "support" / "names"
PACKAGES = sorted(
    {
        dist.name.lower()
        for dist in distributions()
        for entry in dist.entry_points
        if entry.group.startswith("benchdog") and dist.name.lower().startswith("benchdog-")
    }
)
SETTINGS = {
    "benchdog-detection": ("source.coco.path=boxes.json", "source.yolo.path=."),
    "benchdog-timm": ("timm.net=test_resnet",),
    "benchdog-huggingface": ("model.hf.path=tiny-bert", "source.hf.path=rows.csv", "source.hf.target=label"),
}
"""Options that a component requires."""
BERT = {
    "model_type": "bert", "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 32, "max_position_embeddings": 32, "pad_token_id": 0,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("package", ["benchdog", *PACKAGES])
def test_own_components_pass_all_checks(package, tmp_path, monkeypatch):
    names = os.pathsep.join(filter(None, [str(NAMES), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", names)  # see there: a torchvision of another torch
    (tmp_path / "tiny-bert").mkdir()
    (tmp_path / "tiny-bert" / "config.json").write_text(json.dumps(BERT), encoding="utf-8")
    write_boxes(tmp_path)
    rows = [f"{i / 7},{(i * 3) % 11},{'odd' if i % 2 else 'even'}" for i in range(80)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,label", *rows]), encoding="utf-8")
    settings = [word for setting in SETTINGS.get(package, ()) for word in ("--set", setting)]
    document = run("plugins", "check", package, *settings, "--json", cwd=tmp_path).json
    assert document["results"]
    assert [r for r in document["results"] if r["state"] == "fault"] == []
    left_out = [r for r in document["results"] if r["state"] == "skipped" and "isn't here" not in r["found"]]
    assert left_out == []


def write_boxes(folder: Path) -> None:
    """Write images with a box each, in COCO's and in YOLO's format."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(40)]
    for i in range(40):
        Image.new("L", (32, 32), 6 * i).save(folder / "images" / f"{i}.png")
        (folder / "labels" / f"{i}.txt").write_text("0 0.5 0.5 0.5 0.5\n", encoding="utf-8")
    boxes = [{"image_id": i, "category_id": i % 2, "bbox": [4, 4, 10 + i % 9, 12]} for i in range(30)]
    categories = [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}]
    document = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "boxes.json").write_text(json.dumps(document), encoding="utf-8")
    (folder / "classes.txt").write_text("cat\n", encoding="utf-8")
