"""What a table's columns are taken for, told before anything is spent; what looks like a mistake is refused."""

import numpy as np
import pytest

from support.in_process import run


def write(place, cells, rows=300):
    """Write t.csv with a column `temp` of the numbers 0, 0.5, ..., but for some cells; two classes."""
    draw = np.random.default_rng(0)
    lines = ["temp,b,kind"]
    lines += [f"{cells.get(i, i / 2)},{draw.normal():.3f},{'uv'[i % 2]}" for i in range(rows)]
    (place / "t.csv").write_text("\n".join(lines) + "\n")


def test_a_typing_error_is_refused_and_each_remedy_helps(tmp_path):
    write(tmp_path, {3: "12.O", 7: "", 9: "9.5 m"})
    told = run("plan", "t.csv", cwd=tmp_path, code=5).err
    assert (
        "t.csv: column 'temp' holds numbers, but 2 of 299 cells are not a number: line 5 ('12.O'), line 11 ('9.5 m')."
        in told
    )
    assert """--set 'source.drop=["temp"]'""" in told
    run("plan", "t.csv", "--set", 'source.drop=["temp"]', cwd=tmp_path)
    write(tmp_path, {3: "", 7: "", 9: "1.5"})
    assert "columns" not in run("plan", "t.csv", cwd=tmp_path).err


@pytest.mark.parametrize(("count", "code"), [(15, 5), (16, 0)])
def test_from_a_twentieth_on_it_is_no_column_of_numbers(tmp_path, count, code):
    write(tmp_path, {i: f"A{i}" for i in range(count)})
    told = run("plan", "t.csv", cwd=tmp_path, code=code).err
    assert ("holds numbers" in told) == bool(code)
    assert ("'temp' is dropped" in told) != bool(code)


def test_few_different_texts_stay_categories(tmp_path):
    write(tmp_path, {i: i % 9 if i else "x" for i in range(300)})
    assert "it is treated as categorical" in run("plan", "t.csv", cwd=tmp_path).err


def test_a_typing_error_in_a_target(tmp_path):
    write(tmp_path, {3: "12.O"})
    told = run("plan", "t.csv", "--target", "temp", cwd=tmp_path, code=5).err
    assert "the target 'temp' holds numbers, but 1 of 300 cells is not a number" in told
    assert "line 5 ('12.O')" in told


def plan(place, *more):
    """Give the line that `plan` has about a table's columns."""
    lines = run("plan", "t.csv", "--json", *more, cwd=place).json["lines"]
    return next((line["found"] for line in lines if line["what"] == "columns"), None)


def test_the_plan_says_what_each_column_is_taken_for(tmp_path):
    lines = ["name,planet,age,town,kind", *(f"p{i},earth,{i * i},{'abc'[i % 3]},{'uv'[i % 2]}" for i in range(60))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    assert plan(tmp_path) == (
        "1 number: age; 1 category: town (3); 2 left out: name (its texts are all distinct, like an id), "
        "planet (every value is 'earth')"
    )
    told = plan(tmp_path, "--set", 'source.drop=["planet"]', "--set", "source.group=name")
    assert told == "1 number: age; 1 category: town (3); 2 left out: name (option group), planet (option drop)"
    assert "columns       1 number: age; 1 category" in run("plan", "t.csv", cwd=tmp_path).out


def test_a_hundred_columns_stay_one_line(tmp_path):
    draw = np.random.default_rng(0)
    names = [f"a-name-of-a-column-that-is-long-{i}" for i in range(100)]
    lines = [",".join([*names, *"xyzq", "kind"])]
    for i in range(60):
        lines.append(",".join([*(f"{x:.3f}" for x in draw.normal(size=100)), "1", "1", "1", "1", "uv"[i % 2]]))
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    told = plan(tmp_path)
    assert told.startswith("100 numbers: a-name-of-a-column-th..., ")
    assert " and 94 more; 4 left out: x (every value is 1), " in told
    assert told.endswith(" and 1 more")
    assert len(told) < 300


def test_images_have_no_columns(tmp_path):
    lines = run("plan", "digits", "--json", cwd=tmp_path).json["lines"]
    assert "columns" not in [line["what"] for line in lines]
