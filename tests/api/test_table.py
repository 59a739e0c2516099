from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchdog.api import MISSING, BadData, BadUsage, numbers
from benchdog.api import read_table as read
from benchdog.api.reading import text


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


def test_endless_line_is_refused_before_it_is_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_LINE", text.CHUNK)
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n3," + b"4" * 3 * text.CHUNK)
    with pytest.raises(BadData, match="line 3 has over"):
        read(tmp_path / "a.csv")


def test_table_separator_option(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", ["a:b", "1:2"])
    assert read(file, ":").columns == {"a": ["1"], "b": ["2"]}
    with pytest.raises(BadData, match="one column"):
        read(file)
    with pytest.raises(BadUsage, match="one character"):
        read(file, "::")
    assert list(read(write(tmp_path / "a.tsv", ["a\tb", "1\t2"]), "tab").columns) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "why"),
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
def test_malformed_table_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)
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


# --- what people's files begin with, and what they hold besides rows ----------------------------------

ROWS = [f"{i},{i * 7 % 11},{'uv'[i % 2]}" for i in range(12)]


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        (["sep=;", "a;b;y", *(row.replace(",", ";") for row in ROWS)], ""),
        (['"sep=,"', "a,b,y", *ROWS], ""),
        (["# exported 2024", "# by a tool", "a,b,y", *ROWS], "2 lines that begin with # are skipped"),
        (["", "# exported", "", "a,b,y", *ROWS], "1 line that begins with # is skipped"),
        (
            [",a,b,y", *(f"{i},{row}" for i, row in enumerate(ROWS))],
            "the first column has no name and numbers the rows",
        ),
        ([",a,b,y", *(f"{i * 5 % 13},{row}" for i, row in enumerate(ROWS))], "numbers the rows: dropped"),
        (["a,b,y,", *(f"{row}," for row in ROWS)], "column 4 has no name and no values: dropped"),
        (["a,b,y,,", *ROWS], "column 5 has no name and no values"),
        (["a,b,y", *(f"{row},,," for row in ROWS)], ""),
        (["a, b, y", *ROWS[:5], ",,", "   ", *ROWS[5:]], ""),
        (["a,b,y", *(f"{row[:-1]}{'x' * 140_000 if i == 3 else row[-1]}" for i, row in enumerate(ROWS))], ""),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_table_with_other_things_around_its_rows(tmp_path: Path, lines: list[str], note: str) -> None:
    table = read(write(tmp_path / "a.csv", lines))
    assert list(table.columns) == ["a", "b", "y"]
    assert table.columns["a"] == [str(i) for i in range(12)]
    assert [len(cells) for cells in table.columns.values()] == [12] * 3
    assert note in "".join(table.notes)
    assert bool(note) == bool(table.notes)
    counts = table.counts
    assert counts.found == counts.used + sum(counts.skipped.values())
    assert counts.skipped == {"blank": lines.count(",,") + lines.count("   ")}


def test_header_after_a_comment_sign_is_kept(tmp_path: Path) -> None:
    assert list(read(write(tmp_path / "a.csv", ["#id,y", "1,u", "2,v"])).columns) == ["#id", "y"]
    saved = write(tmp_path / "b.csv", ["# a,b", "1.0e+00,2.0e+00", "3.0e+00,4.0e+00"])
    assert read(saved).columns == {"# a": ["1.0e+00", "3.0e+00"], "b": ["2.0e+00", "4.0e+00"]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_give_equal_tables(tmp_path: Path, encoding: str, end: str) -> None:
    text = end.join(["größe,y", f'"1{end}2",u', "3,é", ""])
    (tmp_path / "a.csv").write_bytes(text.encode(encoding))
    table = read(tmp_path / "a.csv")
    assert table.columns == {"größe": ["1\n2", "3"], "y": ["u", "é"]}
    assert table.lines == [2, 4]


def test_decomposed_characters_in_a_header_are_composed(tmp_path: Path) -> None:
    assert list(read(write(tmp_path / "a.csv", ["gro\u0308\u00dfe,y", "1,2"])).columns) == ["gr\u00f6\u00dfe", "y"]


def test_columns_aligned_by_spaces(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", ["a   b y", "1   2 u", "10 20 v", "  3   4   w "])
    with pytest.raises(BadData, match="aligned by spaces") as caught:
        read(file)
    assert caught.value.hint.endswith("--set source.separator=spaces")
    assert read(file, "spaces").columns == {"a": ["1", "10", "3"], "b": ["2", "20", "4"], "y": ["u", "v", "w"]}
    assert read(file, " ").columns["b"] == ["2", "20", "4"]


@pytest.mark.parametrize(
    ("data", "why", "hint"),
    [
        (b"PK\x03\x04...xl/workbook.xml", "is an Excel workbook", "CSV UTF-8"),
        (b"PK\x03\x04...", "is a zip archive", "Unpack"),
        (b"PAR1\x15\x04", "is a Parquet file", "source hf"),
        (b"\x1f\x8b\x08", "is compressed with gzip", "gunzip"),
        (b"SQLite format 3\0", "is an SQLite database", "sqlite3"),
        (b"%PDF-1.7", "is a PDF", "Save"),
        (b"<!DOCTYPE html><table>", "holds HTML", "read_html"),
        (b'[{"a": 1, "b": 2}]', "holds JSON", "read_json"),
        (b'{"a": 1, "b": 2}\n{"a": 3, "b": 4}\n', "holds JSON", "read_json"),
        (b",a,y\nx,1,2\nx,3,4\n", "column 1 of 3 has no name", "index=False"),
        (b"a,b\n0,1,2\n1,3,4\n", "there are 2 columns, but line 2 has 3", "begin with an index"),
        (b"sep=;\n", "is empty", "column names"),
    ],
)
def test_file_of_another_kind_is_named(tmp_path: Path, data: bytes, why: str, hint: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(BadData, match=why) as caught:
        read(tmp_path / "a.csv")
    assert hint in caught.value.hint


def test_folder_or_missing_file_instead_of_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="is a folder"):
        read(tmp_path)
    with pytest.raises(BadData, match="doesn't exist"):
        read(tmp_path / "none.csv")


# --- quotation marks ---------------------------------------------------------------------------------

OPEN = ["said\ty", *(f"text {i}\tu" for i in range(9)), '"open\tv', *(f"t {i}\tu" for i in range(9)), '"again\tv']


def test_unclosed_quotation_marks_in_a_table_of_tabs_are_text(tmp_path: Path) -> None:
    table = read(write(tmp_path / "a.tsv", OPEN))
    assert len(table.lines) == 20
    assert table.literal
    assert table.columns["said"][9] == '"open'
    assert table.notes == (
        "a.tsv: a quotation mark is not closed in line 11; all quotation marks are read as text (option quote).",
    )
    assert len(read(write(tmp_path / "b.tsv", OPEN[:-1])).lines) == 19


@pytest.mark.parametrize(
    "lines",
    [
        ["a,y", "1,u", '"2,v', "3,w"],
        ["a,y", '"1,u', "2,v", '"3" x,w'],
        ["a,b,y", "1,2,u", '"3,4,v', "5,6,w", '7",8,x', "9,0,u"],
        ["a\ty", '"1\tu', "2\tv", '"3\tw\tz'],
    ],
)
def test_unclosed_quotation_mark_is_refused_rather_than_swallowing_rows(tmp_path: Path, lines: list[str]) -> None:
    file = write(tmp_path / "a.csv", lines)
    with pytest.raises(BadData, match="a quotation mark is not closed") as caught:
        read(file)
    assert "--set source.quote=none" in caught.value.hint


def test_quote_option(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", ["a,y", '"1",u', '"2,v', '3",w'])
    assert read(file, quote="none").columns == {"a": ['"1"', '"2', '3"'], "y": ["u", "v", "w"]}
    assert read(file, quote="double").columns == {"a": ["1", "2,v\n3"], "y": ["u", "w"]}


def test_quoted_cells_over_several_lines_are_cells(tmp_path: Path) -> None:
    lines = ["said,y", '"Dear Sir, hello', 'regards",u', '"a ""word""', "b", "c, d", 'e" ,v']
    table = read(write(tmp_path / "a.csv", lines))
    assert table.columns["said"] == ["Dear Sir, hello\nregards", 'a "word"\nb\nc, d\ne']
    assert not table.notes
    loose = read(write(tmp_path / "b.csv", ["said,y", '"Great" film,u', "bad,v"]))
    assert loose.columns["said"] == ["Great film", "bad"]
    assert loose.notes == (
        "b.csv: text follows a closing quotation mark in line 2; the marks are dropped (option quote).",
    )
