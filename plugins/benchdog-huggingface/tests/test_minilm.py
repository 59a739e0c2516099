"""MiniLM: the encoder, its published weights, fine-tuning on texts in its word pieces."""

import csv
from importlib.util import find_spec

import pytest
import torch
from torch import nn

from benchdog.api import BadUsage, Field, NotAvailable, Spec, Target, encoder, packaged_files
from benchdog.model.layer_groups import stages
from benchdog.model.weights import fill, read, renamed
from benchdog_huggingface import minilm
from benchdog_huggingface.options import MiniLMOptions
from support.in_process import run, run_export, same, train

INSTALLED = find_spec(minilm.PACKAGE) is not None
PETS = ("My cat", "The old dog", "A kitten", "Our puppy", "Her pony", "That parrot", "His goldfish", "The hamster")
DO = ("sleeps on the sofa.", "is hungry again.", "ran into the garden.", "likes to be stroked.")
MONEY = ("Shares", "The bank", "Interest rates", "Profits", "The currency", "Bond prices", "The fund", "Exports")
MOVE = ("fell on Monday.", "rose by two per cent.", "surprised investors.", "were watched by traders.")


def spec_of(length=8, largest=30_521):
    field = Field(kind="tokens", shape=(length,), dtype="int64", range=(0, largest))
    return Spec(fields=(field,), target=Target(kind="class", classes=("a", "b"))).with_output(2)


@pytest.mark.parametrize(("spec", "message"), [
    (spec_of(length=600), "reads 512"),
    (spec_of(largest=40_000), "knows 30522"),
    (spec_of(largest=255), "reads 30522 word pieces, the data has 256"),
    (spec_of().with_output(8, 8), "another shape"),
    (Spec(fields=(Field(kind="table", shape=(3,), dtype="float32"),), target=Target(kind="class"), output=(2,)),
     "one field of tokens"),
])  # fmt: skip
def test_minilm_refuses_data_that_does_not_fit(spec, message):
    with pytest.raises(BadUsage, match=message):
        minilm.build(spec, MiniLMOptions())


def test_minilm_ignores_padding(monkeypatch):
    monkeypatch.setattr(minilm, "LAYERS", 1)
    net = minilm.build(spec_of(), MiniLMOptions()).eval()
    tokens = torch.tensor([[2, 7, 3, 0, 0, 0], [2, 4, 5, 6, 7, 3]])
    assert torch.allclose(net(tokens)[:1], net(tokens[:1, :3]), atol=1e-6)
    assert torch.isfinite(net(torch.zeros(1, 4, dtype=torch.int64))).all()


def test_minilm_parameter_names_are_those_of_earlier_artifacts():
    net = minilm.build(spec_of(), MiniLMOptions())
    assert stages(net) == ["embed", *(f"layers.{i}" for i in range(6)), "last"]
    layer = ("query", "key", "value", "out", "norm", "up", "down", "last_norm")
    modules = [*(f"layers.{i}.{name}" for i in range(6) for name in layer), "embed.norm", "last"]
    embeddings = [f"embed.{name}.weight" for name in ("words", "positions", "kinds")]
    assert set(net.state_dict()) == {f"{name}.{kind}" for name in modules for kind in ("weight", "bias")} | {
        *embeddings
    }


def test_minilm_names_the_missing_package(monkeypatch):
    monkeypatch.setattr(packaged_files, "find_spec", lambda name: None)
    published = minilm.MiniLMWeights(MiniLMOptions())
    for method in (published.weights, published.preprocess):
        with pytest.raises(NotAvailable, match="minilm"):
            method()


@pytest.mark.skipif(not INSTALLED, reason="needs the package of weights")
def test_embeddings_of_similar_sentences_are_close():
    published = minilm.MiniLMWeights(MiniLMOptions())
    net = minilm.MiniLM(2, 0.0).eval()
    report = fill(net, renamed(read(published.weights()), published.rename))
    assert list(report.fresh) == ["last.weight", "last.bias"]
    assert all(name.startswith(("pooler.", "embeddings.position_ids")) for name in report.unused)
    encode = encoder({"unit": "wordpiece", "vocabulary": minilm.vocabulary(), "length": 16})
    texts = ("A man is playing a guitar.", "Someone plays an instrument.", "Shares fell on Monday.",
             "Stocks dropped at the start of the week.")  # fmt: skip
    with torch.inference_mode():
        v = nn.functional.normalize(net.sentence_embeddings(torch.tensor([encode(text) for text in texts])), dim=1)
    similarity = v @ v.T
    assert min(similarity[0, 1], similarity[2, 3]) > 0.5
    assert similarity[:2, 2:].max() < 0.2


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="needs the package of weights")
def test_minilm_is_fine_tuned_rebuilt_and_exported(tmp_path):
    rows = [(f"{a} {b}", "pets") for a in PETS for b in DO] + [(f"{a} {b}", "money") for a in MONEY for b in MOVE]
    with (tmp_path / "texts.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "topic"), *rows])
    settings = {"source.path": "texts.csv", "source.label": "topic", "source.unit": "wordpiece", "source.length": 12,
                "start.weights": "package", "trainer.lora": 4, "loop.batch_size": 8,
                "artifact.max_batch": 2}  # fmt: skip
    common = ["text", "--model", "minilm", "--epochs", 3, "--lr", 3e-3]
    for key, value in settings.items():
        common += ["--set", f"{key}={value}"]
    train(*common, "--name", "tuned", cwd=tmp_path)
    train(*common, "--name", "again", cwd=tmp_path)
    assert same(tmp_path / "runs" / "tuned", tmp_path / "runs" / "again")
    predicted = run("predict", "tuned", "The kitten purrs.", "Taxes went up.", "--json", cwd=tmp_path).json["answers"]
    assert [each["label"] for each in predicted] == ["pets", "money"]
    exported = run_export("tuned", "--to", "torch-export", "--json", cwd=tmp_path).json
    assert all(line["ok"] for line in exported["verification"])
    run_export("tuned", "--to", "safetensors", cwd=tmp_path)  # rebuilt by name
