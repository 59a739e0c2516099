"""Register the decode operation my-thing."""

from benchdog.api import DecoderInfo, hookimpl

CONTRACT = 1


@hookimpl
def benchdog_decoders() -> list[DecoderInfo]:
    """Return the components; a target is imported on first use."""
    return [
        DecoderInfo(
            name="my-thing",
            summary="A WAV file to float32 (channels, T): PCM of 8 to 32 bits, or floating point.",
            target="benchdog_my_thing.decoder:MyThingDecoder",
            options="benchdog_my_thing.options:Options",
            suffixes=(".wav",),
            media_types=("audio/wav", "audio/x-wav", "audio/wave"),
            called="WAV files",
            examples="benchdog_my_thing.examples:examples",
        )
    ]
