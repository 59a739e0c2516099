"""`benchdog predict`: predictions on stdout or in a file; unreadable inputs are reported."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchdog.api import IMAGE_SUFFIXES, Answer, Field, Spec, Target
from benchdog.cli.prediction_files import PredictionFiles, output_folder
from benchdog.cli.prediction_writers import collected, writer
from benchdog.errors import BadUsage
from benchdog.model.value_files import ValueFiles
from benchdog.plugins import Plugins
from support import small_artifact

MASK = Spec(
    fields=(Field(kind="image", shape=(1, 2, 3), dtype="uint8"),),
    target=Target(kind="mask", classes=("sky", "sea")),
)

CLASS = Spec(fields=MASK.fields, target=Target(kind="class", classes=("sky", "sea")))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_artifact.save(tmp_path_factory.mktemp("run") / "artifact", Plugins.discover())


def test_predict_prints_a_table_by_default(bench, model):
    result = bench("predict", model, model / "samples", "--batch-size", 5)
    lines = result.out.splitlines()
    assert len(lines) == 13  # the header once, though there are three batches
    assert lines[0].split() == ["id", "label", "probability"]
    assert all(line.split()[1] in small_artifact.CLASSES for line in lines[1:])


def test_predict_writes_csv_and_json(bench, model, tmp_path):
    samples = model / "samples"
    bench("predict", model, samples, "--format", "csv", "--out", tmp_path / "a" / "answers.csv")
    with (tmp_path / "a" / "answers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert sum(float(rows[0][f"probabilities.{name}"]) for name in small_artifact.CLASSES) == pytest.approx(1)
    document = bench("predict", model, samples / "000-input.png", samples / "001-input.png", "--json").json
    assert [answer["label"] for answer in document["answers"]] == [row["label"] for row in rows[:2]]
    assert (document["task"], document["bad"]) == ("classification", [])


def test_unreadable_inputs_exit_with_5_unless_skip_bad(bench, model, tmp_path):
    (tmp_path / "torn.png").write_bytes(b"\x89PNG torn")
    inputs = (model / "samples" / "000-input.png", tmp_path / "torn.png", tmp_path / "gone.png")
    strict = bench("predict", model, *inputs, code=5)
    assert len(strict.out.splitlines()) == 2
    assert "torn.png: " in strict.err
    assert "gone.png: there is no such file" in strict.err
    assert "2 of 3 inputs can't be read" in strict.err
    bench("predict", model, *inputs, "--out", tmp_path / "out.txt", code=5)
    assert not (tmp_path / "out.txt").exists()
    assert len(bench("predict", model, *inputs, "--skip-bad", "--json").json["bad"]) == 2


def test_what_a_folder_holds_besides_images_is_named(bench, model, tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    sample = (model / "samples" / "000-input.png").read_bytes()
    for suffix in IMAGE_SUFFIXES:
        (folder / f"a{suffix}").write_bytes(sample)
    for name in ("b.heic", "c.avif", ".DS_Store"):
        (folder / name).write_bytes(b"x")
    shown = bench("predict", model, folder, "--json")
    assert f"{folder}: skipped, not images: 2 (b.heic, c.avif)" in shown.err
    assert len(shown.json["answers"]) == len(IMAGE_SUFFIXES)
    not_images = [str(folder / "b.heic"), str(folder / "c.avif")]
    assert shown.json["skipped"] == {"hidden": [str(folder / ".DS_Store")], "not images": not_images}
    assert len(bench("predict", model, tmp_path / "n*", "--json").json["answers"]) == len(IMAGE_SUFFIXES)


def test_first_frame_of_an_animation_is_noted(bench, model, tmp_path):
    frames = [Image.new("RGB", (6, 6), (i * 40, 0, 0)) for i in range(3)]
    frames[0].save(tmp_path / "walk.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "still.gif")
    shown = bench("predict", model, tmp_path / "walk.gif", tmp_path / "still.gif")
    assert shown.err == f"{tmp_path / 'walk.gif'}: only its first frame or page is used\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="neither pipes nor links there")
def test_linked_folders_are_read_and_pipes_refused(bench, model, tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "more").symlink_to(model / "samples")
    (tmp_path / "new" / "again").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "new" / "pipe.png")
    shown = bench("predict", model, tmp_path / "new", "--json")
    assert len(shown.json["answers"]) == 12
    assert set(shown.json["skipped"]) == {
        "links to a folder that contains them", "not images", "not regular files",
    }  # fmt: skip
    for name in ("new/pipe.png", "zero.png"):
        (tmp_path / "zero.png").unlink(missing_ok=True)
        (tmp_path / "zero.png").symlink_to("/dev/zero")
        assert "not a regular file" in bench("predict", model, tmp_path / name, code=5).err


def test_unknown_format_and_unknown_run_are_refused(bench, model):
    assert "Did you mean 'jsonl'" in bench("predict", model, "x.png", "--format", "json", code=2).err
    assert (
        "There is no run 'nobody'" in bench("predict", "nobody", "x.png", "--json", code=2).json["error"]["message"]
    )


# --- output formats -------------------------------------------------------------------------------


def masks() -> list[Answer]:
    mask = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
    return [Answer({"mask": mask, "classes": {"sky": 0.5, "sea": 0.5}}, id=name) for name in ("a/x.png", "b/x.png")]


@pytest.fixture(scope="module")
def values() -> ValueFiles:
    """Masks of a task from before the kinds of values were declared."""
    return ValueFiles(Plugins.discover(), MASK, {})


def test_masks_are_written_as_images_to_a_folder(tmp_path, values):
    out = tmp_path / "out"
    assert output_folder(out, masks(), values) == out
    with writer("csv", MASK, out / "answers.csv", PredictionFiles(values, out)) as write:
        write(masks())
    assert sorted(p.name for p in out.iterdir()) == ["answers.csv", "x-2.png", "x.png"]
    with Image.open(out / "x-2.png") as image:
        np.testing.assert_array_equal(np.asarray(image), masks()[0].values["mask"])
        assert image.mode == "P"
    text = (out / "answers.csv").read_text(encoding="utf-8")
    assert text.splitlines()[1] == "a/x.png,x.png,0.5,0.5"
    (tmp_path / "file").write_text("")
    with pytest.raises(BadUsage, match="is a file"):
        output_folder(tmp_path / "file", masks(), values)


def test_volume_masks_are_written_as_npy_files(tmp_path, values):
    arrays = PredictionFiles(values, tmp_path / "out")
    rows = collected([[Answer({"mask": np.zeros((2, 30, 4), np.uint8)}, id="scan.npy")]], arrays)
    assert rows == [{"id": "scan.npy", "mask": "scan.npy"}]
    assert np.load(tmp_path / "out" / "scan.npy").shape == (2, 30, 4)


def test_masks_without_a_folder_are_printed_as_class_fractions(capsys, values):
    arrays = PredictionFiles(values, None)
    with writer("table", MASK, None, arrays) as write:
        write(masks())
    assert [line.split() for line in capsys.readouterr().out.splitlines()[:2]] == [
        ["id", "sky", "sea"],
        ["a/x.png", "0.5", "0.5"],
    ]
    assert list(arrays.notes()) == ["Not shown: mask (mask, uint8 2 x 3). Add --out FOLDER: a file for each."]


def test_arrays_of_a_file_are_lists_whatever_their_length(tmp_path, values):
    arrays = PredictionFiles(values, None, as_lists=True)
    assert output_folder(tmp_path / "out", [Answer({"few": np.zeros(3)})], values) is None
    assert len(arrays.row(Answer({"many": np.zeros(500)}))["many"]) == 500


ESCAPES = (
    "../../etc/passwd.png", "..", "/", "", "C:\\Windows\\win.ini", "CON.png", "nul", "a b:c*?.png", "x" * 400,
    "é" * 200, ".hidden", "-rf", "a\0b", "X.PNG", "x.png", "Answers.csv", "trailing. . .",
)  # fmt: skip


def test_files_of_foreign_ids_stay_in_the_folder_under_names_of_their_own(tmp_path, values):
    arrays = PredictionFiles(values, tmp_path / "out", reserved=["answers.npy"])
    names = [arrays.row(Answer({"field": np.full(99, i)}, id=each))["field"] for i, each in enumerate(ESCAPES)]
    assert len({name.casefold() for name in names}) == len(ESCAPES)
    assert sorted(names) == sorted(path.name for path in tmp_path.rglob("*.npy"))
    assert {path.parent for path in tmp_path.rglob("*.npy")} == {tmp_path / "out"}
    for i, name in enumerate(names):
        assert np.load(tmp_path / "out" / name)[0] == i
        assert not set(name) & set('<>:"/\\|?*\0 ')
        assert not name.startswith((".", "-"))
        assert len(name.encode()) <= 120
        assert name.partition(".")[0].upper() not in ("CON", "NUL", "ANSWERS")


def test_non_finite_numbers_are_written_as_null(capsys, values):
    with writer("jsonl", MASK, None, PredictionFiles(values, None)) as write:
        write([Answer({"value": float("nan"), "list": [np.float32("inf"), np.int64(1)]}, id="a")])
    assert json.load(io.StringIO(capsys.readouterr().out)) == {"id": "a", "value": None, "list": [None, 1]}


def test_failed_predict_leaves_no_output_file(tmp_path, values):
    arrays = PredictionFiles(values, None)
    path = tmp_path / "out.jsonl"
    with pytest.raises(TypeError, match="serializable"), writer("jsonl", CLASS, path, arrays) as write:
        write([Answer({"value": 1.0}, id="a"), Answer({"value": object()}, id="b")])
    assert list(tmp_path.iterdir()) == []
