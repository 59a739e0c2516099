"""The source keeps the contract, and gives what it promises."""

from benchdog.testing import conforms

from benchdog_my_thing.options import Options
from benchdog_my_thing.source import MyThingSource

test_conforms = conforms("source", "my-thing")


def test_equal_options_give_equal_stars() -> None:
    first, second = (MyThingSource(Options(samples=20)).open() for _ in range(2))
    assert first == second
    assert len(first) == 20


def test_there_are_as_many_giants_as_dwarfs() -> None:
    assert sum(star.target for star in MyThingSource(Options()).open()) == 300


def test_a_wider_spread_gives_stranger_stars() -> None:
    def reddest(spread: float) -> float:
        stars = MyThingSource(Options(spread=spread)).open()
        return max(float(star.fields["input"]["colour"]) for star in stars)

    assert reddest(2.0) > reddest(0.1)
