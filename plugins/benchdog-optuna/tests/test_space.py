"""Search spaces, and the plots of a study."""

import re

import pytest

from benchdog.api import BadUsage
from benchdog_optuna import plots
from benchdog_optuna.space import Space
from benchdog_optuna.study_setup import read

LR = {"low": 1e-4, "high": 0.1, "log": True}


def make_space(**keys):
    return Space.read({key.replace("__", "."): value for key, value in keys.items()}, "[tune.space]")


def test_quoted_and_nested_keys_are_equal():
    quoted = Space.read({"trainer.lr": LR, "loop.batch_size": [16, 32]}, "[tune.space]")
    nested = Space.read({"trainer": {"lr": LR}, "loop": {"batch_size": [16, 32]}}, "[tune.space]")
    assert quoted == nested
    assert Space.read(quoted.to_json(), "study.json") == quoted


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("trainr.lr", LR, "no recipe has this key. Did you mean 'trainer'"),
        ("loop.epoch", LR, "Did you mean 'loop.epochs'"),
        ("task.name", ["regression"], "must be comparable"),
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
def test_invalid_space_is_refused(key, value, message):
    with pytest.raises(BadUsage) as caught:
        Space.read({key: value}, "[tune.space]")
    assert message in f"{caught.value.message} {caught.value.hint}"
    assert key in caught.value.message


def test_integer_ranges_and_membership():
    sizes = {"low": 16, "high": 64, "step": 16}
    space = make_space(loop__batch_size=sizes, trainer__lr=LR, model__dropout=[0, 0.5, True])
    size, rate, drop = space.values()
    assert size.is_integer
    assert not rate.is_integer
    assert [size.holds(value) for value in (16, 48, 50, 80, 48.0, True)] == [True, True, False, False, False, False]
    assert rate.holds(0.1)
    assert not rate.holds(0.2)
    assert drop.holds(0.0)
    assert not drop.holds(1)  # True in the list is not 1


def test_values_round_trip_through_optuna():
    import optuna

    space = make_space(
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
        values = space.suggest(trial)
        study.tell(trial, 0.0)
        assert space.of(study.trials[-1].params) == values
        assert ("model.hidden" in values) == (values["model.name"] == "mlp")
        assert isinstance(values["loop.batch_size"], int)
        seen_names.add(values["model.name"])
    assert seen_names == {"mlp", "linear"}
    recipe = {"model": {"name": "mlp", "hidden": [16]}, "trainer": {"lr": 5.0}, "loop": {"batch_size": 32}}
    assert space.near(recipe) == {"model.name": '"mlp"', "model.hidden": "[16]", "loop.batch_size": 32}


def test_flags_override_the_recipes_table():
    table = {"trials": 5, "space": {"trainer.lr": LR}}
    tune, space = read({**table, "trials": 9}, ["trainer.lr=[0.1, 0.2]", 'model.name=["mlp"]'], "r.toml")
    assert tune.trials == 9
    assert list(space) == ["trainer.lr", "model.name"]
    assert space["trainer.lr"].examples() == (0.1, 0.2)
    for text, message in (("trainer.lr", "not KEY=VALUES"), ("trainer.lr={low", "can't be read")):
        with pytest.raises(BadUsage, match=message):
            read(table, [text], "r.toml")
    with pytest.raises(BadUsage, match="no option 'trails'"):
        read({"trails": 3}, [], "r.toml")
    with pytest.raises(BadUsage, match="is not a time"):
        read({"time": "soon"}, [], "r.toml")


def study_of(space, trials, direction="maximize"):
    """Return an in-memory study with these (values, result) pairs, as the database would store them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))
    for values, result in trials:
        study.enqueue_trial({key: space[key].stored(value) for key, value in values.items()})
        trial = study.ask()
        space.suggest(trial)
        study.tell(trial, result)
    return study


def test_choices_have_short_distinct_labels():
    choices = [[], [{"name": "crop", "padding": 2}, "flip"], [{"name": "crop"}, "flip"], True]
    space = make_space(loader__augment=choices)
    names = plots.labels(space["loader.augment"].within)
    assert names == ["none", "2: crop+flip", "3: crop+flip", "true"]


@pytest.mark.slow
def test_importances_rank_parameters():
    import random

    rng, space = random.Random(0), make_space(trainer__lr=LR, model__name=["mlp", "cnn"], loop__batch_size=[1, 2])
    trials = []
    for _ in range(40):
        rate = 10 ** rng.uniform(-4, -1)
        values = {
            "trainer.lr": rate,
            "model.name": rng.choice(["mlp", "cnn"]),
            "loop.batch_size": rng.choice([1, 2]),
        }
        trials.append((values, rate + 0.02 * (values["model.name"] == "cnn")))
    study = plots.readable(study_of(space, trials), space)
    shares = plots.importances(study)
    assert next(iter(shares)) == "trainer.lr"
    assert shares["loop.batch_size"] < 0.2
    assert sum(shares.values()) == pytest.approx(1.0)
    assert plots.importances(plots.readable(study_of(space, trials[:3]), space)) == {}
    figures = [plots.history(study, "accuracy"), plots.parallel_coordinates(study, "accuracy")]
    figures += plots.slices(study, space, "accuracy")
    assert len(figures) == 5
    assert all(each.startswith("<svg") for each in figures)
    assert plots.learning_curves(study, "accuracy") == ""
    minimized = plots.readable(study_of(space, trials[:3], "minimize"), space)
    assert plots.parallel_coordinates(minimized, "loss").startswith("<svg")
    assert plots.slices(minimized, space, "loss")
    ids = [name for each in figures for name in re.findall(r' id="([^"]+)"', each)]
    assert len(ids) == len(set(ids))
