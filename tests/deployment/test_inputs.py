"""What people hand to a model becomes raw samples, or a sentence that says why not."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchdog.api import Column, Field, Preprocess, Raw, Spec, Target
from benchdog.data.decode.decoder import Decoder, default_preprocess
from benchdog.deployment.inputs import Sample, Unreadable, raws, samples
from support import small_artifact

IMAGE = Spec(fields=(Field(kind="image", shape=(3, 6, 6), dtype="uint8"),), target=Target(kind="class"))
TABLE = Spec(
    fields=(
        Field(
            kind="table",
            shape=(3,),
            dtype="float32",
            columns=(
                Column(name="age"),
                Column(name="fare"),
                Column(name="port", kind="category", categories=("Cork", "Rouen")),
            ),
        ),
    ),
    target=Target(kind="class", name="survived"),
)
TEXT = Spec(
    fields=(Field(kind="tokens", shape=(None,), dtype="int64"),),
    target=Target(kind="next-token", classes=tuple("abc \n")),
)
SCAN = Spec(fields=(Field(kind="volume", shape=(1, 2, 2, 2), dtype="int16"),), target=Target(kind="class"))


def arrays(sample: Sample | Unreadable) -> tuple[np.ndarray, ...]:
    assert isinstance(sample, Sample)
    return sample.arrays


def why(sample: Sample | Unreadable) -> str:
    assert isinstance(sample, Unreadable)
    return sample.why


def read(arguments: list[object], spec: Spec, notes: list[str] | None = None) -> list[Sample | Unreadable]:
    return list(
        samples(
            [str(a) for a in arguments],
            Decoder(spec, default_preprocess(spec)),
            (notes if notes is not None else []).append,
        )
    )


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small_artifact.png(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)))
    return path


def test_a_folder_is_read_sorted_and_to_its_depth(tmp_path):
    names = ["b.png", "a/z.png", "a/c.PNG", ".hidden/x.png", ".y.png"]
    for name in names:
        picture(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    found = read([tmp_path], IMAGE)
    assert [Path(s.id).relative_to(tmp_path).as_posix() for s in found] == ["b.png", "a/c.PNG", "a/z.png"]
    assert all(isinstance(s, Sample) and s.arrays[0].shape == (3, 6, 6) for s in found)


def test_files_keep_the_order_they_were_given_in(tmp_path):
    second, first = picture(tmp_path / "2.png"), picture(tmp_path / "1.png")
    assert [s.id for s in read([second, first], IMAGE)] == [str(second), str(first)]
    assert [s.id for s in read([tmp_path / "*.png"], IMAGE)] == [str(first), str(second)]


def test_each_input_that_cannot_be_read_is_told(tmp_path):
    good = picture(tmp_path / "good.png")
    (tmp_path / "torn.png").write_bytes(good.read_bytes()[:60])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    found = read([tmp_path, tmp_path / "gone.png", tmp_path / "nothing", tmp_path / "*.gif"], IMAGE)
    why = {Path(s.id).name: s.why for s in found if isinstance(s, Unreadable)}
    assert [s.id for s in found if isinstance(s, Sample)] == [str(good)]
    assert "the file is empty" in why["empty.png"]
    assert "damaged" in why["torn.png"]
    assert why["gone.png"] == "there is no such file"
    assert "holds no .bmp, .gif" in why["nothing"]
    assert why["*.gif"] == "no file fits this pattern"


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="needs permissions that bind")
def test_a_file_without_permission_is_told(tmp_path):
    path = picture(tmp_path / "a.png")
    path.chmod(0)
    assert [why(s) for s in read([path], IMAGE)] == ["Permission denied"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", ":", "^", " "])
def test_rows_come_from_tables_however_they_are_separated(tmp_path, mark):
    lines = ["name,port,age,fare", "Ann,Cork,3.5,1", "Bob,,,2", "Eve,Oslo,4,1e3"]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines).replace(",", mark) + "\n", encoding="utf-8-sig")
    notes: list[str] = []
    found = read([path], TABLE, notes)
    assert [s.id for s in found] == [f"{path}:{line}" for line in (2, 3, 4)]
    np.testing.assert_array_equal([arrays(s)[0] for s in found], [[3.5, 1, 1], [np.nan, 2, 0], [4, 1000, 0]])
    assert notes == [f"{path}: columns that the model doesn't use: name"]


def test_missing_columns_are_named(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("age,home\n3,x\n", encoding="utf-8")
    (only,) = read([path], TABLE)
    assert why(only) == "it lacks the columns fare, port; it has age, home"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "it is empty"),
        (b"age,fare,port,age\n1,2,Cork,3\n", "it has the columns age twice"),
        (b"age,fare,port\n1,2\n", "the line has 2 values, the header 3"),
        (b"age,fare,port\nold,2,Cork\n", "column 'age': 'old' is not a number"),
        (b"age,fare,port\n1,2,\xff\n", "it is not UTF-8 text"),
        (b'age,fare,port\n1,2,"' + b"x" * 140_000 + b'"\n', "it is not a table"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, said):
    path = tmp_path / "people.csv"
    path.write_bytes(text)
    (only,) = read([path], TABLE)
    assert said in why(only)


def test_a_wrong_row_does_not_stop_the_others(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("age,fare,port\n1,2,Cork\n\n1,2\n3,4,Rouen\n", encoding="utf-8")
    found = read([path], TABLE)
    assert [type(s) for s in found] == [Sample, Unreadable, Sample]
    assert found[1].id == f"{path}:4"


def test_a_picture_is_no_row(tmp_path):
    (only,) = read([picture(tmp_path / "a.png")], TABLE)
    assert "give it a .csv" in why(only)


def test_texts_are_prompts_and_text_files_are_read(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("cab\n", encoding="utf-8")
    found = read(["abc", path, "abz", "a" * 5000], TEXT)
    assert [len(s.arrays[0]) if isinstance(s, Sample) else s.why for s in found] == [
        3,
        4,
        "character 'z' at 2 is not in the vocabulary: the model knows those of its training text, 'abc \\n'",
        5000,
    ]


def test_arrays_are_read_and_pickles_are_not(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(8, dtype=np.int16).reshape(1, 2, 2, 2))
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"x": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(buffer.getvalue())
    good, bad = read([tmp_path], SCAN)
    assert arrays(good)[0].shape == (1, 2, 2, 2)
    assert isinstance(bad, Unreadable)


def test_a_model_of_several_inputs_takes_a_table_of_paths(tmp_path):
    fields = (Field(kind="image", shape=(3, 6, 6), dtype="uint8", name="photo"), *TABLE.fields)
    spec = Spec(fields=fields, target=Target(kind="class"))
    picture(tmp_path / "pictures" / "a.png")
    lines = ["photo,age,fare,port", "pictures/a.png,1,2,Cork", "gone.png,1,2,Cork", ",1,2,Cork"]
    (tmp_path / "all.csv").write_text("\n".join(lines), encoding="utf-8")
    good, gone, empty = read([tmp_path], spec)
    assert [x.shape for x in arrays(good)] == [(3, 6, 6), (3,)]
    assert "there is no such file" in why(gone)
    assert why(empty) == "column 'photo' is empty"


def test_nothing_is_read_ahead(tmp_path):
    first = picture(tmp_path / "1.png")
    stream = raws([str(first), str(tmp_path / "2.png")], IMAGE, default_preprocess(IMAGE))
    assert next(stream).id == str(first)
    picture(tmp_path / "2.png")
    second = next(stream)
    assert isinstance(second, Raw)
    assert second.fields["input"].startswith(b"\x89PNG")


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_table_makes_it_fail(tmp_path, content):
    path = tmp_path / "any.csv"
    path.write_bytes(b"age,fare,port\n" + content)
    for item in samples([str(path)], Decoder(TABLE, default_preprocess(TABLE))):
        assert item.id.startswith(str(path))


def test_a_field_without_operation_is_read_as_an_array(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 6, 6), np.uint8))
    (raw,) = raws([str(tmp_path / "a.npy")], IMAGE, Preprocess(decode={}, transform={}))
    assert isinstance(raw, Raw)
    assert raw.fields["input"].startswith(b"\x93NUMPY")


def test_blanks_before_a_quoted_cell_are_no_part_of_it(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text('age, fare, port\n1, 2, "Cork"\n', encoding="utf-8")
    (only,) = read([path], TABLE)
    assert arrays(only)[0].tolist() == [1, 2, 1]
