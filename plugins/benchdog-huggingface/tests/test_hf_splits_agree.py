"""Splits and files that name their classes, columns and types in ways of their own."""

import numpy as np
import pytest

from benchdog.api import BadData

TEXTS = [f"box {i} is {('poor', 'fine')[i % 2]}" for i in range(40)]
FINE = [i % 2 for i in range(40)]


def labels(library, *names):
    return library.Features({"said": library.Value("string"), "label": library.ClassLabel(names=list(names))})


def meanings(data):
    """Return, by split, whether each sample's class is the one that its text means."""
    classes = data.spec.target.classes
    found = {}
    for name, split in data.splits.items():
        raws = [split.split.raw(i) for i in range(len(split))]
        means = {"fine": "pos", "poor": "neg"}
        found[name] = [classes[int(raw.target)] == means[raw.fields["said"].split()[-1]] for raw in raws]
    return found


@pytest.mark.parametrize("form", ["saved", "parquet", "arrow", "folders"])
def test_class_codes_are_translated_by_the_names_of_their_own_split(form, hf_datasets, save_parts, open_source):
    train = {"said": TEXTS[:30], "label": FINE[:30]}
    test = {"said": TEXTS[30:], "label": [1 - fine for fine in FINE[30:]]}
    parts = {"train": (train, labels(hf_datasets, "neg", "pos")), "test": (test, labels(hf_datasets, "pos", "neg"))}
    _, data = open_source(save_parts(form, parts), length=8)
    assert data.spec.target.classes == ("neg", "pos")
    assert len(data.splits["test"]) == 10
    assert all(map(all, meanings(data).values()))


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_files_of_one_split_are_united_by_class_name(form, hf_datasets, save_parts, open_source):
    first = {"said": TEXTS[:20], "label": FINE[:20]}
    second = {"said": [*TEXTS[20:], "box 1 is odd"], "label": [(2, 0)[fine] for fine in FINE[20:]] + [1]}
    parts = {
        "train-00000-of-00002": (first, labels(hf_datasets, "neg", "pos")),
        "train-00001-of-00002": (second, labels(hf_datasets, "pos", "odd", "neg")),
    }
    _, data = open_source(save_parts(form, parts), length=8, valid=0.2, test=0.2)
    assert data.spec.target.classes == ("neg", "pos", "odd")
    raws = [split.split.raw(i) for split in data.splits.values() for i in range(len(split))]
    assert len(raws) == 41
    words = {"poor": 0, "fine": 1, "odd": 2}
    assert all(int(raw.target) == words[raw.fields["said"].split()[-1]] for raw in raws)


def test_classes_that_training_does_not_name_are_refused(hf_datasets, save_parts, open_source):
    train = ({"said": TEXTS, "label": FINE}, labels(hf_datasets, "neg", "pos"))
    test = ({"said": TEXTS[:4], "label": [0, 1, 2, 2]}, labels(hf_datasets, "neg", "pos", "odd"))
    place = save_parts("saved", {"train": train, "test": test})
    with pytest.raises(BadData, match=r"test has 2 rows of 'label' = 'odd', which is not a class.*: neg, pos"):
        open_source(place, length=8)


def test_codes_without_names_are_not_read_by_the_names_of_another_split(hf_datasets, save_parts, open_source):
    train = ({"said": TEXTS, "label": FINE}, labels(hf_datasets, "neg", "pos"))
    place = save_parts("parquet", {"train": train, "test": ({"said": TEXTS, "label": FINE}, None)})
    with pytest.raises(BadData, match=r"plain numbers in test, but class labels \(neg, pos\) in the training data"):
        open_source(place, length=8)


@pytest.mark.parametrize("named", ["train", "test"])
def test_class_names_as_texts_and_as_codes_agree(named, hf_datasets, save_parts, open_source):
    words = {"said": TEXTS, "label": [(" neg", "pos")[fine] for fine in FINE]}
    codes = ({"said": TEXTS, "label": [1 - fine for fine in FINE]}, labels(hf_datasets, "pos", "neg"))
    parts = {"train": codes, "test": (words, None)} if named == "train" else {"train": (words, None), "test": codes}
    _, data = open_source(save_parts("parquet", parts), length=8)
    assert data.spec.target.classes == (("pos", "neg") if named == "train" else ("neg", "pos"))
    assert all(map(all, meanings(data).values()))


@pytest.mark.parametrize("form", ["csv", "json", "parquet", "saved"])
def test_split_of_placeholders_has_no_targets(form, hf_datasets, save_parts, open_source):
    parts = {
        "train": ({"said": TEXTS, "label": FINE}, None),
        "validation": ({"said": TEXTS[:8], "label": FINE[:8]}, None),
        "test": ({"said": TEXTS[:6], "label": [-1] * 6}, None),
    }
    place = save_parts(form, parts)
    source, data = open_source(place, target="label", input="said", length=8)
    assert data.spec.target.classes == ("0", "1")
    assert "No row of test has a target: not used." in source.notes
    assert data.sizes()["train"] + data.sizes()["test"] == 40


def test_placeholders_of_numbers_and_missing_columns_are_no_targets(hf_datasets, save_parts, open_source):
    train = ({"said": TEXTS, "label": [i / 3 for i in range(40)]}, None)
    for test in ({"said": TEXTS[:6], "label": [-1.0] * 6}, {"said": TEXTS[:6]}):
        place = save_parts("json", {"train": train, "test": (test, None)})
        source, data = open_source(place, target="label", input="said", length=8)
        assert data.spec.target.kind == "number"
        assert "No row of test has a target: not used." in source.notes


def test_some_rows_with_a_placeholder_are_refused_or_dropped(hf_datasets, save_parts, open_source):
    test = {"said": TEXTS[:6], "label": [0, 1, -1, 0, 1, -1]}
    place = save_parts("csv", {"train": ({"said": TEXTS, "label": FINE}, None), "test": (test, None)})
    with pytest.raises(BadData, match=r"2 rows have no 'label' \(or -1\).*test\[2\], test\[5\]"):
        open_source(place, target="label", length=8)
    _, data = open_source(place, target="label", length=8, missing="drop")
    assert data.sizes()["test"] == 4
    assert data.spec.target.classes == ("0", "1")


def test_minus_one_in_training_is_a_class_that_is_reported(hf_datasets, save_parts, open_source):
    rows = {"said": TEXTS, "label": [(i % 3) - 1 for i in range(40)]}
    place = save_parts("csv", {"rows": (rows, None)})
    source, data = open_source(place, target="label", length=8)
    assert data.spec.target.classes == ("-1", "0", "1")
    assert "'label' is -1 in 14 training rows" in source.notes[0]
    source, _ = open_source(place, target="label", length=8, kind="class")
    assert not any("-1" in note for note in source.notes)
    source, data = open_source(place, target="label", length=8, missing="drop")
    assert data.spec.target.classes == ("0", "1")
    assert "14 rows have no 'label' (or -1)" in source.notes[0]


def test_signs_are_classes(hf_datasets, save_parts, open_source):
    rows = {"said": TEXTS, "label": [1 - 2 * fine for fine in FINE]}
    source, data = open_source(save_parts("csv", {"rows": (rows, None)}), target="label")
    assert data.spec.target.classes == ("-1", "1")
    assert not any("-1" in note for note in source.notes)


def test_input_classes_are_translated_and_unknown_ones_reported(hf_datasets, save_parts, open_source):
    def features(*names):
        shape = hf_datasets.ClassLabel(names=list(names))
        return hf_datasets.Features(
            {"shape": shape, "size": hf_datasets.Value("int32"), "price": hf_datasets.Value("float32")}
        )

    rows = {"shape": FINE, "size": list(range(40)), "price": [float(fine) for fine in FINE]}
    other = {
        "shape": [1 - fine for fine in FINE[:10]] + [2],
        "size": [0] * 11,
        "price": [*map(float, FINE[:10]), 0.5],
    }
    parts = {"train": (rows, features("round", "long")), "test": (other, features("long", "round", "flat"))}
    source, data = open_source(save_parts("saved", parts), target="price")
    (x,), y = data.splits["test"].batch(range(11))
    assert x[:, [c.name for c in data.spec.fields[0].columns].index("shape")].tolist() == [*(y[:10] + 1), 0]
    assert "test: 'shape' is 'flat' in 1 rows, never in training: read as missing." in source.notes


def test_types_of_numbers_may_differ_between_splits(hf_datasets, save_parts, open_source):
    train = {"a": list(range(40)), "b": [i / 2 for i in range(40)], "label": FINE}
    test = {"a": [0.5, 1.5], "b": [1, 2], "label": [0.0, 1.0]}
    place = save_parts("parquet", {"train": (train, None), "test": (test, None)})
    _, data = open_source(place, kind="class")
    assert data.spec.target.classes == ("0", "1")
    (x,), y = data.splits["test"].batch([0, 1])
    assert x.tolist() == [[0.5, 1.0], [1.5, 2.0]]
    assert y.tolist() == [0, 1]


def test_columns_of_another_kind_or_missing_ones_are_refused(hf_datasets, save_parts, open_source):
    train = {"a": list(range(40)), "label": FINE}
    for test, message in (
        ({"a": ["x", "y"], "label": [0, 1]}, "'a' holds texts in test, but plain numbers in the training data"),
        ({"b": [1, 2], "label": [0, 1]}, "test has no column 'a', which the training data has"),
    ):
        place = save_parts("parquet", {"train": (train, None), "test": (test, None)})
        with pytest.raises(BadData, match=message):
            open_source(place)


def test_codes_beyond_the_names_are_refused(hf_datasets, tmp_path, open_source):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = hf_datasets.Dataset.from_dict({"said": TEXTS, "label": FINE}, features=labels(hf_datasets, "neg", "pos"))
    table = rows.data.table.set_column(1, "label", pa.array(np.arange(40) % 3))
    pq.write_table(table, tmp_path / "rows.parquet")
    with pytest.raises(BadData, match="2"):
        open_source(tmp_path / "rows.parquet", length=8)


def test_names_of_splits_with_slices_or_more_words_are_understood(save_parts, open_source):
    rows = ({"a": [float(i) for i in range(40)], "label": FINE}, None)
    _, data = open_source(save_parts("saved", {"train[:10%]": rows, "test[:50%]": rows}))
    assert data.sizes()["test"] == 40
    _, data = open_source(save_parts("saved", {"train_small": rows, "validation_small": rows}))
    assert data.sizes()["valid"] == 40


def test_missing_targets_of_one_split_leave_the_codes_of_the_others(save_parts, open_source):
    train = {"a": [float(i) for i in range(40)], "label": [bool(i % 2) for i in range(40)]}
    for labels, classes in ((FINE, ("0", "1")), ([bool(fine) for fine in FINE], ("false", "true"))):
        parts = {"train": ({**train, "label": labels}, None), "test": ({**train, "label": [float("nan")] * 40}, None)}
        source, data = open_source(save_parts("parquet", parts))
        assert data.spec.target.classes == classes
        assert "No row of test has a target: not used." in source.notes
