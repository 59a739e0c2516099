"""Compiled training: the decision of `auto`, equal results, bit-identical resume, plain weights."""

import json
import shutil
import tomllib

import numpy as np
import pytest
from safetensors import safe_open

from benchdog.plugins.context import PluginContext
from benchdog.recipe.compose import compose_draft
from benchdog.training.resolve import compile, resolve
from benchdog.training.resolve.benchmark import StepTimes
from benchdog.training.resolve.compile import Verdict, is_worth_it, lasting, programs
from support.in_process import run, same, stop_at, weights

SMALL = ["digits", "--model", "mlp", "--set", "model.hidden=[16]", "--batch-size", 64, "--quiet"]
YES = ["--set", "trainer.compile=yes"]


def timed(quick, first=0.0):
    return StepTimes(step=quick, quick=quick, evaluation=0.0, first=first)


def compile_of(folder):
    return tomllib.loads((folder / "recipe.toml").read_text(encoding="utf-8"))["trainer"]["compile"]


@pytest.mark.parametrize(("now", "then", "first", "steps", "yes", "message"), [
    (0.2, 0.1, 30, 10_000, True, "a step takes 100 ms in place of 200 ms; 17 min saved, 60 s needed"),
    (0.2, 0.1, 30, 1_000, False, "saved, but"),
    (0.1, 0.095, 30, 10**6, False, "a step takes 95 ms in place of 100 ms"),
    (0.1, 0.2, 30, 10**6, False, "200 ms in place of 100 ms"),
])  # fmt: skip
def test_compile_must_save_more_time_than_it_costs(now, then, first, steps, yes, message):
    decision = is_worth_it(timed(now), timed(then, first), steps, 2)
    assert decision.yes == yes
    assert decision.shown
    assert message in decision.why


def test_durations_are_formatted():
    assert [lasting(s) for s in (0.5, 42, 600, 36_000)] == ["0.5 s", "42 s", "10 min", "10.0 h"]
    assert str(Verdict(True, "it pays")) == "compiled: it pays"


def test_short_run_is_not_compiled_and_logs_the_reason(tmp_path):
    run("train", *SMALL, "--epochs", 1, "--name", "short", cwd=tmp_path)
    folder = tmp_path / "runs" / "short"
    assert compile_of(folder) == "no"
    assert "not compiled: the run takes at most" in (folder / "log.txt").read_text(encoding="utf-8")
    run("train", folder / "recipe.toml", "--name", "again", "--quiet", cwd=tmp_path)
    assert same(folder, tmp_path / "runs" / "again")
    assert "compiled" not in (tmp_path / "runs" / "again" / "log.txt").read_text(encoding="utf-8")
    stderr = run("train", *SMALL, "--set", "trainer.compile=true", cwd=tmp_path, code=2).err
    assert "compile" in stderr
    assert "'auto'" in stderr


def test_compiled_programs_are_counted_by_micro_batch_sizes():
    def count(*sets):
        return programs(resolve(compose_draft("digits", {"model.name": "linear"}, list(sets), PluginContext())))

    assert count("loop.batch_size=64") == 2
    assert count("loop.batch_size=1") == 1
    assert count("loop.batch_size=5000") == 1
    assert count("loop.batch_size=64", "loop.accumulate=3") == 4


@pytest.mark.parametrize(("sets", "message"), [
    (["backend.ranks=2"], "single"), ([], "trial"),
])  # fmt: skip
def test_auto_measures_only_on_a_single_rank(monkeypatch, sets, message):
    monkeypatch.setattr(compile, "LONG", 0.0)
    monkeypatch.setattr(compile, "_tried", lambda parts, steps, seconds: Verdict(False, f"trial of {steps} steps"))
    parts = resolve(compose_draft("digits", {"model.name": "linear"}, [*sets, "loop.epochs=2"], PluginContext()))
    decision = compile.choose_compile(parts, parts.build())
    assert decision is not None
    assert message in decision.log
    resolved = parts.with_values(decision.values)
    assert resolved.recipe.trainer.options["compile"] == "no"
    assert compile.choose_compile(resolved, parts.build()) is None


@pytest.mark.parametrize(("few", "expected", "message"), [(5.0, [2, 16], "too short"), (9.0, [2], "trial")])
def test_short_run_estimate_is_repeated_with_more_samples(monkeypatch, few, expected, message):
    seen = []
    times = {2: few * compile.LONG, 16: 1.0}

    def most_of_a_step(parts, model, count):
        seen.append(count)
        return times[count]

    monkeypatch.setattr(compile, "most_of_a_step", most_of_a_step)
    monkeypatch.setattr(compile, "_tried", lambda parts, steps, seconds: Verdict(False, f"trial of {steps} steps"))
    one_step = ["loop.epochs=1", "loop.batch_size=5000"]
    parts = resolve(compose_draft("digits", {"model.name": "linear"}, one_step, PluginContext()))
    decision = compile.choose_compile(parts, parts.build())
    assert decision is not None
    assert message in decision.log
    assert seen == expected


# --- real compilation: each program takes seconds


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with an uninterrupted compiled run, and its settings."""
    folder = tmp_path_factory.mktemp("compiled")
    settings = ("--epochs", 2, "--set", "loop.checkpoint_steps=5", "--set", "model.dropout=0.2")
    run("train", *SMALL, *YES, *settings, "--name", "whole", cwd=folder)
    run("train", *SMALL, *settings, "--name", "plain", cwd=folder)
    return folder, settings


def close(folder, other, tolerance=1e-4):
    """Assert that two runs end with the same weights up to rounding."""
    mine, others = weights(folder), weights(other)
    assert mine.keys() == others.keys()
    for name in mine:
        assert np.allclose(mine[name], others[name], rtol=tolerance, atol=tolerance), name


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 19, 20])
def test_compiled_run_stopped_and_resumed_is_bit_identical(place, process, monkeypatch, step):
    folder, settings = place
    stop_at(monkeypatch, step)
    shutil.rmtree(folder / "runs" / "stopped", ignore_errors=True)
    run("train", *SMALL, *YES, *settings, "--name", "stopped", cwd=folder, code=143)
    monkeypatch.undo()
    process("train", "--resume", "stopped", "--quiet", cwd=folder)  # which has no compiled program of the first
    assert same(folder / "runs" / "stopped", folder / "runs" / "whole")


@pytest.mark.slow
def test_compiled_run_has_the_weights_and_exports_of_a_plain_run(place):
    folder, _ = place
    whole, plain = folder / "runs" / "whole", folder / "runs" / "plain"
    close(whole, plain)
    assert not same(whole, plain)  # else nothing was compiled
    for path in (whole / "artifact" / "model.safetensors", *sorted((whole / "checkpoints").glob("*.safetensors"))):
        with safe_open(path, framework="np") as file:
            assert "_orig_mod" not in json.dumps([*file.keys(), file.metadata()])
    metrics = [
        json.loads((f / "evaluation-valid.json").read_text(encoding="utf-8"))["metrics"] for f in (whole, plain)
    ]
    assert metrics[0]["loss"] == pytest.approx(metrics[1]["loss"], rel=1e-3)
    assert "equal" in run("export", "whole", "--to", "torch-export", cwd=folder).out


NORM = ("--set", "model.norm=batch", "--set", "model.widths=[4]", "--set", "model.hidden=8")
VIT = ("--model", "vit", "--set", "model.layers=1", "--set", "model.width=16")


@pytest.mark.slow
@pytest.mark.parametrize(("made", "more"), [
    (2, ["--model", "cnn", *NORM, "--set", "trainer.hold_statistics=all"]),
    (2, ["--model", "mlp", "--set", "trainer.lora=4"]),
    (2, [*VIT, "--set", "trainer.activation_checkpointing=true"]),
    (4, ["--model", "mlp", "--set", "trainer.average=ema", "--set", "loop.accumulate=3"]),
    (4, ["--model", "mlp", "--epochs", 2, "--set", "trainer.freeze_groups=1", "--set", "trainer.unfreeze_every=1"]),
], ids=["held", "lora", "recompute", "average", "freed"])  # fmt: skip
def test_other_options_work_compiled_with_the_minimum_number_of_programs(tmp_path, made, more):
    from torch._dynamo.utils import counters

    common = ("train", "digits", "--epochs", 1, *more) if "--epochs" not in more else ("train", "digits", *more)
    run(*common, "--quiet", "--name", "plain", cwd=tmp_path)
    counters.clear()
    run(*common, *YES, "--quiet", "--name", "made", cwd=tmp_path)
    close(tmp_path / "runs" / "made", tmp_path / "runs" / "plain", 1e-3)
    assert counters["stats"]["unique_graphs"] == made
    assert not counters["graph_break"]


@pytest.mark.slow
def test_auto_measures_in_a_long_run_and_records_its_decision(tmp_path, monkeypatch):
    monkeypatch.setattr(compile, "LONG", 0.0)
    args = [arg for arg in SMALL if arg != "--quiet"]
    stderr = run("train", *args, "--epochs", 2, "--name", "tried", cwd=tmp_path).err
    assert "trying whether compiling the model pays off" in stderr
    assert "not compiled: compiled, a step takes" in stderr
    assert compile_of(tmp_path / "runs" / "tried") == "no"
    monkeypatch.setattr(compile, "is_worth_it", lambda now, then, steps, count: Verdict(then.first > now.first, "so"))
    stderr = run("train", *args, "--epochs", 1, "--name", "yes", cwd=tmp_path).err
    assert "compiled: so" in stderr
    assert compile_of(tmp_path / "runs" / "yes") == "yes"


@pytest.mark.slow
def test_compile_without_a_compiler_is_an_error(process, tmp_path):
    alone = {"PATH": str(tmp_path / "nowhere"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "made"), "CXX": "no-such"}
    stderr = process("train", *SMALL, *YES, "--epochs", 1, env=alone, code=3).err
    assert "can't be compiled: InvalidCxxCompiler" in stderr
    assert 'trainer.compile = "no"' in stderr
