"""The source: file formats, columns, splits and the fast path."""

import io
import json
import socket
from datetime import date

import numpy as np
import pytest
from hf_sentences import LENGTH, WORDS, sentences
from PIL import Image
from tokenizers import Tokenizer

from benchdog.api import BadData, BadUsage


def ids(data):
    return {name: [split.split.id(i) for i in range(len(split))] for name, split in data.splits.items()}


def test_texts_are_encoded_as_by_the_tokenizer(texts, bert, open_source):
    source, data = open_source(texts, tokenizer=bert, length=LENGTH)
    (field,) = data.spec.fields
    assert (field.kind, field.shape, field.name) == ("tokens", (LENGTH,), "text")
    assert data.spec.target.classes == tuple(WORDS)
    reference = Tokenizer.from_file(str(bert / "tokenizer.json"))
    reference.enable_truncation(LENGTH)
    reference.enable_padding(length=LENGTH, pad_id=0)
    split = data.splits["train"]
    codes, labels = split.batch(range(len(split)))
    for i in range(len(split)):
        raw = split.split.raw(i)
        assert codes[0][i].tolist() == reference.encode(raw.fields["text"]).ids
        assert raw.target == labels[i]
    assert codes[0].max() <= field.range[1]
    assert source.notes == []


def test_token_ids_start_at_1_without_a_padding_token(texts, gpt, open_source):
    _, data = open_source(texts, tokenizer=gpt / "tokenizer.json", length=32)
    reference = Tokenizer.from_file(str(gpt / "tokenizer.json"))
    codes = data.splits["valid"].batch([0])[0][0][0]
    expected = reference.encode(data.splits["valid"].split.raw(0).fields["text"]).ids
    assert codes[: len(expected)].tolist() == [code + 1 for code in expected]
    assert not codes[len(expected) :].any()
    assert data.spec.fields[0].range == (0, reference.get_vocab_size())


def test_tokens_are_bytes_without_a_tokenizer(texts, open_source):
    source, data = open_source(texts, length=8)
    text = data.splits["test"].split.raw(0).fields["text"]
    assert data.splits["test"].batch([0])[0][0][0].tolist() == [byte + 1 for byte in text.encode()[:8]]
    assert "UTF-8 bytes" in source.notes[0]


def test_rows_are_split_by_content_and_reproducibly(texts, open_source):
    _, data = open_source(texts, length=8)
    contents = {
        name: {split.split.raw(i).fields["text"] for i in range(len(split))} for name, split in data.splits.items()
    }
    assert sum(map(len, contents.values())) == 180  # five are duplicates
    assert sum(data.sizes().values()) == 185
    _, again = open_source(texts, length=8)  # with the cached files
    assert ids(again) == ids(data)
    _, other = open_source(texts, length=8, split_seed=1)
    assert ids(other) != ids(data)


def test_predefined_splits_are_kept_and_shared_samples_counted(hf_datasets, tmp_path, open_source):
    rows = sentences(90)
    parts = {"train": rows[:60], "validation": rows[55:75], "unlabelled": rows[:3]}
    hf_datasets.DatasetDict({name: hf_datasets.Dataset.from_list(part) for name, part in parts.items()}).save_to_disk(
        str(tmp_path / "given")
    )
    source, data = open_source(tmp_path / "given", target="label", length=8)
    assert len(data.splits["valid"]) == 20
    assert data.sizes()["train"] + data.sizes()["test"] == 60  # the test split is taken from train
    assert source.seen["valid"] > 0
    assert source.notes[0] == "Splits that aren't used: unlabelled."


@pytest.mark.parametrize("file_format", ["parquet", "csv", "json", "arrow", "tsv"])
def test_files_are_read_in_each_format(file_format, hf_datasets, tmp_path, open_source):
    dataset = hf_datasets.Dataset.from_list(sentences(60))
    place = tmp_path / "files [1]"
    place.mkdir()
    if file_format == "parquet":
        dataset.to_parquet(str(place / "train-00000-of-00001.parquet"))
    elif file_format == "json":
        dataset.to_json(str(place / "rows.jsonl"))
    elif file_format == "arrow":
        dataset.save_to_disk(str(tmp_path / "saved"))
        next((tmp_path / "saved").glob("*.arrow")).rename(place / "mine.arrow")
    else:
        dataset.to_csv(str(place / f"rows.{file_format}"), index=False, sep="\t" if file_format == "tsv" else ",")
    _, data = open_source(place, target="label", length=8)
    assert sum(data.sizes().values()) == 65
    assert data.spec.target.classes == ("0", "1", "2")
    (file,) = place.iterdir()
    assert ids(open_source(file, target="label", length=8)[1]).keys() == {"train", "valid", "test"}


def test_files_named_after_splits_become_those_splits(hf_datasets, tmp_path, open_source):
    for name, part in {"train": sentences(40), "dev": sentences(9, 1), "test": sentences(12, 2)}.items():
        (tmp_path / "data").mkdir(exist_ok=True)
        hf_datasets.Dataset.from_list(part).to_parquet(str(tmp_path / "data" / f"{name}-00000-of-00001.parquet"))
    _, data = open_source(tmp_path, target="label", length=8)
    assert data.sizes() == {"train": 45, "valid": 14, "test": 17}


def test_table_columns_are_numbers_or_categories_with_missing_values(hf_datasets, tmp_path, open_source):
    rng = np.random.default_rng(0)
    rows = {
        "length": [None if i % 10 == 0 else float(i) for i in range(120)],
        "ripe": [bool(i % 3) for i in range(120)],
        "colour": [None if i % 15 == 0 else ("red", "green ")[i % 2] for i in range(120)],
        "shape": [i % 2 for i in range(120)],
        "id": [f"no {i}" for i in range(120)],
        "day": [date(2026, 1, 1)] * 120,
        "price": rng.normal(size=120).tolist(),
    }
    dataset = hf_datasets.Dataset.from_dict(rows).cast_column(
        "shape", hf_datasets.ClassLabel(names=["round", "long"])
    )
    dataset.save_to_disk(str(tmp_path / "fruit"))
    source, data = open_source(tmp_path / "fruit", target="price")
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
        "Columns of too many different texts, left out: id ('no 0').",
    ]


def test_images_stay_encoded_until_read(hf_datasets, tmp_path, open_source):
    rows = []
    for i in range(40):
        buffer = io.BytesIO()
        Image.fromarray(np.full((10, 10, 3), i * 6, np.uint8)).save(buffer, "PNG")
        rows.append({"image": {"bytes": buffer.getvalue(), "path": None}, "label": i % 2})
    features = hf_datasets.Features({"image": hf_datasets.Image(), "label": hf_datasets.ClassLabel(names=["a", "b"])})
    hf_datasets.Dataset.from_list(rows, features=features).save_to_disk(str(tmp_path / "images"))
    _, data = open_source(tmp_path / "images")
    assert data.spec.fields[0].shape == (3, 10, 10)
    split = data.splits["train"]
    assert split.split.raw(0).fields["image"].startswith(b"\x89PNG")
    (x,), y = split.batch([0])
    assert x.dtype == np.uint8
    assert int(y[0]) == (int(x[0, 0, 0, 0]) // 6) % 2
    _, small = open_source(tmp_path / "images", size=6, mode="L")
    assert small.splits["valid"].batch([0])[0][0].shape == (1, 1, 6, 6)


def test_rotated_and_animated_images_are_seen_as_they_are_decoded(hf_datasets, tmp_path, open_source):
    def rows():
        for i in range(40):
            buffer, exif = io.BytesIO(), Image.Exif()
            exif[0x0112] = 6
            image = Image.fromarray(np.full((4, 10), i * 6, np.uint8))
            if i % 4:
                image.save(buffer, "JPEG", exif=exif)
            else:  # as it is seen when it is turned
                image.rotate(90, expand=True).save(
                    buffer, "GIF", save_all=True, append_images=[Image.new("L", (4, 10))]
                )
            yield {"image": {"bytes": buffer.getvalue(), "path": None}, "label": i % 2}

    features = hf_datasets.Features({"image": hf_datasets.Image(), "label": hf_datasets.Value("int64")})
    hf_datasets.Dataset.from_list([*rows()], features=features).save_to_disk(str(tmp_path / "images"))
    source, data = open_source(tmp_path / "images", target="label", input="image")
    assert data.spec.fields[0].shape[1:] == (10, 4)
    assert any("Only the first frame or page" in note for note in source.notes)


def test_equal_pixels_in_different_files_stay_together_or_are_counted(hf_datasets, tmp_path, open_source):
    def rows(form, shades):
        for shade in shades:
            buffer = io.BytesIO()
            Image.fromarray(np.full((4, 4), shade, np.uint8)).save(buffer, form)
            yield {"image": {"bytes": buffer.getvalue(), "path": None}, "label": shade % 2}

    features = hf_datasets.Features({"image": hf_datasets.Image(), "label": hf_datasets.Value("int64")})
    png, bmp = ([*rows(form, range(30))] for form in ("PNG", "BMP"))
    hf_datasets.Dataset.from_list(png + bmp, features=features).save_to_disk(str(tmp_path / "mixed"))
    _, data = open_source(tmp_path / "mixed", target="label", input="image")
    shades = {
        name: {int(x) for x in split.batch(range(len(split)))[0][0][:, 0, 0, 0]}
        for name, split in data.splits.items()
    }
    assert sum(map(len, shades.values())) == 30
    assert sum(data.sizes().values()) == 60
    parts = {"train": png, "test": bmp[:7]}
    given = {name: hf_datasets.Dataset.from_list(part, features=features) for name, part in parts.items()}
    hf_datasets.DatasetDict(given).save_to_disk(str(tmp_path / "given"))
    source, _ = open_source(tmp_path / "given", target="label", input="image")
    assert source.seen == {"test": 7}


def test_rows_without_a_target_are_refused_or_dropped(hf_datasets, tmp_path, open_source):
    rows = [{**row, "label": None if i in (3, 7) else row["label"]} for i, row in enumerate(sentences(60))]
    rows[9]["text"] = "  "
    hf_datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "holes"))
    with pytest.raises(BadData, match=r"3 rows have no 'label' or no 'text': rows\[3\], rows\[7\], rows\[9\]"):
        open_source(tmp_path / "holes", length=8)
    source, data = open_source(tmp_path / "holes", length=8, missing="drop")
    assert sum(data.sizes().values()) == 62
    assert "left out" in source.notes[0]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"target": "lable"}, BadUsage, "no column 'lable'.*Did you mean 'label'"),
        ({"input": "text", "target": "text"}, BadUsage, "both input and target"),
        ({"target": "text", "kind": "number"}, BadUsage, "holds texts"),
        ({"target": "text", "input": "label"}, BadData, "too many for classes"),
        ({"tokenizer": "nowhere.json"}, BadUsage, "doesn't exist"),
        ({"valid": 0.6, "test": 0.5}, BadUsage, "no training data"),
    ],
)
def test_invalid_options_are_refused(options, kind, message, texts, open_source, tmp_path):
    if "tokenizer" in options:
        options = {"tokenizer": tmp_path / options["tokenizer"]}
    with pytest.raises(kind) as error:
        open_source(texts, length=8, **options)
    assert __import__("re").search(message, str(error.value), 16)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.parquet", b"PAR1 not at all", "can't be read"),
        ("rows.json", b"{", "can't be read"),
        ("notes.md", b"# Notes", "no file that is read"),
    ],
)
def test_files_without_data_are_refused(name, content, message, open_source, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=message):
        open_source(tmp_path / name)


def test_changed_files_are_reread_and_model_files_ignored(hf_datasets, tmp_path, open_source):
    place = tmp_path / "both"
    place.mkdir()
    (place / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    for count in (30, 40):
        hf_datasets.Dataset.from_list(sentences(count)).to_json(str(place / "rows.jsonl"))
        _, data = open_source(place, target="label", length=8)
        assert sum(data.sizes().values()) == count + 5


def test_files_of_several_formats_are_refused(open_source, tmp_path):
    for name in ("a.csv", "b.json"):
        (tmp_path / name).write_text("x", encoding="utf-8")
    with pytest.raises(BadData, match=r"several kinds: \.csv, \.json"):
        open_source(tmp_path)


def test_network_is_not_used(texts, bert, hf_datasets, open_source, monkeypatch, tmp_path):
    hf_datasets.Dataset.from_list(sentences(30)).to_csv(str(tmp_path / "rows.csv"), index=False)

    def refuse(*_):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    open_source(texts, tokenizer=bert, length=8)
    open_source(tmp_path / "rows.csv", target="label", length=8)
    assert hf_datasets.config.HF_DATASETS_OFFLINE


def test_damaged_tokenizer_is_refused(texts, open_source, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 0}, "type": "Odd"}}), "utf-8")
    with pytest.raises(BadUsage, match="definition can't be used"):
        open_source(texts, tokenizer=tmp_path, length=8)
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(BadData, match="is not a tokenizer"):
        open_source(texts, tokenizer=tmp_path, length=8)
