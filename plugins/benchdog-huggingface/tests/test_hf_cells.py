"""Cells: a value in training is the value in prediction, whatever the file's form; nothing is dropped unreported."""

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchdog.api import BadData
from benchdog.data.decode.decoder import Decoder
from benchdog.deployment.inputs import Sample, samples

LABELS = [i % 2 for i in range(40)]


def predicted(data, file):
    """Return what `predict` decodes of each row of a table, by position; a text for a row that it refuses."""
    found = samples([str(file)], Decoder(data.spec, data.preprocess))
    return [each.arrays[0] if isinstance(each, Sample) else each.why for each in found]


def trained(data):
    """Return the decoded input of each row, by its position in the data."""
    rows: dict[int, np.ndarray] = {}
    for split in data.splits.values():
        (x,), _ = split.batch(range(len(split)))
        rows |= {int(split.split.id(i).split("[")[1][:-1]): x[i] for i in range(len(split))}
    return rows


def check_same(data, file):
    found = predicted(data, file)
    rows = trained(data)
    assert len(found) == len(rows)
    for i, row in rows.items():
        assert not isinstance(found[i], str), (i, found[i])
        np.testing.assert_array_equal(found[i], row, f"row {i}")


@pytest.mark.parametrize("seed", range(8))
def test_messy_csv_files_have_the_same_values_in_training_and_prediction(seed, open_source, tmp_path):
    rng = random.Random(seed)
    mark, end = rng.choice(",;\t"), rng.choice(["\n", "\r\n", "\r"])
    kinds = {
        "age": ["39", "7.0", " 8", "NA", "", "-1e3", "?", ".5"],
        "flag": rng.choice([["True", "False"], ["TRUE", "false ", "NA", ""], ["true", "n/a"]]),
        "color": ["red", " red", "blue", '"gr""ey"', "none", "", "caf\u00e9", "cafe\u0301", "1", "1.0"],
        "size": ["1", "2", "-999", "N/A"],
    }
    lines = [[*kinds, "label"]]
    lines += [[*(rng.choice(cells) for cells in kinds.values()), rng.choice(["yes", "no "])] for _ in range(60)]
    text = "".join(mark.join(cells) + end + end * (rng.random() < 0.1) for cells in lines)
    file = tmp_path / "rows.csv"
    file.write_bytes((rng.choice(["", "\ufeff"]) + text).encode())
    options = {"na_values": ("NA", "?", "N/A", "-999")} if seed % 2 else {}
    source, data = open_source(file, target="label", **options)
    assert data.spec.target.classes == ("no", "yes")
    assert source.counts.found == source.counts.used == 60
    check_same(data, file)


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_tables_of_other_forms_predict_from_csv_files(form, hf_datasets, open_source, tmp_path):
    rows = {
        "flag": [None if i % 7 == 0 else i % 3 == 0 for i in range(40)],
        "size": [None if i % 9 == 0 else i / 4 for i in range(40)],
        "color": [("red", "NA", " blue", None)[i % 4] for i in range(40)],
        "code": [i * 3 for i in range(40)],
        "label": LABELS,
    }
    dataset = hf_datasets.Dataset.from_dict(rows)
    getattr(dataset, f"to_{form}")(str(tmp_path / f"rows.{form}"))
    source, data = open_source(tmp_path / f"rows.{form}")
    assert [c.categories for c in data.spec.fields[0].columns if c.kind == "category"] == [("blue", "red")]
    assert "Read as missing: 10 cells of 'color' ('NA') (option na_values)." in source.notes
    (tmp_path / "asked").mkdir()
    for true, false in (("True", "False"), ("true", "FALSE"), ("1", "0.0")):
        lines = [
            ",".join("" if cell is None else {True: true, False: false}[cell] if type(cell) is bool else str(cell)
                     for cell in cells)
            for cells in zip(*list(rows.values())[:-1], strict=True)
        ]  # fmt: skip
        (tmp_path / "asked" / "rows.csv").write_text("\n".join(["flag,size,color,code", *lines]), encoding="utf-8")
        check_same(data, tmp_path / "asked" / "rows.csv")
    (tmp_path / "asked" / "rows.csv").write_text("flag,size,color,code\nmaybe,1,red,2\n", encoding="utf-8")
    assert predicted(data, tmp_path / "asked" / "rows.csv") == ["column 'flag': 'maybe' is not a number"]


def test_texts_are_cleaned_in_training_as_in_prediction(open_source, tmp_path):
    words = [f' box {i}\r\nis "fine" ' if i % 3 else f"null {i}" for i in range(40)]
    (tmp_path / "rows.jsonl").write_text(
        "".join(json.dumps({"said": word, "label": i % 2}) + "\n" for i, word in enumerate(words)), encoding="utf-8"
    )
    _, data = open_source(tmp_path / "rows.jsonl", target="label", input="said", length=24)
    quoted = "".join('"' + word.replace('"', '""') + '",0\n' for word in words)
    (tmp_path / "asked.csv").write_text("said,label\n" + quoted, encoding="utf-8", newline="")
    check_same(data, tmp_path / "asked.csv")
    (found,) = samples([words[1]], Decoder(data.spec, data.preprocess))
    assert isinstance(found, Sample)
    np.testing.assert_array_equal(found.arrays[0], trained(data)[1])


def save(place, **columns):
    pq.write_table(pa.table({**columns, "label": columns.get("label", LABELS)}), place / "rows.parquet")
    return place / "rows.parquet"


def test_other_types_are_read_or_named(open_source, tmp_path):
    from datetime import datetime
    from decimal import Decimal

    columns = {
        "price": pa.array([Decimal(i) / 8 for i in range(40)], pa.decimal128(10, 3)),
        "half": pa.array(np.arange(40, dtype=np.float16)),
        "color": pa.array([("b", "a")[i // 20] for i in range(40)]).dictionary_encode(),
        "id": pa.array(np.arange(40, dtype=np.uint64) + 2**63),
        "day": pa.array([datetime(2026, 1, 1)] * 40),
        "list": pa.array([[1]] * 40),
        "none": pa.nulls(40),
        "__index_level_0__": pa.array(range(40)),
        "label": pa.array([Decimal(i % 2) for i in range(40)], pa.decimal128(5, 0)),
    }
    source, data = open_source(save(tmp_path, **columns))
    assert [c.name for c in data.spec.fields[0].columns] == ["price", "half", "color", "id"]
    assert data.spec.target.classes == ("0", "1")
    assert trained(data)[9][:3].tolist() == [9 / 8, 9, 2]
    assert source.notes[:4] == [
        "Columns without a value, left out: none.",
        "Columns of other types, left out: day, list.",
        "Column 'id' has values that float32 can't distinguish (40 distinct values become 1): subtract an offset.",
        "The index of pandas, left out: __index_level_0__.",
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1e300, *[1.0] * 39]}, r"'a' is not finite in rows\[0\] \(1e\+300\)"),
        (
            {"a": [str(i) if i % 9 else "<5" for i in range(40)], "b": range(40)},
            "'a' holds numbers, but 5 of 40.*'<5'",
        ),
        ({"a": [f"1,{i:03}" if i % 5 else "NA" for i in range(40)]}, "'a' holds texts that look like numbers.*1,001"),
        ({"a": range(40), "label": ["NA" if i % 4 else "EU" for i in range(40)]}, "Read as missing: NA; if they are"),
        (
            {"a": range(40), "label": [("NA", "EU", "US")[i % 3] for i in range(40)]},
            "14 rows have no 'label' .or NA.: .*If NA is a class: --set source.kind=",
        ),
    ],
)
def test_cells_that_could_mislead_are_refused(columns, message, open_source, tmp_path):
    columns = {name: pa.array(list(cells)) for name, cells in columns.items()}
    with pytest.raises(BadData, match=f"(?s){message}"):
        open_source(save(tmp_path, **columns))


def test_classes_are_spelled_in_one_way(open_source, tmp_path):
    words = [("caf\u00e9", "cafe\u0301", "NA", "none ")[i % 4] for i in range(40)]
    source, data = open_source(save(tmp_path, a=pa.array(range(40)), label=pa.array(words)), kind="class")
    assert data.spec.target.classes == ("café", "NA", "none")
    assert source.notes[0].startswith("Classes with several spellings, merged: 'café'")
    words = [("1", "1.0", "2.00", "2")[i % 4] for i in range(40)]
    _, data = open_source(save(tmp_path, a=pa.array(range(40)), label=pa.array(words)))
    assert data.spec.target.classes == ("1", "2")


def test_rows_are_used_or_skipped_for_a_reason(hf_datasets, save_parts, open_source):
    train = {"said": [f"box {i}" if i % 8 else " " for i in range(40)], "label": [i % 2 for i in range(40)]}
    test = {"said": ["box a", "box b"], "label": [None, None]}
    parts = {"train": (train, None), "test": (test, None), "more": (train, None)}
    place = save_parts("json", parts)
    (place / "notes.md").write_text("x", encoding="utf-8")
    source, data = open_source(place, target="label", input="said", length=8, missing="drop")
    counts = source.counts
    assert counts.skipped == {"without a target": 2, "without a text or image": 5, "in splits that aren't used": 40}
    assert (counts.unit, counts.found, counts.used) == ("rows", 82, 35)
    assert sum(data.sizes().values()) == 35
    assert "Files that aren't read, of another kind: 1 (notes.md)." in source.notes


def test_classes_that_a_split_lacks_are_reported(save_parts, open_source):
    train = {"said": [f"box {i}" for i in range(40)], "label": [("a", "b", "c")[i % 3] for i in range(40)]}
    parts = {"train": (train, None), "test": ({"said": ["x", "y"], "label": ["a", "d"]}, None)}
    source, _ = open_source(save_parts("parquet", parts), length=8)
    assert "Class 'd' has 1 row: none in train and valid." in source.notes
    assert "Class 'c' has 13 rows: none in test." in source.notes


def test_empty_splits_are_not_used(save_parts, open_source):
    train = {"a": [float(i) for i in range(40)], "label": LABELS}
    empty = pa.table({"a": pa.array([], pa.float64()), "label": pa.array([], pa.int64())})
    place = save_parts("parquet", {"train": (train, None)})
    pq.write_table(empty, place / "test.parquet")
    source, data = open_source(place)
    assert "No row of test has a target: not used." in source.notes
    assert sum(data.sizes().values()) == 40
