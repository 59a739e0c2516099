"""ONNX exports match their artifacts and run without torch."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from benchdog.api import Field, Raw, Spec, Target
from benchdog.data.decode.decoder import default_preprocess
from benchdog.data.transform.transform import Transform
from benchdog.deployment import export
from benchdog.errors import BadData, BadUsage, Refused
from benchdog.model import artifact
from benchdog.model.rebuild import build_model
from benchdog.plugins import Plugins
from benchdog_onnx.runner import OnnxRunner
from support.bare import bare
from support.export_jobs import exports_in_process

SMALL_CNN = {"width": 4, "hidden": 8}
SMALL_GPT = {"width": 8, "layers": 1, "heads": 2}
CLASSES = ("cat", "dog", "owl")
IMAGE = Spec(
    fields=(Field(kind="image", shape=(3, 16, 16), dtype="uint8", name="photo", range=(0, 255)),),
    target=Target(kind="class", classes=CLASSES),
)
TEXT = Spec(
    fields=(Field(kind="tokens", shape=(None,), dtype="int64"),),
    target=Target(kind="next-token", classes=tuple("abcdefgh ")),
)


@pytest.fixture(scope="session", autouse=True)
def _isolate_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["BENCHDOG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module", autouse=True)
def _export_in_process() -> Iterator[None]:
    with exports_in_process():
        yield


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.discover()


def save(
    folder: Path, plugins: Plugins, spec: Spec, task: str, model: str, options: dict[str, Any], raws: list[Raw]
) -> Path:
    """Save the artifact of a small untrained model, without its portable graph."""
    built_task = plugins.make("task", task, {})
    spec = spec.with_output(*built_task.output(spec))
    transform = Transform(default_preprocess(spec), spec)
    torch.manual_seed(0)
    component = {"name": model, "options": options}
    with bare():
        artifact.save(
            folder,
            trained=build_model(component, transform.spec(spec), plugins),
            transform=transform,
            head=built_task.head(spec),
            spec=spec,
            preprocess=default_preprocess(spec),
            recipe={},
            task={"name": task, "options": {}},
            model=component,
            metrics={},
            samples=raws,
            run="zoo-1",
            max_batch=8,
            plugins=plugins,
        )
    return folder


@pytest.fixture(scope="module")
def image_artifact(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins) -> Path:
    rng = np.random.default_rng(0)
    raws = [
        Raw(id=str(i), fields={"photo": rng.integers(0, 256, (3, 16, 16), dtype=np.uint8)}, target=i % 3)
        for i in range(6)
    ]
    return save(
        tmp_path_factory.mktemp("image") / "artifact", plugins, IMAGE, "classification", "cnn", SMALL_CNN, raws
    )


@pytest.fixture(scope="module")
def exported(image_artifact: Path, plugins: Plugins) -> Path:
    report = export.export(image_artifact, "onnx", None, plugins)
    assert report["warnings"] == []
    assert [line["batch"] for line in report["verification"]] == [1, 2, 5, 8]
    return Path(report["path"])


def test_graph_is_valid_with_named_inputs_and_no_paths(exported):
    data = (exported / "model.onnx").read_bytes()
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    (photo,) = model.graph.input
    assert photo.name == "photo"
    assert [d.dim_param or d.dim_value for d in photo.type.tensor_type.shape.dim] == ["batch", 3, 16, 16]
    assert [each.name for each in model.graph.output] == ["answer", "score"]
    assert model.opset_import[0].version == 20
    assert b".py" not in data


def test_export_json_describes_the_graph(exported):
    meta = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    assert meta["spec"]["target"]["classes"] == list(CLASSES)
    assert meta["preprocess"]["decode"]["photo"][0]["op"] == "image"
    assert meta["program"] is False
    assert set(meta["files"]) == {"model.onnx"}


def test_export_predicts_as_the_artifact_without_torch(exported, image_artifact, plugins):
    script = (
        "import json, sys; from pathlib import Path\n"
        "from benchdog.model.load import open_model; from benchdog.model import samples\n"
        "from benchdog.plugins import Plugins\n"
        "opened = open_model(Path(sys.argv[1]), Plugins.discover())\n"
        "answers = opened.predict(samples.read(Path(sys.argv[2])))\n"
        "loaded = sorted({'torch', 'onnx', 'onnxscript', 'sympy'} & set(sys.modules))\n"
        "print(json.dumps([[a.values['label'] for a in answers], loaded]))"
    )
    command = [sys.executable, "-c", script, str(exported), str(image_artifact)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    labels, loaded = json.loads(done.stdout)
    opened = artifact.open_model(image_artifact, plugins)
    assert labels == [answer.values["label"] for answer in opened.predict(opened.samples())]
    assert loaded == []


def test_export_runs_text_of_any_length(tmp_path, plugins):
    raws = [Raw(id="0", fields={"input": "abc defgh"}, target=None)]
    folder = save(tmp_path / "artifact", plugins, TEXT, "next-token", "gpt", SMALL_GPT, raws)
    report = export.export(folder, "onnx", tmp_path / "out", plugins, {"opset": 18})
    assert {line["length"] for line in report["verification"]} == {9, 1, 4}
    runner = OnnxRunner(tmp_path / "out")
    for batch, length in ((1, 1), (3, 200)):
        answer, score = runner(np.zeros((batch, length), np.int64))
        assert answer.shape == score.shape == (batch, length, 9)


def test_damaged_or_missing_graph_is_bad_data(exported, tmp_path):
    with pytest.raises(BadData, match=r"model\.onnx"):
        OnnxRunner(tmp_path)
    (tmp_path / "model.onnx").write_bytes((exported / "model.onnx").read_bytes()[:-500])
    with pytest.raises(BadData, match=r"model\.onnx"):
        OnnxRunner(tmp_path)


def outside(name: str = "w") -> onnx.TensorProto:
    """Return a tensor whose values are in ./secret.bin."""
    tensor = onnx.TensorProto(name=name, data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="secret.bin")
    return tensor


def graph_with(place: str) -> onnx.ModelProto:
    """Build a model that has such a tensor at a place where ONNX allows one."""
    helper = onnx.helper
    score = helper.make_tensor_value_info("score", 1, [4])
    constant = helper.make_node("Constant", [], ["w"], value=outside())
    sparse = onnx.SparseTensorProto(values=outside("w"), dims=[4])
    inner = helper.make_graph([constant], "inner", [], [helper.make_tensor_value_info("w", 1, [4])])
    identity = helper.make_node("Identity", ["w"], ["score"])
    nodes, tensors, more = [identity], [], {}
    if place == "initializer":
        tensors = [outside()]
    elif place == "constant":
        nodes = [constant, identity]
    elif place == "subgraph":
        nodes = [helper.make_node("If", ["input"], ["score"], then_branch=inner, else_branch=inner)]
    elif place == "function":
        function = helper.make_function("own", "F", [], ["w"], [constant], [helper.make_opsetid("", 20)])
        nodes, more = [helper.make_node("F", [], ["score"], domain="own")], {"functions": [function]}
    graph = helper.make_graph(nodes, "g", [], [score], tensors)
    if place == "sparse":
        graph.sparse_initializer.append(sparse)
    return helper.make_model(graph, **more)


@pytest.mark.parametrize("place", ["initializer", "constant", "sparse", "subgraph", "function"])
def test_graph_with_weights_in_another_file_is_refused_in_every_working_folder(tmp_path, monkeypatch, place):
    (tmp_path / "secret.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    (tmp_path / "model.onnx").write_bytes(graph_with(place).SerializeToString())
    for folder in (tmp_path, tmp_path.parent):
        monkeypatch.chdir(folder)
        with pytest.raises(Refused, match="from another file"):
            OnnxRunner(tmp_path)


def test_graph_whose_location_hides_in_a_cut_field_number_is_bad_data(tmp_path):
    tensor = outside()
    tensor.ClearField("data_location")
    plain = bytes([14 << 3])  # the field data_location
    hidden = bytes([0xF0, 0x80, 0x80, 0x80, 0x10])  # the same for a reader that keeps 32 bits
    data = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [])).SerializeToString()
    body = tensor.SerializeToString() + hidden + b"\x01"
    assert plain[0] | 0x80 == hidden[0]
    initializer = bytes([5 << 3 | 2, len(body)]) + body
    (tmp_path / "model.onnx").write_bytes(data + bytes([7 << 3 | 2, len(initializer)]) + initializer)
    with pytest.raises(BadData, match="not an ONNX graph"):
        OnnxRunner(tmp_path)


def test_invalid_option_is_named(image_artifact, tmp_path, plugins):
    for options in ({"opset": 3}, {"opset": "20"}, {"opsett": 20}):
        with pytest.raises(BadUsage, match="opset"):
            export.export(image_artifact, "onnx", tmp_path / "out", plugins, options)


def test_hook_module_is_lightweight_and_declares_its_contract():
    spec = find_spec("benchdog_onnx")
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    assert any(isinstance(n, ast.Assign) and ast.unparse(n) == "CONTRACT = 1" for n in tree.body)
    script = (
        "import sys, benchdog_onnx, benchdog_onnx.options\n"
        "print(sorted({'onnx', 'torch', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert onnxruntime.__version__
