"""Inferred column types of a table: reported by `plan`; likely typos are refused."""

import numpy as np
import pytest

from support.in_process import run


def write(place, cells, rows=300):
    """Write t.csv with a column `temp` of the numbers 0, 0.5, ..., but for some cells; two classes."""
    draw = np.random.default_rng(0)
    lines = ["temp,b,kind"]
    lines += [f"{cells.get(i, i / 2)},{draw.normal():.3f},{'uv'[i % 2]}" for i in range(rows)]
    (place / "t.csv").write_text("\n".join(lines) + "\n")


def test_typo_in_numeric_column_is_refused_with_working_fixes(tmp_path):
    write(tmp_path, {3: "12.O", 7: "", 9: "9.5 m"})
    stderr = run("plan", "t.csv", cwd=tmp_path, code=5).err
    assert (
        "t.csv: column 'temp' holds numbers, but 2 of 299 cells are not a number: line 5 ('12.O'), line 11 ('9.5 m')."
        in stderr
    )
    assert """--set 'source.drop=["temp"]'""" in stderr
    run("plan", "t.csv", "--set", 'source.drop=["temp"]', cwd=tmp_path)
    write(tmp_path, {3: "", 7: "", 9: "1.5"})
    assert "columns" not in run("plan", "t.csv", cwd=tmp_path).err


@pytest.mark.parametrize(("count", "code"), [(20, 5), (21, 0)])
def test_column_with_more_than_20_different_texts_is_not_numeric(tmp_path, count, code):
    write(tmp_path, {i: f"A{i}" for i in range(count)})
    stderr = run("plan", "t.csv", cwd=tmp_path, code=code).err
    assert ("holds numbers" in stderr) == bool(code)
    assert ("'temp' is dropped" in stderr) != bool(code)


def test_few_distinct_texts_are_categorical(tmp_path):
    write(tmp_path, {i: i % 9 if i else "x" for i in range(300)})
    assert "it is treated as categorical" in run("plan", "t.csv", cwd=tmp_path).err


def test_typo_in_numeric_target_is_refused(tmp_path):
    write(tmp_path, {3: "12.O"})
    stderr = run("plan", "t.csv", "--target", "temp", cwd=tmp_path, code=5).err
    assert "the target 'temp' holds numbers, but 1 of 300 cells is not a number" in stderr
    assert "line 5 ('12.O')" in stderr


def plan(place, *more):
    """Return the line of `plan` about a table's columns."""
    lines = run("plan", "t.csv", "--json", *more, cwd=place).json["lines"]
    return next((line["found"] for line in lines if line["what"] == "columns"), None)


def test_plan_reports_column_types_and_dropped_columns(tmp_path):
    lines = ["name,planet,age,town,kind", *(f"p{i},earth,{i * i},{'abc'[i % 3]},{'uv'[i % 2]}" for i in range(60))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert plan(tmp_path) == (
        "1 number: age; 1 category: town (3); 2 left out: name (its texts are all distinct, like an id), "
        "planet (every value is 'earth')"
    )
    line = plan(tmp_path, "--set", 'source.drop=["planet"]', "--set", "source.group=name")
    assert line == "1 number: age; 1 category: town (3); 2 left out: name (option group), planet (option drop)"
    assert "columns       1 number: age; 1 category" in run("plan", "t.csv", cwd=tmp_path).out


def test_plan_reports_a_hundred_columns_in_one_line(tmp_path):
    draw = np.random.default_rng(0)
    names = [f"a-name-of-a-column-that-is-long-{i}" for i in range(100)]
    lines = [",".join([*names, *"xyzq", "kind"])]
    for i in range(60):
        lines.append(",".join([*(f"{x:.3f}" for x in draw.normal(size=100)), "1", "1", "1", "1", "uv"[i % 2]]))
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    line = plan(tmp_path)
    assert line.startswith("100 numbers: a-name-of-a-column-th..., ")
    assert " and 94 more; 4 left out: x (every value is 1), " in line
    assert line.endswith(" and 1 more")
    assert len(line) < 300


def test_plan_of_images_has_no_columns_line(tmp_path):
    lines = run("plan", "digits", "--json", cwd=tmp_path).json["lines"]
    assert "columns" not in [line["what"] for line in lines]
