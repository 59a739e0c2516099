"""With the published MiniLM folder, the models `hf` and `minilm` agree."""

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


def test_hf_tokenizer_equals_that_of_minilm(folder):
    operation = tokenizer.operation(folder, LENGTH)
    assert operation["first"] == 0
    encode = encoder({"op": "tokens", "unit": "wordpiece", "vocabulary": list(minilm.vocabulary()), "length": LENGTH})
    assert tokenizer.encoder(operation)(TEXTS) == [encode(text) for text in TEXTS]


def test_hf_model_equals_minilm(folder):
    field = Field(kind="tokens", shape=(LENGTH,), dtype="int64", range=(0, minilm.VOCABULARY - 1))
    spec = Spec(fields=(field,), target=Target(kind="class", classes=("a", "b"))).with_output(2)
    options = ModelOptions(path=folder, head="mean")
    hf_net, minilm_net = build(spec, options).eval(), minilm.build(spec, MiniLMOptions()).eval()
    weights = FolderWeights(options)
    assert weights.begins
    tensors = read(weights.weights())
    assert fill(hf_net, renamed(tensors, weights.rename)).share == 1.0
    assert fill(minilm_net, renamed(tensors, minilm.MiniLMWeights.rename)).share == 1.0
    hf_net.get_submodule("net.last").load_state_dict(minilm_net.get_submodule("last").state_dict())
    codes = torch.tensor(tokenizer.encoder(tokenizer.operation(folder, LENGTH))(TEXTS))
    with torch.no_grad():
        assert torch.allclose(hf_net(codes), minilm_net(codes), atol=1e-5)
