"""What was written under a format's number from 1 on is read for ever; other numbers are refused with what to do."""

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
    """A working folder with the runs of a number; what it answered lies beside them."""
    shutil.copytree(GOLDEN / f"format-{request.param}", tmp_path / "runs")
    shutil.move(tmp_path / "runs" / "answers.json", tmp_path)
    return tmp_path


def recorded(golden):
    return json.loads((golden / "answers.json").read_text(encoding="utf-8"))


def agree(answers, golden):
    """See that answers are those that were recorded."""
    wanted = recorded(golden)["answers"]
    assert [answer["id"] for answer in answers] == [answer["id"] for answer in wanted]
    for answer, other in zip(answers, wanted, strict=True):
        assert answer.keys() == other.keys()
        for key, value in answer.items():
            near = isinstance(value, float | dict)
            assert value == (pytest.approx(other[key], abs=1e-4) if near else other[key])


def test_there_is_a_folder_of_this_version():
    this = {format_versions.ARTIFACT, format_versions.EXPORT, format_versions.RUN, format_versions.CHECKPOINT}
    assert max(this) in NUMBERS
    assert list(range(1, max(this) + 1)) == NUMBERS
    size = sum(path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file())
    assert size < 1_500_000, "golden folders are to stay small"


def test_an_artifact_answers_as_it_did(golden):
    told = run("predict", "finished", "runs/finished/artifact/samples", "--json", cwd=golden).json
    agree(told["answers"], golden)
    assert told["bad"] == []


@pytest.mark.parametrize("exporter", EXPORTS)
def test_an_export_answers_as_it_did(golden, exporter):
    if importlib.util.find_spec(EXPORTS[exporter]) is None:
        pytest.skip(f"{EXPORTS[exporter]} is not installed")
    words = ["--trust"] if exporter == "torchscript" else []  # a program: it wasn't made on this machine
    export = f"runs/finished/exports/{exporter}"
    told = run("predict", export, "runs/finished/artifact/samples", "--json", *words, cwd=golden).json
    agree(told["answers"], golden)


def test_a_run_is_listed_and_judged_as_it_was(golden):
    judged = run("evaluate", "finished", "--json", cwd=golden).json["metrics"]
    for name, value in recorded(golden)["metrics"].items():
        assert judged[name] == pytest.approx(value, abs=2e-3), name
    assert {row["name"] for row in run("runs", "list", "--json", cwd=golden).json["runs"]} == {"finished", "stopped"}
    assert run("runs", "show", "finished", "--json", cwd=golden).json["faults"] == []


def test_an_artifact_is_exported_anew_and_verified(golden):
    told = run_export("finished", "--to", "safetensors", "--out", "again", "--json", cwd=golden).json
    assert all(line["ok"] for line in told["verification"])


def test_a_stopped_run_goes_on_to_the_same_end(golden):
    told = run("train", "--resume", "stopped", "--json", "--quiet", cwd=golden).lines[-1]
    wanted = recorded(golden)["resumed"]
    assert told["best"]["metric"] == wanted["metric"]
    assert told["best"]["value"] == pytest.approx(wanted["value"], abs=0.02)
    facts = json.loads((golden / "runs" / "stopped" / "run.json").read_text(encoding="utf-8"))
    assert (facts["status"], facts["epochs_done"]) == ("finished", 40)


# --- other numbers


def renumber(path, number):
    """Give a file another format's number."""
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
def test_another_format_is_refused_with_what_to_do(tmp_path, what, number):
    words, pattern, again = FOLDERS[what]
    shutil.copytree(GOLDEN / f"format-{NUMBERS[-1]}", tmp_path / "runs")
    found = sorted((tmp_path / "runs").glob(pattern))
    assert found
    for path in found:
        renumber(path, number)
    told = run(*words, cwd=tmp_path, code=5).err
    assert f"has format {number}" in told
    assert ("from before the formats were stable" if number == 0 else "this version reads 1") in told
    assert (again if number == 0 else "Update Benchdog") in told
    assert sorted((tmp_path / "runs").glob(pattern)) == found, "nothing is renamed or removed"
