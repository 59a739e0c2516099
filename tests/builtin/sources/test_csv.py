from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchdog.api import BadData, BadUsage, Spec
from benchdog.builtin.sources.options import CsvOptions
from benchdog.builtin.sources.table.csv import Csv

Check = Callable[..., Spec]
SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real inputs is not here")


def write(path: Path, lines: list[str], encoding: str = "utf-8") -> Path:
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def table(tmp_path: Path, rows: int = 60, **more: Any) -> Csv:
    """Return numbers with gaps, a category, an id, a constant, and a target of two classes."""
    rng = np.random.default_rng(0)
    lines = ["name,age,town,planet,weight,ill"]
    for i in range(rows):
        age = "NA" if i % 7 == 0 else str(rng.integers(1, 90))
        town = ["Bern", "Rome", '"Paris, France"', ""][i % 4]
        lines.append(f"person {i},{age},{town},earth,{rng.normal(60, 9):.2f},{'yes' if i % 3 else 'no'}")
    return Csv(CsvOptions(path=write(tmp_path / "people.csv", lines), **more))


def test_csv_infers_column_types_and_drops_uninformative_columns(check: Check, tmp_path: Path) -> None:
    source = table(tmp_path)
    spec = check(source)
    assert [(c.name, c.kind) for c in spec.fields[0].columns] == [
        ("age", "number"), ("town", "category"), ("weight", "number"),
    ]  # fmt: skip
    assert spec.fields[0].columns[1].categories == ("Bern", "Paris, France", "Rome")
    assert spec.target.kind == "class"
    assert spec.target.classes == ("no", "yes")
    assert source.preprocess(spec).transform == {"input": [{"op": "table", "missing": ["age"]}]}
    text = "\n".join(source.notes)
    assert "'name' is dropped: its texts are all distinct" in text
    assert "'planet' is dropped: every value is 'earth'" in text
    assert "last column, 'ill'" in text
    raw = source.open()["train"].raw(0)
    assert set(raw.fields["input"]) == {"age", "town", "weight"}
    assert raw.id.startswith("line-")


def test_csv_target_column_by_name(check: Check, tmp_path: Path) -> None:
    with pytest.raises(BadUsage, match=r"no column 'wieght' \(target\)") as caught:
        table(tmp_path, target="wieght").spec()
    assert "'weight'" in caught.value.hint
    with pytest.raises(BadUsage, match="'agee'"):
        table(tmp_path, drop=("agee",)).spec()
    with pytest.raises(BadUsage, match="also named"):
        table(tmp_path, target="age", drop=("age",)).spec()
    spec = check(table(tmp_path, target="weight"))
    assert spec.target.kind == "number"
    assert spec.target.dtype == "float32"
    assert "weight" not in [c.name for c in spec.fields[0].columns]


def test_missing_targets_are_refused_with_lines_or_dropped(check: Check, tmp_path: Path) -> None:
    with pytest.raises(BadData, match="missing in 9 of 60 rows: line 2, 9, 16, 23, 30 and 4 more") as caught:
        table(tmp_path, target="age").spec()
    assert "target_missing" in caught.value.hint
    source = table(tmp_path, target="age", target_missing="drop")
    check(source)
    assert sum(len(split) for split in source.open().values()) == 51
    assert any("9 rows without a target" in note for note in source.notes)
    lines = ["a,b", *(f"{i}," for i in range(5))]
    with pytest.raises(BadData, match="no row has a target"):
        Csv(CsvOptions(path=write(tmp_path / "a.csv", lines), target_missing="drop")).spec()


def number_table(tmp_path: Path, targets: list[Any], **more: Any) -> Csv:
    rng = np.random.default_rng(1)
    lines = ["a,b,y", *(f"{rng.normal():.4f},{rng.normal():.4f},{y}" for y in targets)]
    return Csv(CsvOptions(path=write(tmp_path / "n.csv", lines), **more))


def test_target_kind_is_inferred(tmp_path: Path) -> None:
    few = number_table(tmp_path, [i % 12 for i in range(120)]).spec().target
    assert few.classes == tuple(map(str, range(12)))
    assert number_table(tmp_path, [float(i % 3) for i in range(60)]).spec().target.classes == ("0", "1", "2")
    assert number_table(tmp_path, list(range(60))).spec().target.kind == "number"
    assert number_table(tmp_path, [i % 3 + 0.5 for i in range(60)]).spec().target.kind == "number"
    assert number_table(tmp_path, [i % 12 for i in range(120)], kind="number").spec().target.kind == "number"
    halves = number_table(tmp_path, [i % 3 + 0.5 for i in range(60)], kind="class").spec().target
    assert halves.classes == ("0.5", "1.5", "2.5")


@pytest.mark.parametrize(
    ("targets", "more", "why"),
    [
        ([f"text {i}" for i in range(60)], {}, "60 different values in 60 rows"),
        (["same"] * 60, {}, "1 different values"),
        (["1", "x", *["2"] * 40], {"kind": "number"}, r"not a number in line 3 \(x\)"),
        ([*range(40), "inf"], {}, r"'y' is not finite in line 42 \(inf\)"),
        ([*range(40), "1e99"], {}, "not finite"),
    ],
)
def test_unusable_targets_are_refused(tmp_path: Path, targets: list[Any], more: Any, why: str) -> None:
    with pytest.raises(BadData, match=why):
        number_table(tmp_path, targets, **more).spec()


def test_infinite_cells_are_refused_with_lines(tmp_path: Path) -> None:
    lines = ["a,y", *(f"{i / 7},{i % 2}" for i in range(30)), "-inf,1", "1e200,0"]
    with pytest.raises(BadData, match=r"column 'a' is not finite in line 32 \(-inf\), line 33 \(1e200\)"):
        Csv(CsvOptions(path=write(tmp_path / "a.csv", lines))).spec()


def test_categories_option_and_rare_categories(check: Check, tmp_path: Path) -> None:
    lines = ["code,x,y", *(f"{i % 3},{i / 7:.3f},{i % 2}" for i in range(90)), "77,1.5,0"]
    source = Csv(CsvOptions(path=write(tmp_path / "a.csv", lines), categories=("code",)))
    column = check(source).fields[0].columns[0]
    assert column.kind == "category"
    assert column.categories == ("0", "1", "2")
    (rows,), _ = source.open()["train"].batch(range(len(source.open()["train"])))
    assert set(rows[:, 0]) <= {0, 1, 2, 3}


def test_high_cardinality_text_row_index_and_decimal_commas_are_dropped(check: Check, tmp_path: Path) -> None:
    lines = ["id;word;price;x;y"]
    lines += [f"{i};word {i % 150};{i % 9},5;{(i * 7) % 13};{i % 2}" for i in range(400)]
    source = Csv(CsvOptions(path=write(tmp_path / "a.csv", lines)))
    assert [c.name for c in check(source).fields[0].columns] == ["x"]
    text = "\n".join(source.notes)
    assert "'id' is dropped: it is a row index" in text
    assert "150 different texts, more than 100" in text
    assert "decimal comma" in text


def test_table_without_feature_columns_is_refused(tmp_path: Path) -> None:
    lines = ["a,y", *(f"same,{i % 2}" for i in range(20))]
    with pytest.raises(BadData, match="no feature column") as caught:
        Csv(CsvOptions(path=write(tmp_path / "a.csv", lines))).spec()
    assert "every value is 'same'" in caught.value.hint


def test_target_leakage_is_noted(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    lines = ["a,b,c,twin,y"]
    for i in range(100):
        a, b, c = rng.integers(0, 500, 3)
        total = a + b + (5 if i == 50 else 0)  # one row that differs doesn't hide it
        lines.append(f"{a},{b},{c},{c},{total}")
    source = Csv(CsvOptions(path=write(tmp_path / "a.csv", lines)))
    source.spec()
    text = "\n".join(source.notes)
    assert "'a' + 'b' add up to the target 'y' in 99.0 % of the rows" in text
    assert "'c' and 'twin' are equal in every row" in text
    lines = ["x,same,y", *(f"{rng.normal():.3f},{['no', 'yes'][i % 2]},{i % 2}" for i in range(40))]
    source = Csv(CsvOptions(path=write(tmp_path / "b.csv", lines)))
    source.spec()
    assert any("'same' determines the target 'y'" in note for note in source.notes)


def test_columns_without_target_leakage_are_not_noted(tmp_path: Path) -> None:
    source = table(tmp_path)
    source.spec()
    assert not any("target 'ill' in" in note for note in source.notes)


def test_duplicate_rows_stay_in_one_split(tmp_path: Path) -> None:
    lines = ["a,b,y", *(f"{i % 40}.0,{i % 40 % 7},{i % 40 % 2}" for i in range(60))]
    lines += [f"{i % 40},{i % 40 % 7},{i % 40 % 2}" for i in range(60)]
    source = Csv(CsvOptions(path=write(tmp_path / "a.csv", lines)))
    seen = [{tuple(row) for row in split.values.tolist()} for split in source.open().values()]
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]
    assert any("80 duplicate rows" in note for note in source.notes)


def test_rows_of_a_group_stay_in_one_split(check: Check, tmp_path: Path) -> None:
    lines = ["patient,a,y", *(f"p{i % 15},{i / 7:.3f},{i % 2}" for i in range(120)), ",5.5,1", "NA,6.5,0"]
    source = Csv(CsvOptions(path=write(tmp_path / "a.csv", lines), group="patient"))
    spec = check(source)
    assert [c.name for c in spec.fields[0].columns] == ["a"]
    groups = [{(line - 2) % 15 for line in split.lines if line < 122} for split in source.open().values()]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    lines = ["patient,a,y", *(f"p{i % 2},{i / 7:.3f},{i % 2}" for i in range(40))]
    with pytest.raises(BadData, match="too few distinct values of 'patient'"):
        Csv(CsvOptions(path=write(tmp_path / "b.csv", lines), group="patient")).spec()


@pytest.mark.parametrize("form", ["2024-01-{:02}", "2024-01-{:02}T10:00:00+02:00", "{}"])
def test_time_column_splits_in_order_and_keeps_equal_times_together(check: Check, tmp_path: Path, form: str) -> None:
    days = [1 + i % 20 for i in range(100)]
    lines = ["day,a,y", *(f"{form.format(day)},{day + i / 7:.3f},{i % 2}" for i, day in enumerate(days))]
    source = Csv(CsvOptions(path=write(tmp_path / "a.csv", lines), time="day"))
    spec = check(source)
    assert ("day" in [c.name for c in spec.fields[0].columns]) == (form == "{}")
    found = [{days[line - 2] for line in split.lines} for split in source.open().values()]
    assert found == [set(range(1, 15)), set(range(15, 18)), set(range(18, 21))]


def test_unusable_time_column_is_refused(tmp_path: Path) -> None:
    def times(cells: list[str], **more: Any) -> Csv:
        lines = ["day,a,y", *(f"{cell},{i / 7:.3f},{i % 2}" for i, cell in enumerate(cells))]
        return Csv(CsvOptions(path=write(tmp_path / "a.csv", lines), time="day", **more))

    with pytest.raises(BadData, match=r"'31\.12\.2024' in line 2"):
        times(["31.12.2024"] * 30).spec()
    with pytest.raises(BadData, match="missing in line 3"):
        times(["1", "", *["2"] * 30]).spec()
    with pytest.raises(BadData, match="too few distinct values of 'day'"):
        times(["1"] * 15 + ["2"] * 15).spec()
    with pytest.raises(BadUsage, match="can't both"):
        times(["1"] * 30, group="a").spec()
    with pytest.raises(BadUsage, match="no training data"):
        times([str(i) for i in range(30)], valid=0.5, test=0.5).spec()


def test_classes_missing_from_held_out_splits_are_noted(tmp_path: Path) -> None:
    source = number_table(tmp_path, [*(["a", "b"] * 30), "c"])
    source.spec()
    assert "Class 'c' has 1 row: none in valid and test." in source.notes


def test_table_too_small_to_split_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="too few distinct rows: no row is left for test"):
        number_table(tmp_path, [0.5, 1.5]).spec()


@real
def test_wine_quality_csv(check: Check) -> None:
    source = Csv(CsvOptions(path=SHARED / "wine" / "winequality-white.csv", target="quality"))
    spec = check(source)
    assert len(spec.fields[0].columns) == 11
    assert spec.target.classes == tuple("3456789")
    assert any("937 duplicate rows" in note for note in source.notes)


@real
def test_bike_sharing_csv(check: Check) -> None:
    source = Csv(CsvOptions(path=SHARED / "bikes" / "hour-fixed.csv", target="cnt", time="dteday"))
    check(source, {"train": 12264, "valid": 2616, "test": 2640})
    assert any("'casual' + 'registered' add up to the target 'cnt'" in note for note in source.notes)


def stray_table(tmp_path: Path, cell: str, every: int = 9, **more: Any) -> Csv:
    lines = ["a;b;y", *(f"{i * 37 % 90 / 7};{i % 5 if i % every else cell};{'uv'[i % 2]}" for i in range(90))]
    return Csv(CsvOptions(path=write(tmp_path / "stray.csv", lines), separator=";", **more))


@pytest.mark.parametrize("cell", ["unknown", "10%", "1.2.3"])
def test_stray_text_in_numeric_column_is_noted(check: Check, tmp_path: Path, cell: str) -> None:
    source = stray_table(tmp_path, cell)
    assert check(source).fields[0].columns[1].kind == "category"
    assert f"Column 'b': 10 of 90 cells are not numbers (line 2: {cell!r}); it is treated" in "\n".join(source.notes)
    asked = stray_table(tmp_path, cell, categories=("b",))
    asked.spec()
    assert "not numbers" not in "\n".join(asked.notes)


@pytest.mark.parametrize("cell", ["None", "-", "#N/A", "nil"])
def test_common_missing_value_markers(check: Check, tmp_path: Path, cell: str) -> None:
    source = stray_table(tmp_path, cell)
    spec = check(source)
    assert spec.fields[0].columns[1].kind == "number"
    assert source.preprocess(spec).transform["input"][0]["missing"] == ["b"]


def test_decimal_commas_are_reported(tmp_path: Path) -> None:
    source = stray_table(tmp_path, "1,5")
    source.spec()
    assert "'b' is dropped: its numbers have a decimal comma; use a decimal point." in "\n".join(source.notes)
    with pytest.raises(BadData, match=r"'b' has a decimal comma: 10 of 90 cells are not numbers \(line 2: '1,5'\)"):
        stray_table(tmp_path, "1,5", target="b").spec()
    assert "1,5" in stray_table(tmp_path, "1,5", target="b", kind="class").spec().target.classes


def test_none_can_be_a_class_label(check: Check, tmp_path: Path) -> None:
    words = [("none", "mild", "severe")[i % 3] for i in range(60)]
    assert check(number_table(tmp_path, words)).target.classes == ("mild", "none", "severe")
    mixed = [("none", "1", "2")[i % 3] for i in range(60)]
    assert check(number_table(tmp_path, mixed, kind="class")).target.classes == ("1", "2", "none")
    with pytest.raises(BadData, match="missing in 20 of 60"):
        number_table(tmp_path, mixed).spec()


def test_integer_class_labels_keep_their_spelling(tmp_path: Path) -> None:
    codes = [("007", "7", "12")[i % 3] for i in range(60)]
    assert number_table(tmp_path, codes).spec().target.classes == ("007", "7", "12")
    large = [str(2**53 + i % 2) for i in range(60)]
    assert number_table(tmp_path, large, kind="class").spec().target.classes == (str(2**53), str(2**53 + 1))
    assert number_table(tmp_path, [("-0", "0", "1")[i % 3] for i in range(60)]).spec().target.classes == ("0", "1")


def test_integers_treated_as_classes_are_noted(tmp_path: Path) -> None:
    def has_note(targets: list[Any], **more: Any) -> bool:
        source = number_table(tmp_path, targets, **more)
        source.spec()
        note = "'y' has 7 distinct integers and is treated as classes; for regression: --set source.kind=\"number\""
        return note in source.notes

    seven = [i % 7 for i in range(90)]
    assert has_note(seven)
    assert not has_note(seven, kind="class")
    assert not has_note(seven, kind="number")
    assert not has_note([i % 2 for i in range(90)])


def test_values_beyond_float32_precision_are_noted(tmp_path: Path) -> None:
    lines = ["t,x,y", *(f"{1_700_000_000 + i * 7 % 90},{i * 37 % 90},{i * 53 % 90 / 7}" for i in range(90))]
    file = write(tmp_path / "t.csv", lines)
    source = Csv(CsvOptions(path=file))
    source.spec()
    assert "Column 't' has values that float32 can't distinguish (90 distinct values become" in "\n".join(
        source.notes
    )
    assert "'x'" not in "\n".join(source.notes)
    target = Csv(CsvOptions(path=file, target="t"))
    target.spec()
    assert "'t' has values that float32 can't distinguish (90" in "\n".join(target.notes)


@pytest.mark.parametrize(
    ("cells", "others", "more"),
    [
        (("{i}.5", "{i}.230"), ("{i}.5", "{i}.2300"), {"kind": "number"}),  # the same target in another spelling
        (("{i}.5", "1"), ("{i}.50", "1.0"), {"kind": "class"}),
        (("-0", "{i}.25"), ("0", "{i}.25"), {"kind": "number"}),
        (("{i}.1", "{i}.25"), ("{i}.1000000001", "{i}.25"), {"kind": "number"}),  # float32 holds seven digits
    ],
)
def test_rows_equal_after_parsing_are_in_one_split(
    tmp_path: Path, cells: tuple[str, ...], others: tuple[str, ...], more: dict[str, Any]
) -> None:
    spread = [f"{i % 3}" for i in range(90)]  # every class occurs
    rows = [",".join(cell.format(i=i) for cell in way) for way in (cells, others) for i in range(90)]
    if more["kind"] == "class":
        rows = [row.rsplit(",", 1)[0] + f",{spread[i % 90]}{'.0' * (i >= 90)}" for i, row in enumerate(rows)]
    splits = Csv(CsvOptions(path=write(tmp_path / "twice.csv", ["x,y,z", *_keyed(rows)]), target="z", **more)).open()
    place = {
        int(splits[name].raw(k).id.removeprefix("line-")) - 2: name
        for name in splits
        for k in range(len(splits[name]))
    }
    assert len(set(place.values())) == 3
    assert [place[i] for i in range(90)] == [place[i + 90] for i in range(90)]


def _keyed(rows: list[str]) -> list[str]:
    """Put a column before each row that is the same in both of its writings."""
    return [f"{i % 90},{row}" for i, row in enumerate(rows)]


def test_group_values_are_compared_as_numbers(tmp_path: Path) -> None:
    lines = ["x,g,y"] + [f"{i * 37 % 101}.5,{i % 30}{'.0' * (i >= 60)},{i * 7 % 11}.25" for i in range(120)]
    source = Csv(CsvOptions(path=write(tmp_path / "g.csv", lines), target="y", group="g", kind="number"))
    splits = source.open()
    groups = {
        name: {(int(part.raw(k).id.removeprefix("line-")) - 2) % 30 for k in range(len(part))}
        for name, part in splits.items()
    }
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["valid"]


def test_table_of_sentences_hint_suggests_text_source(tmp_path: Path) -> None:
    lines = [f"that is sentence number {i} of them,{('good', 'bad')[i % 2]}" for i in range(40)]
    path = write(tmp_path / "reviews.csv", ["review,mood", *lines])
    with pytest.raises(BadData, match="no feature column") as caught:
        Csv(CsvOptions(path=path)).open()
    command = f"benchdog train text --data {path} --set source.column=review --set source.label=mood"
    assert caught.value.hint.endswith(command)
