"""The examples of the documentation are whole files that load and work."""

import re
import tomllib
from pathlib import Path

import pytest

from benchdog.api import Batch, Column, Field, RunFacts, Spec, Target
from benchdog.plugins import Plugins

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = {
    first[2:]: text
    for language, text in BLOCK.findall((DOCS / "plugins.md").read_text(encoding="utf-8"))
    if language == "python" and (first := text.splitlines()[0]).startswith("# ")
}
TABLE = Spec(
    fields=(Field(kind="table", shape=(2,), dtype="float32", columns=(Column(name="a"), Column(name="b"))),),
    target=Target(kind="number", dtype="float32"),
    output=(1,),
)


@pytest.fixture
def plugins(tmp_path):
    """Load one example as a local plugin."""

    def load(name: str) -> Plugins:
        path = tmp_path / name
        path.write_text(EXAMPLES[name], encoding="utf-8")
        return Plugins.discover(local=[path])

    return load


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_block_can_be_read(page):
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            assert compile(text, page.name, "exec")
        elif language == "toml":
            assert tomllib.loads(text)
        else:
            assert language in ("text", "sh", "json")


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_every_example_is_a_healthy_plugin(name, plugins):
    found = plugins(name)
    assert found.faults == []
    assert name.removesuffix(".py") in {plugin.name for plugin in found.healthy}


@pytest.mark.parametrize(
    ("name", "kind", "component"),
    [
        ("tiny_net.py", "model", "tiny-net"),
        ("stars.py", "source", "stars"),
        ("median.py", "task", "median"),
        ("dim.py", "augmentation", "dim"),
        ("plain_sgd.py", "trainer", "plain-sgd"),
        ("native.py", "exporter", "native"),
        ("one_core.py", "backend", "one-core"),
    ],
)
def test_there_is_an_example_of_every_kind(name, kind, component, plugins):
    host = plugins(name)
    found = host.find(kind, component)
    assert found.info.kind == kind
    assert callable(found.resolve(found.info.target))
    if kind != "model":
        assert host.make(kind, component)


def test_the_model_fits_its_spec(plugins):
    import torch

    host = plugins("tiny_net.py")
    found = host.find("model", "tiny-net")
    model = found.resolve(found.info.target)(TABLE, host.options(found, {"width": 3}))
    assert model(torch.zeros(4, 2)).shape == (4, 1)


def test_the_source_gives_what_its_spec_says(plugins):
    source = plugins("stars.py").make("source", "stars")
    samples = source.open()
    assert len({sample.id for sample in samples}) == len(samples) == 600
    names = {column.name for column in source.spec().fields[0].columns}
    assert all(set(sample.fields["input"]) == names for sample in samples)
    assert {sample.target for sample in samples} == set(range(source.spec().classes))


def test_the_task_adds_up(plugins):
    import torch

    host = plugins("median.py")
    task = host.make("task", "median")
    task.check(TABLE)
    batch = Batch((torch.zeros(3, 2),), torch.tensor([1.0, 2.0, 6.0]))
    score = torch.zeros(3, 1)
    loss, weight = task.loss(score, batch)
    assert (float(loss), weight) == (9.0, 3)
    one, both = task.meter(TABLE), task.meter(TABLE)
    one.add(score, batch)
    both.merge(one.state())
    both.merge(one.state())
    assert both.value()["mae"] == 3.0
    found = host.find("task", "median")
    answer = found.resolve(found.info.answer)
    (told,) = answer(lambda *_: (score[:1].numpy(), score[:1].numpy()), (), TABLE, None)
    assert told.values == {"target": 0.0}


def test_the_backend_steps(plugins):
    import torch

    backend = plugins("one_core.py").make("backend", "one-core")
    assert backend.probe().available
    threads = torch.get_num_threads()
    device = backend.open(0, 1)
    try:
        weight = torch.ones(1, requires_grad=True)
        with device.autocast():
            device.backward((weight * 2).sum(), torch.tensor(0.5))
        device.step(torch.optim.SGD([weight], lr=1.0))
        assert weight.tolist() == [0.0]
    finally:
        torch.set_num_threads(threads)


def test_the_observer_writes_its_line(plugins, tmp_path):
    host = plugins("diary.py")
    facts = RunFacts(name="r", folder=str(tmp_path), source="s", model="m", task="t", epochs=1)
    host.emit("benchdog_run_ended", run=facts, metrics={"accuracy": 1.0})
    host.close()
    assert "m on s" in (tmp_path / "diary.txt").read_text(encoding="utf-8")
    assert host.faults == []


@pytest.mark.slow
def test_examples_train_together(bench, tmp_path):
    for name in ("stars.py", "tiny_net.py", "plain_sgd.py", "diary.py"):
        (tmp_path / name).write_text(EXAMPLES[name], encoding="utf-8")
    local = [part for name in ("stars.py", "tiny_net.py", "plain_sgd.py", "diary.py") for part in ("--plugin", name)]
    choice = ("--model", "tiny-net", "--trainer", "plain-sgd", "--epochs", "2")
    result = bench(*local, "train", "stars", *choice, "--json", cwd=tmp_path)
    assert result.code == 0


def test_the_recipe_page_lists_every_key_of_the_hosts_tables():
    import dataclasses

    from benchdog.options import describe
    from benchdog.recipe import TABLES

    page = (DOCS / "recipe.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.\w+)` \| (.*) \| (.*) \|$", page, re.MULTILINE)
    listed = {key: (doc, default) for key, doc, default in rows}
    known = {
        f"{name}.{option.name}": (option.doc, str(option.default))
        for name, table in TABLES.items()
        if dataclasses.is_dataclass(table)
        for option in describe(table).values()
    }
    assert listed == known
