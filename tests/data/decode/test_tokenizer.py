"""The decode operation of somebody's tokenizer.json: the library's own codes, cut and filled up; faults in words."""

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
def made():
    """Give a tokenizer whose filler is not its first token."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.enable_padding(length=50, pad_id=1)  # what a file says of this doesn't count
    tokenizer.enable_truncation(3)
    return tokenizer


def operation(made, **more):
    return {"op": "tokens", "unit": "tokenizer", "definition": json.loads(made.to_str()), "length": LENGTH, **more}


def decoded(op, value):
    field = Field(kind="tokens", shape=(LENGTH,), dtype="int64", name="text")
    spec = Spec(fields=(field,), target=Target(kind="class", classes=("a", "b")))
    how = Preprocess(decode={"text": [op]}, transform={"text": [{"op": "identity"}]})
    return Decoder(spec, how)(Raw(id="one", fields={"text": value}))[0]


def test_a_text_is_cut_and_filled_up_its_marks_stay(made):
    assert decoded(operation(made), "Sea town").tolist() == [1, 5, 7, 3, 0, 0]
    assert decoded(operation(made), "sea sea town wood town sea").tolist() == [1, 5, 5, 7, 6, 3]
    assert decoded(operation(made), "a lake").tolist() == [1, 4, 4, 3, 0, 0]
    assert decoded(operation(made, first=0), "Sea town").tolist() == [0, 4, 6, 2, 0, 0]


def test_many_at_once_are_the_same(made):
    op = operation(made)
    rows = encoder_of_many(op)(["Sea town", "wood"])
    assert rows == [decoded(op, text).tolist() for text in ("Sea town", "wood")]
    assert words(op) == tuple(word.encode() for word in VOCABULARY)


def test_stored_codes_are_taken_within_the_vocabulary(made):
    assert decoded(operation(made), np.array([1, 7, 0])).tolist() == [1, 7, 0]
    with pytest.raises(BadData, match="go from 1 to 8; there are 8"):
        decoded(operation(made), np.array([1, 8]))


def test_merges_are_never_dropped_at_random():
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.9))
    op = operation(tokenizer)
    assert {tuple(decoded(op, "abab")) for _ in range(20)} == {(3, 3, 0, 0, 0, 0)}


def test_faults_are_told_in_words(made, monkeypatch):
    with pytest.raises(BadData, match="the text is empty"):
        decoded(operation(made), "  ")
    with pytest.raises(BadUsage, match="definition must be given with unit 'tokenizer'"):
        decoded({"op": "tokens", "unit": "tokenizer", "length": 4}, "sea")
    with pytest.raises(BadUsage, match="first must be 0 or 1"):
        decoded(operation(made, first=2), "sea")
    with pytest.raises(BadUsage, match="holds no vocabulary"):
        decoded({**operation(made), "definition": {"model": {}}}, "sea")
    broken = {**operation(made), "definition": {"model": {"type": "Odd", "vocab": {"a": 0}}}}
    with pytest.raises(BadUsage, match="can't be used"):
        decoded(broken, "sea")
    real = builtins.__import__

    def missing(name, *args, **more):
        if name == "tokenizers":
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(NotAvailable, match="need the package tokenizers"):
        decoded(operation(made), "sea")
