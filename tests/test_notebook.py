"""The Python API: train, load, predict, evaluate, HTML representation; live models and sources."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import benchdog
from benchdog.api import BadUsage, Field, Raw, Spec, Target
from support.in_process import Live, same
from support.in_process import run as command
from support.local_sources import write


class Plain(nn.Module):
    """A model whose constructor takes no spec."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x):
        return self.layers(x)


class Stars:
    """A live source."""

    def spec(self):
        return Spec(
            fields=(Field(kind="table", shape=(3,), dtype="float32"),),
            target=Target(kind="class", classes=("dim", "bright")),
        )

    def open(self):
        rng = np.random.default_rng(0)
        raws = []
        for i in range(120):
            x = rng.normal(i % 2, 0.3, 3).astype("float32")
            raws.append(Raw(id=f"star {i}", fields={"input": x}, target=i % 2))
        return raws


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("notebook")
    return benchdog.train("digits", model="mlp", epochs=3, model__hidden=(32,), name="nb", runs_dir=place, quiet=True)


def test_trained_run_has_metrics_and_predicts(trained):
    assert trained.metrics["accuracy"] > 0.7
    assert trained.facts["status"] == "finished"
    samples = trained.samples()
    assert len(samples) == 32
    answers = trained.predict(samples)
    assert [answer.id for answer in answers] == [raw.id for raw in samples]
    (digit,) = trained.predict(np.zeros((1, 8, 8), np.uint8))
    assert digit.values["label"] in set("0123456789")
    assert 0 <= digit.values["probability"] <= 1
    assert trained.evaluate("test")["metrics"]["accuracy"] > 0.7
    assert repr(trained) == f"TrainedRun({str(trained.folder)!r})"


def test_evaluate_returns_what_the_command_prints(trained):
    result = benchdog.evaluate("nb", runs_dir=trained.folder.parent, by="class")
    printed = command("evaluate", trained.folder, "--by", "class", "--json", cwd=trained.folder.parent).json
    assert result["metrics"]["accuracy"] == printed["metrics"]["accuracy"] > 0.7
    assert result["intervals"] == printed["intervals"]
    assert [line["slice"] for line in result["slices"]["slices"]] == [
        line["slice"] for line in printed["slices"]["slices"]
    ]
    with pytest.raises(BadUsage, match="nope"):
        benchdog.evaluate("nb", "nope", runs_dir=trained.folder.parent)


def test_html_repr_has_no_scripts_or_external_urls(trained):
    page = trained._repr_html_()
    assert "accuracy" in page
    assert "nb" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_train_in_python_and_on_the_command_line_is_bit_identical(trained, tmp_path):
    settings = ["--epochs", 3, "--set", "model.hidden=[32]", "--name", "cli", "--quiet"]
    command("train", "digits", "--model", "mlp", *settings, cwd=tmp_path)
    assert same(tmp_path / "runs" / "cli", trained.folder)


def test_load_by_name_folder_or_latest_run(trained):
    place = trained.folder.parent
    for again in (benchdog.load("nb", runs_dir=place), benchdog.load(trained.folder), benchdog.load(runs_dir=place)):
        assert again.folder == trained.folder
        assert again.metrics == trained.metrics
    with pytest.raises(BadUsage, match="no run 'nbb'") as caught:
        benchdog.load("nbb", runs_dir=place)
    assert "Did you mean 'nb'?" in caught.value.hint


@pytest.mark.parametrize("model", [Live, Plain, lambda spec: Live(spec)], ids=["class", "without spec", "function"])
def test_train_with_a_live_model(tmp_path, model):
    run = benchdog.train("digits", model=model, epochs=4, lr=0.01, runs_dir=tmp_path, quiet=True)
    assert run.metrics["accuracy"] > 0.8
    assert not set(run.folder.name) & set("<>:/")
    assert len(run.predict(run.samples()[:3])) == 3
    recipe = (run.folder / "recipe.toml").read_text(encoding="utf-8")
    assert "workers = 0" in recipe
    assert benchdog.load(run.folder).metrics == run.metrics, "the graph is loaded without the model's class"


def test_live_module_is_trained_in_place(tmp_path):
    torch.manual_seed(0)
    module = Plain()
    before = module.get_parameter("layers.1.weight").detach().clone()
    run = benchdog.train("digits", model=module, epochs=1, runs_dir=tmp_path, quiet=True)
    assert run.facts["model"] == "plain"
    assert not torch.equal(module.get_parameter("layers.1.weight").cpu(), before)


def test_train_on_a_live_source(tmp_path):
    run = benchdog.train(Stars(), model="linear", epochs=20, batch_size=16, lr=0.05, runs_dir=tmp_path, quiet=True)
    assert run.facts["source"] == "stars"
    assert run.metrics["accuracy"] > 0.8
    (answer,) = run.predict([Raw(id="new", fields={"input": [1.0, 1.0, 1.0]})])
    assert answer.values["label"] == "bright"


def test_train_on_a_source_of_a_local_plugin(tmp_path):
    run = benchdog.train(
        "positions", plugins=[write(tmp_path)], model="linear", epochs=1, runs_dir=tmp_path, quiet=True
    )
    assert json.loads((run.folder / "run.json").read_text())["source"] == "positions"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"epochz": 3}, "train() takes no 'epochz'.\n  Did you mean 'epochs'?"),
        ({"loop__epoch": 3}, "train() takes no 'loop__epoch'.\n  Did you mean 'loop__epochs'?"),
        ({"epochs": 0}, "epochs is 0"),
        ({"lr": "fast"}, "lr is 'fast'"),
        ({"model": "cnnn"}, "no model 'cnnn'"),
        ({"model": 3}, "model is 3"),
        ({"model": lambda spec: 3}, "not a torch.nn.Module"),
        ({"model": lambda spec: 1 / 0}, "ZeroDivisionError"),
        ({"model": nn.Linear(3, 3)}, "doesn't fit the data"),
        ({"epochs": 3, "loop__epochs": 4}, "given twice"),
    ],
)
def test_train_usage_errors_are_raised_before_a_run_is_created(tmp_path, more, message):
    with pytest.raises(BadUsage) as caught:
        benchdog.train("digits", runs_dir=tmp_path, quiet=True, **more)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_options_for_a_live_source_are_refused(tmp_path):
    with pytest.raises(BadUsage, match=r"source\.path"):
        benchdog.train(Stars(), path="x", runs_dir=tmp_path, quiet=True)
