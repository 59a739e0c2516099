"""What a trainer's options can't do is told before a run is made, by every command that would train."""

import pytest

from inside import run

QUICK = ["digits", "--model", "mlp", "--epochs", 2]
OPTIONS = "trainer.schedule_options"
AMISS = {
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
    "sparse": (["trainer.optimiser=SparseAdam"], "sparse gradients"),
    "both": (["trainer.optimiser_options={ fused = true, foreach = true }"], "trainer.optimiser_options"),
    "no optimiser": (["trainer.optimiser=os:system"], "derived from torch.optim.optimizer.Optimizer"),
    "no part": (['trainer.freeze=["nope"]'], "no parameter fits 'nope'"),
    "no layer": (["trainer.lora=2", 'trainer.lora_layers=["nope"]'], "fits ['nope']"),
}


@pytest.mark.parametrize("name", AMISS)
def test_it_is_told_before_a_run_is_made(tmp_path, name):
    settings, said = AMISS[name]
    words = [word for setting in settings for word in ("--set", setting)]
    for command in (["train", *QUICK], ["plan", *QUICK[:3], "--set", "loop.epochs=2"], ["train", *QUICK, "--smoke"]):
        told = run(*command, *words, cwd=tmp_path, code=2)
        assert said in told.err.replace("\n", " ")
    assert not list(tmp_path.glob("runs/*"))


def test_find_lr_tells_of_optimisers_and_of_rates_that_dont_grow(tmp_path):
    words = [word for setting in AMISS["both"][0] for word in ("--set", setting)]
    assert "optimiser_options" in run("find-lr", *QUICK, *words, cwd=tmp_path, code=2).err
    for last in ("inf", "nan", "1e-9"):
        assert "can't grow" in run("find-lr", *QUICK, "--to", last, cwd=tmp_path, code=2).err


def test_the_private_and_the_unfit_are_not_offered(tmp_path):
    schedules, optimisers = ("_LRScheduler", "LambdaLR", "SequentialLR"), ("LBFGS", "SparseAdam")
    for key, gone in (("schedule", schedules), ("optimiser", optimisers)):
        told = run("train", *QUICK, "--set", f"trainer.{key}=nope", cwd=tmp_path, code=2).err
        assert "There is: " in told
        assert not [name for name in gone if f" {name}" in told]


def test_a_schedule_of_the_runs_length_is_left_out_of_smoke(tmp_path):
    told = run("train", *QUICK, "--smoke", "--set", "trainer.schedule=one-cycle", cwd=tmp_path)
    assert "the net can learn it" in told.err


def test_a_strangers_trainer_is_asked_too(tmp_path):
    (tmp_path / "mine.py").write_text(MINE, encoding="utf-8")
    told = run("--plugin", "mine.py", "train", *QUICK, "--trainer", "mine.py:Mine", cwd=tmp_path, code=2)
    assert "40 steps, 3 parts, loss" in told.err
    assert not list(tmp_path.glob("runs/*"))


MINE = """
from benchdog.api import BadUsage


class Mine:
    def check(self, model, stages, steps, task):
        raise BadUsage(f"{steps} steps, {len(stages)} parts, {task.better and 'loss'}")

    def train(self, session):
        return session.model
"""


@pytest.mark.parametrize("padding", [8, 9])
def test_a_crop_leaves_something_of_the_picture(tmp_path, padding):
    chain = f'loader.augment=[{{ name = "crop", padding = {padding} }}]'
    assert (
        f"by up to {padding} pixels; a side has 8" in run("plan", "digits", "--set", chain, cwd=tmp_path, code=2).err
    )


def test_hints_name_what_can_be_typed(tmp_path):
    told = run("train", *QUICK, "--set", 'loader.augment=["crp"]', cwd=tmp_path, code=2).err
    assert "Did you mean 'crop'?" in told
    assert "--augmentation" not in told
    assert "KiB, MiB, GiB" in run("train", *QUICK, "--memory", "1TB", cwd=tmp_path, code=2).err
    assert "batch_size is -1" in run("train", *QUICK, "--batch-size", "-1", cwd=tmp_path, code=2).err
