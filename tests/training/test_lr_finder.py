"""Learning-rate range test: reproducible, leaves no files, and its suggestion trains well."""

import json
import math
import shlex
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchdog.cli.textplot import curve
from benchdog.training.lr_finder import FACTOR, RangeTestSession, limit, read
from support import local_sources
from support.in_process import run

pytestmark = pytest.mark.usefixtures("weights_alone")

SMALL = ["digits", "--model", "mlp", "--set", "model.hidden=[16]", "--batch-size", 64]
PLUGIN = """
from benchdog.api import TrainerInfo, hookimpl


@hookimpl
def benchdog_trainers():
    return [TrainerInfo(name="own", summary="Sets its own learning rate.", target=":Own")]


class Own:
    def train(self, session):
        return session.model
"""


def test_find_lr_is_reproducible_and_suggests_a_working_command(tmp_path):
    documents = [run("find-lr", *SMALL, "--json", cwd=tmp_path).json for _ in range(2)]
    assert documents[0] == documents[1]
    found = documents[0]
    assert list(tmp_path.iterdir()) == []
    assert 1e-4 < found["suggestion"] < 1
    low, high = found["low"]
    assert low <= found["middle"] <= high
    assert found["suggestion"] == pytest.approx(math.sqrt(low * high) / 10, rel=0.06)
    assert found["steps"] == len(found["rates"]) == len(found["losses"]) == len(found["smoothed"])
    words = shlex.split(found["command"])
    assert words[:2] == ["benchdog", "train"]
    run(*words[1:], "--epochs", 1, "--quiet", "--name", "next", cwd=tmp_path)
    recipe = tomllib.loads((tmp_path / "runs" / "next" / "recipe.toml").read_text(encoding="utf-8"))
    assert recipe["trainer"]["lr"] == found["suggestion"]
    assert recipe["model"]["hidden"] == [16]


def test_find_lr_cycles_through_the_data_and_depends_on_the_seed(tmp_path):
    wide = ("find-lr", *SMALL[:-1], 512, "--json")
    found = run(*wide, cwd=tmp_path).json  # three steps an epoch
    assert found["steps"] > 30
    assert math.isclose(found["rates"][0], 1e-7)
    other = run(*wide, "--seed", 1, cwd=tmp_path).json
    assert other["losses"] != found["losses"]
    few = run("find-lr", *SMALL, "--steps", 30, "--from", "1e-4", "--to", "0.1", "--json", cwd=tmp_path).json
    assert few["steps"] == 30
    assert few["rates"][-1] == pytest.approx(0.1)
    assert few["ended"] == "all steps were done"


def test_find_lr_ignores_schedule_averaging_and_lr_of_the_recipe(tmp_path):
    plain = run("find-lr", *SMALL, "--json", cwd=tmp_path).json
    more = [
        f"trainer.{text}"
        for text in ("schedule=one-cycle", "average=swa", "lr=0.7", "compile=yes", "schedule_options={pct_start=0.2}")
    ]
    planned = run("find-lr", *SMALL, *(w for text in more for w in ("--set", text)), "--json", cwd=tmp_path).json
    assert planned["losses"] == plain["losses"]
    assert "trainer.lr" not in planned["command"]
    assert "one-cycle" in planned["command"]


def test_find_lr_scales_layer_groups_proportionally(tmp_path, monkeypatch):
    seen = []
    note = RangeTestSession._note

    def recorded(self, loss):
        seen.append([group["lr"] for group in self._groups])
        note(self, loss)

    monkeypatch.setattr(RangeTestSession, "_note", recorded)
    run("find-lr", *SMALL, "--set", "trainer.layer_decay=0.5", "--steps", 20, "--set", "trainer.optimizer=SGD",
        "--set", "loop.accumulate=2", "--json", cwd=tmp_path)  # fmt: skip
    for low, high in seen:
        assert low == pytest.approx(high / 2)
    assert seen[0][1] == pytest.approx(1e-7)


def test_find_lr_output_and_plots(tmp_path):
    result = run("find-lr", *SMALL, "--plot", "lr.svg", cwd=tmp_path)
    assert "suggestion" in result.out
    assert "benchdog train digits --model mlp" in result.out
    assert result.out.isascii()
    svg = (tmp_path / "lr.svg").read_text(encoding="utf-8")
    assert svg.lstrip().startswith("<?xml")
    assert "$" not in svg
    assert ">0.001<" in svg
    run("find-lr", *SMALL, "--plot", "lr.html", "--json", cwd=tmp_path)
    page = (tmp_path / "lr.html").read_text(encoding="utf-8")
    assert "Train with a learning rate of" in page
    assert "var(--s0)" in page
    run("find-lr", *SMALL, "--plot", "lr.png", "--json", cwd=tmp_path)
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("more", "code", "message"), [
    (["--plot", "lr.pdf"], 2, ".html, .svg, .png"), (["--from", "1", "--to", "0.1"], 2, "can't grow from 1 to 0.1"),
    (["--trainer", "own"], 2, "'own' sets its own"), (["--to", "1e-6"], 1, "didn't fall at any learning rate"),
    (["--set", "model.width=3"], 2, "width"), (["--lr", "0.1"], 2, "--lr"),
])  # fmt: skip
def test_find_lr_usage_errors(tmp_path, more, code, message):
    (tmp_path / "own.py").write_text(PLUGIN, encoding="utf-8")
    result = run("--plugin", "own.py", "find-lr", *SMALL, *more, cwd=tmp_path, code=code)
    assert message in result.err
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "lr.pdf").exists()


def test_find_lr_on_a_table_and_a_stream(tmp_path):
    rows = np.random.default_rng(0).normal(size=(400, 2))
    lines = ["x,y,z", *(f"{x:.4f},{y:.4f},{x - 2 * y:.4f}" for x, y in rows)]
    (tmp_path / "plane.csv").write_text("\n".join(lines), encoding="utf-8")
    table = ("plane.csv", "--target", "z", "--set", "trainer.optimizer=SGD", "--batch-size", 50)
    found = run("find-lr", *table, "--json", cwd=tmp_path).json
    assert found["suggestion"] > 1e-3
    assert "--target z" in found["command"]
    plugin = local_sources.write(tmp_path)
    stream = ("streamed", "--model", "linear", "--batch-size", 16, "--steps", 40, "--from", "1e-4", "--json",
              "--set", "loader.workers=0")  # fmt: skip
    found = run("--plugin", plugin, "find-lr", *stream, cwd=tmp_path).json
    assert found["suggestion"] > 1e-4
    assert shlex.split(found["command"])[:4] == ["benchdog", "--plugin", str(plugin), "train"]


# --- the curve


@given(
    at=st.floats(-4, -1),
    top=st.floats(0.1, 100),
    fall=st.floats(0.3, 0.95),
    noise=st.floats(0, 0.02),
    seed=st.integers(0, 99),
)
def test_suggestion_is_below_the_middle_of_the_valley(at, top, fall, noise, seed):
    """A loss that falls over a decade, is low for one, and then rises."""
    x = np.linspace(-7, 1, 100)
    falling = np.clip(x - (at - 1), 0, 1) * fall
    rising = np.clip(x - (at + 1), 0, None) * 3
    loss = top * (1 - falling + rising + np.random.default_rng(seed).normal(size=100) * noise * fall)
    found = read(list(10**x), top, list(loss), "all steps were done")
    assert found.suggestion is not None
    assert at - 1.1 < math.log10(found.suggestion) < at + 0.1  # a decade below the valley's middle, at + 0.5
    assert found.steepest <= found.low[1]
    assert found.ceiling > found.smoothed[0] * 0.9


@given(losses=st.lists(st.floats(-1e3, 1e3), max_size=40), start=st.floats(-1e3, 1e3))
def test_any_loss_curve_can_be_read(losses, start):
    rates = list(np.geomspace(1e-7, 10, max(2, len(losses))))
    found = read(rates, start, losses, "")
    assert len(found.rates) == len(found.losses)
    json.dumps(found.to_json())
    if len(found.rates) > 1:
        assert curve(found.rates, found.smoothed, found.ceiling, {}).count("\n") == 13


def test_loss_that_does_not_fall_has_no_suggestion():
    rates = list(np.geomspace(1e-7, 10, 50))
    assert read(rates, 1.0, [1.0] * 50, "").suggestion is None
    assert read(rates, 1.0, list(np.linspace(1, 3, 50)), "").suggestion is None
    assert read(rates, 1.0, [], "").suggestion is None
    assert limit(2.0, 0.5) == FACTOR * 0.5
    assert limit(2.0, -1.0) == -1.0 + 3 * 3.0  # a loss that may be negative


@pytest.mark.slow
def test_suggested_learning_rate_trains_as_well_as_the_default(tmp_path):
    common = ("digits", "--model", "cnn")
    rate = run("find-lr", *common, "--json", cwd=tmp_path).json["suggestion"]
    best = []
    for name, more in (("default", ()), ("found", ("--lr", rate))):
        run("train", *common, *more, "--epochs", 6, "--quiet", "--name", name, cwd=tmp_path)
        best.append(json.loads((tmp_path / "runs" / name / "run.json").read_text(encoding="utf-8"))["best"]["value"])
    assert best[1] > best[0] - 0.01
