"""From sentences to an artifact that predicts for raw texts; stopped and resumed runs: the commands."""

import json
import shutil
from functools import partial

import pytest
import torch
from hf_made import LENGTH
from safetensors.torch import load_file

from support import in_process
from support.in_process import run, run_export, same, stop_at

pytestmark = pytest.mark.slow
SAID = "The old ship, by a tide!"


@pytest.fixture(scope="module")
def place(tmp_path_factory, texts, bert):
    """Give a folder with the data, and a BERT's folder with weights as the library saves them."""
    import transformers

    place = tmp_path_factory.mktemp("runs")
    shutil.copytree(texts, place / "places")
    shutil.copytree(bert, place / "model")
    torch.manual_seed(3)
    config = transformers.AutoConfig.from_pretrained(str(bert), num_hidden_layers=2)
    transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(str(place / "model"))
    return place


def words(*settings):
    return [word for setting in settings for word in ("--set", setting)]


DATA = words("source.path=places", "source.tokenizer=model", f"source.length={LENGTH}", "artifact.max_batch=4")


def train(place, name, *more, path="model", code=0, command=in_process.train):
    model = ("--model", "hf", "--set", f"model.path={path}", "--lr", "3e-3", "--name", name)
    return command("hf", *DATA, *model, *more, cwd=place, code=code)


@pytest.fixture(scope="module")
def trained(place):
    """Give a finished run."""
    said = train(place, "whole", "--epochs", 6, command=partial(run, "train")).err
    assert "tensors read" in said
    assert "net.bert.pooler" in said  # a masked model has none
    return place / "runs" / "whole"


def answers(place, *what):
    return json.loads(run("predict", *what, "--json", cwd=place).out)["answers"]


def test_a_raw_text_is_answered_as_the_library_answers_it(trained, place):
    import transformers
    from tokenizers import Tokenizer

    (answer,) = answers(place, "whole", SAID)
    assert answer["label"] == "sea"
    facts = json.loads((trained / "artifact" / "artifact.json").read_text(encoding="utf-8"))
    assert facts["graph"] is None
    assert facts["preprocess"]["decode"]["text"][0]["unit"] == "tokenizer"
    stored = load_file(trained / "artifact" / "model.safetensors")
    config = transformers.AutoConfig.from_pretrained(str(place / "model"), num_labels=3)
    theirs = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    theirs.load_state_dict({k.removeprefix("model.net."): v for k, v in stored.items() if k.startswith("model.")})
    ids = Tokenizer.from_file(str(place / "model" / "tokenizer.json")).encode(SAID).ids
    with torch.no_grad():
        wanted = theirs(input_ids=torch.tensor([ids])).logits.softmax(1)[0]
    assert answer["probability"] == pytest.approx(float(wanted.max()), abs=1e-5)


def test_without_the_folders_it_is_judged_exported_and_answers(trained, place, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(trained / "artifact", moved / "artifact")
    (before,) = answers(place, "whole", SAID)
    (after,) = answers(tmp_path, moved / "artifact", SAID)
    assert after["probability"] == before["probability"]
    (moved / "artifact" / "README.md").read_text(encoding="utf-8")
    for exporter in ("torch-export", "safetensors", "onnx"):
        run_export(moved / "artifact", "--to", exporter, "--out", tmp_path / exporter, cwd=tmp_path)
        (given,) = answers(tmp_path, tmp_path / exporter, SAID)
        assert given["probability"] == pytest.approx(before["probability"], abs=1e-4)


def test_a_stopped_run_resumes_to_the_same_bits(place, monkeypatch):
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
    assert answers(place, "lora", SAID)[0]["label"]


def test_weights_are_random_on_request_or_without_a_file(place, bert):
    said = train(place, "scratch", "--epochs", 1, "--set", 'start.weights=""').err
    assert "tensors read" not in said
    said = train(place, "bare", "--epochs", 1, path=bert).err
    assert "tensors read" not in said


def test_a_model_of_byte_pairs_without_filler(place, gpt):
    shutil.copytree(gpt, place / "gpt")
    more = words("source.path=places", "source.tokenizer=gpt", "model.path=gpt", "source.length=24")
    said = ("--model", "hf", "--lr", "3e-3", "--epochs", 8, "--name", "gpt")
    in_process.train("hf", *more, *said, cwd=place)
    assert answers(place, "gpt", "a wave and the anchor")[0]["label"] == "sea"


def test_a_table_of_a_data_set_is_learnt_from(library, tmp_path):
    rows = [{"a": float(i % 7), "b": ("x", "y")[i % 2], "label": ("no", "yes")[i % 2]} for i in range(120)]
    library.Dataset.from_list(rows).save_to_disk(str(tmp_path / "rows"))
    in_process.train(
        "hf", "--set", "source.path=rows", "--epochs", 30, "--lr", "1e-2", "--name", "rows", cwd=tmp_path
    )
    (tmp_path / "ask.csv").write_text("a,b\n3,y\n3,x\n", encoding="utf-8")
    assert [each["label"] for each in answers(tmp_path, "rows", "ask.csv")] == ["yes", "no"]
