"""One rule for missing values and classes in tables and texts: what is read as missing, as a class, as a number."""

import numpy as np
import pytest
from PIL import Image

from benchdog.api import BadData
from benchdog.builtin.sources.images.folder import ImageFolder
from benchdog.builtin.sources.options import CsvOptions, ImageFolderOptions, TextOptions
from benchdog.builtin.sources.table.csv import Csv
from benchdog.builtin.sources.texts.text import Text


def write(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def table(place, targets, **options):
    """Return a source of two columns of numbers and a target."""
    draw = np.random.default_rng(0)
    lines = ["a,b,y", *(f"{draw.normal():.4f},{draw.normal():.4f},{target}" for target in targets)]
    return Csv(CsvOptions(path=write(place / "t.csv", lines), **options))


def texts(place, labels, **options):
    """Return a source of labeled texts."""
    lines = ["said,y", *(f"this is text number {i},{label}" for i, label in enumerate(labels))]
    return Text(TextOptions(path=write(place / "said.csv", lines), column="said", label="y", length=24, **options))


def column(place, cells, **options):
    """Return a source of a table with one column of cells."""
    lines = ["a,b,y", *(f"{cell},{i * 37 % 90 / 7},{'uv'[i % 2]}" for i, cell in enumerate(cells))]
    return Csv(CsvOptions(path=write(place / "t.csv", lines), **options))


def kinds(source):
    return {column.name: column.kind for column in source.spec().fields[0].columns}


HALVES = [i / 2 for i in range(60)]


def mixed(word, every=4):
    return [word if i % every == 0 else value for i, value in enumerate(HALVES)]


# --- columns -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [".", "N.A.", "--", "#DIV/0!", "-nan", "<NA>", "NaT", "\\N", "null", "(null)"])
def test_usual_word_in_a_column_of_numbers_is_missing_and_counted(tmp_path, word):
    source = column(tmp_path, mixed(word))
    assert kinds(source)["a"] == "number"
    assert f"Read as missing: 15 of 60 cells of 'a' ({word!r}) (option na_values)." in source.notes
    rows = np.concatenate([split.values for split in source.open().values()])
    assert np.isnan(rows[:, 0]).sum() == 15
    gaps = column(tmp_path, mixed(""))
    np.testing.assert_array_equal(source.open()["test"].values, gaps.open()["test"].values)
    assert not any("missing" in note for note in gaps.notes)


@pytest.mark.parametrize("word", ["unknown", "<5", "*", "12.O", "below"])
@pytest.mark.parametrize("every", [2, 4, 30])
def test_other_words_among_many_numbers_are_refused_at_any_share(tmp_path, word, every):
    with pytest.raises(BadData, match="column 'a' holds numbers, but") as caught:
        column(tmp_path, mixed(word, every)).spec()
    count = f", {60 // every} times"
    assert f"line 2 ({word!r}{count})" in caught.value.message
    assert f'source.na_values=["{word}"]\'' in caught.value.hint
    assert 'source.drop=["a"]\'' in caught.value.hint
    named = column(tmp_path, mixed(word, every), na_values=(word,))
    assert kinds(named)["a"] == "number"
    assert kinds(column(tmp_path, [*mixed(word, every), *mixed(word, every)], categories=("a",)))["a"] == "category"


def test_suggested_words_keep_those_that_the_table_uses(tmp_path):
    cells = [{0: "unknown", 1: "NA"}.get(i, value) for i, value in enumerate(HALVES)]
    with pytest.raises(BadData) as caught:
        column(tmp_path, cells).spec()
    assert '--set \'source.na_values=["na", "unknown"]\'' in caught.value.hint


def test_numbers_that_are_missing_values(tmp_path):
    source = column(tmp_path, mixed("-999.0"), na_values=("-999",))
    assert np.isnan(np.concatenate([split.values for split in source.open().values()])[:, 0]).sum() == 15
    assert source.preprocess(source.spec()).decode["input"][0]["missing"] == ["", "-999"]


def test_named_words_replace_the_usual_ones(tmp_path):
    source = column(tmp_path, ["NA" if i % 3 else "" for i in range(60)], na_values=("unknown",))
    assert source.spec().fields[0].columns[0].categories == ("NA",)


def test_few_different_numbers_with_words_are_categories_with_a_note(tmp_path):
    source = column(tmp_path, ["3+" if i % 4 == 3 else i % 4 for i in range(60)])
    assert kinds(source)["a"] == "category"
    assert "Column 'a': 15 of 60 cells are not numbers (line 5: '3+'); it is treated" in "".join(source.notes)
    rare = column(tmp_path, ["500" if i % 9 == 0 else "civic" for i in range(60)])
    assert kinds(rare)["a"] == "category"
    assert "7 of 60 cells are numbers, the others texts (line 3: 'civic')" in "".join(rare.notes)


@pytest.mark.parametrize(
    ("cells", "what"),
    [
        ([f'"{i},{i * 7:03}"' for i in range(10, 70)], "a thousands separator or a decimal comma, as in '10,070'"),
        ([f'"{i},200,{i * 7:03}"' for i in range(10, 70)], "a thousands separator, as in '10,200,070'"),
        ([f'"{i},200.5"' for i in range(10, 70)], "a thousands separator, as in '10,200.5'"),
        ([f'"{i},5"' for i in range(60)], "a decimal comma"),
        ([f'"1.{i:03},55"' for i in range(60)], "a decimal comma"),
        ([f"1 {i:03}" for i in range(60)], "a thousands separator"),
        ([f"1.{i:03}.000" for i in range(60)], "points as thousands separator"),
        ([f"{i}.5%" for i in range(60)], "a percent sign"),
        ([f'"${i},500"' for i in range(60)], "a currency sign"),
    ],
)
def test_number_in_another_form_is_named(tmp_path, cells, what):
    source = column(tmp_path, cells)
    assert kinds(source) == {"b": "number"}
    assert f"Column 'a' is dropped: its numbers have {what}" in "".join(source.notes)
    with pytest.raises(BadData, match="the target 'y' has") as caught:
        table(tmp_path, cells).spec()
    assert what in caught.value.message
    assert "kind=" in caught.value.hint


def test_few_percentages_are_categories(tmp_path):
    assert kinds(column(tmp_path, [("5%", "10%", "20%")[i % 3] for i in range(60)]))["a"] == "category"
    assert table(tmp_path, [("5%", "10%", "20%")[i % 3] for i in range(60)]).spec().target.classes == (
        "5%", "10%", "20%",
    )  # fmt: skip


def test_spellings_of_a_category_are_one(tmp_path):
    cells = [("1", "1.0", "1.00", "x", "TRUE", "true")[i % 6] for i in range(60)]
    source = column(tmp_path, cells)
    assert source.spec().fields[0].columns[0].categories == ("1", "TRUE", "x")


# --- targets -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [table, texts])
@pytest.mark.parametrize("word", ["NA", "n/a", "null", "NaN", "?"])
def test_word_that_may_be_a_class_is_refused_with_both_remedies(tmp_path, source, word):
    labels = [("EU", word)[i % 2] for i in range(60)]
    with pytest.raises(BadData, match="the target 'y' is missing in 30 of 60 rows: line 3, 5, 7") as caught:
        source(tmp_path, labels).spec()
    assert f"{word!r} (30)" in caught.value.message
    assert 'source.target_missing="drop"' in caught.value.hint
    assert f'If {word} is a class: --set source.kind="class"' in caught.value.hint
    assert set(source(tmp_path, labels, kind="class").spec().target.classes) == {"EU", word}
    dropped = source(
        tmp_path, ["AS" if i % 3 == 0 else label for i, label in enumerate(labels)], target_missing="drop"
    )
    assert dropped.spec().target.classes == ("AS", "EU")
    assert dropped.counts.skipped["without a target"] == 20
    assert dropped.counts.used == sum(map(len, dropped.open().values())) == 40


@pytest.mark.parametrize("source", [table, texts])
@pytest.mark.parametrize("word", ["none", "None", "nil", "-", "unknown"])
def test_word_that_names_a_class_is_one(tmp_path, source, word):
    assert set(source(tmp_path, [("flood", word)[i % 2] for i in range(60)]).spec().target.classes) == {"flood", word}


@pytest.mark.parametrize("source", [table, texts])
def test_named_word_is_a_missing_target(tmp_path, source):
    labels = [("a", "b", "none")[i % 3] for i in range(60)]
    with pytest.raises(BadData, match=r"missing in 20 of 60 .*'none' \(20\)"):
        source(tmp_path, labels, na_values=("none",)).spec()
    found = source(tmp_path, labels, na_values=("none",), target_missing="drop")
    assert found.spec().target.classes == ("a", "b")


@pytest.mark.parametrize("source", [table, texts])
def test_empty_target_is_missing_in_any_kind(tmp_path, source):
    with pytest.raises(BadData, match="missing in 30 of 60") as caught:
        source(tmp_path, [("EU", "")[i % 2] for i in range(60)], kind="class").spec()
    assert "is a class" not in caught.value.hint


@pytest.mark.parametrize("source", [table, texts])
def test_spellings_of_a_class_are_one_with_a_note(tmp_path, source):
    found = source(tmp_path, [("1", "1.0", "0", "0.0")[i % 4] for i in range(60)])
    assert found.spec().target.classes == ("0", "1")
    assert "Classes with several spellings, merged: " in "".join(found.notes)
    names = source(tmp_path, [("caf\u00e9", "cafe\u0301", "bar")[i % 3] for i in range(60)])
    assert names.spec().target.classes == ("bar", "caf\u00e9")
    cases = source(tmp_path, [("Yes", "yes", "no")[i % 3] for i in range(60)])
    assert cases.spec().target.classes == ("no", "Yes", "yes")
    assert "'Yes' and 'yes'" in "".join(cases.notes)


@pytest.mark.parametrize("source", [table, texts])
def test_whole_numbers_taken_as_a_number_or_as_classes_are_noted(tmp_path, source):
    few = source(tmp_path, [i % 12 for i in range(30)])
    assert few.spec().target.kind == "number"
    assert "'y' has 12 distinct integers in 30 rows and is treated as a number; for classes: " in "".join(few.notes)
    asked = source(tmp_path, [i % 12 for i in range(30)], kind="number")
    assert asked.spec().target.kind == "number"
    assert "distinct" not in "".join(asked.notes)
    many = source(tmp_path, [i % 12 for i in range(60)])
    assert many.spec().target.kind == "class"
    assert "'y' has 12 distinct integers and is treated as classes; for regression: " in "".join(many.notes)


@pytest.mark.parametrize("source", [table, texts])
def test_class_that_a_split_lacks_is_noted(tmp_path, source):
    found = source(tmp_path, [*(["a", "b"] * 30), "rare"])
    found.spec()
    assert "Class 'rare' has 1 row: none in valid and test." in found.notes


@pytest.fixture
def labeled_images(tmp_path):
    """Write 30 images with the labels a, b and NA."""
    for i in range(30):
        Image.fromarray(np.full((4, 4), i, np.uint8)).save(tmp_path / f"{i}.png")
    return write(tmp_path / "labels.csv", ["path,label", *(f"{i}.png,{('a', 'b', 'NA')[i % 3]}" for i in range(30))])


def test_word_in_a_file_of_image_labels_is_a_class_unless_named(labeled_images):
    source = ImageFolder(ImageFolderOptions(labels=labeled_images))
    assert source.spec().target.classes == ("a", "b", "NA")
    assert "labels.csv: 'NA' is a class; if it means that there is none: " in "".join(source.notes)
    named = ImageFolder(ImageFolderOptions(labels=labeled_images, na_values=("NA",)))
    assert named.spec().target.classes == ("a", "b")
    assert named.counts is not None
    assert (named.counts.found, named.counts.used) == (30, 20)
    assert named.counts.skipped["without a label"] == 10
    several = ImageFolder(ImageFolderOptions(labels=labeled_images, na_values=("na",), label_separator=";"))
    assert several.spec().target.classes == ("a", "b")
    assert several.counts is not None
    assert several.counts.used == 30


# --- texts ---------------------------------------------------------------------------------------------


def test_words_for_missing_values_are_texts(tmp_path):
    lines = ["said,y", "?,u", "None,v", "null,u", "NA,v", *(f"text {i},{'uv'[i % 2]}" for i in range(30))]
    source = Text(TextOptions(path=write(tmp_path / "a.csv", lines), column="said", label="y", length=8))
    source.spec()
    said = {raw.fields["said"] for split in source.open().values() for raw in map(split.raw, range(len(split)))}
    assert {"?", "None", "null", "NA"} <= said


def test_rows_that_are_used_and_skipped_add_up(tmp_path):
    lines = ["said,y,w", *(f"text {i},{'uv'[i % 2]},{i % 5}" for i in range(30)), ",,", "   ", "text,,1", ""]
    path = write(tmp_path / "a.csv", lines)
    for source in (
        Text(TextOptions(path=path, column="said", label="y", weight="w", length=8, target_missing="drop")),
        Csv(CsvOptions(path=path, target="y", weight="w", target_missing="drop", categories=("said",), group="said")),
    ):
        try:
            source.spec()
        except BadData:  # the table has no feature column: its rows are counted all the same
            assert isinstance(source, Csv)
        assert source.counts is not None
        assert source.counts.found == 33
        assert source.counts.used == 24
        assert source.counts.skipped == {"blank": 2, "of weight 0": 6, "without a target": 1}


@pytest.mark.parametrize("separator", ["^", ":"])
def test_table_of_texts_with_an_unusual_separator(tmp_path, separator):
    lines = [f"said{separator}y", *(f"text, {i}{separator}{'uv'[i % 2]}" for i in range(30))]
    options = {"path": write(tmp_path / "a.csv", lines), "column": "said", "label": "y", "length": 8}
    assert Text(TextOptions(**options, separator=separator)).spec().target.classes == ("u", "v")


def test_table_with_one_column_of_texts_is_a_language_models(tmp_path):
    path = write(tmp_path / "a.csv", ["said", *(f"this is text number {i}" for i in range(40))])
    source = Text(TextOptions(path=path, length=8))
    assert source.spec().target.kind == "next-token"
    with pytest.raises(BadData, match="one column"):
        Text(TextOptions(path=path, column="said", label="y")).spec()
