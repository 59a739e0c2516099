"""Register the source stars."""

from benchdog.api import SourceInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_sources() -> list[SourceInfo]:
    """Return the components; a target is imported on first use."""
    return [
        SourceInfo(
            name="stars",
            summary="Dwarfs and giants, a synthetic table.",
            target="benchdog_stars.source:StarsSource",
            options="benchdog_stars.options:Options",
            defaults={"loop.epochs": 5},
        )
    ]
