"""The source conforms to the contract and returns the described samples."""

from benchdog.testing import conforms

from benchdog_my_thing.options import Options
from benchdog_my_thing.source import MyThingSource

test_conforms = conforms("source", "my-thing")


def test_equal_options_return_equal_stars() -> None:
    first, second = (MyThingSource(Options(samples=20)).open() for _ in range(2))
    assert first == second
    assert len(first) == 20


def test_classes_are_balanced() -> None:
    assert sum(star.target for star in MyThingSource(Options()).open()) == 300


def test_wider_spread_returns_more_extreme_stars() -> None:
    def reddest(spread: float) -> float:
        stars = MyThingSource(Options(spread=spread)).open()
        return max(float(star.fields["input"]["color"]) for star in stars)

    assert reddest(2.0) > reddest(0.1)
