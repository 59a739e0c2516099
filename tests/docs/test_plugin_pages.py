"""Example plugins: what `plugins new` writes, conformant, and shown unchanged in docs/guides/plugins."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchdog.api import Batch, Column, Field, RunFacts, Spec, Target
from benchdog.plugins import Plugins
from benchdog.plugins.scaffold import KINDS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "plugins"
COMPONENTS = {
    "stars.py": ("source", "stars"),
    "tiny_net.py": ("model", "tiny-net"),
    "brier.py": ("task", "brier"),
    "dim.py": ("augmentation", "dim"),
    "wav.py": ("decoder", "wav"),
    "plain_sgd.py": ("trainer", "plain-sgd"),
    "xz.py": ("exporter", "xz"),
    "one_core.py": ("backend", "one-core"),
    "pgm.py": ("writer", "pgm"),
}
SPEC = Spec(
    fields=(Field(kind="table", shape=(2,), dtype="float32", columns=(Column(name="a"), Column(name="b"))),),
    target=Target(kind="class", classes=("x", "y")),
    output=(2,),
)


def load(name: str) -> Plugins:
    """Load a single plugin file."""
    return Plugins.discover(local=[EXAMPLES / name])


@pytest.mark.parametrize("script", ["plugin_pages.py", "hook_reference.py", "api_reference.py"])
def test_pages_and_examples_are_current(script):
    argv = [sys.executable, ROOT / "scripts" / script, "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_plugin_page_shows_its_whole_example(kind):
    text = (ROOT / "docs" / "guides" / "plugins" / f"{kind}.md").read_text(encoding="utf-8")
    shown = [line.split()[2] for line in text.splitlines() if line.startswith("<!-- file: ")]
    (folder,) = {name.partition("/")[0] for name in shown if "/" in name}
    assert folder.removeprefix("benchdog-").replace("-", "_") + ".py" in shown
    code = {p.relative_to(EXAMPLES).as_posix() for p in (EXAMPLES / folder).rglob("*.py") if p.stat().st_size}
    hooks = {f"{folder}/src/{folder.replace('-', '_')}/__init__.py"} if kind == "command" else set()
    assert code - hooks <= set(shown)
    assert f"({kind}.md)" in (ROOT / "docs" / "guides" / "plugins" / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "component"), COMPONENTS.items())
def test_single_file_plugin_loads_without_faults(name, component):
    host = load(name)
    assert host.faults == []
    registered = host.find(*component)
    assert callable(registered.resolve(registered.info.target))
    if component[0] != "model":
        assert host.make(*component)


def test_example_model_matches_its_spec():
    import torch

    registered = load("tiny_net.py").find("model", "tiny-net")
    assert registered.resolve(registered.info.target)(SPEC, None)(torch.zeros(4, 2)).shape == (4, 2)


def test_example_source_matches_its_spec():
    source = load("stars.py").make("source", "stars")
    samples = source.open()
    assert len({sample.id for sample in samples}) == len(samples) == 600
    names = {column.name for column in source.spec().fields[0].columns}
    assert all(set(sample.fields["input"]) == names for sample in samples)
    assert {sample.target for sample in samples} == set(range(source.spec().classes))


def test_example_task_computes_the_brier_loss():
    import torch

    task = load("brier.py").make("task", "brier")
    task.check(SPEC)
    score = torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log()
    loss, weight = task.loss(score, Batch((), torch.tensor([0, 1])))
    assert float(loss) == pytest.approx(2 * 0.25**2 + 2 * 0.5**2)
    assert float(weight) == 2
    shares = task.loss(score, Batch((), torch.tensor([[1.0, 0.0], [0.0, 1.0]])))[0]
    assert float(shares) == pytest.approx(float(loss))


def test_example_backend_steps():
    import torch

    threads = torch.get_num_threads()
    try:
        device = load("one_core.py").make("backend", "one-core").open(0, 1)
        assert torch.get_num_threads() == 1
        weight = torch.ones(1, requires_grad=True)
        device.backward((weight * 2).sum(), torch.tensor(0.5))
        device.step(torch.optim.SGD([weight], lr=1.0))
        assert weight.tolist() == [0.0]
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode("default")


def test_example_observer_writes_its_line(tmp_path):
    host = load("diary.py")
    facts = RunFacts(name="r", folder=str(tmp_path), source="s", model="m", task="t", epochs=1)
    host.emit("benchdog_run_ended", run=facts, metrics={"accuracy": 1.0})
    host.close()
    assert "m on s" in (tmp_path / "diary.txt").read_text(encoding="utf-8")
    assert host.faults == []


@pytest.mark.slow
def test_single_files_train_together(bench, tmp_path):
    names = ("stars.py", "tiny_net.py", "brier.py", "plain_sgd.py", "one_core.py", "diary.py")
    local = [part for name in names for part in ("--plugin", EXAMPLES / name)]
    choice = ("--model", "tiny-net", "--task", "brier", "--trainer", "plain-sgd", "--backend", "one-core")
    bench(*local, "train", "stars", *choice, "--epochs", "2", "--quiet")
    assert "ended with" in next(tmp_path.rglob("diary.txt")).read_text(encoding="utf-8")
