"""Tampered graphs are refused before torch reads them: none of these files may run code."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.export.pt2_archive import PT2ArchiveReader, PT2ArchiveWriter

from benchdog.api import BadData, Refused
from benchdog.builtin.exporters.pt2 import check
from benchdog.builtin.exporters.torch_export import TorchExport, TorchExportRunner

MODEL, WEIGHTS = "models/model.json", "data/weights/model_weights_config.json"


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(9, 8)
        self.last = torch.nn.Linear(8, 9)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.embed(x) + torch.arange(x.shape[1]).view(1, -1, 1)
        score = torch.nn.functional.gelu(self.last(h.reshape(-1, 8)), approximate="tanh").view(
            x.shape[0], x.shape[1], 9
        )
        return score.softmax(-1), score


class View:
    def program(self) -> Any:
        dim = torch.export.Dim
        shapes = ({0: dim("batch", min=1, max=8), 1: dim("tokens", min=1)},)
        return torch.export.export(Net().eval(), (torch.ones(3, 5, dtype=torch.int64),), dynamic_shapes=shapes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph")
    TorchExport().export(View(), path)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def data(folder: Path) -> bytes:
    return (folder / "graph.pt2").read_bytes()


def records_of(data: bytes) -> dict[str, bytes]:
    reader = PT2ArchiveReader(io.BytesIO(data))
    kept = ("models", "data", "archive")
    return {name: reader.read_bytes(name) for name in reader.get_file_names() if name.startswith(kept)}


def written(records: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with PT2ArchiveWriter(buffer) as writer:
        for name, content in records.items():
            writer.write_bytes(name, content)
    return buffer.getvalue()


def tampered(data: bytes, name: str, change: Callable[[Any], object]) -> bytes:
    records = records_of(data)
    content = json.loads(records[name])
    change(content)
    return written(records | {name: json.dumps(content).encode()})


def replaced(value: Any, key: str, new: Any) -> bool:
    """Put `new` under the first `key` found in nested JSON."""
    if isinstance(value, dict):
        if key in value:
            value[key] = new
            return True
        return any(replaced(each, key, new) for each in value.values())
    return isinstance(value, list) and any(replaced(each, key, new) for each in value)


def test_exported_graph_runs_at_every_size(folder, data):
    check(data, "graph.pt2")
    check(written(records_of(data)), "graph.pt2")  # a rewritten archive is valid as such
    runner = TorchExportRunner(folder)
    for batch, length in ((1, 1), (2, 5), (8, 40)):
        answer, score = runner(torch.ones(batch, length, dtype=torch.int64).numpy())
        assert answer.shape == score.shape == (batch, length, 9)


def test_exported_graph_contains_no_local_paths(data):
    assert Path(__file__).name.encode() not in data
    assert b"stack_trace" not in data


CODE = "__import__('pathlib').Path('ran').touch()"
TREE = json.dumps(
    [
        1,
        {
            "type": "builtins.dict",
            "context": '{"__enum__": true, "fqn": "antigravity:X", "name": "Y"}',
            "children_spec": [],
        },
    ]
)


@pytest.mark.parametrize(
    ("key", "new"),
    [
        ("expr_str", CODE),
        ("expr_str", "Symbol('s1', __import__('os'))"),
        ("expr_str", "Integer(\"__import__('os')\")"),
        ("expr_str", "().__class__"),
        ("expr_str", "lambdify(s1, s2)"),
        ("expr_str", "Symbol('s1').func"),
        ("expr_str", "[s1 for s1 in s2]"),
        ("target", "torch.os.system"),
        ("target", "torch.ops.aten.from_file.default"),
        ("target", "torch.ops.aten.add.__class__"),
        ("target", "torch.ops.loader.load.default"),
        ("target", "torch.hub.load"),
        ("target", "_operator.methodcaller"),
        ("target", "#evil.op"),
        ("as_string", "/etc/passwd"),
        ("in_spec", TREE),
        ("out_spec", '[1, {"type": "enum.Enum", "context": null, "children_spec": []}]'),
        ("name", "x): import os #"),
        ("metadata", {"source_fn_stack": "a,torch.os.system"}),
        ("treespec_namedtuple_fields", {"x": 1}),
        ("custom_obj_values", {"x": {"name": "x", "class_fqn": "y"}}),
        ("range_constraints", {"__import__('os')": {"min_val": 1, "max_val": 2}}),
        ("forward_arg_names", ["x=__import__('os')"]),
    ],
)
def test_graph_containing_code_is_refused(data, key, new, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = tampered(data, MODEL, lambda model: replaced(model, key, new) or pytest.fail(f"no {key}"))
    (tmp_path / "graph.pt2").write_bytes(wrong)
    with pytest.raises(Refused, match="could run code"):
        TorchExportRunner(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_guards_code_is_not_executed(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = tampered(data, MODEL, lambda model: model.update(guards_code=[CODE]))
    (tmp_path / "graph.pt2").write_bytes(wrong)
    TorchExportRunner(tmp_path)(torch.ones(2, 3, dtype=torch.int64).numpy())
    assert not (tmp_path / "ran").exists()


class Bomb:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def pickled_weight(records: dict[str, bytes]) -> dict[str, bytes]:
    config = json.loads(records[WEIGHTS])
    first = next(iter(config["config"].values()))
    first["use_pickle"] = True
    buffer = io.BytesIO()
    torch.save(Bomb(), buffer)
    return {WEIGHTS: json.dumps(config).encode(), f"data/weights/{first['path_name']}": buffer.getvalue()}


def pickled_samples(records: dict[str, bytes]) -> dict[str, bytes]:
    buffer = io.BytesIO()
    torch.save(((Bomb(),), {}), buffer)
    return {"data/sample_inputs/model.pt": buffer.getvalue()}


@pytest.mark.parametrize(
    "change",
    [
        pickled_weight,
        pickled_samples,
        lambda r: {"data/weights/model.pt": pickle.dumps(Bomb())},
        lambda r: {"data/constants/model.pt": pickle.dumps(Bomb())},
        lambda r: {"data/constants/custom_obj_0": pickle.dumps(Bomb())},
        lambda r: {"data/aotinductor/model/x.so": b"\x7fELF"},
        lambda r: {"models/other.json": r[MODEL]},
        lambda r: {"extra/notes.txt": b"hello"},
    ],
)
def test_archive_with_pickle_or_native_library_is_refused(data, change, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = records_of(data)
    (tmp_path / "graph.pt2").write_bytes(written(records | change(records)))
    with pytest.raises((Refused, BadData)):
        TorchExportRunner(tmp_path)
    assert not (tmp_path / "ran").exists()


def packed_again(data: bytes, method: int, twice: bool = False) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", method) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        if twice:
            new.writestr(old.infolist()[0].filename.upper(), b"x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-200],
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"PK\x03\x04 no zip",
        lambda data: packed_again(data, zipfile.ZIP_DEFLATED),
        lambda data: packed_again(data, zipfile.ZIP_STORED, twice=True),
        lambda data: tampered(data, MODEL, lambda model: model.clear()),
        lambda data: tampered(data, WEIGHTS, lambda config: config.clear()),
        lambda data: tampered(data, WEIGHTS, lambda config: replaced(config, "sizes", [{"as_int": 0}])),
        lambda data: tampered(data, WEIGHTS, lambda config: replaced(config, "path_name", "weight_99")),
        lambda data: written({k: v for k, v in records_of(data).items() if k != MODEL}),
    ],
)
def test_corrupt_archive_is_bad_data(data, change, tmp_path):
    (tmp_path / "graph.pt2").write_bytes(change(data))
    with pytest.raises((BadData, Refused)) as caught:
        TorchExportRunner(tmp_path)
    assert "graph.pt2" in caught.value.message


def test_missing_graph_is_bad_data(tmp_path):
    with pytest.raises(BadData, match=r"graph\.pt2"):
        TorchExportRunner(tmp_path)
