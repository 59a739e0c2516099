"""Validation of artifact metadata: a damaged or forged description raises BadData and selects no code."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from benchdog.errors import BadData, BadUsage, NotAvailable
from benchdog.model.load import open_model
from benchdog.model.rebuild import Rebuilt
from benchdog.plugins import Plugins
from benchdog.system import files
from support import small_artifact


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.discover()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins) -> Path:
    return small_artifact.save(tmp_path_factory.mktemp("run") / "artifact", plugins)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "artifact"))


def put(folder: Path, place: str, value: object, name: str = "artifact.json") -> None:
    """Set one entry of a description: "spec.target.classes"."""
    meta = json.loads((folder / name).read_text(encoding="utf-8"))
    *way, last = place.split(".")
    table = meta
    for key in way:
        table = table[int(key) if isinstance(table, list) else key]
    table[int(last) if isinstance(table, list) else last] = value
    (folder / name).write_text(json.dumps(meta), encoding="utf-8")


DEEP: list[object] = []
for _ in range(200):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("max_batch", 1e999),
        ("max_batch", "6"),
        ("max_batch", True),
        ("spec", []),
        ("spec.fields", []),
        ("spec.fields.0.dtype", "float999"),
        ("spec.fields.0.dtype", 3),
        ("spec.fields.0.shape", [3, -6, 6]),
        ("spec.fields.0.shape", 6),
        ("spec.fields.0.shape", [2**30, 2**30, 2**30]),
        ("spec.fields.0.range", [0]),
        ("spec.fields.0.columns", [{"name": 3}]),
        ("spec.target.classes", ["cat", "dog"]),
        ("spec.target.classes", ["cat", "dog", 3]),
        ("spec.target.classes", ["cat", "dog", "\ud800"]),
        ("spec.target.kind", None),
        ("preprocess", None),
        ("preprocess.decode", []),
        ("preprocess.decode.input", [{"op": "no such"}]),
        ("preprocess.decode.input", [{"op": "image", "mode": "L", "height": "6"}]),
        ("preprocess.transform.input", [3]),
        ("task.plugin", "benchdog"),
        ("model.plugin", {"dist": 3}),
        ("runner", 3),
        ("recipe", {"plugins": [3]}),
        ("files", {"README.md": 3}),
        ("metrics", DEEP),
        ("task.name", "regression"),
        ("task.name", "benchdog:multi-label"),
        ("task.name", "next-token"),
        ("spec.target.kind", "labels"),
        ("spec.target.kind", "number"),
        ("spec.target.classes", []),
        ("spec.output", [2]),
    ],
)
def test_metadata_with_an_invalid_value_raises_bad_data(copy, plugins, place, value):
    put(copy, place, value)
    with pytest.raises(BadData, match=r"artifact\.json (is invalid|can't be read)"):
        open_model(copy, plugins)


def test_metadata_with_lone_surrogate_or_deep_nesting_is_refused(copy, plugins):
    put(copy, "machine", "\ud800")
    with pytest.raises(BadData, match="surrogates"):
        open_model(copy, plugins)
    (copy / "artifact.json").write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(BadData, match="can't be read"):
        open_model(copy, plugins)


@pytest.mark.parametrize("name", ["model.json", "samples/999-input.png"])
def test_artifact_file_missing_from_metadata_is_refused(copy, plugins, name):
    (copy / name).write_bytes(b"{}")
    with pytest.raises(BadData, match="isn't listed"):
        open_model(copy, plugins)


def test_metadata_without_model_graph_and_runner_is_refused(copy, plugins):
    (copy / "graph.pt2").unlink()
    meta = json.loads((copy / "artifact.json").read_text(encoding="utf-8"))
    del meta["model"], meta["files"]["graph.pt2"]
    (copy / "artifact.json").write_text(json.dumps(meta), encoding="utf-8")
    with pytest.raises(BadData, match="missing 'model'"):
        open_model(copy, plugins)


@pytest.mark.parametrize("value", [np.nan, np.inf, "whole"])
def test_weights_must_be_finite_floats(copy, plugins, value):
    meta = json.loads((copy / "artifact.json").read_text(encoding="utf-8"))
    weights = load_file(copy / "model.safetensors")
    name = next(name for name in weights if name.startswith("model."))
    weights[name] = np.ones(weights[name].shape, np.int64) if value == "whole" else weights[name] * np.float32(value)
    save_file(weights, copy / "model.safetensors")
    with pytest.raises(BadData, match="other than finite numbers"):
        Rebuilt(copy, meta, plugins)


def test_model_json_is_validated(copy, plugins):
    meta = json.loads((copy / "artifact.json").read_text(encoding="utf-8"))
    kept = ("format", "task", "model", "spec", "preprocess")
    files.write_json(copy / "model.json", {key: meta[key] for key in kept})
    Rebuilt(copy, None, plugins)
    put(copy, "spec.fields", 3, "model.json")
    with pytest.raises(BadData, match=r"model\.json is invalid"):
        Rebuilt(copy, None, plugins)


def test_predict_checks_score_shape(copy, plugins):
    put(copy, "spec.target.classes", ["cat", "dog"])
    put(copy, "spec.output", [2])
    opened = open_model(copy, plugins)
    with pytest.raises(BadData, match=r"returns scores of shape \(3,\)"):
        opened.predict(opened.samples())


OWN = """
from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1

class Runner:
    def __init__(self, folder):
        self.note = (folder / "note.txt").read_text()

    def __call__(self, *inputs):
        raise NotImplementedError

class Other(Runner):
    pass

class Lookup:
    runner = __name__ + ":Runner"

    def save(self, folder):
        (folder / "note.txt").write_text("by heart")

    def __call__(self, *inputs):
        raise NotImplementedError

@hookimpl
def benchdog_trainers():
    return [TrainerInfo(name="lookup", summary="By heart.", target=":Lookup", runner=":Runner")]
"""


def test_changed_local_file_is_not_loaded_without_trust(tmp_path, plugins):
    own = tmp_path / "own.py"
    own.write_text(OWN, encoding="utf-8")
    mine = Plugins.discover([own])
    lookup = mine.find("trainer", "lookup").resolve(":Lookup")()
    recipe = {"trainer": {"name": "lookup"}, "plugins": [str(own)]}
    saved = small_artifact.save(tmp_path / "saved", mine, trained=lookup, recipe=recipe)
    own.write_text(OWN + "raise RuntimeError\n", encoding="utf-8")
    with pytest.raises(NotAvailable, match="isn't the runner of any"):
        open_model(saved, Plugins.discover())
    own.write_text(OWN, encoding="utf-8")
    assert open_model(saved, Plugins.discover()).load().trusted


def test_runner_must_be_declared_by_its_trainer(tmp_path, copy, plugins):
    for target in ("benchdog.builtin.exporters.torchscript:TorchScriptRunner", "benchdog.model.rebuild:Rebuilt"):
        put(copy, "runner", target)
        with pytest.raises(NotAvailable, match="isn't the runner of any"):
            open_model(copy, plugins)
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    mine = Plugins.discover([tmp_path / "own.py"])
    own = mine.find("trainer", "lookup")
    trained_one = own.resolve(own.info.target)()
    saved = small_artifact.save(tmp_path / "saved", mine, trained=trained_one, recipe={"trainer": {"name": "lookup"}})
    opened = open_model(saved, mine).load()
    assert vars(opened._runner)["note"] == "by heart"
    put(saved, "runner", own.module + ":Other")
    with pytest.raises(NotAvailable, match="isn't the runner of any"):
        open_model(saved, mine)
    trained_one.runner = own.module + ":Other"
    with pytest.raises(BadUsage, match="doesn't declare"):
        small_artifact.save(tmp_path / "not", mine, trained=trained_one)
    trained_one.runner = own.module + ":Runner"
    with pytest.raises(BadUsage, match="doesn't declare"):
        small_artifact.save(tmp_path / "not", mine, trained=trained_one, recipe={"trainer": {"name": "supervised"}})
