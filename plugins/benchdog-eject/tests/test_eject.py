"""`benchdog eject`: the program trains without Benchdog and ends with the run's weights, bit for bit."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from support.bare import bare
from support.in_process import Live, run, train, weights

WITHOUT_BENCHDOG = """
import runpy, sys

class NotInstalled:  # Benchdog is installed in the environment of the tests
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("benchdog"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled())
try:
    import benchdog
    raise SystemExit("Benchdog can be imported")
except ModuleNotFoundError:
    pass
for program in sys.argv[1:]:
    print("#", program, flush=True)
    runpy.run_path(program, run_name="__main__")
assert not any(name.startswith("benchdog") for name in sys.modules)
"""
NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, spec):
        super().__init__()
        self.last = nn.Linear(64, spec.outputs)

    def forward(self, x):
        return self.last(x.flatten(1))
"""
TWO_INPUTS = """
import numpy as np
from benchdog.api import Field, Raw, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1


class Pairs:
    def spec(self):
        fields = (Field(kind="table", shape=(3,), dtype="float32", name="left"),
                  Field(kind="image", shape=(2, 4, 4), dtype="uint8", name="right"))
        return Spec(fields=fields, target=Target(kind="class", classes=("a", "b")))

    def open(self):
        rng = np.random.default_rng(0)
        return [Raw(id=str(i), target=i % 2, fields={
            "left": rng.normal(i % 2, 1, 3).astype("float32"),
            "right": rng.integers(0, 200 + 50 * (i % 2), (2, 4, 4)).astype("uint8"),
        }) for i in range(150)]


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="pairs", summary="Two fields.", target=":Pairs")]
"""
SGD = """
class Sgd:
    def train(self, session):
        for _ in session.epochs():
            session.epoch_done(session.evaluate())
        return session.model
"""


def flags(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


UNET = ["shapes", "--model", "unet", *flags("source.count=40", "source.size=20", "model.width=4")]
SMALL_CNN = ["digits", "--model", "cnn", *flags("model.width=4", "model.hidden=16")]
RICH = ["people.csv", "--target", "rich", *flags('source.drop=["pay"]', "source.kind=class")]
TEXTS = ["text.txt", "--model", "gpt", *flags("source.length=16", "model.width=16", "task.length=4")]
FAST = {
    "cnn": SMALL_CNN,
    "table": ["people.csv", "--target", "pay", "--model", "mlp", *flags("source.drop=['rich', 'old']")],
    "gpt": [*TEXTS, *flags("model.dropout=0.1")],
    "tuned": [*SMALL_CNN, *flags("trainer.average=ema", "trainer.schedule=one-cycle", "trainer.clip_norm=1.0",
                                 "loop.accumulate=3")],
}  # fmt: skip
SLOW: dict[str, list[Any]] = {
    "unet": [*UNET, *flags("task.loss=dice")],
    "resnet": ["digits", "--model", "resnet", *flags("model.depth=10", "model.width=8", "trainer.schedule=plateau",
               "trainer.schedule_options={ patience = 0 }")],
    "resnet-50": ["digits", "--model", "resnet", *flags("model.depth=50", "model.width=8")],
    "averaged": ["digits", "--model", "mlp", *flags("trainer.average=swa", "trainer.swa_start=0.3", "loader.seed=5",
                 "task.class_weights=balanced", "model.dropout=0.2")],
    "batch-norm": [*SMALL_CNN, *flags("model.norm=batch", "model.widths=[4, 6, 8]", "model.dropout=0.1")],
    "group-norm": [*SMALL_CNN, *flags("model.norm=group"), "--seed", 7],
    "tabular": [*RICH, "--model", "tabular", *flags("task.class_weights=balanced", "task.label_smoothing=0.1",
                "trainer.optimizer=SGD", "trainer.optimizer_options={ momentum = 0.9 }", "trainer.schedule=cosine",
                "trainer.warmup=0.2", "loop.patience=1")],
    "labels": ["people.csv", *flags('source.target=["rich", "old"]', "task.pos_weight=balanced")],
    "labels-alike": ["people.csv", "--model", "linear", *flags('source.target=["rich", "old"]',
                     "trainer.clip_norm=inf", "trainer.optimizer=Rprop")],
    "numbers": ["people.csv", *flags('source.target=["pay", "noise"]', "task.loss=huber", "trainer.schedule=StepLR",
                "trainer.schedule_options={ step_size = 1 }")],
    "dice-and-more": [*UNET, *flags("task.loss=dice+cross-entropy", "model.norm=batch")],
    "batch-dice": [*UNET, *flags("task.loss=batch-dice", "model.norm=none")],
    "volumes": [*UNET, *flags("source.dimensions=3", "task.loss=focal", "loop.accumulate=2")],
    "weighted": [*UNET, *flags("task.class_weights=balanced", "loop.accumulate=2")],
    "focal": ["digits", "--model", "linear", *flags("task.criterion=focal", "task.label_smoothing=0.1",
              "task.class_weights={ '3' = 2.0 }", "trainer.clip_value=0.01", "trainer.optimizer=AdamW")],
    "vit": ["digits", "--model", "vit", *flags("model.dropout=0.1", "model.patch=3", "trainer.weight_decay=0.01",
            "trainer.schedule=linear")],
    "rotary": [*TEXTS, *flags("model.positions=rotary", "model.tied=true", "loop.accumulate=2")],
    "transformer": ["text", "--model", "transformer", *flags("source.path=moods.csv", "source.label=mood",
                    "source.length=12")],
}  # fmt: skip


def write_table(place: Path) -> None:
    rng = random.Random(0)
    with (place / "people.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["town", "age", "noise", "pay", "rich", "old"])
        for _ in range(200):
            town, age = rng.choice(["Rome", "Oslo", "Bern", ""]), rng.uniform(20, 80)
            pay = {"Rome": 30, "Oslo": -20}.get(town, 0) + 3 * age + rng.random()
            age_text = "" if rng.random() < 0.1 else f"{age:.1f}"
            writer.writerow([town, age_text, f"{rng.random():.3f}", f"{pay:.2f}", int(pay > 150), int(age > 50)])


def write_texts(place: Path) -> None:
    rng = random.Random(0)
    pairs = (["the cat", "a dog"], ["sat", "ran"], ["here", "away"])
    lines = [" ".join(map(rng.choice, pairs)) for _ in range(200)]
    (place / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    rows = [f"{line} {i},{'calm' if 'sat' in line else 'wild'}" for i, line in enumerate(lines)]
    (place / "moods.csv").write_text("\n".join(["said,mood", *rows]), encoding="utf-8")


def eject(place: Path, name: str, arguments: list[str]) -> Path:
    """Train a run, eject it into its own folder, and return the path of the program."""
    write_table(place)
    write_texts(place)
    train(*arguments, "--epochs", 2, "--name", name, "--quiet", cwd=place)
    program = place / "out" / name / "train.py"
    ejected = run("eject", name, "--out", program, cwd=place)
    assert not ejected.out
    assert "train.py" in ejected.err
    return program


def run_without_benchdog(*programs: Path) -> str:
    """Run programs where Benchdog can't be imported."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", WITHOUT_BENCHDOG, *map(str, programs)],
        capture_output=True, text=True, encoding="utf-8", env=env, timeout=570, cwd=programs[0].parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check_weights(run_folder: Path, program: Path) -> None:
    """Check that the weights a program saved equal the run's bit for bit."""
    own = load_file(program.with_name("model.safetensors"))
    expected = {k.removeprefix("model."): v for k, v in weights(run_folder).items() if k.startswith("model.")}
    assert own.keys() == expected.keys()
    for name in own:
        assert own[name].dtype == expected[name].dtype
        assert own[name].tobytes() == expected[name].tobytes(), name


def check_style(program: Path) -> None:
    """Check that ruff reports nothing, long lines included, and that Benchdog is named once, as the origin."""
    argv = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--extend-select", "E501,I,UP"]
    checked = subprocess.run([*argv, "--line-length", "118", str(program)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    assert program.read_text(encoding="utf-8").count("enchdog") == 1


def eject_all(place: Path, cases: dict[str, list[str]]) -> tuple[Path, dict[str, Path], str]:
    """Eject all cases, and run their programs one after another in one process."""
    ejected = {name: eject(place, name, arguments) for name, arguments in cases.items()}
    return place, ejected, run_without_benchdog(*ejected.values())


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return eject_all(tmp_path_factory.mktemp("ejected"), FAST)


@pytest.fixture(scope="module")
def more_programs(tmp_path_factory):
    return eject_all(tmp_path_factory.mktemp("ejected"), SLOW)


def check_program(programs: tuple[Path, dict[str, Path], str], name: str) -> None:
    """Check the output, saved weights and style of a program."""
    place, ejected, printed = programs
    check_weights(place / "runs" / name, ejected[name])
    check_style(ejected[name])
    own = printed.partition(f"# {ejected[name]}\n")[2].partition("\n# ")[0]
    assert own.count("epoch ") == 2
    assert "the run's weights, bit for bit" in own


@pytest.mark.parametrize("name", FAST)
def test_program_reproduces_the_runs_weights(programs, name):
    check_program(programs, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_more_programs_reproduce_the_runs_weights(more_programs, name):
    check_program(more_programs, name)


def test_program_contains_only_the_templates_of_the_run(programs):
    _, ejected, _ = programs
    cnn = ejected["cnn"].read_text(encoding="utf-8")
    assert all(
        word in cnn for word in ("WIDTHS = [4, 8]", "POOLING = [(2, 2), (1, 1)]", "F.cross_entropy", "accuracy")
    )
    assert not any(word in cnn for word in ("Transformer", "mse_loss", "CATEGORIES", "perplexity"))
    assert "OneCycleLR" in ejected["tuned"].read_text(encoding="utf-8")


def test_fitted_values_are_constants(programs):
    place, ejected, _ = programs
    text = ejected["table"].read_text(encoding="utf-8")
    stored = load_file(place / "runs" / "table" / "artifact" / "model.safetensors")
    (mean,) = (value for name, value in stored.items() if name.startswith("transform.") and name.endswith("mean"))
    line = next(line for line in text.splitlines() if line.startswith("MEAN ="))
    numbers = [float(word) for word in line.partition("[")[2].partition("]")[0].split(",")]
    assert np.array_equal(np.array(numbers, dtype="float32"), mean)
    assert 'CATEGORIES = {"town": (0, 3)}' in text
    assert "TARGET_MEAN" in text
    with np.load(ejected["table"].with_name("data.npz"), allow_pickle=False) as data:
        assert sorted(data) == ["train.input", "train.target", "valid.input", "valid.target"]


def test_stdout_is_the_program_alone(programs, tmp_path):
    place, ejected, _ = programs
    printed = run("eject", "cnn", "--samples", tmp_path / "samples.npz", cwd=place)
    assert compile(printed.out, "train.py", "exec")
    assert 'DATA = "../' in printed.out
    assert (tmp_path / "samples.npz").is_file()
    run("eject", "cnn", cwd=place)
    assert (place / "data.npz").is_file()
    document = json.loads(run("eject", "cnn", "--json", "--force", cwd=place).out)
    assert (document["format"], document["run"], document["program"]) == (1, "cnn", None)
    assert document["data"] == "data.npz"
    assert document["text"] == ejected["cnn"].read_text(encoding="utf-8")
    assert document["text"] == run("eject", "cnn", "--force", cwd=place).out


def test_files_are_overwritten_only_with_force(programs, tmp_path):
    place, _, _ = programs
    program = tmp_path / "train.py"
    program.write_text("mine")
    assert "--force" in run("eject", "cnn", "--out", program, cwd=place, code=2).err
    assert program.read_text() == "mine"
    assert not (tmp_path / "data.npz").exists()
    program.unlink()
    (tmp_path / "data.npz").write_text("mine")
    assert "data.npz" in run("eject", "cnn", "--out", program, cwd=place, code=2).err
    assert not program.exists()
    run("eject", "cnn", "--out", program, "--force", cwd=place)
    assert program.is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz", "train.py"]


SETTINGS = {
    "another precision than fp32": ('precision = "fp32"', 'precision = "bf16"'),
    "several ranks": ("ranks = 1", "ranks = 2"),
    "trainer.lora": ("lora = 0", "lora = 2"),
    "trainer.freeze_groups": ("freeze_groups = 0", "freeze_groups = 1"),
    "trainer.layer_decay": ("layer_decay = 1.0", "layer_decay = 0.5"),
    "trainer.hold_statistics": ('hold_statistics = "frozen"', 'hold_statistics = "all"'),
    "trained weights": ('weights = ""', 'weights = "package"'),
    "not on the CPU": ('name = "cpu"', 'name = "cuda"'),
    "trainer.compile": ('compile = "no"', 'compile = "yes"'),
    "loader.augment": ("augment = []", 'augment = ["flip"]'),
}
QUICK = ["--epochs", 1, "--quiet", "--backend", "cpu"]


def test_recipe_settings_without_a_template_are_refused(tmp_path):
    train("digits", "--model", "linear", *QUICK, "--name", "first", cwd=tmp_path)
    recipe = tmp_path / "runs" / "first" / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    if "precision" not in text:
        text = text.replace('name = "cpu"', 'name = "cpu"\nprecision = "fp32"\nranks = 1')
    for reason, (old, new) in SETTINGS.items():
        assert old in text
        recipe.write_text(text.replace(old, new), encoding="utf-8")
        refused = run("eject", "first", cwd=tmp_path, code=2)
        assert reason in refused.err
        assert not refused.out


@pytest.mark.parametrize(("arguments", "reason"), [
    (["digits", "--task", "embedding", "--model", "linear"], "the task 'embedding'"),
    (["digits", "--model", "linear", *flags("task.criterion=MultiMarginLoss")], "the criterion 'MultiMarginLoss'"),
    (["digits", "--model", "net.py:Net"], "net.py:Net' is in no template"),
    (["digits", "--trainer", "sgd.py:Sgd", "--model", "linear"], "only the loop of 'supervised'"),
    ([*UNET, *flags("model.deep_supervision=true")], "deep supervision"),
    (["people.csv", "--target", "pay", *flags("source.weight=noise", "source.drop=['age', 'rich', 'old']")],
     "samples have weights"),
])  # fmt: skip
def test_components_without_a_template_are_refused(tmp_path, arguments, reason):
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "sgd.py").write_text(SGD, encoding="utf-8")
    write_table(tmp_path)
    train(*arguments, *QUICK, "--name", "other", cwd=tmp_path)
    assert reason in run("eject", "other", cwd=tmp_path, code=2).err
    assert not (tmp_path / "data.npz").exists()


def test_several_inputs_live_objects_and_streams_are_refused(tmp_path, monkeypatch):
    import benchdog
    from support.local_sources import CODE

    monkeypatch.chdir(tmp_path)
    with bare():
        benchdog.train("digits", model=Live, epochs=1, name="live", quiet=True)
    assert "live object" in run("eject", "live", cwd=tmp_path, code=2).err
    for file, code, source, reason in (("two.py", TWO_INPUTS, "pairs", "several inputs"),
                                       ("sources.py", CODE, "streamed", "stream")):  # fmt: skip
        (tmp_path / file).write_text(code, encoding="utf-8")
        plugin, options = ("--plugin", file), ("--workers", 0, "--model", "linear")
        with bare():
            run(*plugin, "train", source, *QUICK, *options, "--name", source, cwd=tmp_path)
        assert reason in run(*plugin, "eject", source, cwd=tmp_path, code=2).err


def test_unfinished_runs_and_changed_data_are_refused(tmp_path):
    write_table(tmp_path)
    train("people.csv", "--target", "pay", "--epochs", 1, "--name", "a", "--quiet", cwd=tmp_path)
    whole = (tmp_path / "people.csv").read_text(encoding="utf-8")
    cells = [row.split(",") for row in whole.splitlines()]
    cells[50][3] = "7.5"
    (tmp_path / "people.csv").write_text("\n".join(map(",".join, cells)), encoding="utf-8")
    assert "have changed" in run("eject", "a", cwd=tmp_path, code=5).err
    rows = (tmp_path / "people.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "people.csv").write_text("\n".join(rows[:150]), encoding="utf-8")
    assert "data" in run("eject", "a", cwd=tmp_path, code=5).err
    facts = tmp_path / "runs" / "a" / "run.json"
    facts.write_text(facts.read_text().replace('"finished"', '"stopped"'))
    assert "--resume" in run("eject", "a", cwd=tmp_path, code=2).err


def test_program_that_differs_from_the_run_is_refused(programs, monkeypatch):
    import benchdog
    from benchdog.api import BadUsage
    from benchdog_eject import choices, program

    place, _, _ = programs
    opened = benchdog.open_run("cnn", runs_dir=place / "runs")
    describe = choices.MODELS["cnn"]

    def describe_wider(*arguments):
        template, constants = describe(*arguments)
        return template, {**constants, "HIDDEN": 17}

    monkeypatch.setitem(choices.MODELS, "cnn", describe_wider)
    with pytest.raises(BadUsage, match="builds another"):
        program.eject(opened)


def test_completion_offers_runs(tmp_path):
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "run.json").write_text("{}", encoding="utf-8")
    request = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": "benchdog eject fi"}
    env = {**os.environ, "_BENCHDOG_COMPLETE": "complete_fish", **request}
    command = [sys.executable, "-m", "benchdog"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["first"]
