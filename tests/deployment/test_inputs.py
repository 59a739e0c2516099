"""Inputs of predict and serve: raw samples, or the reason why an input can't be read."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchdog.api import Column, Field, Raw, Spec, Target
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


def write_image(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small_artifact.png(np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)))
    return path


def test_folder_is_read_recursively_in_sorted_order(tmp_path):
    names = ["b.png", "a/z.png", "a/c.PNG", ".hidden/x.png", ".y.png"]
    for name in names:
        write_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    found = read([tmp_path], IMAGE)
    assert [Path(s.id).relative_to(tmp_path).as_posix() for s in found] == ["b.png", "a/c.PNG", "a/z.png"]
    assert all(isinstance(s, Sample) and s.arrays[0].shape == (3, 6, 6) for s in found)


def test_files_are_read_in_the_given_order(tmp_path):
    second, first = write_image(tmp_path / "2.png"), write_image(tmp_path / "1.png")
    assert [s.id for s in read([second, first], IMAGE)] == [str(second), str(first)]
    assert [s.id for s in read([tmp_path / "*.png"], IMAGE)] == [str(first), str(second)]


def test_unreadable_inputs_are_reported_with_reasons(tmp_path):
    good = write_image(tmp_path / "good.png")
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
def test_file_without_read_permission_is_reported(tmp_path):
    path = write_image(tmp_path / "a.png")
    path.chmod(0)
    assert [why(s) for s in read([path], IMAGE)] == ["Permission denied"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", ":", "^", " "])
def test_table_rows_with_any_separator(tmp_path, mark):
    lines = ["name,port,age,fare", "Ann,Cork,3.5,1", "Bob,,,2", "Eve,Oslo,4,1e3"]
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines).replace(",", mark) + "\n", encoding="utf-8-sig")
    notes: list[str] = []
    found = read([path], TABLE, notes)
    assert [s.id for s in found] == [f"{path}:{line}" for line in (2, 3, 4)]
    np.testing.assert_array_equal([arrays(s)[0] for s in found], [[3.5, 1, 1], [np.nan, 2, 0], [4, 1000, 0]])
    assert notes == [f"{path}: columns that the model doesn't use: name"]


def test_missing_columns_are_reported(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("age,home\n3,x\n", encoding="utf-8")
    (only,) = read([path], TABLE)
    assert why(only) == "it lacks the columns fare, port; it has age, home"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "it is empty"),
        (b"age,fare,port,age\n1,2,Cork,3\n", "it has the columns age twice"),
        (b"age,fare,port\n1,2\n", "the line has 2 values, the header 3"),
        (b"age,fare,port\nold,2,Cork\n", "column 'age': 'old' is not a number"),
        (b"age,fare,port\n1,2,\xff\n", "it is not UTF-8: byte 0xff in line 2"),
        (b'age,fare,port\n1,2,"Cork\n3,4,Rouen\n', "a quotation mark is not closed in line 2"),
        (b"PAR1\0\0", "it is a Parquet file, not UTF-8 text"),
    ],
)
def test_invalid_table_is_reported(tmp_path, text, message):
    path = tmp_path / "people.csv"
    path.write_bytes(text)
    (only,) = read([path], TABLE)
    assert message in why(only)


def test_invalid_row_does_not_stop_the_others(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("age,fare,port\n1,2,Cork\n\n1,2\n3,4,Rouen\n", encoding="utf-8")
    found = read([path], TABLE)
    assert [type(s) for s in found] == [Sample, Unreadable, Sample]
    assert found[1].id == f"{path}:4"


def test_image_for_a_table_model_is_refused(tmp_path):
    (only,) = read([write_image(tmp_path / "a.png")], TABLE)
    assert "give it a .csv" in why(only)


def test_prompts_and_text_files_are_encoded(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("cab\n", encoding="utf-8")
    found = read(["abc", path, "abz", "a" * 5000], TEXT)
    assert [len(s.arrays[0]) if isinstance(s, Sample) else s.why for s in found] == [
        3,
        4,
        "character 'z' at 2 is not in the vocabulary: the model knows those of its training text, 'abc \\n'",
        5000,
    ]


def test_npy_arrays_are_read_and_pickles_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(8, dtype=np.int16).reshape(1, 2, 2, 2))
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"x": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(buffer.getvalue())
    good, bad = read([tmp_path], SCAN)
    assert arrays(good)[0].shape == (1, 2, 2, 2)
    assert isinstance(bad, Unreadable)


def test_model_with_several_inputs_reads_a_table_of_paths(tmp_path):
    fields = (Field(kind="image", shape=(3, 6, 6), dtype="uint8", name="photo"), *TABLE.fields)
    spec = Spec(fields=fields, target=Target(kind="class"))
    write_image(tmp_path / "images" / "a.png")
    lines = ["photo,age,fare,port", "images/a.png,1,2,Cork", "gone.png,1,2,Cork", ",1,2,Cork"]
    (tmp_path / "all.csv").write_text("\n".join(lines), encoding="utf-8")
    good, gone, empty = read([tmp_path], spec)
    assert [x.shape for x in arrays(good)] == [(3, 6, 6), (3,)]
    assert "there is no such file" in why(gone)
    assert why(empty) == "column 'photo' is empty"


def test_inputs_are_read_lazily(tmp_path):
    first = write_image(tmp_path / "1.png")
    stream = raws([str(first), str(tmp_path / "2.png")], Decoder(IMAGE, default_preprocess(IMAGE)))
    assert next(stream).id == str(first)
    write_image(tmp_path / "2.png")
    second = next(stream)
    assert isinstance(second, Raw)
    assert second.fields["input"].startswith(b"\x89PNG")


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_arbitrary_table_bytes_never_raise(tmp_path, content):
    path = tmp_path / "any.csv"
    path.write_bytes(b"age,fare,port\n" + content)
    for item in samples([str(path)], Decoder(TABLE, default_preprocess(TABLE))):
        assert item.id.startswith(str(path))


def test_spaces_before_a_quoted_cell_are_skipped(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text('age, fare, port\n1, 2, "Cork"\n', encoding="utf-8")
    (only,) = read([path], TABLE)
    assert arrays(only)[0].tolist() == [1, 2, 1]
