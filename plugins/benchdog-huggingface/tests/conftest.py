"""Data sets, tokenizers and models as their libraries save them, made here: small, random, without a network."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parent))  # for the helpers beside this file

from hf_made import FILLERS, MARKS, NAMES, WORDS, sentences

sys.path.append(str(NAMES))

import torchvision_names

from benchdog_huggingface.offline import OFFLINE

torchvision_names.define_at_import()
os.environ.update(OFFLINE)
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def _at_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests away from the user's own files."""
    home = tmp_path_factory.mktemp("home")
    for name, place in {
        "HOME": home,
        "USERPROFILE": home,
        "HF_HOME": home / "hf",
        "BENCHDOG_CACHE": home / "cache",
        "BENCHDOG_PLUGINS": "-tensorboard,-mlflow",  # they would watch each of the runs here
    }.items():
        os.environ[name] = str(place)


@pytest.fixture(scope="session")
def library() -> Any:
    """Give the library datasets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from benchdog_huggingface.offline import datasets

        return datasets()


@pytest.fixture(scope="session")
def texts(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder that save_to_disk wrote: sentences with class labels, undivided."""
    features = library.Features({"text": library.Value("string"), "label": library.ClassLabel(names=list(WORDS))})
    place = tmp_path_factory.mktemp("texts") / "places"
    library.Dataset.from_list(sentences(180), features=features).save_to_disk(str(place))
    return place


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a word-piece tokenizer and a tiny BERT's configuration; no weights."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    place = tmp_path_factory.mktemp("bert") / "tiny-bert"
    place.mkdir()
    words = [word for group in WORDS.values() for word in group if word != "harbour"]
    vocabulary = [*MARKS, *words, *FILLERS, ".", "har", "##bour", *"abcdefghijklmnopqrstuvwxyz"]
    made = Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.save(str(place / "tokenizer.json"))
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
    """Give a folder with a byte-pair tokenizer that has no filler, and a tiny GPT-2's configuration."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    place = tmp_path_factory.mktemp("gpt") / "tiny-gpt"
    place.mkdir()
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, special_tokens=[], show_progress=False)
    made.train_from_iterator([str(row["text"]) for row in sentences(60)], trainer)
    made.add_special_tokens(["<|endoftext|>"])
    made.save(str(place / "tokenizer.json"))
    size = made.get_vocab_size()
    config = {
        "model_type": "gpt2", "vocab_size": size, "n_positions": 32, "n_embd": 32, "n_layer": 2, "n_head": 2,
        "eos_token_id": size - 1, "bos_token_id": size - 1,
    }  # fmt: skip
    (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return place
