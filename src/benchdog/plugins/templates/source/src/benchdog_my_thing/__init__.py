"""Register the source my-thing."""

from benchdog.api import SourceInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    """Return the components; a target is imported on first use."""
    return [
        SourceInfo(
            name="my-thing",
            summary="Dwarfs and giants, a synthetic table.",
            target="benchdog_my_thing.source:MyThingSource",
            options="benchdog_my_thing.options:Options",
            defaults={"loop.epochs": 5},
        )
    ]
