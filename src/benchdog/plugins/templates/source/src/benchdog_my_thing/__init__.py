"""Offer the source my-thing."""

from benchdog.api import SourceInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    """Say what there is; the strings are imported when somebody uses it."""
    return [
        SourceInfo(
            name="my-thing",
            summary="Dwarfs and giants, invented.",
            target="benchdog_my_thing.source:MyThingSource",
            options="benchdog_my_thing.options:Options",
            defaults={"loop.epochs": 5},
        )
    ]
