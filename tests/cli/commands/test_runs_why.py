"""`runs why`: the first difference between two runs: recipe key, label, package, seed, code or step."""

import json
import re

import pytest

from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

TABLE = ["a,b,kind", *(f"{i % 17},{(i * 7) % 23},{'yes' if (i % 17) > 8 else 'no'}" for i in range(300))]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("why")
    (folder / "t.csv").write_text("\n".join(TABLE), encoding="utf-8")
    train(folder, "first")
    return folder


def train(place, name, *more, model="linear"):
    run("train", "csv", "--set", "source.path=t.csv", "--set", "source.target=kind", "--epochs", 1, "--quiet",
        "--model", model, "--name", name, *more, cwd=place)  # fmt: skip


def why(place, other, one="first"):
    return json.loads(run("runs", "why", one, other, "--json", cwd=place).out)


def test_same_recipe_does_not_diverge(place):
    train(place, "second", "--set", "loop.keep=3")
    document = why(place, "second")
    assert [p["what"] for p in document["partings"]] == ["loop.keep"]
    assert not document["partings"][0]["effect"]
    steps = json.loads((place / "runs" / "first" / "run.json").read_text())["steps_done"]
    assert document["same_steps"] == steps
    assert "don't diverge" in run("runs", "why", "first", "second", cwd=place).out


def test_changed_label_is_reported(place):
    text = (place / "t.csv").read_text(encoding="utf-8")
    lines = text.splitlines()
    try:
        for row in range(40, 60):  # the first of these that is in training
            changed = [*lines]
            changed[row] = changed[row].replace("yes", "?").replace("no", "yes").replace("?", "no")
            (place / "t.csv").write_text("\n".join(changed), encoding="utf-8")
            train(place, f"label-{row}")
            document = why(place, f"label-{row}")
            data = [p for p in document["partings"] if p["where"] == "data"]
            if data and "target of train" in data[0]["what"]:
                break
    finally:
        (place / "t.csv").write_text(text, encoding="utf-8")
    assert re.search(rf"target of train sample .*\b{row + 1}\b|target of train sample .*\b{row}\b", data[0]["what"])
    losses = [p for p in document["partings"] if p["where"] == "loss"]
    assert re.fullmatch(r"step \d+", losses[0]["what"])
    assert losses[0]["values"][0] != losses[0]["values"][1]
    assert not [p for p in document["partings"] if p["where"] == "recipe"]


@pytest.mark.parametrize(("row", "what", "values"), [
    (65, "target of sample line-66", ["yes (train)", "no (valid)"]),
    (45, "a sample that first alone has in train or valid", ["at position 33 (train)", "-"]),
])  # fmt: skip
def test_changed_label_that_moves_a_sample_is_reported(place, row, what, values):
    lines = [*TABLE]
    lines[row] = lines[row].replace("yes", "?").replace("no", "yes").replace("?", "no")
    (place / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    try:
        train(place, f"moved-{row}")
        data = [p for p in why(place, f"moved-{row}")["partings"] if p["where"] == "data"]
    finally:
        (place / "t.csv").write_text("\n".join(TABLE), encoding="utf-8")
    assert [p["what"] for p in data] == ["samples", what]
    assert data[1]["values"] == values


def test_changed_package_version_is_reported(place):
    train(place, "package")
    file = place / "runs" / "package" / "environment.json"
    provenance = json.loads(file.read_text())
    provenance["packages"]["numpy"] = "1.0.0"
    file.write_text(json.dumps(provenance))
    found = why(place, "package")["partings"]
    assert [(p["where"], p["what"], p["values"][1]) for p in found] == [("packages", "numpy", "1.0.0")]


@pytest.mark.parametrize(("key", "same"), [("loader.seed", True), ("seed", False)])
def test_changed_seed_is_reported_with_first_differing_sample(place, key, same):
    train(place, f"seed-{key}", "--set", f"{key}=5")
    found = why(place, f"seed-{key}")["partings"]
    assert {"where": "recipe", "what": key, "values": ["0", "5"], "effect": True} in found
    order = next(p for p in found if p["where"] == "order")
    assert order["what"].startswith("epoch 1, step 1, sample ")
    assert order["values"][0] != order["values"][1]
    assert next(p for p in found if p["where"] == "loss")["what"] == "step 1"
    text = run("runs", "why", "first", f"seed-{key}", cwd=place).out
    assert key in text


def test_changed_key_and_code_are_reported(place):
    net = "import torch\nclass Net(torch.nn.Sequential):\n    def __init__(self, spec):\n" \
          "        super().__init__(torch.nn.Linear(spec.fields[0].shape[0], spec.outputs))\n"  # fmt: skip
    (place / "net.py").write_text(net, encoding="utf-8")
    train(place, "code-1", model="net.py:Net")
    (place / "net.py").write_text(net + "# another\n", encoding="utf-8")
    train(place, "code-2", "--set", "trainer.lr=0.01", model="net.py:Net")
    found = why(place, "code-2", one="code-1")["partings"]
    assert [(p["where"], p["what"]) for p in found[:2]] == [("recipe", "trainer.lr"), ("code", "net.py")]
    loss = next(p for p in found if p["where"] == "loss")
    assert loss["what"] == "step 2"  # the first loss comes before the first change of the weights


def test_unknown_run_is_refused(place):
    assert "There is no run" in run("runs", "why", "first", "nobody", cwd=place, code=2).err
