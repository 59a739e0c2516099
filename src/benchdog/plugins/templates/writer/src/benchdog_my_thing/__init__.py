"""Register the writer my-thing."""

from benchdog.api import WriterInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_writers() -> list[WriterInfo]:
    """Return the components; a target is imported on first use."""
    return [
        WriterInfo(
            name="my-thing",
            summary="Masks as text that image programs read (PGM).",
            target="benchdog_my_thing.writer:MyThingWriter",
            options="benchdog_my_thing.options:Options",
            writes="mask",
            suffix=".pgm",
            media_type="image/x-portable-graymap",
        )
    ]
