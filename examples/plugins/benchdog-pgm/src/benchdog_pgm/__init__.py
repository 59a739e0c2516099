"""Register the writer pgm."""

from benchdog.api import WriterInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_writers() -> list[WriterInfo]:
    """Return the components; a target is imported on first use."""
    return [
        WriterInfo(
            name="pgm",
            summary="Masks as text that image programs read (PGM).",
            target="benchdog_pgm.writer:PgmWriter",
            options="benchdog_pgm.options:Options",
            writes="mask",
            suffix=".pgm",
            media_type="image/x-portable-graymap",
        )
    ]
