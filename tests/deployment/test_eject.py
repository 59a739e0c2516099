"""`benchdog eject`: the program trains without Benchdog and ends with the run's weights, bit for bit."""

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from support.in_process import Live, run, weights

ALONE = """
import runpy, sys

class Nowhere:  # the environment of the tests has Benchdog
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "benchdog":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Nowhere())
try:
    import benchdog
    raise SystemExit("Benchdog can be imported")
except ModuleNotFoundError:
    pass
for program in sys.argv[1:]:
    print("#", program, flush=True)
    runpy.run_path(program, run_name="__main__")
assert not any(name.partition(".")[0] == "benchdog" for name in sys.modules)
"""
NET = """
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import nn

from benchdog.api import BadUsage, Doc, ModelInfo, hookimpl

CONTRACT = 1
NARROW = 2


@dataclass(frozen=True, kw_only=True)
class Options:
    width: Annotated[int, Doc("Width.")] = 8
    gated: Annotated[bool, Doc("Gate.")] = False


class Net(nn.Module):
    def __init__(self, spec, options):
        super().__init__()
        self.gated = options.gated
        self.first = nn.Linear(spec.size[0] * spec.size[1], options.width)
        if options.gated:
            self.gate = nn.Linear(1, 1)  # nobody needs it
        elif options.width > 100:
            raise ValueError("too wide")
        else:
            # what is kept
            self.second = nn.Linear(options.width, options.width // NARROW)
        self.last = nn.Linear(options.width // NARROW, spec.outputs)

    def forward(self, x):
        x = self.first(x.flatten(1)).relu()
        if self.gated:
            x = x * self.gate(x)
        return self.last(self.second(torch.dropout(x, 0.2, self.training)).relu())


def build(spec, options):
    if spec.classes < 2:
        raise BadUsage("no classes")
    return Net(spec, options)


def plain(spec, options):
    if spec.classes < 2:
        raise BadUsage("no classes")
    layers = nn.Sequential(nn.Flatten(), nn.Linear(64, options.width), nn.Linear(options.width, spec.outputs))
    nn.init.orthogonal_(layers[1].weight)
    return layers


@hookimpl
def benchdog_models():
    return [
        ModelInfo(name="net", summary="A net.", target=":build", options=":Options"),
        ModelInfo(name="plain", summary="Another.", target=":plain", options=":Options"),
    ]
"""
TWO = """
import numpy as np
import torch
from benchdog.api import Field, ModelInfo, Raw, SourceInfo, Spec, Target, hookimpl

CONTRACT = 1


class Pairs:
    def spec(self):
        fields = (Field(kind="table", shape=(3,), dtype="float32", name="left side"),
                  Field(kind="image", shape=(2, 4, 4), dtype="uint8", name="right"))
        return Spec(fields=fields, target=Target(kind="class", classes=("a", "b")))

    def open(self):
        rng = np.random.default_rng(0)
        return [Raw(id=str(i), target=i % 2, fields={
            "left side": rng.normal(i % 2, 1, 3).astype("float32"),
            "right": rng.integers(0, 200 + 50 * (i % 2), (2, 4, 4)).astype("uint8"),
        }) for i in range(150)]


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="pairs", summary="Two fields.", target=":Pairs")]
"""
BOTH = """
from torch import nn as layers

class Both(layers.Module):
    def __init__(self, aside: bool = True):
        super().__init__()
        self.aside, self.flat = aside, layers.Flatten()
        self.first, self.second = layers.Linear(64, 10), layers.Linear(64, 10)

    def forward(self, x):
        x = self.flat(x)
        score = self.first(x)
        return {"score": score, "auxiliary": [(0.5, self.second(x))]} if self.aside else {"score": score}
"""
UNET = ["--set", "source.count=40", "--set", "source.size=20", "--model", "unet", "--set", "model.width=4"]
TUNED = ["--set", "trainer.average=ema", "--set", "trainer.schedule=one-cycle", "--set", "trainer.clip_norm=1.0"]


def table(place: Path) -> None:
    draw = random.Random(0)
    with (place / "people.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["town", "age", "noise", "pay", "rich", "old"])
        for _ in range(200):
            town, age = draw.choice(["Rome", "Oslo", "Bern", ""]), draw.uniform(20, 80)
            pay = {"Rome": 30, "Oslo": -20}.get(town, 0) + 3 * age + draw.random()
            shown = "" if draw.random() < 0.1 else f"{age:.1f}"
            writer.writerow([town, shown, f"{draw.random():.3f}", f"{pay:.2f}", int(pay > 150), int(age > 50)])


def texts(place: Path) -> None:
    draw = random.Random(0)
    lines = (" ".join(map(draw.choice, (["the cat", "a dog"], ["sat", "ran"], ["here", "away"]))) for _ in range(200))
    (place / "text.txt").write_text("\n".join(lines), encoding="utf-8")


FAST = {
    "cnn": ["digits", "--model", "cnn", "--set", "model.width=4", "--set", "model.hidden=16"],
    "table": ["people.csv", "--target", "pay", "--set", "source.drop=['rich', 'old']", "--model", "mlp"],
    "unet": ["shapes", *UNET, "--set", "task.loss=dice"],
    "gpt": ["text.txt", "--model", "gpt", "--set", "source.length=16", "--set", "model.width=16", "--set",
            "model.dropout=0.1"],
    "tuned": ["digits", "--model", "cnn", "--set", "model.width=4", *TUNED, "--set", "loop.accumulate=3", "--set",
              'loader.augment=["flip", { name = "crop", padding = 1 }]'],
    "net": ["--plugin", "net.py", "digits", "--model", "net"],
}  # fmt: skip
ALL_MOVES = 'loader.augment=["noise", "cut-out", "colour", "affine"]'
RICH = ["people.csv", "--target", "rich", "--set", 'source.drop=["pay"]', "--set", "source.kind=class"]
SLOW = {
    "plain": ["--plugin", "net.py", "digits", "--model", "plain", "--set", "model.width=5", "--seed", 7],
    "resnet": ["digits", "--model", "resnet", "--set", "model.depth=10", "--set", "model.width=4", "--set", ALL_MOVES,
               "--set", "trainer.schedule=plateau", "--set", 'trainer.schedule_options={ patience = 0 }'],
    "mixed": ["digits", "--model", "mlp", "--set", 'loader.augment=["mix-up"]', "--set", "trainer.average=swa",
              "--set", "trainer.swa_start=0.3", "--set", "loader.seed=5", "--set", "task.class_weights=balanced"],
    "tabular": [*RICH, "--model", "tabular", "--set", "task.class_weights=balanced",
                "--set", "task.label_smoothing=0.1", "--set", "trainer.optimiser=SGD",
                "--set", "trainer.optimiser_options={ momentum = 0.9 }",
                "--set", "trainer.schedule=cosine", "--set", "trainer.warmup=0.2", "--set", "loop.patience=1"],
    "labels": ["people.csv", "--set", 'source.target=["rich", "old"]', "--set", "task.pos_weight=balanced"],
    "labels-alike": ["people.csv", "--set", 'source.target=["rich", "old"]', "--model", "linear",
                     "--set", "trainer.clip_norm=inf", "--set", "trainer.optimiser=Rprop"],
    "numbers": ["people.csv", "--set", 'source.target=["pay", "noise"]', "--set", "task.loss=huber", "--set",
                "trainer.schedule=StepLR", "--set", "trainer.schedule_options={ step_size = 1 }"],
    "deep": ["shapes", *UNET, "--set", "task.loss=dice+cross-entropy", "--set",
             "model.deep_supervision=true", "--set", "model.norm=batch", "--set", 'loader.augment=["flip"]'],
    "batch-dice": ["shapes", *UNET, "--set", "task.loss=batch-dice", "--set", "model.norm=none"],
    "volumes": ["shapes", *UNET, "--set", "source.dimensions=3", "--set", "task.loss=focal", "--set",
                "loop.accumulate=2", "--set", 'loader.augment=["affine"]'],
    "weighted": ["shapes", *UNET, "--set", "task.class_weights=balanced", "--set", "loop.accumulate=2"],
    "focal": ["digits", "--model", "linear", "--set", "task.criterion=focal", "--set", "task.label_smoothing=0.1",
              "--set", "task.class_weights={ '3' = 2.0 }", "--set", "trainer.clip_value=0.01",
              "--set", "trainer.optimiser=AdamW"],
    "scores": ["digits", "--model", "both.py:Both"],
    "vit": ["digits", "--model", "vit", "--set", "model.dropout=0.1", "--set", "model.patch=3", "--set",
            "trainer.weight_decay=0.01", "--set", "trainer.schedule=linear"],
    "rotary": ["text.txt", "--model", "gpt", "--set", "source.length=16", "--set", "model.width=16", "--set",
               "model.positions=rotary", "--set", "model.tied=true", "--set", "loop.accumulate=2"],
    "pairs": ["--plugin", "two.py", "pairs", "--model", "linear", "--set", "trainer.average=ema"],
    "pairs-late": ["--plugin", "two.py", "pairs", "--model", "mlp", "--set", "loop.accumulate=2", "--set",
                   'loader.augment=["noise"]', "--set", "model.dropout=0.1"],
}  # fmt: skip


def eject(place: Path, name: str, given: list[str]) -> Path:
    """Train a run, eject it into a folder of its own, and give the program."""
    table(place)
    texts(place)
    (place / "net.py").write_text(NET, encoding="utf-8")
    (place / "both.py").write_text(BOTH, encoding="utf-8")
    (place / "two.py").write_text(TWO, encoding="utf-8")
    root = given[:2] if given[0] == "--plugin" else []
    run(*root, "train", *given[len(root) :], "--epochs", 2, "--name", name, "--quiet", cwd=place)
    program = place / "out" / name / "train.py"
    told = run("eject", name, "--out", program, cwd=place)
    assert not told.out
    assert "train.py" in told.err
    return program


def alone(*programs: Path) -> str:
    """Run programs where Benchdog can't be imported."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", ALONE, *map(str, programs)],
        capture_output=True, text=True, encoding="utf-8", env=env, timeout=300, cwd=programs[0].parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def same_weights(run_folder: Path, program: Path) -> None:
    """See that a program's weights are the run's, bit for bit."""
    mine = load_file(program.with_name("model.safetensors"))
    theirs = {k.removeprefix("model."): v for k, v in weights(run_folder).items() if k.startswith("model.")}
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert mine[name].dtype == theirs[name].dtype
        assert mine[name].tobytes() == theirs[name].tobytes(), name


def reads_well(program: Path) -> None:
    """See that ruff has nothing to say, and that nothing of Benchdog's is named but where it comes from."""
    text = program.read_text(encoding="utf-8")
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", str(program)],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout
    assert max(map(len, text.splitlines())) <= 118
    assert text.count("enchdog") == 1
    assert not {"None  # ", "BadUsage", "options."} & set(text.split())
    assert "\n\n\n\n" not in text


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """Eject all quick cases, and run them one after the other."""
    place = tmp_path_factory.mktemp("ejected")
    made = {name: eject(place, name, given) for name, given in FAST.items()}
    return place, made, alone(*made.values())


@pytest.mark.parametrize("name", FAST)
def test_the_program_gives_the_same_bits(programs, name):
    place, made, printed = programs
    same_weights(place / "runs" / name, made[name])
    reads_well(made[name])
    own = printed.partition(f"# {made[name]}\n")[2].partition("\n# ")[0]
    assert own.count("epoch ") == 2
    assert "the run's weights, bit for bit" in own


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_more_programs_give_the_same_bits(tmp_path, name):
    program = eject(tmp_path, name, SLOW[name])
    assert "the run's weights, bit for bit" in alone(program)
    same_weights(tmp_path / "runs" / name, program)
    reads_well(program)
    assert ("nn.init.orthogonal_(layers[1].weight)" in program.read_text(encoding="utf-8")) == (name == "plain")


def test_only_what_the_run_uses_is_written(programs):
    _, made, _ = programs
    net = made["net"].read_text(encoding="utf-8")
    assert "self.second = nn.Linear(8, 4)" in net.replace("8 // NARROW", "4")
    assert "# what is kept" in net
    assert not any(word in net for word in ("gate", "too wide", "no classes", "options", "spec"))
    assert "torch.manual_seed(mix(SEED, step" in net
    cnn = made["cnn"].read_text(encoding="utf-8")
    assert "salt=0" not in cnn
    assert cnn.count("\n") < 160
    tuned = made["tuned"].read_text(encoding="utf-8")
    assert all(
        word in tuned for word in ("OneCycleLR", "follow(average", "clip_grad_norm_", "class Flip", "class Crop")
    )


def test_what_was_learnt_is_in_sight(programs):
    place, made, _ = programs
    text = made["table"].read_text(encoding="utf-8")
    stored = load_file(place / "runs" / "table" / "artifact" / "model.safetensors")
    (mean,) = (value for name, value in stored.items() if name.startswith("transform.") and name.endswith("mean"))
    line = next(line for line in text.splitlines() if line.startswith("MEAN ="))
    told = [float(word) for word in line.partition("[")[2].partition("]")[0].split(",")]
    assert np.array_equal(np.array(told, dtype="float32"), mean)
    assert "MEAN_OF_TARGET" in text
    with np.load(made["table"].with_name("data.npz"), allow_pickle=False) as data:
        assert sorted(data) == ["train.input", "train.target", "valid.input", "valid.target"]


def test_stdout_carries_the_program_alone(programs, tmp_path):
    place, made, _ = programs
    told = run("eject", "cnn", "--data", tmp_path / "samples.npz", cwd=place)
    assert compile(told.out, "train.py", "exec")
    assert 'parent / "../' in told.out
    assert (tmp_path / "samples.npz").is_file()
    run("eject", "cnn", cwd=place)
    assert (place / "data.npz").is_file()
    told = json.loads(run("eject", "cnn", "--json", "--force", cwd=place).out)
    assert (told["format"], told["run"], told["program"], told["data"]) == (1, "cnn", None, "data.npz")
    assert told["text"] == made["cnn"].read_text(encoding="utf-8")
    assert made["cnn"].read_text(encoding="utf-8") == run("eject", "cnn", "--force", cwd=place).out


def test_files_are_not_overwritten_unasked(programs, tmp_path):
    place, _, _ = programs
    program = tmp_path / "train.py"
    program.write_text("mine")
    refused = run("eject", "cnn", "--out", program, cwd=place, code=2)
    assert "--force" in refused.err
    assert program.read_text() == "mine"
    assert not (tmp_path / "data.npz").exists()
    program.unlink()
    (tmp_path / "data.npz").write_text("mine")
    assert "data.npz" in run("eject", "cnn", "--out", program, cwd=place, code=2).err
    assert not program.exists()
    run("eject", "cnn", "--out", program, "--force", cwd=place)
    assert program.is_file()


SETTINGS = {
    "another precision than fp32": ('precision = "fp32"', 'precision = "bf16"'),
    "several ranks": ("ranks = 1", "ranks = 2"),
    "trainer.lora": ("lora = 0", "lora = 2"),
    "trainer.freeze_parts": ("freeze_parts = 0", "freeze_parts = 1"),
    "trainer.layer_decay": ("layer_decay = 1.0", "layer_decay = 0.5"),
    "trainer.hold_statistics": ('hold_statistics = "frozen"', 'hold_statistics = "all"'),
    "trained weights": ('weights = ""', 'weights = "package"'),
    "not on the processor": ('name = "cpu"', 'name = "cuda"'),
}


def test_what_has_no_plain_form_is_refused(tmp_path):
    quick = ["train", "digits", "--model", "mlp", "--epochs", 1, "--quiet", "--backend", "cpu"]
    run(*quick, "--name", "first", cwd=tmp_path)
    recipe = tmp_path / "runs" / "first" / "recipe.toml"
    text = recipe.read_text(encoding="utf-8")
    if "precision" not in text:
        text = text.replace('name = "cpu"', 'name = "cpu"\nprecision = "fp32"\nranks = 1')
    for why, (old, new) in SETTINGS.items():
        assert old in text
        recipe.write_text(text.replace(old, new), encoding="utf-8")
        told = run("eject", "first", cwd=tmp_path, code=2)
        assert why in told.err
        assert not told.out
    run(*quick, "--task", "embedding", "--name", "vectors", cwd=tmp_path)
    assert "the task 'embedding'" in run("eject", "vectors", cwd=tmp_path, code=2).err
    run(*quick, "--set", "task.criterion=MultiMarginLoss", "--name", "margin", cwd=tmp_path)
    assert "the criterion 'MultiMarginLoss'" in run("eject", "margin", cwd=tmp_path, code=2).err
    table(tmp_path)
    counted = ["--set", "source.weight=age", "--set", "source.drop=['noise', 'rich', 'old']"]
    sure = (line for line in (tmp_path / "people.csv").read_text(encoding="utf-8").splitlines() if ",," not in line)
    (tmp_path / "people.csv").write_text("\n".join(sure), encoding="utf-8")
    run(
        "train",
        "people.csv",
        "--target",
        "pay",
        *counted,
        "--epochs",
        1,
        "--name",
        "counted",
        "--quiet",
        cwd=tmp_path,
    )
    assert "samples have weights" in run("eject", "counted", cwd=tmp_path, code=2).err
    assert not (tmp_path / "data.npz").exists()


def test_a_name_that_the_program_needs_itself_is_refused(tmp_path):
    text = NET.replace("NARROW = 2", "NARROW, SCALE = 2, 1").replace("return self.last(", "return SCALE * self.last(")
    (tmp_path / "net.py").write_text(text, encoding="utf-8")
    given = ["train", "digits", "--model", "net", "--epochs", 1, "--name", "net", "--quiet"]
    run("--plugin", "net.py", *given, cwd=tmp_path)
    assert "named 'SCALE'" in run("eject", "net", cwd=tmp_path, code=2).err


def test_other_trainers_live_objects_and_streams_are_refused(tmp_path, monkeypatch):
    import benchdog
    from support.local_sources import CODE

    (tmp_path / "sgd.py").write_text(SGD, encoding="utf-8")
    run(
        "train",
        "digits",
        "--model",
        "linear",
        "--trainer",
        "sgd.py:Sgd",
        "--epochs",
        1,
        "--name",
        "sgd",
        "-q",
        cwd=tmp_path,
    )
    assert "only the loop of 'supervised'" in run("eject", "sgd", cwd=tmp_path, code=2).err
    monkeypatch.chdir(tmp_path)
    benchdog.train("digits", model=Live, epochs=1, name="live", quiet=True)
    assert "live object" in run("eject", "live", cwd=tmp_path, code=2).err
    (tmp_path / "sources.py").write_text(CODE, encoding="utf-8")
    stream = [
        "--plugin",
        "sources.py",
        "train",
        "streamed",
        "--model",
        "linear",
        "--epochs",
        1,
        "--name",
        "stream",
        "-q",
    ]
    run(*stream, "--workers", 0, cwd=tmp_path)
    assert "stream" in run("eject", "stream", cwd=tmp_path, code=2).err


SGD = """
class Sgd:
    def train(self, session):
        for _ in session.epochs():
            session.epoch_done(session.evaluate())
        return session.model
"""


def test_a_run_that_is_not_finished_or_whose_data_changed_is_refused(tmp_path):
    table(tmp_path)
    run("train", "people.csv", "--target", "pay", "--epochs", 1, "--name", "a", "--quiet", cwd=tmp_path)
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
