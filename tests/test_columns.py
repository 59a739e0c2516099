"""What a table's columns are taken for, told before anything is spent; what looks like a mistake is refused."""

import numpy as np
import pytest

from inside import run


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
        "t.csv: column 'temp' holds numbers, but 2 of 299 cells are no number: line 5 ('12.O'), line 11 ('9.5 m')."
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
    assert ("'temp' is left out" in told) != bool(code)


def test_few_different_texts_stay_categories(tmp_path):
    write(tmp_path, {i: i % 9 if i else "x" for i in range(300)})
    assert "it is taken as categories" in run("plan", "t.csv", cwd=tmp_path).err


def test_a_typing_error_in_a_target(tmp_path):
    write(tmp_path, {3: "12.O"})
    told = run("plan", "t.csv", "--target", "temp", cwd=tmp_path, code=5).err
    assert "the target 'temp' holds numbers, but 1 of 300 cells is no number" in told
    assert "line 5 ('12.O')" in told
