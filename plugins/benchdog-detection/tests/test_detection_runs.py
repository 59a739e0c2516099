"""A detector through the doors: train, evaluate, predict, export, serve, resume."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchdog.api import Raw
from benchdog.model.load import open_model
from benchdog.plugins import Plugins
from benchdog_detection.boxes import detections
from support.bare import bare
from support.in_process import run, run_export, same, stop_at

FLAGS = [
    "--set", "model.width=8", "--set", "task.outputs=20", "--batch-size", "8", "--set", "trainer.lr=0.003",
    "--set", 'loader.augment=["flip"]', "--quiet",
]  # fmt: skip


def train(folder, data, name, *more, code=0):
    source = ["coco", "--set", f"source.path={data / 'annotations.json'}"]
    words = more if "--resume" in more else (*source, *FLAGS, "--name", name, *more)
    return run("train", *words, cwd=folder, code=code)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def trained(place, shapes):
    train(place, shapes, "found", "--epochs", "2")
    return place / "runs" / "found"


def test_evaluation_has_coco_metrics_with_intervals(trained):
    found = json.loads((trained / "evaluation-valid.json").read_text())
    assert {"map", "ap50", "ap75", "loss", "ap_by_class"} <= found["metrics"].keys()
    assert found["intervals"].keys() >= {"loss"}
    assert found["target"] == {"kind": "boxes", "name": "boxes"}
    assert all({"label", "box"} == box.keys() for entry in found["worst"] for box in entry["target"])
    assert "ap50" in (trained / "report.html").read_text()


def test_graph_of_the_artifact_agrees(trained):
    assert json.loads((trained / "artifact" / "artifact.json").read_text())["graph"] is None


def test_data_info_counts_boxes_by_class(place, shapes):
    found = run("data", "info", "coco", "--set", f"source.path={shapes / 'annotations.json'}", "--json", cwd=place)
    counts = found.json["targets"]["train"]
    truth = json.loads((shapes / "annotations.json").read_text())
    assert set(counts) == {"disc", "square", "cross", "no boxes"}
    assert sum(counts[name] for name in ("disc", "square", "cross")) <= len(truth["annotations"])
    assert counts["disc"] > 0


def test_evaluate_on_the_test_split(place, trained):
    found = run("evaluate", "found", "--split", "test", "--json", cwd=place).json
    assert found["split"] == "test"
    assert "map" in found["metrics"]


def test_predictions_are_in_pixels_of_the_file(place, trained, shapes):
    small = shapes / "images" / "0003.png"
    large = place / "large" / "photo.png"
    large.parent.mkdir(exist_ok=True)
    with Image.open(small) as image:
        pixels = np.asarray(image).repeat(2, 0).repeat(3, 1)
    Image.fromarray(pixels).save(large)
    low = ["--set", "threshold=0", "--set", "limit=5"]
    (shown,) = run("predict", "found", str(large), *low, "--json", cwd=place).json["answers"]
    opened = open_model(trained, Plugins.discover())
    prediction, _ = opened.call(*(x[None] for x in opened.decoder(Raw(id="", fields={"input": large.read_bytes()}))))
    expected = detections(prediction[0], overlap=0.6)[:5]
    assert shown["count"] == len(shown["boxes"]) == 5
    for box, row in zip(shown["boxes"], expected, strict=True):
        assert box["probability"] == pytest.approx(float(row[4]), abs=1e-5)
        assert box["box"] == pytest.approx((row[:4] * [3, 2, 3, 2]).tolist(), abs=0.02)


def test_folder_is_predicted_and_thresholds_hold(place, trained, shapes):
    found = run("predict", "found", str(shapes / "images"), "--set", "threshold=0.2", "--json", cwd=place).json
    assert len(found["answers"]) == 60
    assert all(box["probability"] >= 0.2 for each in found["answers"] for box in each["boxes"])
    table = run("predict", "found", str(shapes / "images" / "0001.png"), cwd=place).out
    assert "count" in table


@pytest.mark.slow
@pytest.mark.parametrize("exporter", ["torch-export", "torchscript", "onnx"])
def test_export_is_verified_and_answers_alike(place, trained, shapes, exporter):
    out = place / exporter
    run_export("found", "--to", exporter, "--out", str(out), cwd=place)
    images = str(shapes / "images")
    low = ["--set", "threshold=0.05", "--json"]
    expected = run("predict", "found", images, *low, cwd=place).json["answers"]
    found = run("predict", str(out), images, *low, cwd=place).json["answers"]
    for a, b in zip(expected, found, strict=True):
        assert abs(a["count"] - b["count"]) <= 1
        if a["count"] == b["count"] and a["boxes"]:
            assert a["boxes"][0]["box"] == pytest.approx(b["boxes"][0]["box"], abs=0.02)


@pytest.mark.slow
def test_server_answers_with_boxes_over_a_socket(place, trained, shapes):
    httpx = pytest.importorskip("httpx")
    sys.path.insert(0, str(Path(__file__).parents[2] / "benchdog-serve" / "tests"))
    from serve_doubles import Server

    raws = open_model(trained, Plugins.discover()).samples()[:3]
    expected = [a.values for a in open_model(trained, Plugins.discover()).predict(raws)]
    with Server(place, "found") as running:
        files = [("files", (raw.id, raw.fields["input"], "image/png")) for raw in raws]
        got = httpx.post(f"{running.url}/predict", files=files, timeout=60).json()["answers"]
    assert [each["count"] for each in got] == [each["count"] for each in expected]
    for a, b in zip(got, expected, strict=True):
        assert [box["box"] for box in a["boxes"]] == pytest.approx([box["box"] for box in b["boxes"]])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [[], ["--workers", "1", "--set", "loader.memory=0"]], ids=["memory", "workers"])
def test_interrupted_run_resumes_bit_identically(tmp_path, shapes, monkeypatch, workers):
    with bare():
        train(tmp_path, shapes, "whole", "--epochs", "2", *workers)
        with pytest.MonkeyPatch.context() as patch:
            stop_at(patch, 3)
            train(tmp_path, shapes, "part", "--epochs", "2", *workers, code=143)
        train(tmp_path, shapes, "part", "--resume", "part", "--quiet")
    assert same(tmp_path / "runs" / "whole", tmp_path / "runs" / "part")


@pytest.mark.slow
def test_two_ranks_measure_what_one_does(tmp_path, shapes):
    with bare():
        for name, ranks in (("one", 1), ("two", 2)):
            more = ["--set", f"backend.ranks={ranks}", "--backend", "cpu"]
            train(tmp_path, shapes, name, "--epochs", "1", *more)
    metrics = [
        json.loads((tmp_path / "runs" / name / "evaluation-valid.json").read_text())["metrics"]
        for name in ("one", "two")
    ]
    assert metrics[0]["loss"] == pytest.approx(metrics[1]["loss"], rel=1e-3)


@pytest.mark.slow
def test_example_project_reaches_a_good_precision(tmp_path):
    source = Path(__file__).parents[3] / "examples" / "projects" / "detection"
    for file in source.glob("*.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    run("--plugin", "make_data.py", "make-data", cwd=tmp_path, env=dict(os.environ))
    with bare():
        run("train", "train.toml", "--quiet", "--name", "full", cwd=tmp_path)
    found = json.loads((tmp_path / "runs" / "full" / "evaluation-valid.json").read_text())["metrics"]
    assert found["ap50"] > 0.8
