"""Word pieces, and the sentence encoder that reads them."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn

from benchdog.api import BadData, BadUsage, Field, NotAvailable, Preprocess, Raw, Spec, Target
from benchdog.api.wordpiece import encoder, pieces, words
from benchdog.builtin.models import imagenet, minilm
from benchdog.builtin.models.options import MiniLMOptions
from benchdog.data.decode import decoder
from benchdog.model.weights import fill, read, renamed
from support.in_process import run, same

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "cafe", "!", "##s", "東"]
# Two libraries know two versions of Unicode: these blocks are old enough for both.
BLOCKS = ((0, 0x51F), (0x590, 0x5FF), (0x2000, 0x206F), (0x4E00, 0x9FA5), (0x1F300, 0x1F64F))
CHARACTERS = st.one_of(
    *(st.characters(min_codepoint=a, max_codepoint=b, exclude_categories=("Cs", "Cn")) for a, b in BLOCKS)
)
INSTALLED = find_spec(minilm.PACKAGE) is not None

SOURCE = """
from dataclasses import dataclass

from benchdog.api import Doc, Field, Preprocess, Raw, SourceInfo, Spec, Target, hookimpl
from benchdog.builtin.models.minilm import vocabulary

CONTRACT = 1
WHO = ("My cat", "The old dog", "A kitten", "Our puppy", "Her pony", "That parrot", "His goldfish", "The hamster")
WHAT = ("sleeps on the sofa.", "is hungry again.", "ran into the garden.", "likes to be stroked.")
WHERE = ("Shares", "The bank", "Interest rates", "Profits", "The currency", "Bond prices", "The fund", "Exports")
HOW = ("fell on Monday.", "rose by two per cent.", "surprised investors.", "were watched by traders.")


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="sentences", summary="Pets and money.", target=":Sentences")]


class Sentences:
    def spec(self):
        field = Field(kind="tokens", shape=(16,), dtype="int64", range=(0, 30521))
        return Spec(fields=(field,), target=Target(kind="class", classes=("pets", "money")))

    def preprocess(self, spec):
        op = {"op": "tokens", "unit": "wordpiece", "vocabulary": list(vocabulary()), "length": 16}
        return Preprocess(decode={"input": [op]}, transform={"input": [{"op": "identity"}]})

    def open(self):
        def texts(who, what, label):
            return [Raw(id=f"{a} {b}", fields={"input": f"{a} {b}"}, target=label) for a in who for b in what]

        def part(at):
            return texts(WHO[at], WHAT, 0) + texts(WHERE[at], HOW, 1)

        return {"train": part(slice(0, 2)), "valid": part(slice(2, 5)), "test": part(slice(5, 8))}
"""


def op(**more):
    return {"op": "tokens", "unit": "wordpiece", "vocabulary": WORDS, **more}


def test_words_are_cut_as_bert_does():
    assert list(words("Unaffable, CAFÉ!\u0000 東京\t x")) == ["unaffable", ",", "cafe", "!", "東", "京", "x"]
    codes = {word: i for i, word in enumerate(WORDS)}
    assert pieces("unaffables", codes) == [4, 5, 6, 9]
    assert pieces("unaffairs", codes) == [1]
    assert pieces("un" * 51, codes) == [1]
    assert encoder(op(length=6))("Café unaffable!") == [2, 7, 4, 5, 6, 3]
    assert encoder(op(length=8))("un") == [2, 4, 3, 0, 0, 0, 0, 0]
    assert encoder(op())("") == [2, 3]


@pytest.mark.skipif(not (INSTALLED and find_spec("tokenizers")), reason="needs the vocabulary and a tokeniser")
@given(st.text(CHARACTERS, max_size=60))
@example("It's naïve — 北京's Ｆｕｌｌ\u00a0width, Ⅳ ½ ß İ ﬁ 👍🏽 \u200b\u00ad x\u0301")
@example("a" * 120)
def test_the_codes_are_those_of_the_publishers_tokeniser(text):
    theirs, ours = tokenisers()
    assert ours(text) == theirs.encode(text).ids


_both = []


def tokenisers():
    if not _both:
        from tokenizers import Tokenizer

        theirs = Tokenizer.from_file(str(Path(find_spec(minilm.PACKAGE).origin).parent / "model" / "tokenizer.json"))
        theirs.no_padding()
        theirs.no_truncation()
        _both.extend((theirs, encoder({"vocabulary": minilm.vocabulary()})))
    return _both


def spec_of(length=8, largest=30_521):
    field = Field(kind="tokens", shape=(length,), dtype="int64", range=(0, largest))
    return Spec(fields=(field,), target=Target(kind="class", classes=("a", "b"))).with_output(2)


def test_texts_are_decoded_and_mistakes_told():
    spec = spec_of()
    preprocess = Preprocess(decode={"input": [op(length=8)]}, transform={})
    assert decoder.decode(Raw(id="a", fields={"input": "café"}), spec, preprocess)[0].tolist() == [2, 7, 3, *[0] * 5]
    with pytest.raises(BadData, match="empty"):
        decoder.decode(Raw(id="a", fields={"input": " "}), spec, preprocess)
    for wrong, said in ((op(length=1), "from 2"), (op(vocabulary=WORDS[1:]), "lacks .PAD"), (op(unit="word"), "unit"),
                        (op(vocabulary=[*WORDS, "un"]), "twice")):  # fmt: skip
        with pytest.raises(BadUsage, match=said):
            decoder.decoder(spec, Preprocess(decode={"input": [wrong]}, transform={}))


def test_the_encoder_fits_the_data_or_says_why_not(monkeypatch):
    for spec, said in ((spec_of(length=600), "reads 512"), (spec_of(largest=40_000), "knows 30522"),
                       (spec_of(largest=255), "reads 30522 word pieces, the data has 256"),
                       (Spec(fields=(Field(kind="table", shape=(3,), dtype="float32"),), target=Target(kind="class"),
                             output=(2,)), "one field of tokens")):  # fmt: skip
        with pytest.raises(BadUsage, match=said):
            minilm.build(spec, MiniLMOptions())
    monkeypatch.setattr(minilm, "LAYERS", 1)
    net = minilm.build(spec_of(), MiniLMOptions()).eval()
    tokens = torch.tensor([[2, 7, 3, 0, 0, 0], [2, 4, 5, 6, 7, 3]])
    assert torch.allclose(net(tokens)[:1], net(tokens[:1, :3]), atol=1e-6)  # fillers change nothing
    assert torch.isfinite(net(torch.zeros(1, 4, dtype=torch.int64))).all()
    monkeypatch.setattr(imagenet, "find_spec", lambda name: None)
    known = minilm.MiniLMWeights(MiniLMOptions())
    for ask in (known.weights, known.preprocess):
        with pytest.raises(NotAvailable, match="minilm"):
            ask()


@pytest.mark.skipif(not INSTALLED, reason="needs the package of weights")
def test_sentences_of_one_meaning_lie_close():
    known = minilm.MiniLMWeights(MiniLMOptions())
    net = minilm.MiniLM(2, 0.0).eval()
    report = fill(net, renamed(read(known.weights()), known.rename))
    assert list(report.fresh) == ["last.weight", "last.bias"]
    assert all(name.startswith(("pooler.", "embeddings.position_ids")) for name in report.unused)
    encode = encoder({"vocabulary": minilm.vocabulary(), "length": 16})
    pairs = ("A man is playing a guitar.", "Someone plays an instrument.", "Shares fell on Monday.",
             "Stocks dropped at the start of the week.")  # fmt: skip
    with torch.inference_mode():
        v = nn.functional.normalize(net.vectors(torch.tensor([encode(text) for text in pairs])), dim=1)
    near = v @ v.T
    assert min(near[0, 1], near[2, 3]) > 0.5
    assert near[:2, 2:].max() < 0.2


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="needs the package of weights")
def test_the_encoder_is_tuned_to_classes_and_exported(tmp_path):
    (tmp_path / "sentences.py").write_text(SOURCE, encoding="utf-8")
    plugin = ("--plugin", tmp_path / "sentences.py")
    settings = ("--set", "start.weights=package", "--set", "trainer.lora=4", "--set", "loop.batch_size=8")
    common = (*plugin, "train", "sentences", "--model", "minilm", "--epochs", 4, "--lr", 3e-3, *settings)
    run(*common, "--name", "tuned", cwd=tmp_path)
    told = run(*plugin, "evaluate", "tuned", "--json", cwd=tmp_path).json
    assert told["metrics"]["accuracy"] > 0.9
    said = run(*plugin, "predict", "tuned", "The kitten purrs.", "Taxes went up.", "--json", cwd=tmp_path).json
    assert [answer["label"] for answer in said["answers"]] == ["pets", "money"]
    exported = run(*plugin, "export", "tuned", "--to", "torch-export", "--json", cwd=tmp_path).json
    assert all(line["ok"] for line in exported["verification"])
    run(*common, "--name", "again", cwd=tmp_path)
    assert same(tmp_path / "runs" / "tuned", tmp_path / "runs" / "again")
