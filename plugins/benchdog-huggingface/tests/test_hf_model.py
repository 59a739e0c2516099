"""The model: building from a configuration, layer groups, weights by name, refusals; in memory."""

import json

import pytest
import torch
from hf_sentences import LENGTH, SPECIAL_TOKENS

from benchdog.api import BadUsage, Field, Spec, Target
from benchdog.model.layer_groups import stages
from benchdog.model.weights import fill, renamed
from benchdog_huggingface import tokenizer
from benchdog_huggingface.model import build
from benchdog_huggingface.options import ModelOptions
from benchdog_huggingface.weights import FolderWeights

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
CLASSES = ("sea", "wood", "town")


def spec_of(tokens, kind="class", length=LENGTH):
    field = Field(kind="tokens", shape=(length,), dtype="int64", range=(0, tokens - 1))
    if kind == "next-token":
        names = tuple(f"{i:02x}" for i in range(tokens))
        target = Target(kind=kind, classes=names, shape=(length,), spelling="hex")
        return Spec(fields=(field,), target=target).with_output(length, tokens)
    return Spec(fields=(field,), target=Target(kind="class", classes=CLASSES)).with_output(3)


def size_of(folder):
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]


def codes(tokens, rows=4, length=LENGTH, seed=0):
    ids = torch.randint(1, tokens, (rows, length), generator=torch.Generator().manual_seed(seed))
    ids[1, 5:] = 0
    return ids


@pytest.mark.parametrize("head", ["own", "mean"])
def test_logits_are_independent_of_padding_and_batch(bert, head):
    tokens = size_of(bert)
    net = build(spec_of(tokens), ModelOptions(path=bert, head=head)).eval()
    with torch.no_grad():
        together = net(codes(tokens))
        assert together.shape == (4, 3)
        assert torch.allclose(net(codes(tokens)[1:2, :5]), together[1:2], atol=1e-5)
        assert torch.allclose(net(codes(tokens)[2:3]), together[2:3], atol=1e-5)
        assert net(torch.zeros(2, LENGTH, dtype=torch.int64)).isfinite().all()


def test_logits_equal_those_of_transformers(bert, gpt):
    from transformers import AutoModelForSequenceClassification

    for folder, first in ((bert, 0), (gpt, 1)):
        tokens = size_of(folder)
        net = build(spec_of(tokens + first), ModelOptions(path=folder)).eval()
        ours = net.get_submodule("net")
        reference = AutoModelForSequenceClassification.from_config(ours.config).eval()
        reference.load_state_dict(ours.state_dict())
        x = codes(tokens)
        with torch.no_grad():
            for row, length in ((0, LENGTH), (1, 5)):
                expected = reference(input_ids=x[row : row + 1, :length] - first).logits
                assert torch.allclose(net(x)[row : row + 1], expected, atol=1e-5)


def test_layer_groups_are_layers_and_the_head_is_last(bert, gpt):
    own = build(spec_of(size_of(bert)), ModelOptions(path=bert))
    layers = [f"net.bert.encoder.layer.{i}" for i in range(3)]
    assert stages(own) == ["net.bert.embeddings", *layers, "net.bert.pooler", "net.classifier"]
    mean = build(spec_of(size_of(bert)), ModelOptions(path=bert, head="mean"))
    assert stages(mean)[-2:] == ["net.encoder.encoder.layer.2", "net.last"]
    assert stages(build(spec_of(size_of(gpt) + 1), ModelOptions(path=gpt)))[-1] == "net.score"


@pytest.mark.parametrize("kind", ["AutoModel", "AutoModelForMaskedLM", "AutoModelForSequenceClassification"])
@pytest.mark.parametrize("head", ["own", "mean"])
def test_weights_saved_from_any_model_class_are_read(kind, head, bert):
    import transformers

    config = transformers.BertConfig(**json.loads((bert / "config.json").read_text(encoding="utf-8")))
    published = getattr(transformers, kind).from_config(config)
    net = build(spec_of(size_of(bert)), ModelOptions(path=bert, head=head))
    weights = FolderWeights(ModelOptions(path=bert, head=head))
    report = fill(net, renamed(published.state_dict(), weights.rename))
    if kind == "AutoModelForMaskedLM" and head == "own":
        assert report.share > 0.9  # it has no pooler
        assert {why for name, why in report.fresh.items() if "pooler" in name} == {"not in the file"}
    else:
        assert report.share == 1.0
    encoder = net.get_submodule("net.bert" if head == "own" else "net.encoder")
    base = getattr(published, "bert", published)
    copied = encoder.get_parameter("encoder.layer.2.output.dense.weight")
    assert torch.equal(copied, base.encoder.layer[2].output.dense.weight)


def test_legacy_bert_names_are_mapped(bert):
    weights = FolderWeights(ModelOptions(path=bert))
    old = {"bert.embeddings.LayerNorm.gamma": torch.ones(1), "bert.embeddings.LayerNorm.beta": torch.ones(1)}
    assert set(renamed(old, weights.rename)) == {f"net.bert.embeddings.LayerNorm.{n}" for n in ("weight", "bias")}


def test_causal_model_predicts_next_tokens(gpt):
    net = build(spec_of(40, "next-token"), ModelOptions(path=gpt)).eval()
    with torch.no_grad():
        x = codes(40)
        assert net(x).shape == (4, LENGTH, 40)
        changed = x.clone()
        changed[:, 8:] = 7
        assert torch.allclose(net(x)[:, :8], net(changed)[:, :8], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "tokens", "length", "message"),
    [
        ({"model_type": "bertt"}, 0, LENGTH, "no architecture 'bertt'"),
        ({}, 500, LENGTH, "the data has 500"),
        ({}, 0, 64, "reads 32 tokens, a text has 64"),
        ({"num_attention_heads": 5}, 0, LENGTH, "can't|multiple"),
        ({"model_type": "clip_vision_model"}, 0, LENGTH, "no head to classify texts|doesn't fit"),
    ],
)
def test_configuration_that_does_not_fit_is_refused(change, tokens, length, message, bert, tmp_path):
    config = json.loads((bert / "config.json").read_text(encoding="utf-8")) | change
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises((BadUsage, ValueError), match=message):
        build(spec_of(tokens or size_of(bert), length=length), ModelOptions(path=tmp_path))


def test_other_data_and_missing_folder_are_refused(bert):
    image = Field(kind="image", shape=(3, 8, 8), dtype="uint8")
    with pytest.raises(BadUsage, match="the data is image"):
        build(Spec(fields=(image,), target=Target(kind="class")).with_output(3), ModelOptions(path=bert))
    with pytest.raises(BadUsage, match="needs the folder"):
        build(spec_of(40), ModelOptions())


@pytest.mark.parametrize(("kind", "first"), [("bert", 0), ("roberta", 1)])
def test_tokenizers_in_legacy_files_are_converted(kind, first, tmp_path):
    from tokenizers import ByteLevelBPETokenizer

    words = [*SPECIAL_TOKENS, "ship", "the", "."]
    if kind == "bert":
        (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    else:
        bpe = ByteLevelBPETokenizer()
        bpe.train_from_iterator(["the ship"], 270, show_progress=False, special_tokens=list(SPECIAL))
        bpe.save_model(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "pad_token_id": first}), encoding="utf-8")
    op = tokenizer.operation(tmp_path, 6)
    assert op["first"] == first
    ((start, *rest),) = tokenizer.encoder(op)(["The ship."])
    assert start == (words.index("[CLS]") if kind == "bert" else SPECIAL.index("<s>") + 1)
    assert len(rest) == 5
    if kind == "bert":
        assert rest == [words.index(word) for word in ("the", "ship", ".", "[SEP]")] + [0]


def test_names_of_the_head_are_those_of_the_configuration(tmp_path):
    config = {"model_type": "bert", "id2label": {"10": "far", "2": "pos", "0": "neg"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert FolderWeights(ModelOptions(path=tmp_path)).classes == ("neg", "pos", "far")
    (tmp_path / "config.json").write_text('{"model_type": "bert", "id2label": {"0": "LABEL_0"}}', encoding="utf-8")
    assert FolderWeights(ModelOptions(path=tmp_path)).classes == ()
