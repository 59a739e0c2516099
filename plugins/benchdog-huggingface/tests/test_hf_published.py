"""A published folder of transformers: MiniLM's. The models `hf` and `minilm` agree on it."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchdog.api import Field, Spec, Target, encoder
from benchdog.model.weights import fill, read, renamed
from benchdog_huggingface import minilm, tokenizer
from benchdog_huggingface.model import build
from benchdog_huggingface.options import MiniLMOptions, ModelOptions
from benchdog_huggingface.weights import FolderWeights

SPEC = find_spec(minilm.PACKAGE)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(SPEC is None, reason="the package with MiniLM is not here")]
TEXTS = ("A bird in the hand is worth two in the bush.", "Grüße aus Köln, naïve café! 北京", "the " * 60, "x")
LENGTH = 24


@pytest.fixture(scope="module")
def folder() -> Path:
    assert SPEC
    assert SPEC.origin
    return Path(SPEC.origin).parent / "model"


def test_the_tokenizer_gives_the_same_word_pieces(folder):
    theirs = tokenizer.operation(folder, LENGTH)
    assert theirs["first"] == 0
    ours = encoder({"op": "tokens", "unit": "wordpiece", "vocabulary": list(minilm.vocabulary()), "length": LENGTH})
    assert tokenizer.encoder(theirs)(TEXTS) == [ours(text) for text in TEXTS]


def test_the_network_gives_the_same_vectors(folder):
    field = Field(kind="tokens", shape=(LENGTH,), dtype="int64", range=(0, minilm.VOCABULARY - 1))
    spec = Spec(fields=(field,), target=Target(kind="class", classes=("a", "b"))).with_output(2)
    options = ModelOptions(path=folder, head="mean")
    theirs, ours = build(spec, options).eval(), minilm.build(spec, MiniLMOptions()).eval()
    known = FolderWeights(options)
    assert known.begins
    tensors = read(known.weights())
    assert fill(theirs, renamed(tensors, known.rename)).share == 1.0
    assert fill(ours, renamed(tensors, minilm.MiniLMWeights.rename)).share == 1.0
    theirs.get_submodule("net.last").load_state_dict(ours.get_submodule("last").state_dict())
    codes = torch.tensor(tokenizer.encoder(tokenizer.operation(folder, LENGTH))(TEXTS))
    with torch.no_grad():
        assert torch.allclose(theirs(codes), ours(codes), atol=1e-5)
