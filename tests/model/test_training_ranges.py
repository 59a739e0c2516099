"""Inputs outside the ranges seen in training: flagged, with unchanged predictions."""

import io
import json
import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from benchdog.api import Column, Field, Raw, Spec, Target
from benchdog.data.decode.decoder import Decoder, default_preprocess
from benchdog.model import training_ranges
from support.in_process import run, run_export

COLUMNS = (Column(name="age"), Column(name="town", kind="category", categories=("Aix", "Bonn")))
TABLE = Spec(
    fields=(Field(kind="table", shape=(2,), dtype="float32", columns=COLUMNS),),
    target=Target(kind="number", dtype="float32"),
)


def measured(rows, spec=TABLE):
    measure = training_ranges.Measure(spec)
    measure.add((np.array(rows, np.float32),))
    return json.loads(json.dumps(measure.ranges()))


def notes_of(row, seen):
    how = default_preprocess(TABLE)
    (x,) = Decoder(TABLE, how)(Raw(id="r", fields={"input": row}))
    return [line["said"] for line in training_ranges.outside({"input": row}, (x,), TABLE, how, seen)]


def test_table_rows_are_checked_against_training_ranges():
    seen = measured([[18.1, 1], [44.4, 1], [30, 1]])
    assert training_ranges.sound(seen)
    assert notes_of({"age": 18.1, "town": "Aix"}, seen) == []
    assert notes_of({"age": "45", "town": "Aix"}, seen) == ["age 45 is above the 44.4 seen in training"]
    assert notes_of({"age": -0.5, "town": "x"}, seen) == [
        "age -0.5 is below the 18.1 seen in training",
        "category 'x' of 'town' was never seen",
    ]
    assert notes_of({"age": None, "town": None}, seen) == [
        "age is missing, which it never was in training",
        "'town' is missing, which it never was in training",
    ]
    assert notes_of({"age": 30, "town": "Bonn"}, seen) == ["category 'Bonn' of 'town' was never seen"]
    with_gaps = measured([[18, 1], [np.nan, 0]])
    assert notes_of({"age": "", "town": ""}, with_gaps) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_training_rows_lie_within_training_ranges(values):
    seen = measured([[value, 1] for value in values])
    for value in values:
        assert notes_of({"age": value, "town": "Aix"}, seen) == []
    line = seen["fields"]["input"]["columns"]["age"]
    assert line["low"] <= line["q01"] <= line["q99"] <= line["high"]


def png(value, size=(20, 10)):
    buffer = io.BytesIO()
    Image.new("L", size, value).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_are_checked_by_brightness_and_size():
    field = Field(kind="image", shape=(1, 8, 8), dtype="uint8", range=(0, 255))
    spec = Spec(fields=(field,), target=Target(kind="class", classes=("a", "b")))
    how = default_preprocess(spec)

    def decoded(raw):
        return Decoder(spec, how)(raw)

    raws = [Raw(id=str(i), fields={"input": png(value)}) for i, value in enumerate((60, 80, 100))]
    measure = training_ranges.Measure(spec)
    measure.add((np.stack([decoded(raw)[0] for raw in raws]),), raws)
    seen = json.loads(json.dumps(measure.ranges()))
    assert training_ranges.sound(seen)

    def notes(data):
        raw = Raw(id="x", fields={"input": data})
        return [line["said"] for line in training_ranges.outside(raw.fields, decoded(raw), spec, how, seen)]

    assert notes(png(80)) == []
    assert notes(png(80, (10, 20))) == []  # rotated
    assert notes(png(250)) == ["brightness 0.98 is above the 0.392 seen in training"]
    assert notes(png(80, (400, 10))) == ["its longer side of 400 pixels is above the 20 seen in training"]
    assert notes(np.full((8, 8), 80, np.uint8)) == []


@pytest.mark.parametrize(
    "wrong",
    [[], 3, {}, {"fields": 1, "samples": 1}, {"fields": {"x": {"columns": {"a": {}}}}, "samples": 1},
     {"fields": {"x": {"brightness": {"low": "0"}}}, "samples": 1},
     {"fields": {"x": {"columns": {"a": {"missing": False, "low": "x", "high": 1}}}}, "samples": 1}],
)  # fmt: skip
def test_malformed_ranges_are_not_sound(wrong):
    assert not training_ranges.sound(wrong)


@pytest.fixture(scope="module")
def wines(tmp_path_factory):
    place = tmp_path_factory.mktemp("wines")
    draw = np.random.default_rng(0)
    lines = ["alcohol,type,good"]
    for _ in range(300):
        alcohol, kind = draw.uniform(8, 14.2), draw.integers(0, 2)
        lines.append(f"{alcohol:.2f},{'red' if kind else 'white'},{'yes' if alcohol > 11 else 'no'}")
    (place / "wines.csv").write_text("\n".join(lines), encoding="utf-8")
    run("train", "wines.csv", "--target", "good", "--epochs", 1, "--name", "w", "--quiet", cwd=place)
    (place / "new.csv").write_text("alcohol,type\n10,red\n45,orange\n", encoding="utf-8")
    return place


def test_predict_flags_out_of_range_inputs_and_still_predicts(wines):
    text = run("predict", "w", "new.csv", cwd=wines)
    assert [line.split()[1] for line in text.out.splitlines()[1:]] == ["no", "yes"]
    pattern = (
        r"new.csv:3: alcohol 45 is above the 14\.\d+ seen in training; category 'orange' of 'type' was never seen"
    )
    assert re.search(pattern, text.err)
    predictions = run("predict", "w", "new.csv", "--json", cwd=wines).json["answers"]
    assert predictions[0]["outside"] == []
    assert [line["field"] for line in predictions[1]["outside"]] == ["alcohol", "type"]
    plain = run("predict", "w", "new.csv", "--format", "csv", cwd=wines).out
    assert "outside" not in plain


def test_artifact_with_invalid_ranges_is_refused(wines, tmp_path):
    shutil.copytree(wines / "runs" / "w" / "artifact", tmp_path / "artifact")
    meta = tmp_path / "artifact" / "artifact.json"
    broken = json.loads(meta.read_text(encoding="utf-8")) | {"ranges": {"fields": 1}}
    meta.write_text(json.dumps(broken), encoding="utf-8")
    assert "ranges: not a table of ranges" in (
        run("predict", tmp_path / "artifact", "new.csv", cwd=wines, code=5).err
    )


@pytest.mark.slow
def test_export_reports_the_same_out_of_range_inputs(wines):
    run_export("w", "--to", "torch-export", cwd=wines)
    predictions = run("predict", "w", "new.csv", "--json", cwd=wines).json["answers"]
    exported = run("predict", "runs/w/exports/torch-export", "new.csv", "--json", cwd=wines).json["answers"]
    assert [each["outside"] for each in exported] == [each["outside"] for each in predictions]
    assert exported[1]["outside"]
