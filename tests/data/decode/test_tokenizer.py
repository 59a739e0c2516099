"""The decode operation for a tokenizer.json: token ids of the tokenizers library, truncated and padded; errors."""

import builtins
import json

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from benchdog.api import BadData, BadUsage, Field, NotAvailable, Preprocess, Raw, Spec, Target, encoder_of_many, words
from benchdog.data.decode.decoder import Decoder

VOCABULARY = ("<s>", "<pad>", "</s>", "<unk>", "sea", "wood", "town")
LENGTH = 6


@pytest.fixture(scope="module")
def word_tokenizer():
    """Return a tokenizer whose padding token is not its first token."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.enable_padding(length=50, pad_id=1)  # the file's own padding and truncation are ignored
    tokenizer.enable_truncation(3)
    return tokenizer


def operation(word_tokenizer, **more):
    return {
        "op": "tokens",
        "unit": "tokenizer",
        "definition": json.loads(word_tokenizer.to_str()),
        "length": LENGTH,
        **more,
    }


def decoded(op, value):
    field = Field(kind="tokens", shape=(LENGTH,), dtype="int64", name="text")
    spec = Spec(fields=(field,), target=Target(kind="class", classes=("a", "b")))
    how = Preprocess(decode={"text": [op]}, transform={"text": [{"op": "identity"}]})
    return Decoder(spec, how)(Raw(id="one", fields={"text": value}))[0]


def test_text_is_truncated_and_padded_with_special_tokens_kept(word_tokenizer):
    assert decoded(operation(word_tokenizer), "Sea town").tolist() == [1, 5, 7, 3, 0, 0]
    assert decoded(operation(word_tokenizer), "sea sea town wood town sea").tolist() == [1, 5, 5, 7, 6, 3]
    assert decoded(operation(word_tokenizer), "a lake").tolist() == [1, 4, 4, 3, 0, 0]
    assert decoded(operation(word_tokenizer, first=0), "Sea town").tolist() == [0, 4, 6, 2, 0, 0]


def test_batch_encoding_equals_single_encoding(word_tokenizer):
    op = operation(word_tokenizer)
    rows = encoder_of_many(op)(["Sea town", "wood"])
    assert rows == [decoded(op, text).tolist() for text in ("Sea town", "wood")]
    assert words(op) == tuple(word.encode() for word in VOCABULARY)


def test_precomputed_token_ids_must_be_within_vocabulary(word_tokenizer):
    assert decoded(operation(word_tokenizer), np.array([1, 7, 0])).tolist() == [1, 7, 0]
    with pytest.raises(BadData, match="go from 1 to 8; there are 8"):
        decoded(operation(word_tokenizer), np.array([1, 8]))


def test_bpe_dropout_is_disabled():
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.9))
    op = operation(tokenizer)
    assert {tuple(decoded(op, "abab")) for _ in range(20)} == {(3, 3, 0, 0, 0, 0)}


def test_invalid_tokenizer_operations_are_refused(word_tokenizer, monkeypatch):
    with pytest.raises(BadData, match="the text is empty"):
        decoded(operation(word_tokenizer), "  ")
    with pytest.raises(BadUsage, match="definition must be given with unit 'tokenizer'"):
        decoded({"op": "tokens", "unit": "tokenizer", "length": 4}, "sea")
    with pytest.raises(BadUsage, match="first is 2"):
        decoded(operation(word_tokenizer, first=2), "sea")
    with pytest.raises(BadUsage, match="holds no vocabulary"):
        decoded({**operation(word_tokenizer), "definition": {"model": {}}}, "sea")
    broken = {**operation(word_tokenizer), "definition": {"model": {"type": "Odd", "vocab": {"a": 0}}}}
    with pytest.raises(BadUsage, match="can't be used"):
        decoded(broken, "sea")
    real = builtins.__import__

    def missing(name, *args, **more):
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(NotAvailable, match="need the package tokenizers"):
        decoded(operation(word_tokenizer), "sea")
