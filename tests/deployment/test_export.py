"""Exports are kept only if they agree with their artifact; faulty exporters are refused."""

import json
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchdog.deployment import export
from benchdog.errors import BadData, BadUsage, BenchdogError, Failed, NotAvailable, Refused
from benchdog.model import artifact
from benchdog.model.artifact_files import hash_files
from benchdog.plugins import Plugins
from support import small_artifact
from support.export_jobs import exports_in_process

FAULTY = '''
"""An exporter that writes a linear classifier as numbers, and can do so wrongly."""
import json, os, sys, time, warnings
from dataclasses import dataclass
from typing import Annotated
import numpy as np
from benchdog.api import Doc, ExporterInfo, hookimpl

CONTRACT = 1

@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    fault: Annotated[str, Doc("What to do wrong.")] = ""

class Numbers:
    def __init__(self, options):
        self.fault = options.fault

    def export(self, artifact, folder):
        if self.fault == "raises":
            raise ValueError("no such operator\\nand more")
        if self.fault == "exits":
            os._exit(3)
        if self.fault == "sleeps":
            time.sleep(60)
        if self.fault == "nothing":
            return
        print("an exporter may print")
        warnings.warn("an exporter may warn")
        state = artifact.module().state_dict()
        numbers = {key: value.numpy().astype(np.float64) for key, value in state.items()}
        weight = numbers["model.layers.weight"]
        if self.fault == "one weight":
            weight[1, 50] += 0.05
        if self.fault == "mean":
            numbers["transform.fields.0.0.shift"] += 0.1
        (folder / "numbers.json").write_text(json.dumps({k: v.tolist() for k, v in numbers.items()}))
        (folder / "fault.txt").write_text(self.fault)
        if self.fault == "truncated":
            data = (folder / "numbers.json").read_bytes()
            (folder / "numbers.json").write_bytes(data[:-100])

class Runner:
    def __init__(self, folder):
        self.numbers = {k: np.array(v) for k, v in json.loads((folder / "numbers.json").read_text()).items()}
        self.fault = (folder / "fault.txt").read_text()

    def __call__(self, x):
        if self.fault == "batch":
            x = x.reshape(1, 3, 6, 6)
        if self.fault == "channels":
            x = x[:, ::-1]
        shift, scale = (self.numbers["transform.fields.0.0." + key] for key in ("shift", "scale"))
        rows = (x * scale + shift).reshape(len(x), -1)
        score = rows @ self.numbers["model.layers.weight"].T + self.numbers["model.layers.bias"]
        e = np.exp(score - score.max(1, keepdims=True))
        return (e / e.sum(1, keepdims=True)).astype(np.float32), score.astype(np.float32)

@hookimpl
def benchdog_exporters():
    return [
        ExporterInfo(name="numbers", summary="Numbers.", target=":Numbers", runner=":Runner", options=":Options"),
        ExporterInfo(
            name="program", summary="Code.", target=":Numbers", runner=":Runner", options=":Options", program=True
        ),
    ]
'''


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("local") / "faulty.py"
    path.write_text(FAULTY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def plugins(file: Path) -> Plugins:
    return Plugins.discover([file])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins) -> Path:
    return small_artifact.save(tmp_path_factory.mktemp("run") / "artifact", plugins)


@pytest.fixture
def in_process():
    """Export and verify in this process; other tests cover the separate processes."""
    with exports_in_process():
        yield


@pytest.fixture(scope="module")
def program(folder: Path, plugins: Plugins, file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "program"
    with exports_in_process():
        export.export(folder, "program", out, plugins, local=[file])
    return out


def test_verified_export_is_kept_with_its_report(folder, plugins, file, tmp_path):
    report = export.export(folder, "numbers", tmp_path / "out", plugins, local=[file])
    assert [line["batch"] for line in report["verification"]] == [1, 2, 4, 6]
    assert all(line["ok"] and line["labels_equal"] for line in report["verification"])
    assert report["inputs"] == "12 held-out samples"
    assert report["warnings"] == ["UserWarning: an exporter may warn"]
    meta = json.loads((tmp_path / "out" / "export.json").read_text(encoding="utf-8"))
    assert meta["kind"] == "export"
    assert meta["plugin"]["dist"] == "faulty"
    assert set(meta["files"]) == {"numbers.json", "fault.txt"}  # the samples stay in the artifact
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
    opened = artifact.open_model(tmp_path / "out", plugins)
    raws = artifact.open_model(folder, plugins).samples()
    assert opened.samples() == []
    assert opened.predict(raws)[0].values["label"] in small_artifact.CLASSES


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("batch", "at batch 2: the runner raised ValueError"),
        ("channels", "at batch 1: scores differ"),
        ("mean", "at batch 1: scores differ"),
        ("one weight", "at batch 1: scores differ"),
        ("truncated", "can't be loaded: JSONDecodeError"),
    ],
)
def test_export_that_disagrees_with_its_artifact_is_refused(folder, plugins, file, tmp_path, fault, message):
    with pytest.raises(Refused, match=message) as caught:
        export.export(folder, "numbers", tmp_path / "out", plugins, {"fault": fault}, [file])
    assert caught.value.code == 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("raises", "'numbers' failed: ValueError: no such operator and more"),
        ("nothing", "wrote no file"),
        ("exits", "ended with exit code 3"),
        ("sleeps", "took more than 3 s to export"),
    ],
)
def test_failing_exporter_is_reported_and_leaves_no_files(folder, plugins, file, tmp_path, fault, message):
    limit = 3.0 if fault == "sleeps" else 600.0
    with pytest.raises(Failed, match=message), exports_in_process() if fault == "nothing" else nullcontext():
        export.export(folder, "numbers", tmp_path / "out", plugins, {"fault": fault}, [file], timeout=limit)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("in_process")
def test_failed_export_keeps_the_previous_one(folder, plugins, file, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(folder, out)
    (out / "artifact.json").rename(out / "export.json")  # any folder with export.json is an export
    with pytest.raises(Failed):
        export.export(folder, "numbers", out, plugins, {"fault": "nothing"}, [file])
    assert (out / "model.safetensors").is_file()


@pytest.mark.usefixtures("in_process")
def test_export_does_not_replace_a_folder_with_other_files(folder, plugins, file, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    for _ in range(2):
        report = export.export(folder, "numbers", tmp_path / "link", plugins, local=[file])
    assert report["path"] == str(tmp_path / "real")
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "real" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(BadUsage, match=r"not the old export's: notes\.txt"):
        export.export(folder, "numbers", tmp_path / "link", plugins, local=[file])
    assert (tmp_path / "real" / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_export_usage_errors_are_raised_before_exporting(folder, plugins, tmp_path):
    for name, out, options in (
        ("numbres", tmp_path / "out", {}),
        ("numbers", tmp_path / "out", {"falt": ""}),
        ("numbers", tmp_path, {}),
    ):
        (tmp_path / "mine.txt").write_text("kept")
        with pytest.raises(BadUsage):
            export.export(folder, name, out, plugins, options)
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.txt"]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("name", ["torch-export", "torchscript", "safetensors"])
def test_builtin_exports_predict_the_same_as_the_artifact(folder, plugins, tmp_path, name):
    report = export.export(folder, name, None, plugins)
    out = folder.parent / "exports" / name
    assert report["path"] == str(out)
    assert report["warnings"] == []
    raws = artifact.open_model(folder, plugins).samples()
    answers = artifact.open_model(out, plugins).predict(raws)
    expected = artifact.open_model(folder, plugins).predict(raws)
    assert [a.values["label"] for a in answers] == [a.values["label"] for a in expected]
    with pytest.raises(BadUsage, match="an export already"):
        export.export(out, name, tmp_path / "again", plugins)


@pytest.mark.usefixtures("in_process")
def test_artifact_without_samples_is_verified_on_generated_inputs(plugins, file, tmp_path):
    folder = small_artifact.save(tmp_path / "artifact", plugins, keep=0)
    assert not (folder / "samples").exists()
    report = export.export(folder, "numbers", None, plugins, local=[file])
    assert report["inputs"] == "inputs generated within the spec's range"


def test_executable_export_of_another_machine_needs_trust(program, plugins, monkeypatch, tmp_path):
    assert artifact.open_model(program, plugins).exporter == "program"
    monkeypatch.setenv("BENCHDOG_STATE", str(tmp_path / "another"))
    with pytest.raises(Refused, match="can run code") as caught:
        artifact.open_model(program, plugins)
    assert "--trust" in caught.value.hint
    assert artifact.open_model(program, plugins, trust=True).exporter == "program"


def test_modified_executable_export_needs_trust(program, plugins, tmp_path):
    out = Path(shutil.copytree(program, tmp_path / "copy"))
    path = out / "export.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    (out / "numbers.json").write_text((out / "numbers.json").read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(BadData, match=r"numbers\.json"):
        artifact.open_model(out, plugins)
    meta["files"]["numbers.json"] = hash_files(out)["numbers.json"]
    for program_flag in (True, False):  # the flag in the folder itself is not trusted
        path.write_text(json.dumps(meta | {"program": program_flag}), encoding="utf-8")
        with pytest.raises(Refused):
            artifact.open_model(out, plugins)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_machine_key_is_readable_only_by_its_owner(program):
    key = Path(os.environ["BENCHDOG_STATE"]) / "machine.key"
    assert key.stat().st_mode & 0o777 == 0o600


def test_export_with_a_missing_plugin_shows_its_install_command(program, tmp_path):
    out = Path(shutil.copytree(program, tmp_path / "copy"))
    path = out / "export.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    meta["plugin"]["install"] = "pip install faulty"
    path.write_text(json.dumps(meta), encoding="utf-8")
    with pytest.raises(NotAvailable, match="'program' of plugin 'faulty'") as caught:
        artifact.open_model(out, Plugins.discover(), trust=True)
    assert "pip install faulty" in caught.value.hint


# --- through the command line ----------------------------------------------------------------------


@pytest.mark.usefixtures("in_process")
def test_export_on_the_command_line(bench, folder, file, tmp_path):
    good = bench("--plugin", file, "export", folder, "--to", "numbers", "--out", tmp_path / "out")
    assert good.out.split("\n")[0].split() == ["batch", "max", "abs.", "error", "max", "rel.", "error", "labels"]
    assert "Verified on 12 held-out samples" in good.err
    shutil.rmtree(tmp_path / "out")
    bad = ("export", folder, "--to", "numbers", "--set", "fault=channels", "--out", tmp_path / "out", "--json")
    result = bench("--plugin", file, *bad, code=4)
    assert result.json["error"]["code"] == 4
    assert not (tmp_path / "out").exists()
    assert bench("export", folder, "--to", "numbers", code=2).err.startswith("error: There is no exporter 'numbers'")


def test_errors_of_the_export_subprocess_can_be_raised_in_the_parent():
    for name, kind in export.ERRORS.items():
        assert kind.__name__ == name
    assert issubclass(export.ERRORS["Refused"], BenchdogError)
