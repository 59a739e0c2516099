"""The supervised trainer: optimizers, schedules, weight averaging, gradient clipping, activation checkpointing."""

import json
import re
import tomllib

import pytest
import torch
from torch import nn

from benchdog.api import BadUsage
from benchdog.builtin.trainers.checkpointing import blocks
from benchdog.builtin.trainers.optimizers import make_limit, make_optimizer
from benchdog.builtin.trainers.options import Supervised as Options
from benchdog.builtin.trainers.schedules import make_schedule
from benchdog.builtin.trainers.weight_averaging import Ema, Swa, make_average
from support.in_process import run, same, weights

pytestmark = pytest.mark.usefixtures("weights_alone")

SMALL = ["digits", "--model", "mlp", "--set", "model.hidden=[16]", "--quiet", "--batch-size", 64]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 1))


def step(model, optimizer, seed=0):
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    model(x).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize(("name", "options"), [
    ("SGD", {"momentum": 0.9, "nesterov": True}), ("Adam", {"betas": [0.8, 0.99]}), ("AdamW", {}), ("RMSprop", {}),
    ("Adagrad", {}), ("NAdam", {}), ("RAdam", {}), ("Adadelta", {}), ("Adamax", {}), ("ASGD", {}), ("Rprop", {}),
    ("Adafactor", {}), ("torch.optim:SGD", {"momentum": 0}),
])  # fmt: skip
def test_optimizers_by_name_step_as_torch_optimizers(name, options):
    ours, theirs = net(), net()
    cls = getattr(torch.optim, name.rpartition(":")[2])
    own = cls(
        theirs.parameters(), lr=0.01, **({} if name == "Rprop" else {"weight_decay": 0.0}),
        **{k: tuple(v) if isinstance(v, list) else v for k, v in options.items()},
    )  # fmt: skip
    made = make_optimizer(Options(optimizer=name, optimizer_options=options, lr=0.01), ours)
    for seed in range(3):
        step(ours, made, seed)
        step(theirs, own, seed)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("options", "message"), [
    ({"optimizer": "Adamm"}, "'Adam'"), ({"optimizer": "no.such:Thing"}, "can't be imported"),
    ({"optimizer": "LBFGS"}, "several times a step"),
    ({"optimizer": "SGD", "optimizer_options": {"momentun": 0.9}}, "'momentum'"),
    ({"optimizer": "SGD", "optimizer_options": {"momentum": "a lot"}}, "'a lot'"),
    ({"optimizer": "SGD", "optimizer_options": {"nesterov": True}}, "[Nn]esterov"),
    ({"optimizer": "SGD", "optimizer_options": {"lr": 0.1}}, "trainer.lr"),
    ({"schedule": "cosign"}, "'cosine'"), ({"schedule": "StepLR", "schedule_options": {"step": 3}}, "'step_size'"),
    ({"schedule": "StepLR"}, "step_size"), ({"schedule": "cosine", "schedule_options": {"eta": 1}}, "takes no"),
    ({"schedule": "StepLR", "schedule_options": {"step_size": 3}, "warmup": 5.0}, "no warm-up"),
])  # fmt: skip
def test_invalid_optimizer_and_schedule_options_are_refused(options, message):
    model = net()
    made = Options(**options)

    def make():
        return make_schedule(made, make_optimizer(made, model), 100, "loss", "min")

    with pytest.raises(BadUsage) as caught:
        make()
    assert re.search(message, f"{caught.value.message} {caught.value.hint}")


def rates(options, steps=100, per_epoch=10, metric=1.0):
    model = net()
    made = Options(lr=1.0, optimizer="SGD", **options)
    optimizer = make_optimizer(made, model)
    schedule = make_schedule(made, optimizer, steps, "loss", "min")
    seen = []
    for number in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
        if (number + 1) % per_epoch == 0:
            schedule.epoch_done({"loss": metric})
    return seen


def test_learning_rate_schedules():
    assert set(rates({})) == {1.0}
    cosine = rates({"schedule": "cosine", "warmup": 0.1})
    assert cosine[:10] == pytest.approx([0.1 * i for i in range(1, 11)])
    assert cosine[10] == 1
    assert cosine[55] == pytest.approx(0.5)
    assert cosine[-1] < 0.01
    linear = rates({"schedule": "linear"})
    assert linear[50] == pytest.approx(0.5)
    assert rates({"warmup": 4.0})[:6] == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    stepped = rates({"schedule": "StepLR", "schedule_options": {"step_size": 3}})
    assert stepped[29] == 1
    assert stepped[30] == pytest.approx(0.1)
    cycle = rates({"schedule": "one-cycle"})
    assert max(cycle) == pytest.approx(1.0, abs=1e-3)
    assert 0.2 < cycle.index(max(cycle)) / 100 < 0.4
    assert cycle[-1] < 1e-3
    plateau = rates({"schedule": "plateau", "schedule_options": {"patience": 2}})
    assert plateau[0] == 1
    assert plateau[-1] < 0.2


def test_cosine_schedule_on_a_stream_is_refused():
    model, options = net(), Options(schedule="cosine")
    with pytest.raises(BadUsage, match="stream"):
        make_schedule(options, make_optimizer(options, model), None, "loss", "min")


def test_ema_and_swa_weights_equal_expected_averages():
    model = net()
    ema, swa = Ema(model, 0.9), Swa(model, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    expected = [p.detach().clone() for p in model.parameters()]
    epochs = []
    for number in range(12):
        step(model, optimizer, number)
        decay = min(0.9, (1 + number) / (10 + number))
        expected = [e * decay + p.detach() * (1 - decay) for e, p in zip(expected, model.parameters(), strict=True)]
        ema.step()
        if number % 3 == 2:
            swa.epoch_done()
            epochs.append([p.detach().clone() for p in model.parameters()])
    for mine, theirs in zip(ema.model.parameters(), expected, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)
    for mine, *theirs in zip(swa.model.parameters(), *epochs[2:], strict=True):
        assert torch.allclose(mine, torch.stack(theirs).mean(0), atol=1e-6)
    assert int(ema.model.get_buffer("1.num_batches_tracked")) == 12
    again = Ema(net(), 0.9)
    again.load_state_dict(ema.state_dict())
    assert again.count == 12
    assert torch.equal(again.model.get_parameter("0.weight"), ema.model.get_parameter("0.weight"))


@pytest.mark.parametrize(("epochs", "start"), [(1, 0), (2, 0), (4, 2), (8, 6), (20, 15)])
def test_swa_averages_at_least_two_epochs(epochs, start):
    average = make_average(Options(average="swa"), net(), epochs)
    assert isinstance(average, Swa)
    assert average.start == start


def test_gradient_clipping_by_norm_and_value():
    model = net()
    model(torch.randn(8, 3) * 100).square().sum().backward()
    limit = make_limit(Options(clip_norm=1.0, clip_value=0.5), list(model.parameters()))
    assert limit is not None
    limit()
    grads = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert grads.norm() <= 1.0001
    assert grads.abs().max() <= 0.5
    assert make_limit(Options(), []) is None


def test_saved_model_is_the_average(tmp_path):
    for name, more in (
        ("plain", []),
        ("ema", ["--set", "trainer.average=ema"]),
        ("swa", ["--set", "trainer.average=swa", "--set", "trainer.swa_start=0.3"]),
    ):
        run("train", *SMALL, "--epochs", 3, "--name", name, *more, cwd=tmp_path)
    plain, ema, swa = (weights(tmp_path / "runs" / name) for name in ("plain", "ema", "swa"))
    key = next(k for k in plain if k.startswith("model."))
    assert plain[key].tobytes() != ema[key].tobytes()
    assert plain[key].tobytes() != swa[key].tobytes()
    accuracy = json.loads((tmp_path / "runs" / "ema" / "evaluation-valid.json").read_text())["metrics"]["accuracy"]
    best = json.loads((tmp_path / "runs" / "ema" / "run.json").read_text())["best"]["value"]
    assert accuracy == pytest.approx(best)


def test_activation_checkpointing_is_bit_identical(tmp_path):
    common = ["train", "shapes", "--set", "source.count=40", "--set", "source.size=32", "--epochs", 1, "--quiet"]
    run(*common, "--name", "kept", cwd=tmp_path)
    result = run(*common, "--name", "again", "--set", "trainer.activation_checkpointing=true", cwd=tmp_path)
    assert result.code == 0
    assert same(tmp_path / "runs" / "kept", tmp_path / "runs" / "again")
    refused = run("train", *SMALL, "--set", "trainer.activation_checkpointing=true", cwd=tmp_path, code=2)
    assert "no blocks" in refused.err
    assert len(blocks(nn.Sequential(nn.Sequential(nn.Linear(1, 1)), nn.ReLU()))) == 1


def test_learning_rate_is_logged_and_optimizer_options_are_in_the_recipe(tmp_path):
    run("train", *SMALL, "--epochs", 2, "--set", "trainer.schedule=cosine", "--set", "trainer.warmup=0.2",
        "--set", "trainer.optimizer_options={amsgrad=true}", "--set", "loop.log_every=4", "--name", "r",
        cwd=tmp_path)  # fmt: skip
    folder = tmp_path / "runs" / "r"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    logged = [line["lr"] for line in lines if line["kind"] == "step"]
    assert logged[0] != logged[-1]
    recipe = tomllib.loads((folder / "recipe.toml").read_text())
    assert recipe["trainer"]["optimizer_options"] == {"amsgrad": True}
    run("train", folder / "recipe.toml", "--name", "again", "--quiet", cwd=tmp_path)
    assert same(folder, tmp_path / "runs" / "again")
