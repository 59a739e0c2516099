"""Golden folders: every format number from 1 on stays readable; other numbers are refused with a hint."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from benchdog.system import format_versions
from support.in_process import run, run_export

GOLDEN = Path(__file__).parents[1] / "golden"
NUMBERS = sorted(int(folder.name.split("-")[1]) for folder in GOLDEN.glob("format-*"))
EXPORTS = {"torch-export": "torch", "safetensors": "torch", "torchscript": "torch", "onnx": "onnxruntime"}


@pytest.fixture(params=NUMBERS)
def golden(request, tmp_path):
    """Return a working folder with the golden runs of a format number and their recorded predictions."""
    shutil.copytree(GOLDEN / f"format-{request.param}", tmp_path / "runs")
    shutil.move(tmp_path / "runs" / "answers.json", tmp_path)
    return tmp_path


def recorded(golden):
    return json.loads((golden / "answers.json").read_text(encoding="utf-8"))


def assert_matches_recorded(answers, golden):
    """Check that predictions match the recorded ones."""
    expected = recorded(golden)["answers"]
    assert [answer["id"] for answer in answers] == [answer["id"] for answer in expected]
    for answer, other in zip(answers, expected, strict=True):
        assert answer.keys() == other.keys()
        for key, value in answer.items():
            near = isinstance(value, float | dict)
            assert value == (pytest.approx(other[key], abs=1e-4) if near else other[key])


def test_golden_folder_exists_for_every_format_number():
    this = {format_versions.ARTIFACT, format_versions.EXPORT, format_versions.RUN, format_versions.CHECKPOINT}
    assert max(this) in NUMBERS
    assert list(range(1, max(this) + 1)) == NUMBERS
    size = sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file())
    assert size < 1_500_000, "golden folders must stay small"


def test_golden_artifact_predicts_as_recorded(golden):
    document = run("predict", "finished", "runs/finished/artifact/samples", "--json", cwd=golden).json
    assert_matches_recorded(document["answers"], golden)
    assert document["bad"] == []


@pytest.mark.parametrize("exporter", EXPORTS)
def test_golden_export_predicts_as_recorded(golden, exporter):
    if importlib.util.find_spec(EXPORTS[exporter]) is None:
        pytest.skip(f"{EXPORTS[exporter]} is not installed")
    words = ["--trust"] if exporter == "torchscript" else []  # a program: it wasn't made on this machine
    export = f"runs/finished/exports/{exporter}"
    document = run("predict", export, "runs/finished/artifact/samples", "--json", *words, cwd=golden).json
    assert_matches_recorded(document["answers"], golden)


def test_golden_run_is_listed_and_evaluates_as_recorded(golden):
    metrics = run("evaluate", "finished", "--json", cwd=golden).json["metrics"]
    for name, value in recorded(golden)["metrics"].items():
        assert metrics[name] == pytest.approx(value, abs=2e-3), name
    assert {row["name"] for row in run("runs", "list", "--json", cwd=golden).json["runs"]} == {"finished", "stopped"}
    assert run("runs", "show", "finished", "--json", cwd=golden).json["faults"] == []


def test_golden_artifact_is_exported_and_verified(golden):
    document = run_export("finished", "--to", "safetensors", "--out", "again", "--json", cwd=golden).json
    assert all(line["ok"] for line in document["verification"])


def test_golden_stopped_run_resumes_to_the_recorded_result(golden):
    summary = run("train", "--resume", "stopped", "--json", "--quiet", cwd=golden).lines[-1]
    expected = recorded(golden)["resumed"]
    assert summary["best"]["metric"] == expected["metric"]
    assert summary["best"]["value"] == pytest.approx(expected["value"], abs=0.02)
    facts = json.loads((golden / "runs" / "stopped" / "run.json").read_text(encoding="utf-8"))
    assert (facts["status"], facts["epochs_done"]) == ("finished", 40)


# --- other numbers


def renumber(path, number):
    """Change the format number of a file."""
    if path.suffix == ".json":
        meta = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**meta, "format": number}), encoding="utf-8")
        return
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), "format": str(number)}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata)


EXPORTED = "runs/finished/exports/safetensors"
FOLDERS = {
    "artifact": (("predict", "finished", "x.png"), "finished/artifact/artifact.json", "Train again"),
    "export": (
        ("predict", "runs/finished/exports/onnx", "x.png"),
        "finished/exports/onnx/export.json",
        "Train again, then export",
    ),
    "run": (("train", "--resume", "stopped"), "stopped/run.json", "benchdog train"),
    "checkpoint": (("train", "--resume", "stopped"), "stopped/checkpoints/step-*.safetensors", "Begin the run again"),
}


@pytest.mark.parametrize("what", FOLDERS)
@pytest.mark.parametrize("number", [0, 99])
def test_unsupported_format_number_is_refused_with_a_hint(tmp_path, what, number):
    words, pattern, again = FOLDERS[what]
    shutil.copytree(GOLDEN / f"format-{NUMBERS[-1]}", tmp_path / "runs")
    found = sorted((tmp_path / "runs").glob(pattern))
    assert found
    for path in found:
        renumber(path, number)
    stderr = run(*words, cwd=tmp_path, code=5).err
    assert f"has format {number}" in stderr
    assert ("from before the formats were stable" if number == 0 else "this version reads 1") in stderr
    assert (again if number == 0 else "Update Benchdog") in stderr
    assert sorted((tmp_path / "runs").glob(pattern)) == found, "nothing is renamed or removed"
