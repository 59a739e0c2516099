"""Fixtures: small datasets, tokenizers and models, saved by their libraries without a network."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # for the helpers next to this file

from hf_sentences import FUNCTION_WORDS, NAMES, SPECIAL_TOKENS, WORDS, sentences

sys.path.append(str(NAMES))

import torchvision_names

from benchdog_huggingface.offline import OFFLINE

torchvision_names.define_at_import()
os.environ.update(OFFLINE)
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _isolate_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests away from the user's own files."""
    home = tmp_path_factory.mktemp("home")
    for name, place in {
        "HOME": home,
        "USERPROFILE": home,
        "HF_HOME": home / "hf",
        "BENCHDOG_CACHE": home / "cache",
        "BENCHDOG_PLUGINS": "-tensorboard,-mlflow",  # they would track every run of these tests
    }.items():
        os.environ[name] = str(place)


@pytest.fixture(scope="session")
def hf_datasets() -> Any:
    """Return the module `datasets`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from benchdog_huggingface.offline import datasets

        return datasets()


@pytest.fixture(scope="session")
def texts(hf_datasets: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that save_to_disk wrote: sentences with class labels, without splits."""
    features = hf_datasets.Features(
        {"text": hf_datasets.Value("string"), "label": hf_datasets.ClassLabel(names=list(WORDS))}
    )
    place = tmp_path_factory.mktemp("texts") / "places"
    hf_datasets.Dataset.from_list(sentences(180), features=features).save_to_disk(str(place))
    return place


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a WordPiece tokenizer and the configuration of a tiny BERT, without weights."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    place = tmp_path_factory.mktemp("bert") / "tiny-bert"
    place.mkdir()
    words = [word for group in WORDS.values() for word in group if word != "harbour"]
    vocabulary = [*SPECIAL_TOKENS, *words, *FUNCTION_WORDS, ".", "har", "##bour", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(place / "tokenizer.json"))
    (place / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}), encoding="utf-8")
    config = {
        "model_type": "bert", "vocab_size": len(vocabulary), "hidden_size": 32, "num_hidden_layers": 3,
        "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 32, "pad_token_id": 0,
        "architectures": ["BertForMaskedLM"], "id2label": {"0": "LABEL_0"},
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return place


@pytest.fixture(scope="session")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a BPE tokenizer without a padding token, and the configuration of a tiny GPT-2."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    place = tmp_path_factory.mktemp("gpt") / "tiny-gpt"
    place.mkdir()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, special_tokens=[], show_progress=False)
    tokenizer.train_from_iterator([str(row["text"]) for row in sentences(60)], trainer)
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(place / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    config = {
        "model_type": "gpt2", "vocab_size": size, "n_positions": 32, "n_embd": 32, "n_layer": 2, "n_head": 2,
        "eos_token_id": size - 1, "bos_token_id": size - 1,
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return place


class Cached:
    """Test double of a cache, with the members that a source without downloads uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


@pytest.fixture
def open_source(tmp_path: Path) -> Callable[..., tuple[Any, Any]]:
    """Return a function that opens a source as the core does and checks its fast path."""
    from benchdog.data.dataset import DecodedSplit
    from benchdog.data.fast_path import check_fast_path
    from benchdog.data.splits import DataSplits
    from benchdog_huggingface.options import DataOptions
    from benchdog_huggingface.source import DataSet

    def make(path: Path, **options: Any) -> tuple[Any, Any]:
        source = DataSet(DataOptions(path=path, **options))
        source.fetch(Cached(tmp_path / "cache"))  # type: ignore[arg-type]  # part of a cache
        data = DataSplits.open(source)
        for split in data.splits.values():
            assert isinstance(split, DecodedSplit)
            check_fast_path(split)
        return source, data

    return make


@pytest.fixture
def save_parts(hf_datasets: Any, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves parts of a data set, (columns, features) by name, in one of its forms."""

    def write(form: str, parts: Mapping[str, tuple[Mapping[str, Any], Any]]) -> Path:
        place = Path(tempfile.mkdtemp(dir=tmp_path))
        made = {name: hf_datasets.Dataset.from_dict(rows, features=kinds) for name, (rows, kinds) in parts.items()}
        if form == "saved":
            hf_datasets.DatasetDict(made).save_to_disk(str(place))
        for name, dataset in made.items():
            if form == "folders":
                dataset.save_to_disk(str(place / name))
            elif form == "arrow":
                dataset.save_to_disk(str(tmp_path / "saved" / name))
                next((tmp_path / "saved" / name).glob("*.arrow")).rename(place / f"{name}.arrow")
            elif form != "saved":
                getattr(dataset, f"to_{form}")(str(place / f"{name}.{form}"))
        return place

    return write
