"""Training on texts and tables, prediction, export and exact resume, through the command line."""

import json
import shutil
from functools import partial

import pytest
import torch
from hf_sentences import LENGTH
from safetensors.torch import load_file

from support import in_process
from support.in_process import run, run_export, same, stop_at

pytestmark = pytest.mark.slow
TEXT = "The old ship, by a tide!"


@pytest.fixture(scope="module")
def place(tmp_path_factory, texts, bert):
    """Return a folder with the data, and with a BERT folder whose weights transformers saved."""
    import transformers

    place = tmp_path_factory.mktemp("runs")
    shutil.copytree(texts, place / "places")
    shutil.copytree(bert, place / "model")
    torch.manual_seed(3)
    config = transformers.AutoConfig.from_pretrained(str(bert), num_hidden_layers=2)
    transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(str(place / "model"))
    return place


def flags(*settings):
    return [word for setting in settings for word in ("--set", setting)]


DATA = flags("source.path=places", "source.tokenizer=model", f"source.length={LENGTH}", "artifact.max_batch=4")


def train(place, name, *more, path="model", code=0, command=in_process.train):
    model = ("--model", "hf", "--set", f"model.path={path}", "--lr", "3e-3", "--name", name)
    return command("hf", *DATA, *model, *more, cwd=place, code=code)


@pytest.fixture(scope="module")
def trained(place):
    """Return the folder of a finished run."""
    err = train(place, "whole", "--epochs", 6, command=partial(run, "train")).err
    assert "tensors read" in err
    assert "net.bert.pooler" in err  # a masked language model has no pooler
    return place / "runs" / "whole"


def predict(place, *what):
    return json.loads(run("predict", *what, "--json", cwd=place).out)["answers"]


def test_prediction_for_a_raw_text_equals_that_of_transformers(trained, place):
    import transformers
    from tokenizers import Tokenizer

    (answer,) = predict(place, "whole", TEXT)
    assert answer["label"] == "sea"
    facts = json.loads((trained / "artifact" / "artifact.json").read_text(encoding="utf-8"))
    assert facts["graph"] is None
    assert facts["preprocess"]["decode"]["text"][0]["unit"] == "tokenizer"
    stored = load_file(trained / "artifact" / "model.safetensors")
    config = transformers.AutoConfig.from_pretrained(str(place / "model"), num_labels=3)
    reference = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    reference.load_state_dict({k.removeprefix("model.net."): v for k, v in stored.items() if k.startswith("model.")})
    ids = Tokenizer.from_file(str(place / "model" / "tokenizer.json")).encode(TEXT).ids
    with torch.no_grad():
        expected = reference(input_ids=torch.tensor([ids])).logits.softmax(1)[0]
    assert answer["probability"] == pytest.approx(float(expected.max()), abs=1e-5)


def test_artifact_predicts_and_exports_without_the_folders(trained, place, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(trained / "artifact", moved / "artifact")
    (before,) = predict(place, "whole", TEXT)
    (after,) = predict(tmp_path, moved / "artifact", TEXT)
    assert after["probability"] == before["probability"]
    (moved / "artifact" / "README.md").read_text(encoding="utf-8")
    for exporter in ("torch-export", "safetensors", "onnx"):
        run_export(moved / "artifact", "--to", exporter, "--out", tmp_path / exporter, cwd=tmp_path)
        (exported,) = predict(tmp_path, tmp_path / exporter, TEXT)
        assert exported["probability"] == pytest.approx(before["probability"], abs=1e-4)


def test_stopped_run_resumes_bit_for_bit(place, monkeypatch):
    train(place, "straight", "--epochs", 2)
    with monkeypatch.context() as patched:
        stop_at(patched, 2)
        train(place, "bent", "--epochs", 2, code=143)
    in_process.train("--resume", "bent", cwd=place)
    assert same(place / "runs" / "straight", place / "runs" / "bent")
    train(place, "helped", "--epochs", 2, "--set", "loader.memory=0", "--workers", 1)
    assert same(place / "runs" / "straight", place / "runs" / "helped")


def test_frozen_groups_keep_their_weights_and_lora_changes_frozen_ones(place):
    train(place, "frozen", "--epochs", 1, "--set", "trainer.freeze_groups=2", "--set", "trainer.layer_decay=0.9")
    before = load_file(place / "model" / "model.safetensors")
    after = load_file(place / "runs" / "frozen" / "artifact" / "model.safetensors")
    name = "bert.encoder.layer.{}.output.dense.weight"
    assert torch.equal(after["model.net." + name.format(0)], before[name.format(0)])
    assert not torch.equal(after["model.net." + name.format(1)], before[name.format(1)])
    train(place, "lora", "--epochs", 1, "--set", "trainer.lora=2", "--set", 'trainer.freeze=["net.bert"]')
    after = load_file(place / "runs" / "lora" / "artifact" / "model.safetensors")
    changed = {n for n, x in before.items() if n.startswith("bert.") and not torch.equal(after["model.net." + n], x)}
    assert changed
    assert all(n.endswith("weight") for n in changed)
    assert predict(place, "lora", TEXT)[0]["label"]


def test_weights_are_random_on_request_or_without_a_file(place, bert):
    err = train(place, "scratch", "--epochs", 1, "--set", 'start.weights=""').err
    assert "tensors read" not in err
    err = train(place, "bare", "--epochs", 1, path=bert).err
    assert "tensors read" not in err


def test_byte_pair_model_without_padding_token(place, gpt):
    shutil.copytree(gpt, place / "gpt")
    settings = flags("source.path=places", "source.tokenizer=gpt", "model.path=gpt", "source.length=24")
    model = ("--model", "hf", "--lr", "3e-3", "--epochs", 8, "--name", "gpt")
    in_process.train("hf", *settings, *model, cwd=place)
    assert predict(place, "gpt", "a wave and the anchor")[0]["label"] == "sea"


def test_training_on_a_table_dataset(hf_datasets, tmp_path):
    rows = [{"a": float(i % 7), "b": ("x", "y")[i % 2], "label": ("no", "yes")[i % 2]} for i in range(120)]
    hf_datasets.Dataset.from_list(rows).save_to_disk(str(tmp_path / "rows"))
    in_process.train(
        "hf", "--set", "source.path=rows", "--epochs", 30, "--lr", "1e-2", "--name", "rows", cwd=tmp_path
    )
    (tmp_path / "ask.csv").write_text("a,b\n3,y\n3,x\n", encoding="utf-8")
    assert [each["label"] for each in predict(tmp_path, "rows", "ask.csv")] == ["yes", "no"]
