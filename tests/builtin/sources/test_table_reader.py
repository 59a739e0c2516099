from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchdog.api import MISSING, BadData, BadUsage, numbers
from benchdog.api import read_table as read


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_table_line_numbers_match_the_file(tmp_path: Path) -> None:
    lines = ["a,b", '"1\n1",x', "", "2,y", *(f"{i},x" for i in range(9))]
    assert read(write(tmp_path / "a.csv", lines)).lines[:3] == [2, 5, 6]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_table_separator_is_detected(tmp_path: Path, mark: str) -> None:
    lines = [mark.join(("a", "b", "c")), *(mark.join((str(i), "x y", "1")) for i in range(5))]
    file = write(tmp_path / "a.csv", lines, "utf-8-sig")
    assert list(read(file).columns) == ["a", "b", "c"]
    assert read(file).columns["a"] == list("01234")


def test_table_separator_option(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", ["a:b", "1:2"])
    assert read(file, ":").columns == {"a": ["1"], "b": ["2"]}
    with pytest.raises(BadData, match="one column"):
        read(file)
    with pytest.raises(BadUsage, match="one character"):
        read(file, "::")
    assert list(read(write(tmp_path / "a.tsv", ["a\tb", "1\t2"]), "tab").columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"a,b\n", "no rows"),
        (b"1,2\n3,4\n", "the first line holds numbers"),
        (b"a,\n1,2\n", "column 2 of 2 has no name"),
        (b"a,a\n1,2\n", "two columns have the name 'a'"),
        (b"a,b\n1,2\n1,2,3\n4\n", "there are 2 columns, but line 3 has 3, line 4 has 1"),
        (b"a,b\n1,\xe9\n", "not UTF-8: byte 0xe9 in line 2"),
        (b"a\0,\0b\0\n\0", "UTF-16 without a byte order mark"),
        (b"a,b\n1,2\n3,\0\n", "line 3 holds a NUL character"),
    ],
)
def test_malformed_table_is_refused(tmp_path: Path, text: bytes, why: str) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(BadData, match=why) as caught:
        read(tmp_path / "a.csv")
    assert "a.csv" in caught.value.message


@given(st.binary(max_size=120))
@settings(deadline=None, max_examples=150)
def test_reading_arbitrary_bytes_returns_a_table_or_raises_bad_data(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_bytes(data)
    try:
        result = read(file)
    except BadData:
        return
    assert len({len(cells) for cells in result.columns.values()}) == 1


@given(st.lists(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.none()), max_size=9))
def test_numbers_are_parsed_from_cells(values: list[float | None]) -> None:
    parsed = numbers(["" if value is None else repr(value) for value in values])
    assert parsed is not None
    assert [None if math.isnan(x) else x for x in parsed] == values
    assert numbers(["1", "1_0"]) is None
    assert numbers(["1", "x"]) is None
    assert all(cell in MISSING for cell in ("", "NA", "nan", "NaN", "?", "N/A", "null"))
