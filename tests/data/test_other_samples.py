"""Samples without a target, and further sources and models: found, declared, trained on, resumed bit by bit."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from support.in_process import run, same, stop_at, train

pytestmark = pytest.mark.usefixtures("weights_alone")

SEMI = """
from benchdog.api import TrainerInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_trainers():
    return [
        TrainerInfo(name=name, summary="A test.", target=f":{cls}")
        for name, cls in (("pseudo", "Pseudo"), ("domain", "Domain"), ("student", "Student"), ("views", "Views"))
    ]


class Base:
    def train(self, session):
        import torch

        self.seen = []
        optimizer = torch.optim.SGD(session.device.prepare(session.model).parameters(), lr=0.05)
        session.track(optimizer=optimizer)
        for _ in session.epochs():
            for batch in session.batches():
                score = session.model(*batch.inputs)
                loss, weight = session.task.loss(score, batch)
                more = self.more(session, batch, score)
                session.backward(loss + 0.5 * more * weight, weight, batch)
                if batch.last:
                    session.device.step(optimizer)
                    optimizer.zero_grad()
                    session.step_done(loss.detach(), weight)
            session.epoch_done(session.evaluate())
        with open(session.run.folder / f"seen-{session.device.rank}-{session.step}.txt", "w") as file:
            file.writelines(f"{line}\\n" for line in self.seen)
        return session.model


class Pseudo(Base):
    unlabeled = True

    def more(self, session, batch, score):
        import torch.nn.functional as F

        other = session.batch("unlabeled")
        assert other.target.shape == (len(other.inputs[0]), 0)
        assert other.inputs[0].shape[1:] == batch.inputs[0].shape[1:]
        self.seen.append((session.step, other.ids.tolist()))
        guess = session.model(*other.inputs)
        return F.cross_entropy(guess, guess.detach().argmax(1))


class Domain(Base):
    sources = ("else",)

    def more(self, session, batch, score):
        other = session.batch("else", 8)
        self.seen.append((session.step, other.ids.tolist(), list(other.target.shape)))
        return session.model(*other.inputs).square().mean()


class Student(Base):
    models = ("teacher",)

    def more(self, session, batch, score):
        teacher = session.models["teacher"]
        assert not teacher.training and not any(p.requires_grad for p in teacher.parameters())
        return (score - teacher(*batch.inputs)).square().mean()


class Views(Base):
    def more(self, session, batch, score):
        import torch

        one, two = session.batch("train", view=0), session.batch("train", view=1)
        assert one.ids.tolist() == two.ids.tolist() == batch.ids.tolist()
        assert torch.equal(one.target, batch.target)
        assert not torch.equal(one.inputs[0], two.inputs[0])
        return (session.model(*one.inputs) - session.model(*two.inputs)).square().mean()
"""
AUTOENCODER = """
import torch
from benchdog.api import Answer, ModelInfo, TaskInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_tasks():
    return [TaskInfo(name="code", summary="A test.", target=":Code", answer=":answer")]


@hookimpl
def benchdog_models():
    return [ModelInfo(name="code", summary="A test.", target=":build")]


def build(spec, options=None):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))


class Meter:
    def __init__(self):
        self.sum, self.count = torch.zeros(()), torch.zeros(())

    def add(self, score, batch):
        self.sum, self.count = self.sum + score.square().sum(), self.count + len(score)

    def state(self):
        return {"sum": self.sum, "count": self.count}

    def merge(self, state):
        self.sum, self.count = self.sum + state["sum"], self.count + state["count"]

    def value(self):
        return {"loss": float(self.sum / self.count), "norm": float(self.sum / self.count)}


class Code:
    monitor, better, needs_target = "norm", "min", False

    def check(self, spec):
        assert spec.target.kind == "none"

    def output(self, spec):
        return (4,)

    def head(self, spec):
        return torch.nn.Identity()

    def loss(self, score, batch):
        assert batch.target.shape == (len(score), 0)
        return score.square().sum(), len(score)

    def meter(self, spec):
        return Meter()


def answer(call, inputs, spec, options):
    return [Answer({"code": row.tolist()}) for row in call(*inputs)[0]]
"""
ROWS = 160


def table(path: Path, *, bare: bool, rows: int = ROWS, seed: int = 0, classes: str = "ab") -> Path:
    """Write a table; with `bare` half of the rows have no target."""
    draws = np.random.default_rng(seed)
    lines = ["x,y,kind"]
    for i in range(rows):
        kind = i // 2 % len(classes)
        x, y = draws.normal(kind, 0.5), draws.normal(-kind, 0.5)
        lines.append(f"{x:.4f},{y:.4f},{'' if bare and i % 2 else classes[kind]}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with the plugin, a table with and one without all targets."""
    (tmp_path / "semi.py").write_text(SEMI, encoding="utf-8")
    table(tmp_path / "half.csv", bare=True)
    table(tmp_path / "whole.csv", bare=False)
    table(tmp_path / "other.csv", bare=False, seed=1, rows=60)
    return tmp_path


def recipe(place: Path, trainer: str, text: str = "", data: str = "whole.csv", **loop: object) -> Path:
    """Write a recipe for a trainer of the plugin."""
    settings = "\n".join(f"{key} = {value}" for key, value in {"epochs": 3, "batch_size": 16, **loop}.items())
    path = place / f"{trainer}.toml"
    path.write_text(
        f'plugins = ["semi.py"]\ntrainer = "{trainer}"\nmodel = "mlp"\n\n[source]\nname = "csv"\npath = "{data}"\n'
        f'target = "kind"\n{UNLABELED if data == "half.csv" else ""}\n[loop]\n{settings}\n\n{text}'
    )
    return path


UNLABELED = 'target_missing = "unlabeled"\n'
ELSE = '[sources.else]\nname = "csv"\npath = "other.csv"\ntarget = "kind"\n'


def seen(folder: Path) -> list[tuple[int, list[int]]]:
    """Return the steps of a run and the positions that its trainer got, in the order of calls."""
    (path,) = folder.glob("seen-0-*.txt")
    return [(entry[0], entry[1]) for entry in map(eval, path.read_text().splitlines())]


def test_every_pass_over_unlabeled_samples_is_a_new_order_of_all_of_them(place):
    train(recipe(place, "pseudo", data="half.csv"), "--name", "a", "--quiet", cwd=place)
    facts = json.loads((place / "runs/a/run.json").read_text())
    assert facts["samples"]["unlabeled"] == 80
    assert facts["read"]["used"] == ROWS
    drawn = [i for _, ids in seen(place / "runs/a") for i in ids]
    first, second = drawn[:80], drawn[80:160]
    assert sorted(first) == sorted(second) == list(range(80))
    assert first != second


@pytest.mark.parametrize(
    ("trainer", "data", "text"),
    [("pseudo", "half.csv", ""), ("domain", "whole.csv", ELSE), ("views", "whole.csv", "")],
)
@pytest.mark.parametrize("memory", [2048, 0])
def test_stopped_run_with_other_samples_resumes_to_the_same_bits(place, monkeypatch, trainer, data, text, memory):
    text += f"[loader]\nmemory = {memory}\nworkers = 0\n"
    if trainer == "views":
        text += 'augment = [{ name = "noise", std = 0.1 }]\n'
    file = recipe(place, trainer, text, data)
    train(file, "--name", "whole", "--quiet", cwd=place)
    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        train(file, "--name", "cut", "--quiet", cwd=place, code=143)
    train("--resume", "cut", "--quiet", cwd=place)
    assert same(place / "runs/whole", place / "runs/cut")


def test_gradient_accumulation_draws_the_same_other_samples(place):
    for name, data, text in (("pseudo", "half.csv", ""), ("domain", "whole.csv", ELSE)):
        for count in (1, 3):
            train(
                recipe(place, name, text, data, accumulate=count), "--name", f"{name}-{count}", "--quiet", cwd=place
            )
        drawn = []
        for count in (1, 3):
            ids: dict[int, list[int]] = {}
            for step, part in seen(place / f"runs/{name}-{count}"):
                ids.setdefault(step, []).extend(part)
            drawn.append(ids)
        assert drawn[0] == drawn[1]
        assert all(len(ids) == (16 if name == "pseudo" else 8) for ids in drawn[0].values())


def test_student_learns_from_the_teacher_and_resumes_to_the_same_bits(place, monkeypatch):
    train("whole.csv", "--target", "kind", "--model", "mlp", "--epochs", 2, "--name", "teacher", "--quiet", cwd=place)
    file = recipe(place, "student", '[models]\nteacher = "teacher"\n')
    train(file, "--name", "whole", "--quiet", cwd=place)
    stored = (place / "runs/whole/recipe.toml").read_text()
    assert "[models.teacher]" in stored
    assert f'weights = "{place / "runs/teacher"}"' in stored
    assert "sha256" in stored.partition("[models.teacher]")[2]
    with monkeypatch.context() as patch:
        stop_at(patch, 5)
        train(file, "--name", "cut", "--quiet", cwd=place, code=143)
    shutil.move(place / "runs/teacher", place / "elsewhere")
    lost = run("train", "--resume", "cut", cwd=place, code=5)
    assert "--set models.teacher.weights=PATH" in lost.err
    train("--resume", "cut", "--set", f"models.teacher.weights={place / 'elsewhere'}", "--quiet", cwd=place)
    assert same(place / "runs/whole", place / "runs/cut")
    run("evaluate", "whole", cwd=place)  # which needs no teacher


def test_teacher_of_other_classes_inputs_or_scale_is_refused(place):
    table(place / "classes.csv", bare=False, classes="ac")
    table(place / "scale.csv", bare=False, seed=5)
    wide = (place / "whole.csv").read_text().replace("x,y,kind", "x,z,kind")
    (place / "inputs.csv").write_text(wide)
    for name, message in (
        ("classes", "predicts other classes than the data has: a, c, not a, b"),
        ("inputs", "takes other inputs than the data has"),
        ("scale", "its transform was fitted on other samples"),
    ):
        train(
            f"{name}.csv", "--target", "kind", "--model", "mlp", "--epochs", 1, "--name", name, "--quiet", cwd=place
        )
        file = recipe(place, "student", f'[models.teacher]\nweights = "{name}"\n')
        assert message in run("train", file, "--quiet", cwd=place, code=2).err
    train(recipe(place, "student", '[models.teacher]\nweights = "scale"\nmatch = false\n'), "--quiet", cwd=place)


def test_teacher_that_was_changed_is_refused(place):
    train("whole.csv", "--target", "kind", "--model", "mlp", "--epochs", 1, "--name", "teacher", "--quiet", cwd=place)
    file = recipe(place, "student", f'[models.teacher]\nweights = "teacher"\nsha256 = "{"0" * 64}"\n')
    assert "are not those of the recipe" in run("train", file, "--quiet", cwd=place, code=5).err


def test_validation_split_of_another_source_replaces_that_of_the_main_one(place):
    text = '[sources.valid]\nname = "csv"\npath = "other.csv"\ntarget = "kind"\n'
    train(recipe(place, "supervised", text), "--name", "a", "--quiet", cwd=place)
    facts = json.loads((place / "runs/a/run.json").read_text())
    assert facts["samples"]["valid"] == 60
    found = json.loads(run("evaluate", "a", "--split", "valid", "--json", cwd=place).out)
    assert found["samples"] == 60
    assert "valid 60" in run("plan", "supervised.toml", "--run-code", cwd=place).out
    assert (
        json.loads(run("data", "info", "supervised.toml", "--run-code", "--json", cwd=place).out)["samples"]["valid"]
        == 60
    )


def test_samples_of_train_in_the_validation_split_of_another_source_are_counted(place):
    shutil.copy(place / "whole.csv", place / "copy.csv")
    text = '[sources.valid]\nname = "csv"\npath = "copy.csv"\ntarget = "kind"\n'
    told = train(recipe(place, "supervised", text), "--name", "a", cwd=place).err
    assert "of 160 valid samples are also in train" in told
    assert json.loads((place / "runs/a/run.json").read_text())["seen"]["valid"] > 80


def test_validation_source_of_other_classes_is_refused(place):
    table(place / "classes.csv", bare=False, classes="ac")
    text = '[sources.valid]\nname = "csv"\npath = "classes.csv"\ntarget = "kind"\n'
    told = run("train", recipe(place, "supervised", text), cwd=place, code=5).err
    assert "[sources.valid] has another target than the main one" in told


def test_targets_of_another_source_come_only_where_they_are_those_of_the_main_one(place):
    train(recipe(place, "domain", ELSE), "--name", "same", "--quiet", cwd=place)
    (path,) = (place / "runs/same").glob("seen-0-*.txt")
    assert eval(path.read_text().splitlines()[0])[2] == [8]
    table(place / "other.csv", bare=False, classes="xyz", rows=60)
    told = train(recipe(place, "domain", ELSE), "--name", "apart", cwd=place).err
    assert "[sources.else] has another target than the main source: its samples are used without" in told
    (path,) = (place / "runs/apart").glob("seen-0-*.txt")
    assert eval(path.read_text().splitlines()[0])[2] == [8, 0]


@pytest.mark.parametrize(
    ("trainer", "data", "text", "message"),
    [
        ("pseudo", "whole.csv", "", "learns from samples without a target too, and 'csv' has none"),
        ("domain", "whole.csv", "", "needs [sources.else], which the recipe lacks"),
        ("student", "whole.csv", "", "needs [models.teacher], which the recipe lacks"),
        ("supervised", "whole.csv", ELSE, "doesn't use [sources.else]: it takes none of [sources]"),
        ("supervised", "whole.csv", '[models.x]\nweights = "other"\n', "There is no run 'other'"),
        ("student", "whole.csv", '[models.teacher]\nweight = "a"\n', "unknown key 'models.teacher.weight'"),
        ("domain", "whole.csv", ELSE + 'color = "red"\n', "source 'csv' has no option 'color'"),
        ("domain", "whole.csv", ELSE.replace("else", "train"), "[sources.train] has a name that isn't possible"),
        ("domain", "whole.csv", '[sources.else]\npath = "x"\n', "[sources.else] names no source"),
        ("domain", "whole.csv", "[sources]\nelse = 3\n", "sources is not a table of tables"),
    ],
)
def test_recipe_that_lacks_or_does_not_use_other_samples_or_models_is_refused(place, trainer, data, text, message):
    told = run("train", recipe(place, trainer, text, data), cwd=place, code=2).err
    assert message in told
    assert not list(place.glob("runs/*"))


def test_unlabeled_samples_that_the_trainer_does_not_use_are_reported(place):
    told = train(recipe(place, "supervised", "", "half.csv"), "--name", "a", cwd=place).err
    assert "80 samples have no target and aren't used: trainer 'supervised' learns from targets alone" in told


def test_commands_that_look_run_no_code_of_another_source(place):
    (place / "evil.py").write_text("raise SystemExit('it ran')")
    file = recipe(place, "domain", '[sources.else]\nname = "evil.py:Source"\n')
    file.write_text(file.read_text().replace('plugins = ["semi.py"]', ""))
    for words in (("plan", file), ("data", "info", file)):
        assert "(sources.else.name)" in run(*words, cwd=place, code=2).err


def test_images_without_a_class_train_a_self_supervised_task(tmp_path):
    draws = np.random.default_rng(0)
    for i in range(40):
        folder = tmp_path / "pictures" / ("more" if i % 2 else ".")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 255, (8, 8), dtype=np.uint8)).save(folder / f"{i}.png")
    (tmp_path / "code.py").write_text(AUTOENCODER)
    words = ["image-folder", "--data", "pictures", "--set", "source.unlabeled=.", "--epochs", 1, "--quiet"]
    told = run("train", *words, "--set", "task.name=classification", cwd=tmp_path, code=2).err
    assert "have no target, and the task 'classification' needs one" in told
    own = ["--set", "task.name=code", "--set", "model.name=code"]
    run("--plugin", "code.py", "train", *words, *own, "--name", "a", cwd=tmp_path)
    facts = json.loads((tmp_path / "runs/a/run.json").read_text())
    assert sum(facts["samples"].values()) == 40
    run("evaluate", "a", cwd=tmp_path)
    run("predict", "a", "pictures/0.png", cwd=tmp_path)


def test_folder_of_images_without_a_class_is_the_split_unlabeled(place):
    draws = np.random.default_rng(0)
    for i in range(60):
        folder = place / "pictures" / ("a", "b", "rest")[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 255, (8, 8), dtype=np.uint8)).save(folder / f"{i}.png")
    words = ["data", "info", "image-folder", "--set", "path=pictures", "--json"]
    found = json.loads(run(*words, "--set", "unlabeled=rest", cwd=place).out)
    assert found["spec"]["target"]["classes"] == ["a", "b"]
    assert found["samples"]["unlabeled"] == 20
    assert found["read"]["used"] == 60
    settings = ["--set", "source.unlabeled=rest", "--set", "trainer.name=pseudo", "--model", "cnn", "--epochs", 1]
    augmented: list[object] = ["--set", 'loader.augment=["flip"]', "--name", "a", "--quiet"]
    more: list[object] = ["image-folder", "--data", "pictures", *settings, *augmented]
    run("--plugin", "semi.py", "train", *more, cwd=place)
    assert json.loads((place / "runs/a/run.json").read_text())["samples"]["unlabeled"] == 20


def test_texts_without_a_label_are_the_split_unlabeled(place):
    rows = [f"{'good' if i % 2 else 'bad'} word {i},{'' if i % 4 == 0 else i % 2}" for i in range(80)]
    (place / "texts.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    settings = ["column=text", "label=label", "kind=class", "length=16", "target_missing=unlabeled"]
    words = ["text", "--data", "texts.csv", *(x for pair in settings for x in ("--set", f"source.{pair}"))]
    train_ = ["--set", "trainer.name=pseudo", "--epochs", 1, "--name", "a", "--quiet"]
    run("--plugin", "semi.py", "train", *words, *train_, cwd=place)
    facts = json.loads((place / "runs/a/run.json").read_text())
    assert facts["samples"]["unlabeled"] == 20


@pytest.mark.slow
def test_two_ranks_share_other_samples(place):
    text = '[backend]\nname = "cpu"\nranks = 2\n'
    train(recipe(place, "pseudo", "", "half.csv"), "--name", "one", "--quiet", cwd=place)
    run("train", recipe(place, "pseudo", text, "half.csv"), "--name", "two", "--quiet", cwd=place)
    ids: dict[int, list[int]] = {}
    for rank in (0, 1):
        (path,) = (place / "runs/two").glob(f"seen-{rank}-*.txt")
        for entry in map(eval, path.read_text().splitlines()):
            ids.setdefault(entry[0], []).extend(entry[1])
    assert ids == dict(seen(place / "runs/one"))


@pytest.mark.slow
def test_workers_read_the_other_samples_that_the_main_process_reads(place):
    for workers in (0, 2):
        text = f"[loader]\nmemory = 0\nworkers = {workers}\n{ELSE}"
        run("train", recipe(place, "domain", text), "--name", f"w{workers}", "--quiet", cwd=place)
    assert same(place / "runs/w0", place / "runs/w2")
    assert seen(place / "runs/w0") == seen(place / "runs/w2")


def test_teacher_with_code_of_another_machine_is_refused(place):
    train("whole.csv", "--target", "kind", "--model", "mlp", "--epochs", 1, "--name", "teacher", "--quiet", cwd=place)
    (place / "evil.py").write_text("raise SystemExit('it ran')")
    described = place / "runs/teacher/artifact/artifact.json"
    meta = json.loads(described.read_text())
    meta["model"]["name"] = f"{place / 'evil.py'}:build"
    described.write_text(json.dumps(meta))
    for words in (("plan",), ("train",)):
        file = recipe(place, "student", '[models]\nteacher = "teacher"\n')
        told = run("--plugin", "semi.py", *words, file, cwd=place, code=None)
        assert "it ran" not in told.err + told.out
    assert told.code == 4
    assert "is code outside any plugin" in told.err
