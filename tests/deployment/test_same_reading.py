"""Training and prediction read the same bytes as the same values: random tables and texts through both."""

import csv
import io
import random
from typing import Any

import numpy as np
import pytest

from benchdog.api import BadData, Raw
from benchdog.builtin.sources.options import CsvOptions, TextOptions
from benchdog.builtin.sources.table.csv import Csv
from benchdog.builtin.sources.texts.text import Text
from benchdog.data.decode.decoder import Decoder
from benchdog.deployment.inputs import Sample, samples

NUMBERS = (
    "1",
    "1.0",
    " 2 ",
    "3e2",
    "-0",
    ".5",
    "+7",
    "1.25",
    "9.99",
    "4",
    "0.1",
    "NA",
    ".",
    "",
    "-",
    "#DIV/0!",
    "nan",
)
CATEGORIES = (
    "red", " red", "Blue", "1", "1.0", "2", "true", "TRUE", "cafe\u0301", "caf\u00e9", "none", "", 'a "b" c', "x, y",
    "two\nlines", "\u00a0pad\u00a0", "7;8", "it's", "tab\there",
)  # fmt: skip
TEXTS = (
    "good", " padded  ", "two\nlines", 'a "quoted" word', "caf\u00e9", "?", "None", "x, y; z", "line\rend",
    "\u2028sep",
    "\u00a0hard\u00a0", '"', "0", "emoji \U0001f600", "#first", "end\n",
)  # fmt: skip
ENDS = ("\n", "\r\n", "\r")


def table_bytes(draw, rows):
    """Write rows as some program would: separator, line ends, quoting, byte order mark, blank rows, extra cells."""
    mark, end = draw.choice(",;\t|"), draw.choice(ENDS)
    out = io.StringIO()
    writer = csv.writer(
        out, delimiter=mark, lineterminator="\r\n", quoting=draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    )
    for row in rows:
        writer.writerow([*row, *[""] * (draw.random() < 0.1 and row is not rows[0])])
        if draw.random() < 0.1:
            out.write(draw.choice(["\n", "  \n", mark * (len(row) - 1) + "\n", f" {mark} \n"]).replace("\n", "\r\n"))
    text = draw.choice(["", "", f"sep={mark}\n", "# exported\n"]) + out.getvalue().replace("\r\n", "\n")
    return text.replace("\n", end).encode(draw.choice(["utf-8", "utf-8-sig", "utf-16"]))


def predicted(path, source):
    """Return what `predict` decodes of a file, by line, and what it can't read."""
    spec = source.spec()
    found = list(samples([str(path)], Decoder(spec, source.preprocess(spec))))
    good = {int(item.id.rpartition(":")[2]): item.arrays for item in found if isinstance(item, Sample)}
    return good, [item for item in found if not isinstance(item, Sample)]


def trained(source):
    """Return what a run trains on, by line."""
    found = {}
    for split in source.open().values():
        (inputs,) = split.whole()[0]
        for i in range(len(split)):
            found[int(split.id(i).removeprefix("line-"))] = inputs[i]
    return found


def check_equal(path, source):
    training, (prediction, unreadable) = trained(source), predicted(path, source)
    assert unreadable == []
    assert training.keys() == prediction.keys()
    for line, values in training.items():
        np.testing.assert_array_equal(values, prediction[line][0], err_msg=f"line {line}")


@pytest.mark.parametrize("seed", range(25))
def test_random_table_is_read_equally_by_training_and_prediction(tmp_path, seed):
    draw = random.Random(seed)
    rows = [["size ", "k\u00fchl", "line\nbreak", "y"]]
    rows += [
        [draw.choice(NUMBERS), draw.choice(CATEGORIES), f"{draw.gauss(0, 1):.3f}", draw.choice(["u", "v", "none"])]
        for _ in range(60)
    ]
    path = tmp_path / "t.csv"
    path.write_bytes(table_bytes(draw, rows))
    words: Any = {} if draw.random() < 0.7 else {"na_values": ("NA", "-", ".", "nan", "#div/0!", "4.0", "red")}
    source = Csv(CsvOptions(path=path, target="y", target_missing="drop", **words))
    check_equal(path, source)
    spec = source.spec()
    decoder = Decoder(spec, source.preprocess(spec))
    for split in source.open().values():  # the values that Python and JSON have
        for i in range(0, len(split), 7):
            raw = split.raw(i)
            np.testing.assert_array_equal(decoder(raw)[0], split.values[i])
            typed = {
                name: np.str_(cell) if isinstance(cell, str) else cell for name, cell in raw.fields["input"].items()
            }
            np.testing.assert_array_equal(decoder(Raw(id="x", fields={"input": typed}))[0], split.values[i])


@pytest.mark.parametrize("seed", range(25))
def test_random_table_of_texts_is_read_equally_by_training_and_prediction(tmp_path, seed):
    draw = random.Random(seed)
    rows: list[list[object]] = [["id", "said", "y"]]
    rows += [[i, f"{i}{draw.choice(TEXTS)}{draw.choice(TEXTS)}", draw.choice(["u", "v"])] for i in range(60)]
    path = tmp_path / "t.tsv"
    path.write_bytes(table_bytes(draw, rows))
    unit: Any = draw.choice(["character", "byte"])
    source = Text(TextOptions(path=path, column="said", label="y", length=24, unit=unit))
    check_equal(path, source)


@pytest.mark.parametrize("end", ENDS)
def test_table_whose_quotation_marks_are_text_is_read_equally(tmp_path, end):
    marks = {9: '"', 30: '"'}  # two texts that begin with a quotation
    rows = [marks.get(i, "") + f'text {i} "so"\t' + "uv"[i % 2] for i in range(60)]
    path = tmp_path / "t.tsv"
    path.write_text(end.join(["said\ty", *rows, ""]), encoding="utf-8", newline="")
    source = Text(TextOptions(path=path, column="said", label="y", length=24))
    assert len(trained(source)) == 60
    check_equal(path, source)
    few = tmp_path / "few.tsv"  # a file that on its own would be read with quotes
    few.write_text('said\ty\n"text 3"\tu\n', encoding="utf-8")
    (line,) = predicted(few, source)[0].values()
    assert (line[0][:8] > 0).all()
    decoder = Decoder(source.spec(), source.preprocess(source.spec()))
    np.testing.assert_array_equal(line[0], decoder(Raw(id="x", fields={"said": '"text 3"'}))[0])


def test_texts_in_files_arguments_and_python_are_read_as_in_training(tmp_path):
    for i in range(40):
        file = tmp_path / "uv"[i % 2] / f"{i}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(f"\ufeff  text {i}\r\nis {['poor', 'fine'][i % 2]}\r\n".encode())
    source = Text(TextOptions(path=tmp_path, length=24))
    spec = source.spec()
    decoder = Decoder(spec, source.preprocess(spec))
    for split in source.open().values():
        for i in range(len(split)):
            path, value = tmp_path / split.id(i), split.raw(i).fields["input"]
            same = [str(path), f"{value}\r\n", f"  {value}", value.replace("\n", "\r")]
            for item in samples(same, decoder):
                assert isinstance(item, Sample)
                np.testing.assert_array_equal(item.arrays[0], split.codes[i])
    blank = tmp_path / "blank.txt"
    blank.write_text(" \r\n")
    assert [getattr(item, "why", "") for item in samples([str(blank), " \t"], decoder)] == ["the text is empty"] * 2
    with pytest.raises(BadData, match=r"texts are empty: blank\.txt"):
        Text(TextOptions(path=tmp_path)).spec()


def test_prompt_of_a_language_model_keeps_its_spaces_and_has_plain_line_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"one line\r\nand another one\r\n" * 40)
    source = Text(TextOptions(path=path, length=8))
    decoder = Decoder(source.spec(), source.preprocess(source.spec()))
    first, second = (item.arrays[0] for item in samples(["one \r\n", "one \n"], decoder) if isinstance(item, Sample))
    assert len(first) == 5
    np.testing.assert_array_equal(first, second)
