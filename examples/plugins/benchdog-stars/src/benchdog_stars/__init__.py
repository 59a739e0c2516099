"""Offer the source stars."""

from benchdog.api import SourceInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    """List the components; a target is imported when it is first used."""
    return [
        SourceInfo(
            name="stars",
            summary="Dwarfs and giants, invented.",
            target="benchdog_stars.source:StarsSource",
            options="benchdog_stars.options:Options",
            defaults={"loop.epochs": 5},
        )
    ]
