"""A plugin's decode operation, from training to prediction: WAV files, with the example package benchdog-wav."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import benchdog
from benchdog.api import BadData, DecoderInfo, Field, Preprocess, Raw, Spec, Target
from benchdog.data.decode.decoder import Decoder
from benchdog.deployment.inputs import Sample, Unreadable, samples
from benchdog.plugins import Plugins
from support.bare import without_graph
from support.in_process import run, run_export
from support.plugin_files import install
from support.sounds import SOURCE, install_wav, tone, write_tones


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[Path]:
    """Return a folder with a run trained on WAV files by a worker process, and the package installed."""
    folder = tmp_path_factory.mktemp("sounds")
    site = install_wav(folder / "site")
    sys.path.insert(0, str(site))
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), before]))  # of the export's processes
    (folder / "sounds.py").write_text(SOURCE, encoding="utf-8")
    write_tones(folder / "tones")
    train = ("--plugin", "sounds.py", "train", "sounds", "--set", "source.path=tones", "--epochs", 3)
    with without_graph():
        run(*train, "--set", "loader.workers=1", "--set", "loader.memory=0", "--name", "heard", cwd=folder)
    yield folder
    sys.path[:] = [entry for entry in sys.path if entry != str(site)]
    os.environ["PYTHONPATH"] = before
    for name in [name for name in sys.modules if name.startswith("benchdog_wav")]:
        del sys.modules[name]


@pytest.fixture
def artifact(place: Path, tmp_path: Path) -> Path:
    """Return a copy of the artifact alone, without the run."""
    return shutil.copytree(place / "runs" / "heard" / "artifact", tmp_path / "artifact")


@pytest.fixture(autouse=True)
def installed(place: Path) -> None:
    """Install the package again after a test that uninstalled it."""
    if str(place / "site") not in sys.path:
        sys.path.insert(0, str(place / "site"))


@pytest.fixture
def uninstalled(place: Path, installed: None) -> None:
    """Uninstall the package."""
    sys.path.remove(str(place / "site"))


def change(artifact: Path, op: str, *, owned: bool = True) -> None:
    """Name another decode operation in an artifact."""
    meta = json.loads((artifact / "artifact.json").read_text(encoding="utf-8"))
    meta["preprocess"]["decode"]["input"][0]["op"] = op
    owner = {"name": "evil", "dist": "benchdog-evil", "version": "1", "install": "pip install benchdog-evil"}
    meta["decoders"] = {op: owner} if owned else {}
    (artifact / "artifact.json").write_text(json.dumps(meta), encoding="utf-8")


# --- what users do


def test_files_and_folders_of_the_operations_suffix_are_predicted(place):
    rows = run("predict", "heard", "tones/low/03.wav", "tones/high", "--json", cwd=place).json["answers"]
    assert [row["label"] for row in rows] == ["low"] + ["high"] * 30


def test_other_files_of_a_folder_are_reported_as_skipped(place, tmp_path):
    (tmp_path / "notes.txt").write_text("a note")
    (tmp_path / "LOUD.WAV").write_bytes(tone(3))
    done = run("predict", "heard", tmp_path, "--json", cwd=place)
    assert [row["label"] for row in done.json["answers"]] == ["low"]
    assert list(done.json["skipped"]) == ["not WAV files"]
    (tmp_path / "LOUD.WAV").unlink()
    assert "holds no .wav file" in run("predict", "heard", tmp_path, cwd=place, code=5).err


def test_table_of_paths_is_predicted(place):
    (place / "list.csv").write_text("input\ntones/low/01.wav\ntones/high/01.wav\nnowhere.wav\n")
    done = run("predict", "heard", "list.csv", "--skip-bad", "--json", cwd=place)
    assert [row["label"] for row in done.json["answers"]] == ["low", "high"]
    assert "there is no such file" in done.json["bad"][0]["why"]


def test_damaged_file_is_named_with_the_operations_own_words(place, tmp_path):
    (tmp_path / "cut.wav").write_bytes(tone(3)[:-5])
    (tmp_path / "fast.wav").write_bytes(tone(3).replace((8000).to_bytes(4, "little"), (44_100).to_bytes(4, "little")))
    err = run("predict", "heard", tmp_path, cwd=place, code=5).err
    assert f"{tmp_path / 'cut.wav'}: it was cut: the chunk" in err
    assert f"{tmp_path / 'fast.wav'}: its sampling rate is 44100 Hz, not 8000 Hz" in err


def test_python_predicts_paths_bytes_and_raw_samples(place, monkeypatch):
    monkeypatch.chdir(place)
    heard = benchdog.load("heard")
    low, high = tone(3), tone(12)
    answers = heard.predict(["tones/low/03.wav", low, Raw(id="mine", fields={"input": high})])
    assert [answer.values["label"] for answer in answers] == ["low", "low", "high"]
    with pytest.raises(BadData, match="Sample 'x': it is not a WAV file"):
        heard.predict(Raw(id="x", fields={"input": b"ID3"}))


def test_evaluate_and_data_commands_decode(place):
    assert run("evaluate", "heard", "--json", cwd=place).json["metrics"]["accuracy"] > 0.9
    assert "audio" in run("--plugin", "sounds.py", "data", "info", "sounds", "--set", "path=tones", cwd=place).out
    verify = run("--plugin", "sounds.py", "data", "verify", "sounds", "--set", "path=tones", "--json", cwd=place)
    assert set(verify.json["samples"]) == {"train", "valid", "test"}


def test_unknown_operation_of_a_source_suggests_the_nearest(place):
    train = ("--plugin", "sounds.py", "train", "sounds", "--set", "source.path=tones", "--set", "source.op=wave")
    assert "Unknown decode operation 'wave' of field 'input'" in (err := run(*train, cwd=place, code=2).err)
    assert "'wav'" in err


# --- artifacts and their plugins


def test_artifact_records_who_offers_the_operation(artifact):
    meta = json.loads((artifact / "artifact.json").read_text(encoding="utf-8"))
    assert meta["preprocess"]["decode"]["input"] == [{"op": "wav:wav", "rate": 8000, "length": 64}]
    owner = {"name": "wav", "dist": "benchdog-wav", "version": "0.1.0", "install": "pip install benchdog-wav"}
    assert meta["decoders"] == {"wav:wav": owner}
    assert {file.suffix for file in (artifact / "samples").iterdir()} == {".wav", ".json"}


def test_artifact_without_its_plugin_names_the_package(place, artifact, uninstalled):
    err = run("predict", artifact, place / "tones" / "low", cwd=place, code=3).err
    assert "The decoder 'wav:wav' of plugin 'benchdog-wav' is not installed." in err
    assert "pip install benchdog-wav" in err
    assert run("predict", place / "runs" / "heard", place / "tones" / "low", cwd=place, code=3).err == err


def test_operation_of_another_plugin_never_takes_its_place(place, artifact, tmp_path, monkeypatch, uninstalled):
    other = "from benchdog.api import DecoderInfo, hookimpl\nCONTRACT = 1\n@hookimpl\ndef benchdog_decoders():\n"
    other += "    return [DecoderInfo(name='wav', summary='Another.', target=':made')]\n"
    monkeypatch.syspath_prepend(install(tmp_path, "benchdog-sound", other))
    assert "of plugin 'benchdog-wav' is not installed" in run("predict", artifact, "x.wav", cwd=place, code=3).err
    monkeypatch.syspath_prepend(place / "site")
    assert "low" in run("predict", artifact, place / "tones" / "low" / "00.wav", cwd=place).out


@pytest.mark.parametrize("owned", [True, False])
@pytest.mark.parametrize("op", ["evil_decoder:run", "evil_decoder.py:run", "os:system"])
def test_decode_operation_of_an_artifact_is_never_imported(place, artifact, op, owned, monkeypatch):
    (artifact / "evil_decoder.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(artifact)
    monkeypatch.syspath_prepend(artifact)
    change(artifact, op, owned=owned)
    done = run("predict", artifact, place / "tones" / "low", cwd=artifact, code=3 if owned else 5)
    assert repr(op) in done.err
    assert "evil_decoder" not in sys.modules


def test_parameters_in_an_artifact_are_validated(place, artifact):
    meta = json.loads((artifact / "artifact.json").read_text(encoding="utf-8"))
    meta["preprocess"]["decode"]["input"][0]["rate"] = -1
    (artifact / "artifact.json").write_text(json.dumps(meta), encoding="utf-8")
    err = run("predict", artifact, "x.wav", cwd=place, code=2).err
    assert "'wav' of field 'input': rate is -1: input should be greater than or equal to 0" in err


# --- exports


def test_export_warns_that_decoding_has_no_counterpart(place):
    done = run_export("heard", "--to", "torchscript", "--json", cwd=place)
    (warning,) = (each for each in done.json["warnings"] if each.startswith("Decoding"))
    assert "'wav:wav' has no counterpart in another language: without the plugin 'benchdog-wav'" in warning
    export = place / "runs" / "heard" / "exports" / "torchscript"
    assert "low" in run("predict", export, "tones/low/00.wav", cwd=place).out
    assert json.loads((export / "export.json").read_text(encoding="utf-8"))["counterparts"] == {"wav:wav": []}


def test_export_carries_declared_counterparts(place, tmp_path, monkeypatch):
    hooks = place / "site" / "benchdog_wav" / "__init__.py"
    before = hooks.read_text(encoding="utf-8")
    declared = 'counterparts={"js": "benchdog_wav.javascript:TEXT"}, examples="'
    text = before.replace('examples="', declared)
    try:
        hooks.write_text(text, encoding="utf-8")
        (hooks.parent / "javascript.py").write_text('TEXT = "export const wav = (bytes) => bytes;\\n"\n')
        sys.modules.pop("benchdog_wav")
        out = tmp_path / "export"
        done = run_export("heard", "--to", "safetensors", "--out", out, "--json", cwd=place)
    finally:
        hooks.write_text(before, encoding="utf-8")
        sys.modules.pop("benchdog_wav", None)
    assert done.json["warnings"] == []
    assert (out / "decoders" / "wav-wav.js").read_text(encoding="utf-8").startswith("export const wav")
    assert "decoders/wav-wav.js" in json.loads((out / "export.json").read_text(encoding="utf-8"))["files"]
    assert "low" in run("predict", out, "tones/low/00.wav", cwd=place).out


# --- decoders that are broken, or take something else than files

ODD = """
from dataclasses import dataclass
from typing import Annotated, Any

from benchdog.api import BadData, DecoderInfo, Doc, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_decoders():
    about = {"summary": "Odd."}
    return [
        DecoderInfo(name="broken", target=":broken", suffixes=(".bin",), called="bins", max_bytes=100, **about),
        DecoderInfo(name="listed", target=":listed", suffixes=(".bin",), **about),
        DecoderInfo(name="letters", target=":letters", takes="text", suffixes=(".fasta",), called="genes", **about),
        DecoderInfo(name="pair", target=":pair", takes="row", options=":Pair", **about),
        DecoderInfo(name="nameless", target=":broken", suffixes=("",), called="slices", **about),
    ]


@dataclass(frozen=True, kw_only=True)
class Pair:
    columns: Annotated[tuple[dict[str, Any], ...], Doc("Columns.")]


def broken():
    return lambda value: value.nothing


def listed():
    return lambda value: [1.0]


def letters():
    import numpy as np

    return lambda value: np.array([[float("ACGT".index(letter)) for letter in value[:3]]], np.float32)


def pair(options):
    import numpy as np

    return lambda value: np.array([[float(value[c["name"]]) for c in options.columns]], np.float32)
"""


@pytest.fixture
def odd(tmp_path: Path) -> Any:
    """Return what builds a decoder of one of the odd operations."""
    (tmp_path / "odd.py").write_text(ODD, encoding="utf-8")
    plugins = Plugins.discover([tmp_path / "odd.py"])

    def made(op: str, width: int = 3, **parameters: Any) -> Decoder:
        spec = Spec(fields=(Field(kind="audio", shape=(1, width), dtype="float32"),), target=Target(kind="number"))
        return Decoder(spec, Preprocess(decode={"input": [{"op": op, **parameters}]}, transform={}), plugins)

    return made


def test_exception_of_a_decoder_is_an_error_of_the_sample_that_names_the_plugin(odd, tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"1")
    (found,) = samples([str(tmp_path / "a.bin")], odd("broken"))
    assert isinstance(found, Unreadable)
    assert found.why.startswith("decoder 'broken' of plugin 'odd' raised AttributeError: 'bytes' object has no")
    assert "odd.py, line 28, in <lambda>" in found.why
    with pytest.raises(BadData, match="Sample 'x': decoder 'listed' of plugin 'odd' returned list"):
        odd("listed")(Raw(id="x", fields={"input": b"1"}))
    monkeypatch.setenv("BENCHDOG_STRICT", "1")
    with pytest.raises(AttributeError):
        odd("broken")(Raw(id="x", fields={"input": b"1"}))


def test_files_beyond_the_operations_limit_are_not_read(odd, tmp_path):
    (tmp_path / "a.bin").write_bytes(bytes(101))
    (found,) = samples([str(tmp_path / "a.bin")], odd("broken"))
    assert isinstance(found, Unreadable)
    assert "100" in found.why


def test_operations_on_texts_and_rows_read_arguments_files_and_tables(odd, tmp_path):
    (tmp_path / "one.fasta").write_text("GGA")
    (tmp_path / "rows.csv").write_text("a,b,c\n1,2,3\n")
    read = list(samples(["ACG", str(tmp_path / "one.fasta")], odd("letters")))
    assert [each.arrays[0].tolist() for each in read if isinstance(each, Sample)] == [[[0, 1, 2]], [[2, 2, 0]]]
    pair = odd("pair", width=2, columns=[{"name": "c"}, {"name": "a"}])
    (row,) = samples([str(tmp_path / "rows.csv")], pair)
    assert isinstance(row, Sample)
    assert row.arrays[0].tolist() == [[3, 1]]


def test_files_without_a_suffix_are_found(odd, tmp_path):
    (tmp_path / "series").mkdir()
    for name in ("IM0001", "IM0002", "notes.txt"):
        (tmp_path / "series" / name).write_bytes(b"1")
    found = list(samples([str(tmp_path / "series")], odd("nameless")))
    assert [Path(each.id).name for each in found] == ["IM0001", "IM0002"]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"takes": "file"}, "takes 'file' isn't one of bytes, text, row"),
        ({"suffixes": ("wav",)}, "the suffix 'wav' isn't lower case with a dot"),
        ({"media_types": ("wav",)}, "the media type 'wav' isn't like 'audio/wav'"),
        ({"counterparts": {"js": "decode()"}}, "the counterpart 'js': 'decode()' isn't like"),
        ({"examples": "here"}, "examples 'here' isn't 'package.module:attribute'"),
    ],
)
def test_invalid_descriptor_disables_its_plugin(tmp_path, more, why):
    assert DecoderInfo(name="odd", summary="Odd.", target=":made", **more).name == "odd"
    code = "from benchdog.api import DecoderInfo, hookimpl\nCONTRACT = 1\n@hookimpl\ndef benchdog_decoders():\n"
    code += f"    return [DecoderInfo(name='odd', summary='Odd.', target=':made', **{more!r})]\n"
    (tmp_path / "odd.py").write_text(code)
    (fault,) = Plugins.discover([tmp_path / "odd.py"]).faults
    assert why in fault.fault
