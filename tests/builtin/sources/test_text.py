"""Text source: tokens as bytes, characters and byte pairs; windows, splits and labels."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchdog.api import BadData, BadUsage, Field, NotAvailable, Target, encoder, pieces, spellings, words
from benchdog.builtin.sources.options import TextOptions
from benchdog.builtin.sources.texts import byte_pairs
from benchdog.builtin.sources.texts.text import Text, Windows
from benchdog.data.decode.decoder import build_chain
from benchdog.plugins import Plugins
from support.source_contract import check_source

NOVEL = "".join(f"Line {i}: the näive cat number {i * 7 % 13} sat on the mat.\n" for i in range(300))
MERGES = [[116, 104], [256, 101], [32, 257], [105, 110], [259, 103]]  # th, the, " the", in, ing
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def tokens(parameters: dict[str, Any]) -> Any:
    field = Field(kind="tokens", shape=(None,), dtype="int64")
    return build_chain(field, [{"op": "tokens", **parameters}], Plugins.builtin())[0]


def text(path: Path, **more: Any) -> Text:
    return Text(TextOptions(path=path, **{"length": 16, **more}))


# --- tokens ----------------------------------------------------------------------------------------


@given(texts)
def test_pieces_and_tokens_reconstruct_the_text(value):
    assert "".join(pieces(value)) == value
    for op in ({"unit": "byte"}, {"unit": "bpe", "merges": MERGES}):
        codes = encoder(op)(value)
        assert b"".join(words(op)[code] for code in codes).decode() == value


def test_bpe_merges_apply_in_order_within_a_piece():
    op = {"unit": "bpe", "merges": MERGES}
    tokens = [words(op)[code] for code in encoder(op)("the thing in the")]
    assert tokens == [b"the", b" ", b"th", b"ing", b" ", b"in", b" the"]
    assert [words(op)[code] for code in encoder(op)("e th")] == [b"e", b" ", b"th"]


def test_hex_spelling_of_token_classes():
    assert spellings(Target(kind="next-token", classes=("c3", "a9", "7468"), spelling="hex")) == (
        b"\xc3",
        b"\xa9",
        b"th",
    )
    assert spellings(Target(kind="next-token", classes=("é", "a"))) == ("é".encode(), b"a")


@given(texts.filter(bool))
def test_text_is_truncated_and_padded(value):
    step = tokens({"unit": "character", "vocabulary": ["a", "b"], "length": 5})
    codes = step(value)
    assert codes.shape == (5,)
    assert codes.dtype == np.int64
    expected = [{"a": 1, "b": 2}.get(character, 3) for character in value[:5]]
    assert codes.tolist() == expected + [0] * (5 - len(expected))
    byte = tokens({"unit": "byte", "length": 5})(value)
    assert byte.tolist() == ([code + 1 for code in value.encode()[:5]] + [0] * 5)[:5]


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ({}, "vocabulary must be given"),
        ({"unit": "word"}, "unit is 'word'"),
        ({"unit": "byte", "vocabulary": ["a"]}, "vocabulary must be left out"),
        ({"unit": "bpe"}, "merges must be given"),
        ({"unit": "bpe", "merges": 3}, "merges is 3"),
        ({"unit": "bpe", "merges": [[97, 256]]}, r"merge 0 is \[97, 256\]"),
        ({"unit": "bpe", "merges": [[97, 98], [97, 98]]}, "merge 1"),
        ({"unit": "byte", "length": 0}, "length is 0"),
    ],
)
def test_invalid_token_parameters_are_refused(parameters, why):
    with pytest.raises(BadUsage, match=why):
        tokens(parameters)


# --- the source ------------------------------------------------------------------------------------


@pytest.fixture
def novel(tmp_path: Path) -> Path:
    path = tmp_path / "novel.txt"
    path.write_bytes(b"\xef\xbb\xbf" + NOVEL.replace("\n", "\r\n").encode())
    return path


def test_character_windows_of_a_text_file(novel):
    source = text(novel)
    spec = check_source(source)
    assert spec.target.classes == tuple(sorted(set(NOVEL)))
    splits = source.open()
    assert splits["train"].raw(1).fields["input"] == NOVEL[16:32]
    assert [spec.target.classes[i] for i in splits["train"].raw(1).target] == list(NOVEL[17:33])
    cut = round(len(NOVEL) * 0.8)
    # Every character but the first is predicted once; the rest at the end in a window of its own.
    assert len(splits["train"]) == -(-(cut - 1) // 16)
    train, test = splits["train"], splits["test"]
    assert isinstance(train, Windows)
    assert isinstance(test, Windows)
    assert train.starts[-1] == cut - 17
    assert (np.diff(test.starts) == 16).all()
    assert len(text(novel, stride=1).open()["train"]) == cut - 16


@pytest.mark.parametrize("unit", ["byte", "bpe"])
def test_byte_and_bpe_tokens_of_a_text_file(novel, unit, monkeypatch):
    monkeypatch.setattr("benchdog.builtin.sources.texts.text.train_bpe", lambda texts, vocabulary: MERGES)
    source = text(novel, unit=unit)
    spec = check_source(source)
    assert spec.classes == (256 if unit == "byte" else 261)
    spelled, splits = spellings(spec.target), source.open()
    whole = b"".join(spelled[code] for split in splits.values() for code in split.codes)
    assert whole.decode() == NOVEL
    # A window that begins within a character has no text of its own.
    kinds = {type(split.raw(i).fields["input"]) for split in splits.values() for i in range(len(split))}
    assert kinds == {str, np.ndarray}


@pytest.mark.parametrize("split", ["order", "blocks", "texts"])
def test_no_text_occurs_in_two_splits(tmp_path, split):
    # Each character comes once, so a window tells where it is from.
    everything = [chr(0x4E00 + i) for i in range(3000)]
    for i in range(12):
        (tmp_path / f"{i}.txt").write_text("".join(everything[i * 250 : i * 250 + 250]), encoding="utf-8")
    source = text(tmp_path, split=split, valid=0.2, test=0.2)
    seen = {}
    for name, part in source.open().items():
        (inputs,), target = part.batch(range(len(part)))
        seen[name] = {*inputs.ravel().tolist(), *target.ravel().tolist()}
        assert len(seen[name]) > 100
    newline = {source.spec().target.classes.index("\n")}
    assert not seen["train"] & seen["valid"] - newline
    assert not seen["train"] & seen["test"] - newline
    assert not seen["valid"] & seen["test"] - newline
    auto = text(tmp_path, valid=0.2, test=0.2).open()
    if split == "texts":
        assert all(np.array_equal(auto[name].codes, part.codes) for name, part in source.open().items())


def test_text_folder_per_class(tmp_path):
    for label, word in (("cold", "snow"), ("warm", "sun")):
        (tmp_path / label).mkdir()
        for i in range(30):
            (tmp_path / label / f"{i}.txt").write_text(f"{word} {i}", encoding="utf-8")
    source = text(tmp_path, length=6, valid=0.2, test=0.2)
    spec = check_source(source)
    assert spec.target.classes == ("cold", "warm")
    assert source.open()["train"].raw(0).id == "cold/0.txt" or source.open()["train"].raw(0).id.startswith("cold/")
    assert any("cut to 6 characters" in note for note in source.notes)
    assert text(tmp_path, folders="ignore").spec().target.kind == "next-token"


def table(path: Path, rows: Iterable[Iterable[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_text_column_of_a_csv(tmp_path):
    rows = [
        ("review", "mood", "score"),
        *((f"it is {'good' if i % 2 else 'bad'} {i}", i % 2, i / 4) for i in range(60)),
    ]
    path = table(tmp_path / "a.csv", rows)
    spec = check_source(text(path, column="review", label="mood", unit="byte"))
    assert (spec.fields[0].name, spec.target.classes) == ("review", ("0", "1"))
    number = check_source(text(path, column="review", label="score"))
    assert (number.target.kind, number.target.dtype) == ("number", "float32")
    assert check_source(text(path, column="review", length=8)).target.kind == "next-token"


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ({"column": "review", "label": "moods"}, BadUsage, "no column 'moods'"),
        ({"label": "mood"}, BadUsage, "which one holds the texts"),
        ({"column": "review", "label": "mood", "kind": "number"}, BadData, "not a number in line 2"),
        ({"column": "review", "label": "id"}, BadData, "too many for classes"),
        ({"column": "gap"}, BadData, "'gap' is empty in line 2"),
    ],
)
def test_unsuitable_csv_of_texts_is_refused(tmp_path, options, kind, why):
    rows = [
        ("review", "mood", "id", "gap"),
        *((f"text {i}", "ab"[i % 2], f"x{i}", "" if i == 0 else "y") for i in range(9)),
    ]
    with pytest.raises(kind, match=why):
        text(table(tmp_path / "a.csv", rows), **options).spec()


def test_unusable_texts_are_refused(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("too short")
    with pytest.raises(BadData, match="the train part has 7 characters, a window needs 17"):
        text(file).open()
    file.write_text(" \n")
    with pytest.raises(BadData, match="empty"):
        text(file).spec()
    with pytest.raises(BadData, match=r"texts are empty: a\.txt"):
        text(tmp_path).spec()
    file.write_bytes(b"one\ntwo\xff")
    with pytest.raises(BadData, match="not UTF-8: byte 0xff in line 2"):
        text(file).spec()
    file.unlink()
    with pytest.raises(BadData, match=r"no \.txt file"):
        text(tmp_path).spec()
    with pytest.raises(BadUsage, match="needs the path"):
        Text(TextOptions()).spec()
    file.write_text("a text")
    with pytest.raises(BadUsage, match="is not a CSV file"):
        text(file, label="mood").spec()
    with pytest.raises(BadUsage, match="no training data"):
        text(file, valid=0.5, test=0.5).spec()
    with pytest.raises(BadData, match="one per class"):
        text(tmp_path, folders="classes").spec()


def test_bpe_is_trained_on_the_training_split_only(novel):
    pytest.importorskip("tokenizers")
    source = text(novel, unit="bpe", vocabulary=300)
    spec = check_source(source)
    (op,) = source.preprocess(spec).decode["input"]
    assert 290 <= spec.classes <= 300
    assert b" the" in words(op)
    novel.write_text(NOVEL[: round(len(NOVEL) * 0.8)] + "zqzq" * 800, encoding="utf-8")
    assert b"zq" not in words(text(novel, unit="bpe", valid=0.1, test=0.15).preprocess(spec).decode["input"][0])


def test_tokenizers_merges_are_converted_to_codes():
    assert byte_pairs.merges_as_codes([["t", "h"], ["th", "e"], "Ġ the", ["Ã", "©"]]) == [
        [116, 104],
        [256, 101],
        [32, 257],
        [195, 169],
    ]
    # A second pair with the same merged token adds none.
    assert byte_pairs.merges_as_codes([["a", "b"], ["ab", "c"], ["b", "c"], ["a", "bc"]]) == [
        [97, 98],
        [256, 99],
        [98, 99],
    ]
    assert sorted(set(byte_pairs.printable_bytes())) == sorted(byte_pairs.printable_bytes())


def test_bpe_without_tokenizers_is_not_available(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(NotAvailable, match="not installed") as caught:
        byte_pairs.train_bpe(["a text"], 300)
    assert "pip install tokenizers" in caught.value.hint
