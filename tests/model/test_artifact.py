"""Artifacts: atomic writes, file hashes checked when opened, no code selected by stored data."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchdog.api import Raw
from benchdog.errors import BadData, BadUsage, NotAvailable, Refused
from benchdog.model import artifact, samples
from benchdog.model import model_card as card
from benchdog.model.rebuild import rebuild
from benchdog.plugins import Plugins
from support import small_artifact

MODEL = """
from torch import nn
from benchdog.api import ModelInfo, hookimpl

CONTRACT = 1

class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.tied = nn.Linear(108, 108)
        self.also = self.tied
        self.last = nn.Linear(108, spec.outputs)

    def forward(self, x):
        return {"score": self.last(self.also(self.tied(x.flatten(1))))}

class Branches(Net):
    def forward(self, x):
        if x.sum() > 1e9:
            return super().forward(-x)
        return super().forward(x)

@hookimpl
def benchdog_models():
    return [ModelInfo(name=n.lower(), summary="A net.", target=f":make_{n.lower()}") for n in ("Net", "Branches")]

def make_net(spec, options=None):
    return Net(spec)

def make_branches(spec, options=None):
    return Branches(spec)
"""


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.discover()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, plugins: Plugins) -> Path:
    return small_artifact.save(tmp_path_factory.mktemp("run") / "artifact", plugins)


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("third_party") / "third_party_net.py"
    path.write_text(MODEL, encoding="utf-8")
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "artifact"))


def change(folder: Path, **values: object) -> None:
    path = folder / "artifact.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(meta | values), encoding="utf-8")


def test_artifact_metadata_and_model_card(folder, plugins):
    meta = json.loads((folder / "artifact.json").read_text(encoding="utf-8"))
    assert meta["format"] == 1
    assert meta["parameters"] == 108 * 3 + 3
    assert meta["graph"] is None
    assert meta["model"] == {"name": "linear", "options": {}, "plugin": meta["task"]["plugin"]}
    assert meta["samples"][:2] == ["image 0", "image 1"]
    assert {"graph.pt2", "model.safetensors", "README.md", "samples/index.json"} <= set(meta["files"])
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "cat, dog, owl" in card
    assert "| accuracy | 0.75 |" in card


def test_artifact_predicts_from_raw_samples(folder, plugins):
    opened = artifact.open_model(folder, plugins)
    raws = opened.samples()
    assert [raw.target for raw in raws] == [i % 3 for i in range(12)]
    predictions = opened.predict(raws)
    assert [answer.id for answer in predictions] == [raw.id for raw in raws]
    assert {answer.values["label"] for answer in predictions} <= set(small_artifact.CLASSES)
    answer, score = opened.call(*opened.decoder.batch(raws))  # 12 samples in batches of 6
    assert score.shape == (12, 3)
    np.testing.assert_allclose(answer.sum(1), 1, rtol=1e-5)


def test_open_model_accepts_a_run_folder(folder, plugins):
    assert artifact.open_model(folder.parent, plugins).path == folder


@pytest.mark.parametrize(
    "name", ["model.safetensors", "graph.pt2", "README.md", "samples/index.json", "samples/003-input.png"]
)
def test_artifact_with_one_changed_byte_is_refused(copy, plugins, name):
    path = copy / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadData, match=Path(name).name):
        artifact.open_model(copy, plugins)


def test_artifact_missing_file_is_refused_and_extra_file_ignored(copy, plugins):
    (copy / "notes.txt").write_text("mine")
    assert artifact.open_model(copy, plugins).kind == "artifact"
    (copy / "model.safetensors").unlink()
    with pytest.raises(BadData, match=r"model\.safetensors is missing"):
        artifact.open_model(copy, plugins)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "C:/secret", "a/../../secret", "..\\secret", ""])
def test_artifact_file_path_outside_folder_is_refused(copy, plugins, name):
    (copy.parent / "secret").write_text("x")
    change(copy, files={name: "0" * 64})
    with pytest.raises(BadData, match="outside"):
        artifact.open_model(copy, plugins)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 7}, "format 7"),
        ({"kind": "export"}, "not the description of an artifact"),
        ({"spec": {}}, r"missing 'spec\."),
        ({"max_batch": 0}, "max_batch"),
        ({"task": "classification"}, "task: "),
        ({"files": []}, "files: "),
    ],
)
def test_metadata_with_an_invalid_value_is_refused(copy, plugins, values, message):
    change(copy, **values)
    with pytest.raises(BadData, match=message):
        artifact.open_model(copy, plugins)


def test_open_model_refuses_missing_folder_and_run_without_artifact(tmp_path, plugins):
    with pytest.raises(BadUsage, match="is not a folder"):
        artifact.open_model(tmp_path / "nothing", plugins)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(BadUsage, match="has no artifact"):
        artifact.open_model(tmp_path, plugins)


def test_artifact_cannot_select_code_outside_plugins(copy, plugins, tmp_path):
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    code, plain = ({"name": name, "options": {}} for name in (f"{evil}:build", "classification"))
    (copy / "graph.pt2").unlink()
    listed = json.loads((copy / "artifact.json").read_text(encoding="utf-8"))["files"]
    del listed["graph.pt2"]
    change(copy, model=code, files=listed)  # without a graph the model is rebuilt
    with pytest.raises(Refused, match=r"The model .* is code outside any plugin"):
        artifact.open_model(copy, plugins).load()
    change(copy, task=code)
    with pytest.raises(Refused, match=r"The task .* is code outside any plugin"):
        artifact.open_model(copy, plugins)
    change(copy, task=plain, runner="benchdog.system.files:shutil.rmtree")
    with pytest.raises(NotAvailable, match="isn't the runner of any"):
        artifact.open_model(copy, plugins)
    assert not (tmp_path / "ran").exists()


def test_third_party_model_artifact_predicts_without_its_plugin(tmp_path, third_party, plugins):
    mine = Plugins.discover([third_party])
    folder = small_artifact.save(tmp_path / "artifact", mine, model="net")
    opened = artifact.open_model(folder, plugins)
    assert opened.meta["graph"] is None
    assert len(opened.predict(opened.samples())) == 12
    rebuilt = rebuild(folder, opened.meta, mine)
    assert rebuilt.get_submodule("model.tied") is rebuilt.get_submodule("model.also")  # tied weights are stored once
    with pytest.raises(NotAvailable, match="'net' of plugin 'third_party_net'"):
        rebuild(folder, opened.meta, plugins)


def test_artifact_without_graph_stores_reason_and_needs_plugin(tmp_path, third_party, plugins):
    mine = Plugins.discover([third_party])
    folder = small_artifact.save(tmp_path / "artifact", mine, model="branches")
    opened = artifact.open_model(folder, mine)
    assert "torch.export can't capture this model" in opened.meta["graph"]
    assert not (folder / "graph.pt2").exists()
    assert len(opened.predict(opened.samples())) == 12
    with pytest.raises(NotAvailable, match="'branches' of plugin 'third_party_net'"):
        artifact.open_model(folder, plugins).load()


def test_failed_artifact_save_leaves_no_files(tmp_path, plugins):
    odd = Raw(id="odd", fields={"input": np.array(["a"])}, target=0)
    with pytest.raises(BadData, match="can't keep"):
        small_artifact.save(tmp_path / "artifact", plugins, samples=[odd])
    assert list(tmp_path.iterdir()) == []


def test_artifact_refuses_inputs_that_do_not_match_spec(folder, plugins):
    opened = artifact.open_model(folder, plugins)
    for wrong in (
        np.zeros((2, 3, 6, 6), np.float32),
        np.zeros((2, 1, 6, 6), np.uint8),
        np.zeros((0, 3, 6, 6), np.uint8),
    ):
        with pytest.raises(BadData):
            opened.call(wrong)


def test_samples_of_every_kind_round_trip(tmp_path):
    raws = [
        Raw(id="row", fields={"input": {"age": np.float64(3.5), "town": "Ulm", "sex": None}}, target=np.float32(2.5)),
        Raw(id="text", fields={"input": "hällo\n"}, target=[1, 2, 3]),
        Raw(
            id="scan",
            fields={"input": np.arange(8, dtype=np.int16).reshape(2, 2, 2)},
            target=np.ones((2, 2), np.int64),
        ),
        Raw(id="blob", fields={"input": b"\x93NUMPY bytes stay bytes"}, target=None),
    ]
    samples.write(tmp_path, raws)
    back = samples.read(tmp_path)
    assert back[0].fields["input"] == {"age": 3.5, "town": "Ulm", "sex": None}
    assert back[0].target == np.float32(2.5)
    assert back[0].target.dtype == np.float32
    assert (back[1].fields["input"], back[1].target) == ("hällo\n", [1, 2, 3])
    np.testing.assert_array_equal(back[2].fields["input"], raws[2].fields["input"])
    np.testing.assert_array_equal(back[2].target, raws[2].target)
    assert back[3].fields["input"] == raws[3].fields["input"]


@pytest.mark.parametrize(
    ("count", "labels"), [(0, []), (2, [0, 1]), (5, [0, 1, 2, 0, 1]), (9, [0, 1, 2, 0, 1, 0, 1, 0, 1])]
)
def test_covering_samples_include_every_class(count, labels):
    raws = [Raw(id=str(i), fields={}, target=t) for i, t in enumerate([0, 0, 0, 0, 0, 1, 1, 1, 1, 2])]
    assert [raw.target for raw in artifact.covering(raws, count)] == labels


def test_open_model_does_not_import_torch(folder):
    script = (
        "import sys; from pathlib import Path; from benchdog.model.load import open_model\n"
        "from benchdog.plugins import Plugins; o = open_model(Path(sys.argv[1]), Plugins.discover())\n"
        "o.decoder.batch(o.samples()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_model_card_escapes_names_and_reports_validation_samples(tmp_path, plugins):
    folder = small_artifact.save(tmp_path / "artifact", plugins, run="# a|b", validated=1234)
    meta = json.loads((folder / "artifact.json").read_text(encoding="utf-8"))
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith("# \\# a\\|b\n")
    assert "On 1,234 validation samples, with which the best epoch was chosen:\n\n| metric" in text
    meta["spec"]["target"] |= {"name": "a`b", "classes": ["<b>", "*star*", "two\nlines", "[x](y)"]}
    text = card.write(meta)
    assert "`` a`b `` (class)" in text
    assert r"\<b\>, \*star\*, two lines, \[x\]\(y\)." in text
    assert "On validation samples, with which" in text
