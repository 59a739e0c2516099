"""Invalid trainer options are refused before a run is created, by every command that trains."""

import json
import sys
from pathlib import Path

import pytest
import torch

from support.export_jobs import exports_in_process
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

QUICK = ["digits", "--model", "mlp", "--epochs", 2]
OPTIONS = "trainer.schedule_options"
INVALID = {
    "too short": (
        ["trainer.schedule=one-cycle", f"{OPTIONS}={{ total_steps = 3 }}"],
        "the run has 40",
    ),
    "by epochs": (["trainer.schedule=OneCycleLR", f"{OPTIONS}={{ epochs = 1, steps_per_epoch = 5 }}"], "step 5"),
    "zero": (["trainer.schedule=StepLR", f"{OPTIONS}={{ step_size = 0 }}"], "'StepLR'"),
    "text": (["trainer.schedule=StepLR", f"{OPTIONS}={{ step_size = 'a' }}"], "'StepLR'"),
    "functions": (["trainer.schedule=LambdaLR"], "takes functions or other schedules"),
    "base": (["trainer.schedule=_LRScheduler"], "only what others are made from"),
    "mistyped": (["trainer.schedule=cosin"], "Did you mean 'cosine'?"),
    "long warm-up": (["trainer.warmup=40"], "takes 40 steps, the run has 40"),
    "sparse": (["trainer.optimizer=SparseAdam"], "sparse gradients"),
    "both": (["trainer.optimizer_options={ fused = true, foreach = true }"], "trainer.optimizer_options"),
    "no optimizer": (["trainer.optimizer=torch.nn:Linear"], "derived from torch.optim.optimizer.Optimizer"),
    "unusable by its path": (["trainer.optimizer=torch.optim.sparse_adam:SparseAdam"], "Available: ASGD, "),
    "names for one that is none": (["trainer.optimizer=torch.nn:Linear"], "Available: ASGD, "),
    "a function of Python": (["trainer.optimizer=os:system"], "os is a part of Python's standard library"),
    "base of optimizers": (["trainer.optimizer=Optimizer"], "only what others are made from"),
    "no module": (["trainer.optimizer=:Adam"], "can't be imported"),
    "betas": (["trainer.optimizer_options={ betas = [2, 3] }"], "trainer.optimizer_options"),
    "negative": (["trainer.schedule=StepLR", f"{OPTIONS}={{ step_size = -1 }}"], "a whole number from 1"),
    "texts": (["trainer.schedule=MultiStepLR", f"{OPTIONS}={{ milestones = ['a'] }}"], "milestones is 'a'"),
    "endless warm-up": (["trainer.warmup=inf"], "endlessly many steps, the run has 40"),
    "no part": (['trainer.freeze=["nope"]'], "no parameter fits 'nope'"),
    "no layer": (["trainer.lora=2", 'trainer.lora_layers=["nope"]'], "no layer fits 'nope'"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_trainer_options_are_refused_before_a_run_is_created(tmp_path, name):
    settings, message = INVALID[name]
    words = [word for setting in settings for word in ("--set", setting)]
    plan = ["plan", *QUICK[:3], "--set", "loop.epochs=2", "--run-code"]
    for command in (["train", *QUICK], plan, ["train", *QUICK, "--smoke"]):
        result = run(*command, *words, cwd=tmp_path, code=2)
        assert message in result.err.replace("\n", " ")
    assert not list(tmp_path.glob("runs/*"))


def test_find_lr_reports_optimizer_errors_and_invalid_rate_ranges(tmp_path):
    words = [word for setting in INVALID["both"][0] for word in ("--set", setting)]
    assert "optimizer_options" in run("find-lr", *QUICK, *words, cwd=tmp_path, code=2).err
    for last in ("inf", "nan", "1e-9"):
        assert "can't grow" in run("find-lr", *QUICK, "--to", last, cwd=tmp_path, code=2).err


def test_unusable_schedules_and_optimizers_are_not_listed(tmp_path):
    schedules, optimizers = ("_LRScheduler", "LambdaLR", "SequentialLR"), ("LBFGS", "SparseAdam")
    for key, gone in (("schedule", schedules), ("optimizer", optimizers)):
        stderr = run("train", *QUICK, "--set", f"trainer.{key}=nope", cwd=tmp_path, code=2).err
        assert "Available: " in stderr
        assert not [name for name in gone if f" {name}" in stderr]


def test_smoke_omits_a_schedule_that_depends_on_the_run_length(tmp_path):
    with exports_in_process():
        result = run("train", *QUICK, "--smoke", "--set", "trainer.schedule=one-cycle", cwd=tmp_path)
    assert "the model can overfit it" in result.err


def test_third_party_trainer_check_is_called(tmp_path):
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    result = run("--plugin", "mine.py", "train", *QUICK, "--trainer", "mine.py:Mine", cwd=tmp_path, code=2)
    assert "40 steps, 3 parts, loss" in result.err
    assert not list(tmp_path.glob("runs/*"))


MINE = """
from benchdog.api import BadUsage


class Mine:
    def check(self, trial):
        raise BadUsage(f"{trial.steps} steps, {len(trial.stages)} parts, {trial.task.better and 'loss'}")

    def train(self, session):
        return session.model
"""


@pytest.mark.parametrize("padding", [8, 9])
def test_crop_padding_must_be_smaller_than_the_image(tmp_path, padding):
    chain = f'loader.augment=[{{ name = "crop", padding = {padding} }}]'
    assert (
        f"by up to {padding} pixels; a side has 8" in run("plan", "digits", "--set", chain, cwd=tmp_path, code=2).err
    )


def test_hints_show_valid_arguments(tmp_path):
    stderr = run("train", *QUICK, "--set", 'loader.augment=["crp"]', cwd=tmp_path, code=2).err
    assert "Did you mean 'crop'?" in stderr
    assert "--set 'loader.augment=[" in stderr
    assert "--augmentation" not in stderr
    assert "KiB, MiB, GiB" in run("train", *QUICK, "--memory", "1TB", cwd=tmp_path, code=2).err
    stderr = run("train", *QUICK, "--batch-size", "-1", cwd=tmp_path, code=2).err
    assert "batch_size is -1" in stderr
    assert "an integer from 1" in stderr


def test_optimizer_is_tested_on_one_step(tmp_path):
    for argument in ("differentiable", "capturable"):
        if argument == "capturable" and torch.accelerator.is_available():
            continue  # supported there
        words = ["--set", f"trainer.optimizer_options={{ {argument} = true }}"]
        for command in ("train", "find-lr"):
            stderr = run(command, *QUICK, *words, cwd=tmp_path, code=2).err
            assert "optimizer 'Adam': " in stderr
            assert "trainer.optimizer_options" in stderr
    assert not list(tmp_path.glob("runs/*"))


@pytest.mark.parametrize("options", ["", "{ total_steps = 40 }"])
def test_run_with_a_length_dependent_schedule_refuses_more_epochs(tmp_path, options):
    words = ["--set", "trainer.schedule=one-cycle", *(["--set", f"{OPTIONS}={options}"] if options else [])]
    run("train", *QUICK, "--name", "mine", *words, "--quiet", cwd=tmp_path)
    folder = tmp_path / "runs" / "mine"
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    (folder / "run.json").write_text(json.dumps({**facts, "status": "stopped"}), encoding="utf-8")
    recipe = (folder / "recipe.toml").read_text(encoding="utf-8")
    assert "epochs = 2\n" in recipe
    (folder / "recipe.toml").write_text(recipe.replace("epochs = 2\n", "epochs = 4\n"), encoding="utf-8")
    stderr = run("train", "--resume", "mine", cwd=tmp_path, code=2).err
    assert "was changed since the checkpoint: loop.epochs" in stderr


@pytest.mark.parametrize("name", ["mine", "runs/mine", "./runs/mine/"])
def test_run_in_place_of_a_source_is_refused(tmp_path, name):
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}", encoding="utf-8")
    for command in ("find-lr", "plan", "train"):
        stderr = run(command, name, cwd=tmp_path, code=2).err
        assert "is a run" in stderr
        assert f"recipe: {Path('runs', 'mine', 'recipe.toml')}" in stderr


def test_local_schedule_may_have_the_name_of_an_unusable_one(tmp_path):
    (tmp_path / "curves.py").write_text(CURVES, encoding="utf-8")
    words = ["--set", "trainer.schedule=curves:LambdaLR", "--quiet"]
    sys.path.insert(0, str(tmp_path))
    try:
        run("train", *QUICK, *words, "--name", "own", cwd=tmp_path)
        assert 'schedule = "curves:LambdaLR"' in (tmp_path / "runs/own/recipe.toml").read_text(encoding="utf-8")
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("curves", None)


CURVES = """
from torch.optim import lr_scheduler


class LambdaLR(lr_scheduler.LambdaLR):
    def __init__(self, optimizer):
        super().__init__(optimizer, lambda epoch: 0.5)
"""
