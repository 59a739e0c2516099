"""The source: forms of data on the disk, columns, splits, the fast path; all read by the library itself."""

import io
import json
import socket
from datetime import date

import numpy as np
import pytest
from hf_made import LENGTH, WORDS, sentences
from PIL import Image
from tokenizers import Tokenizer

from benchdog.api import BadData, BadUsage
from benchdog.data.dataset import DecodedSplit
from benchdog.data.fast_path import check_fast_path
from benchdog.data.splits import DataSplits
from benchdog_huggingface.options import DataOptions
from benchdog_huggingface.source import DataSet


class Cached:
    """As much of a cache as a source that fetches nothing needs."""

    def __init__(self, folder):
        self.folder = folder


@pytest.fixture
def opened(tmp_path):
    """Open a source as the host does; its fast path is checked on the way."""

    def make(path, **options):
        source = DataSet(DataOptions(path=path, **options))
        source.fetch(Cached(tmp_path / "cache"))  # type: ignore[arg-type]  # part of a cache
        data = DataSplits.open(source)
        for split in data.splits.values():
            assert isinstance(split, DecodedSplit)
            check_fast_path(split)
        return source, data

    return make


def ids(data):
    return {name: [split.split.id(i) for i in range(len(split))] for name, split in data.splits.items()}


def test_texts_become_the_tokenizers_own_codes(texts, bert, opened):
    source, data = opened(texts, tokenizer=bert, length=LENGTH)
    (field,) = data.spec.fields
    assert (field.kind, field.shape, field.name) == ("tokens", (LENGTH,), "text")
    assert data.spec.target.classes == tuple(WORDS)
    theirs = Tokenizer.from_file(str(bert / "tokenizer.json"))
    theirs.enable_truncation(LENGTH)
    theirs.enable_padding(length=LENGTH, pad_id=0)
    split = data.splits["train"]
    codes, labels = split.batch(range(len(split)))
    for i in range(len(split)):
        raw = split.split.raw(i)
        assert codes[0][i].tolist() == theirs.encode(raw.fields["text"]).ids
        assert raw.target == labels[i]
    assert codes[0].max() <= field.range[1]
    assert source.notes == []


def test_a_tokenizer_without_filler_begins_at_one(texts, gpt, opened):
    _, data = opened(texts, tokenizer=gpt / "tokenizer.json", length=32)
    theirs = Tokenizer.from_file(str(gpt / "tokenizer.json"))
    codes = data.splits["valid"].batch([0])[0][0][0]
    wanted = theirs.encode(data.splits["valid"].split.raw(0).fields["text"]).ids
    assert codes[: len(wanted)].tolist() == [code + 1 for code in wanted]
    assert not codes[len(wanted) :].any()
    assert data.spec.fields[0].range == (0, theirs.get_vocab_size())


def test_without_a_tokenizer_tokens_are_bytes(texts, opened):
    source, data = opened(texts, length=8)
    text = data.splits["test"].split.raw(0).fields["text"]
    assert data.splits["test"].batch([0])[0][0][0].tolist() == [byte + 1 for byte in text.encode()[:8]]
    assert "UTF-8 bytes" in source.notes[0]


def test_rows_are_divided_by_content_and_the_same_in_every_process(texts, opened):
    _, data = opened(texts, length=8)
    contents = {
        name: {split.split.raw(i).fields["text"] for i in range(len(split))} for name, split in data.splits.items()
    }
    assert sum(map(len, contents.values())) == 180  # five are there twice
    assert sum(data.sizes().values()) == 185
    _, again = opened(texts, length=8)  # with what the cache keeps
    assert ids(again) == ids(data)
    _, other = opened(texts, length=8, split_seed=1)
    assert ids(other) != ids(data)


def test_given_splits_stay_and_shared_samples_are_counted(library, tmp_path, opened):
    rows = sentences(90)
    parts = {"train": rows[:60], "validation": rows[55:75], "unlabelled": rows[:3]}
    library.DatasetDict({name: library.Dataset.from_list(part) for name, part in parts.items()}).save_to_disk(
        str(tmp_path / "given")
    )
    source, data = opened(tmp_path / "given", target="label", length=8)
    assert len(data.splits["valid"]) == 20
    assert data.sizes()["train"] + data.sizes()["test"] == 60  # the test is taken from train
    assert source.seen["valid"] > 0
    assert source.notes[0] == "Splits that aren't used: unlabelled."


@pytest.mark.parametrize("form", ["parquet", "csv", "json", "arrow", "tsv"])
def test_files_are_read_in_their_forms(form, library, tmp_path, opened):
    made = library.Dataset.from_list(sentences(60))
    place = tmp_path / "files [1]"
    place.mkdir()
    if form == "parquet":
        made.to_parquet(str(place / "train-00000-of-00001.parquet"))
    elif form == "json":
        made.to_json(str(place / "rows.jsonl"))
    elif form == "arrow":
        made.save_to_disk(str(tmp_path / "saved"))
        next((tmp_path / "saved").glob("*.arrow")).rename(place / "mine.arrow")
    else:
        made.to_csv(str(place / f"rows.{form}"), index=False, sep="\t" if form == "tsv" else ",")
    _, data = opened(place, target="label", length=8)
    assert sum(data.sizes().values()) == 65
    assert data.spec.target.classes == ("0", "1", "2")
    (file,) = place.iterdir()
    assert ids(opened(file, target="label", length=8)[1]).keys() == {"train", "valid", "test"}


def test_files_named_after_splits_are_those(library, tmp_path, opened):
    for name, part in {"train": sentences(40), "dev": sentences(9, 1), "test": sentences(12, 2)}.items():
        (tmp_path / "data").mkdir(exist_ok=True)
        library.Dataset.from_list(part).to_parquet(str(tmp_path / "data" / f"{name}-00000-of-00001.parquet"))
    _, data = opened(tmp_path, target="label", length=8)
    assert data.sizes() == {"train": 45, "valid": 14, "test": 17}


def test_a_table_has_numbers_categories_and_what_is_missing(library, tmp_path, opened):
    draw = np.random.default_rng(0)
    rows = {
        "length": [None if i % 10 == 0 else float(i) for i in range(120)],
        "ripe": [bool(i % 3) for i in range(120)],
        "colour": [None if i % 15 == 0 else ("red", "green ")[i % 2] for i in range(120)],
        "shape": [i % 2 for i in range(120)],
        "id": [f"no {i}" for i in range(120)],
        "day": [date(2026, 1, 1)] * 120,
        "price": draw.normal(size=120).tolist(),
    }
    made = library.Dataset.from_dict(rows).cast_column("shape", library.ClassLabel(names=["round", "long"]))
    made.save_to_disk(str(tmp_path / "fruit"))
    source, data = opened(tmp_path / "fruit", target="price")
    (field,) = data.spec.fields
    assert [(c.name, c.kind, c.categories) for c in field.columns] == [
        ("length", "number", ()),
        ("ripe", "number", ()),
        ("colour", "category", ("green", "red")),
        ("shape", "category", ("round", "long")),
    ]
    assert (data.spec.target.kind, data.spec.target.dtype) == ("number", "float32")
    assert data.preprocess.transform["input"] == [{"op": "table", "missing": ["length"]}]
    row = data.splits["train"].split.raw(0).fields["input"]
    assert row["shape"] in ("round", "long")
    assert source.notes == [
        "Columns of other types, left out: day.",
        "Columns of too many different texts, left out: id.",
    ]


def test_images_are_kept_as_files_and_decoded_when_read(library, tmp_path, opened):
    rows = []
    for i in range(40):
        buffer = io.BytesIO()
        Image.fromarray(np.full((10, 10, 3), i * 6, np.uint8)).save(buffer, "PNG")
        rows.append({"image": {"bytes": buffer.getvalue(), "path": None}, "label": i % 2})
    features = library.Features({"image": library.Image(), "label": library.ClassLabel(names=["a", "b"])})
    library.Dataset.from_list(rows, features=features).save_to_disk(str(tmp_path / "images"))
    _, data = opened(tmp_path / "images")
    assert data.spec.fields[0].shape == (3, 10, 10)
    split = data.splits["train"]
    assert split.split.raw(0).fields["image"].startswith(b"\x89PNG")
    (x,), y = split.batch([0])
    assert x.dtype == np.uint8
    assert int(y[0]) == (int(x[0, 0, 0, 0]) // 6) % 2
    assert opened(tmp_path / "images", size=6, mode="L")[1].splits["valid"].batch([0])[0][0].shape == (1, 1, 6, 6)


def test_rows_without_a_target_are_refused_or_left_out(library, tmp_path, opened):
    rows = [{**row, "label": None if i in (3, 7) else row["label"]} for i, row in enumerate(sentences(60))]
    rows[9]["text"] = "  "
    library.Dataset.from_list(rows).save_to_disk(str(tmp_path / "holes"))
    with pytest.raises(BadData, match=r"3 rows have no 'label' or no 'text': rows\[3\], rows\[7\], rows\[9\]"):
        opened(tmp_path / "holes", length=8)
    source, data = opened(tmp_path / "holes", length=8, missing="drop")
    assert sum(data.sizes().values()) == 62
    assert "left out" in source.notes[0]


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"target": "lable"}, BadUsage, "no column 'lable'.*Did you mean 'label'"),
        ({"input": "text", "target": "text"}, BadUsage, "both input and target"),
        ({"target": "text", "kind": "number"}, BadUsage, "holds texts"),
        ({"target": "text", "input": "label"}, BadData, "too many for classes"),
        ({"tokenizer": "nowhere.json"}, BadUsage, "doesn't exist"),
        ({"valid": 0.6, "test": 0.5}, BadUsage, "no training data"),
    ],
)
def test_mistakes_are_told_in_words(options, kind, said, texts, opened, tmp_path):
    if "tokenizer" in options:
        options = {"tokenizer": tmp_path / options["tokenizer"]}
    with pytest.raises(kind) as error:
        opened(texts, length=8, **options)
    assert __import__("re").search(said, str(error.value), 16)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.parquet", b"PAR1 not at all", "can't be read"),
        ("rows.json", b"{", "can't be read"),
        ("notes.md", b"# Notes", "no file that is read"),
    ],
)
def test_files_that_are_no_data_are_told_in_words(name, content, said, opened, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=said):
        opened(tmp_path / name)


def test_files_that_were_changed_are_read_anew_and_a_models_are_no_data(library, tmp_path, opened):
    place = tmp_path / "both"
    place.mkdir()
    (place / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    for count in (30, 40):
        library.Dataset.from_list(sentences(count)).to_json(str(place / "rows.jsonl"))
        _, data = opened(place, target="label", length=8)
        assert sum(data.sizes().values()) == count + 5


def test_files_of_several_kinds_are_refused(opened, tmp_path):
    for name in ("a.csv", "b.json"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(BadData, match=r"several kinds: \.csv, \.json"):
        opened(tmp_path)


def test_nothing_is_asked_of_the_network(texts, bert, library, opened, monkeypatch, tmp_path):
    library.Dataset.from_list(sentences(30)).to_csv(str(tmp_path / "rows.csv"), index=False)

    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    opened(texts, tokenizer=bert, length=8)
    opened(tmp_path / "rows.csv", target="label", length=8)
    assert library.config.HF_DATASETS_OFFLINE


def test_a_damaged_tokenizer_is_told_in_words(texts, opened, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}, "type": "Odd"}}), "utf-8")
    with pytest.raises(BadUsage, match="definition can't be used"):
        opened(texts, tokenizer=tmp_path, length=8)
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(BadData, match="is not a tokenizer"):
        opened(texts, tokenizer=tmp_path, length=8)
