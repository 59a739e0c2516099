"""Cells and classes: words for missing values, numbers, spellings, notes on classes."""

import pytest

from benchdog.api import (
    MISSING,
    NA_WORDS,
    MissingWords,
    category_key,
    class_names,
    class_spellings,
    lacking_notes,
    number,
    numbers,
    spelling,
    spelling_notes,
)


def test_words_for_missing_values_in_any_case():
    assert all(word.upper() in MISSING for word in NA_WORDS)
    assert "" in MISSING
    assert not any(word in MISSING for word in ("0", "unknown", "north", "nah"))
    named = MissingWords(["Unknown", "-999"])
    assert all(word in named for word in ("", "UNKNOWN", "-999", "-999.0", "-999.00"))
    assert not any(word in named for word in ("NA", "none", "-99"))
    assert (named.named, MISSING.named) == (True, False)


@pytest.mark.parametrize(
    ("cell", "value"),
    [("1", 1), (" 1.5 ", 1.5), ("1e3", 1000), ("inf", float("inf")), ("9" * 5000, float("inf")), ("-.5", -0.5)]
    + [(cell, None) for cell in ("", "nan", "-nan", "1_000", "1,5", "x", "0x1f", "1 2")],
)
def test_number_of_a_cell(cell, value):
    assert number(cell) == value


def test_column_of_numbers_with_missing_words():
    assert str(numbers(["1", "-999", "2"], MissingWords(["-999.0"]))) == "[1.0, nan, 2.0]"
    assert numbers(["1", "unknown"]) is None
    assert numbers(["nan", "1"], MissingWords([])) is None


@pytest.mark.parametrize(
    ("cell", "one"),
    [
        ("1.0", "1"), ("1.", "1"), ("+1", "1"), ("1.50", "1.5"), ("-0.0", "0"), (".5", "0.5"), ("0.00", "0"),
        ("1.000000000000000000e+00", "1"), ("2.5e-01", "0.25"), ("1e+16", "10000000000000000"),
        ("007", "007"), ("1E5", "1E5"), ("12a", "12a"), ("1e+99", "1e+99"), (".", "."), ("1.2.0", "1.2.0"),
        ("9007199254740993.0", "9007199254740993"), ("9" * 5000, "9" * 5000), ("cafe\u0301", "caf\u00e9"),
    ],
)  # fmt: skip
def test_spelling(cell, one):
    assert spelling(cell) == one
    assert spelling(one) == one


def test_category_key_ignores_the_case_of_booleans_only():
    assert category_key("TRUE") == category_key("true") == category_key("True")
    assert category_key("Red") != category_key("red")


def test_class_names_have_one_spelling_each():
    assert class_names(["1.0", "0", "10", "1", "2.50"]) == ("0", "1", "2.5", "10")
    assert class_names(["1e3", "20"]) == ("20", "1000")
    assert class_names(["1E3", "20", "x"]) == ("1E3", "20", "x")
    assert class_names(["007", "7", "7.0"]) == ("007", "7")
    assert class_names(["0e999999999", "1"]) == ("0e999999999", "1")
    assert class_names([str(2**53), str(2**53 + 1)]) == (str(2**53), str(2**53 + 1))


def test_notes_on_spellings():
    (merged,) = spelling_notes(class_spellings(["cafe\u0301", "caf\u00e9", "1.0", "1"]))
    assert "several spellings" in merged
    assert r"('cafe\u0301', 'caf\xe9')" in merged
    assert "'1' ('1', '1.0')" in merged
    (case,) = spelling_notes(class_spellings(["Yes", "yes", "no"]))
    assert "differ only in case or spaces, kept separate: 'Yes' and 'yes'" in case
    assert spelling_notes(class_spellings(["0.0", "1.0"])) == []


def test_notes_on_classes_that_a_split_lacks():
    counts = {"train": [4, 1, 0], "valid": [1, 0, 1], "test": [1, 0, 1]}
    assert lacking_notes("abc", counts) == [
        "Class 'b' has 1 row: none in valid and test.",
        "Class 'c' has 2 rows: none in train.",
    ]
    many = lacking_notes(
        [str(i) for i in range(50)], {"train": [1] * 50, "test": [0] * 50}, what="Label", unit="file"
    )
    assert len(many) == 6
    assert many[0] == "Label '0' has 1 file: none in test."
    assert many[-1] == "45 more are missing in a split."
