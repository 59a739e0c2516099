"""Offer the source my-thing."""

from benchdog.api import SourceInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    """List the components; a target is imported when it is first used."""
    return [
        SourceInfo(
            name="my-thing",
            summary="Dwarfs and giants, invented.",
            target="benchdog_my_thing.source:MyThingSource",
            options="benchdog_my_thing.options:Options",
            defaults={"loop.epochs": 5},
        )
    ]
