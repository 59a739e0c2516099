"""The search space: what may be written, what is refused, and with which words."""

import numpy as np
import pytest

from benchdog.errors import BadUsage
from benchdog_optuna.beginning import read
from benchdog_optuna.importance import explained, importances, ranked
from benchdog_optuna.scales import Scale, seen, wording
from benchdog_optuna.space import Space

LR = {"low": 1e-4, "high": 0.1, "log": True}


def space(**keys):
    return Space.read({key.replace("__", "."): value for key, value in keys.items()}, "[tune.space]")


def test_a_key_may_stand_with_or_without_quotes():
    quoted = Space.read({"trainer.lr": LR, "loop.batch_size": [16, 32]}, "[tune.space]")
    nested = Space.read({"trainer": {"lr": LR}, "loop": {"batch_size": [16, 32]}}, "[tune.space]")
    assert quoted == nested
    assert Space.read(quoted.to_json(), "study.json") == quoted


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("trainr.lr", LR, "no recipe has this key. Did you mean 'trainer'"),
        ("loop.epoch", LR, "Did you mean 'loop.epochs'"),
        ("task.name", ["regression"], "must be judged alike"),
        ("trainer.lr", 0.1, "neither a range nor a list"),
        ("trainer.lr", [], "no values to choose from"),
        ("trainer.lr", [1, 1.0], "1.0 twice"),
        ("trainer.lr", {"low": 1, "hgih": 2}, "no option 'hgih'. Did you mean 'high'"),
        ("trainer.lr", {"low": 1}, "needs 'high'"),
        ("trainer.lr", {"low": 2, "high": 1}, "low must be less than high"),
        ("trainer.lr", {"low": 0, "high": 1, "log": True}, "a logarithmic scale has no 0"),
        ("trainer.lr", {"low": 1, "high": 10, "log": True, "step": 2}, "both log and step"),
        ("trainer.lr", {"low": 16, "high": 100, "step": 16}, "a whole number of steps of 16"),
        ("trainer.lr", {"low": "1", "high": 2}, "low"),
        ("trainer.lr", {"choices": [1], "when": {"model.name": "mlp"}}, "`when` names 'model.name'"),
    ],
)
def test_what_cant_be_meant_is_refused(key, value, said):
    with pytest.raises(BadUsage) as caught:
        Space.read({key: value}, "[tune.space]")
    assert said in f"{caught.value.message} {caught.value.hint}"
    assert key in caught.value.message


def test_what_is_whole_and_what_lies_in_it():
    found = space(loop__batch_size={"low": 16, "high": 64, "step": 16}, trainer__lr=LR, model__dropout=[0, 0.5, True])
    size, rate, drop = found.values()
    assert size.whole
    assert not rate.whole
    assert [size.holds(value) for value in (16, 48, 50, 80, 48.0, True)] == [True, True, False, False, False, False]
    assert rate.holds(0.1)
    assert not rate.holds(0.2)
    assert drop.holds(0.0)
    assert not drop.holds(1)  # true is another value


def test_values_go_through_optunas_table_and_back():
    import optuna

    found = space(
        model__name=["mlp", "linear"],
        model__hidden={"choices": [[16], [32, 32]], "when": {"model.name": "mlp"}},
        loader__augment=[[], ["noise", {"name": "flip"}]],
        loop__batch_size={"low": 16, "high": 64, "log": True},
        trainer__lr=LR,
    )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen_names = set()
    for _ in range(20):
        trial = study.ask()
        values = found.suggest(trial)
        study.tell(trial, 0.0)
        assert found.of(study.trials[-1].params) == values
        assert ("model.hidden" in values) == (values["model.name"] == "mlp")
        assert isinstance(values["loop.batch_size"], int)
        seen_names.add(values["model.name"])
    assert seen_names == {"mlp", "linear"}
    recipe = {"model": {"name": "mlp", "hidden": [16]}, "trainer": {"lr": 5.0}, "loop": {"batch_size": 32}}
    assert found.near(recipe) == {"model.name": '"mlp"', "model.hidden": "[16]", "loop.batch_size": 32}


def test_flags_win_over_the_recipes_table():
    table = {"trials": 5, "space": {"trainer.lr": LR}}
    tune, found = read({**table, "trials": 9}, ["trainer.lr=[0.1, 0.2]", 'model.name=["mlp"]'], "r.toml")
    assert tune.trials == 9
    assert list(found) == ["trainer.lr", "model.name"]
    assert found["trainer.lr"].examples() == (0.1, 0.2)
    for text, said in (("trainer.lr", "not KEY=VALUES"), ("trainer.lr={low", "can't be read")):
        with pytest.raises(BadUsage, match=said):
            read(table, [text], "r.toml")
    with pytest.raises(BadUsage, match="no option 'trails'"):
        read({"trails": 3}, [], "r.toml")
    with pytest.raises(BadUsage, match="is not a time"):
        read({"time": "soon"}, [], "r.toml")


def test_axes():
    found = space(trainer__lr=LR, model__name=["mlp", "cnn"], loop__batch_size={"low": 0, "high": 4})
    rate, name, size = map(Scale, found.values())
    assert [text for _, text in rate.ticks] == ["0.0001", "0.001", "0.01", "0.1"]
    assert rate.place(0.1) == pytest.approx(1.0)
    assert name.ticks == [(0.25, "mlp"), (0.75, "cnn")]
    assert [text for _, text in size.ticks] == ["0", "1", "2", "3", "4"]
    assert wording([{"name": "crop", "padding": 2}, "flip"]) == "crop+flip"
    low, high = seen([0.1, 0.95, 0.96, 0.97, 0.98], "max")
    assert low > 0.9  # one poor trial doesn't flatten the others
    assert high > 0.98
    assert seen([1.0], "min")[0] < 1.0 < seen([1.0], "min")[1]


def test_what_mattered_is_what_orders_the_trials():
    import random

    draw, found = random.Random(0), space(trainer__lr=LR, model__name=["mlp", "cnn"], loop__batch_size=[1, 2])
    trials = []
    for _ in range(40):
        values = {
            "trainer.lr": 10 ** draw.uniform(-4, -1),
            "model.name": draw.choice(["mlp", "cnn"]),
            "loop.batch_size": draw.choice([1, 2]),
        }
        trials.append((values, values["trainer.lr"] + 0.02 * (values["model.name"] == "cnn")))
    shares = importances(found, trials)
    assert list(shares) == ["trainer.lr", "model.name", "loop.batch_size"]
    assert shares["trainer.lr"] > 0.4
    assert shares["loop.batch_size"] < 0.05
    assert importances(found, []) == {"trainer.lr": 0.0, "model.name": 0.0, "loop.batch_size": 0.0}
    assert ranked(np.array([0.5, 0.1, 0.5, 0.9])).tolist() == [2.5, 1.0, 2.5, 4.0]
    assert explained(np.array([0, 0, 1, 1]), np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(0.7)
