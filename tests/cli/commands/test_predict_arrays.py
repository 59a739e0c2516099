"""`benchdog predict` of a task whose answers hold images, audio and arrays: a file for each, and nothing is lost."""

import csv
import json
import wave
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from PIL import Image

from support.command import Result
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

PLUGIN = dedent("""
    import numpy as np
    from benchdog.api import Answer, TaskInfo, WriterInfo, hookimpl

    CONTRACT = 1


    @hookimpl
    def benchdog_tasks():
        values = {"picture": "image", "sound": "audio", "shape": "mesh"}
        return [TaskInfo(name="many", summary="Arrays.", target=":make", answer=":answer", values=values)]


    @hookimpl
    def benchdog_writers():
        return [WriterInfo(name="obj", summary="A mesh.", target=":Obj", writes="mesh", suffix=".obj"),
                WriterInfo(name="ppm", summary="Images as text.", target=":Ppm", writes="image", suffix=".ppm")]


    def make():
        from benchdog.builtin.tasks.classification import Classification
        return Classification()


    def answer(call, inputs, spec, options):
        call(*inputs)
        return [
            Answer({
                "label": "x", "picture": image, "sound": np.linspace(-1, 1, 80), "rate": 8000,
                "shape": np.arange(9.0).reshape(3, 3), "few": np.array([0.5, np.inf]), "field": np.ones((9, 9)),
                "parts": [np.zeros(65), np.ones(2)], "text": np.array(["a", "b"]),
            })
            for image in inputs[0]
        ]


    class Obj:
        def write(self, value, file):
            for x, y, z in value.array:
                file.write(f"v {x} {y} {z}\\n".encode())


    class Ppm:
        def write(self, value, file):
            file.write(b"P2 " + str(value.array.shape).encode())
""")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Path:
    """A folder with the plugin, a run of its task, and two images of one name."""
    folder = tmp_path_factory.mktemp("many")
    (folder / "many.py").write_text(PLUGIN, encoding="utf-8")
    for name in ("a", "b"):
        (folder / "in" / name).mkdir(parents=True)
        Image.fromarray(np.full((8, 8), ord(name), np.uint8)).save(folder / "in" / name / "one.png")
    run(
        "--plugin",
        "many.py",
        "train",
        "digits",
        "--task",
        "many",
        "--model",
        "linear",
        "--epochs",
        "1",
        "--quiet",
        cwd=folder,
    )
    return folder


def predict(folder: Path, *arguments: object, code: int = 0) -> Result:
    """Predict the two images."""
    return run("--plugin", "many.py", "predict", "last", "in", *arguments, cwd=folder, code=code)


def test_arrays_become_files_of_the_folder_and_the_table_names_them(many):
    predict(many, "--out", "out", "--format", "csv")
    with (many / "out" / "answers.csv").open(encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (first["picture"], second["picture"]) == ("one-picture.png", "one-picture-2.png")
    with Image.open(many / "out" / second["picture"]) as image:
        assert np.asarray(image).tolist() == [[ord("b")] * 8] * 8
    with wave.open(str(many / "out" / first["sound"])) as sound:
        assert (sound.getframerate(), sound.getnframes(), sound.getnchannels()) == (8000, 80, 1)
        assert np.frombuffer(sound.readframes(1), "<i2").tolist() == [-32767]
    assert (many / "out" / first["shape"]).read_text().splitlines()[1] == "v 3.0 4.0 5.0"
    assert np.load(many / "out" / first["field"]).shape == (9, 9)
    assert json.loads(first["few"]) == [0.5, None]
    parts = json.loads(first["parts"])
    assert np.load(many / "out" / parts[0]).shape == (65,)
    assert parts[1] == [1.0, 1.0]
    assert json.loads(first["text"]) == ["a", "b"]


def test_what_is_not_printed_is_named_with_what_to_type(many):
    shown = predict(many, "--json")
    row = shown.json["answers"][0]
    assert row["few"] == [0.5, None]
    assert not {"picture", "sound", "shape", "field", "parts"} & set(row)
    assert "Not shown: picture (image, uint8 1 x 8 x 8), sound (audio, float64 80), shape (mesh, " in shown.err
    assert "Add --out FOLDER: a file for each." in shown.err
    table = predict(many)
    assert "[0.5, null]" in table.out
    assert "Not shown: picture" in table.err


def test_another_writer_is_chosen_by_name_and_takes_options(many):
    predict(many, "--out", "ppm", "--writer", "ppm")
    assert (many / "ppm" / "one-picture.ppm").read_bytes() == b"P2 (1, 8, 8)"
    predict(many, "--out", "jpeg", "--writer", "jpeg", "--set", "jpeg.quality=10")
    assert (many / "jpeg" / "one-picture.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_chosen_writer_that_no_prediction_needs_is_named(many):
    used = predict(many, "--out", "masked", "--writer", "palette-png", "--writer", "ppm")
    assert "The writer 'palette-png' wasn't used: no prediction has a value of the kind 'mask'." in used.err
    assert "'ppm' wasn't used" not in used.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--writer", "gif"), "There is no writer 'gif'"),
        (("--writer", "jpeg", "--writer", "ppm"), "'jpeg' and 'ppm' both write 'image'"),
        (("--writer", "many.py:Obj"), "One of your own: benchdog --plugin FILE"),
        (("--set", "jpeg.quality=10"), "Choose it: --writer jpeg"),
        (("--writer", "jpeg", "--set", "jpeg.quality=0"), "quality"),
        (("--out", "many.py"), "--out must be a folder"),
    ],
)
def test_writer_that_can_not_be_used_is_refused(many, arguments, part):
    assert part in predict(many, *arguments, code=2).err


def test_value_that_its_format_can_not_hold_is_written_as_npy_with_the_reason(many):
    text = PLUGIN.replace('"rate": 8000,', "").replace('"shape": np.arange(9.0).reshape(3, 3), ', "")
    (many / "many.py").write_text(text.replace('"picture": image', '"picture": image - 300.0'), encoding="utf-8")
    try:
        shown = predict(many, "--out", "odd")
    finally:
        (many / "many.py").write_text(PLUGIN, encoding="utf-8")
    assert np.load(many / "odd" / "one-picture.npy").max() < 0
    assert "picture is written as .npy: 'picture' reaches from" in shown.err
    assert "sound is written as .npy: 'sound' is audio without a sample rate." in shown.err


def test_kind_that_no_writer_writes_becomes_npy_with_the_reason(many):
    (many / "many.py").write_text(PLUGIN.replace('writes="mesh"', 'writes="meshes"'), encoding="utf-8")
    try:
        shown = predict(many, "--out", "none")
        assert "shape (mesh, float64 3 x 3)" in predict(many).err
    finally:
        (many / "many.py").write_text(PLUGIN, encoding="utf-8")
    assert np.load(many / "none" / "one-shape.npy").shape == (3, 3)
    assert "the kind 'mesh', which no writer makes a file of. Install the plugin that has one." in shown.err
