"""Rows from Python and JSON: a cell has the value of the same cell in a file, or is refused as it is."""

import math
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from benchdog.api import BadData, BadUsage, Column, Field, Preprocess, Raw, Spec, Target
from benchdog.data.decode.decoder import Decoder

COLUMNS = (
    Column(name="size"),
    Column(name="rooms", kind="category", categories=("1", "2", "2.5")),
    Column(name="new", kind="category", categories=("False", "True")),
    Column(name="town", kind="category", categories=("Köln", "Rome")),
)
SPEC = Spec(
    fields=(Field(kind="table", shape=(4,), dtype="float32", columns=COLUMNS),),
    target=Target(kind="class", classes=("a", "b")),
)


def decoder(**parameters):
    columns = [{"name": c.name, "kind": c.kind, "categories": list(c.categories)} for c in COLUMNS]
    op = {"op": "row", "columns": columns, "missing": ["", "na", "-999"], "canonical": True, **parameters}
    return Decoder(SPEC, Preprocess(decode={"input": [op]}, transform={}))


def decode(name, cell, **parameters):
    """Decode a row with one cell."""
    row = dict.fromkeys((c.name for c in COLUMNS), None) | {name: cell}
    place = [c.name for c in COLUMNS].index(name)
    return float(decoder(**parameters)(Raw(id="x", fields={"input": row}))[0][place])


@pytest.mark.parametrize(
    "cell", ["1", "1.0", " 1 ", "1.00", 1, 1.0, np.int64(1), np.float32(1), Decimal("1.0"), np.array(1)]
)
def test_category_that_is_a_number_has_one_code(cell):
    assert decode("rooms", cell) == 1


@pytest.mark.parametrize("cell", ["2.5", "2.50", 2.5, np.float32(2.5), Decimal("2.50")])
def test_category_that_is_a_fraction_has_one_code(cell):
    assert decode("rooms", cell) == 3


@pytest.mark.parametrize("cell", ["True", "true", "TRUE", True, np.True_])
def test_category_that_is_a_boolean_has_one_code(cell):
    assert decode("new", cell) == 2


def test_category_in_decomposed_characters_has_one_code():
    assert decode("town", "Ko\u0308ln") == decode("town", np.str_("K\u00f6ln")) == 1
    assert decode("town", "Paris") == 0


@pytest.mark.parametrize("cell", ["0.1", 0.1, np.float32(0.1), np.float64(0.1), Decimal("0.1"), Fraction(1, 10)])
def test_number_of_any_type(cell):
    assert decode("size", cell) == np.float32(0.1)


NA = type("NAType", (), {"__ne__": lambda self, other: self, "__bool__": lambda self: 1 / 0})()


@pytest.mark.parametrize(
    "cell", [None, "", "  ", "NA", "-999", "-999.0", -999, -999.0, np.int16(-999), math.nan, np.float32("nan"), NA,
             Decimal("nan"), np.datetime64("NaT")]
)  # fmt: skip
def test_missing_cell_of_any_type(cell):
    assert math.isnan(decode("size", cell))
    assert decode("rooms", cell) == 0


@pytest.mark.parametrize("cell", [True, False, np.True_, "true", "nan", "1_0", [1], {"a": 1}, b"1", np.arange(2), 1j])
def test_cell_that_is_no_number_is_refused(cell):
    with pytest.raises(BadData, match=r"column 'size': .* is not a number"):
        decode("size", cell)


@pytest.mark.parametrize("cell", [pytest.param(10**5000, id="huge"), "9" * 5000, 1e300, math.inf])
def test_number_too_large_is_refused_in_a_short_sentence(cell):
    with pytest.raises(BadData, match="is not a finite number") as caught:
        decode("size", cell)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("cell", [[1], {"a": 1}, b"1", pytest.param(10**5000, id="huge")])
def test_cell_that_is_no_category_is_refused(cell):
    with pytest.raises(BadData, match="column 'rooms': "):
        decode("rooms", cell)


def test_boolean_column_of_numbers_takes_true_and_its_words():
    for cell in (True, np.True_, "true", "True", "1", 1):
        assert decode("size", cell, booleans=["size"]) == 1
    assert decode("size", "FALSE", booleans=["size"]) == 0
    with pytest.raises(BadData, match="'yes' is not a number"):
        decode("size", "yes", booleans=["size"])


def test_operation_of_an_older_artifact_reads_cells_as_it_did():
    assert decode("size", True, canonical=False) == 1
    assert decode("rooms", "1.0", canonical=False) == 0
    assert decode("rooms", 1.0, canonical=False) == 1
    assert decode("size", -999, canonical=False) == -999
    assert math.isnan(decode("size", "na", canonical=False))


@pytest.mark.parametrize("wrong", [{"canonical": 1}, {"booleans": "size"}, {"quote": "x"}])
def test_invalid_parameter_is_refused(wrong):
    with pytest.raises(BadUsage, match=next(iter(wrong))):
        decoder(**wrong)


def test_row_that_is_no_mapping_is_refused():
    with pytest.raises(BadData, match="must map columns"):
        decoder()(Raw(id="x", fields={"input": SimpleNamespace(size=1)}))
