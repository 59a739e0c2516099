from benchdog.api import BadData, DecodeExample, DecoderInfo, hookimpl

CONTRACT = 1  # try: benchdog plugins check my_thing.py
HEAD = b"RIFF\x38\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\x14\0\0\0"


@hookimpl
def benchdog_decoders():
    files = {"suffixes": (".wav",), "media_types": ("audio/wav",), "called": "WAV files", "examples": ":examples"}
    return [DecoderInfo(name="my-thing", summary="16-bit mono WAV to int16 (1, T).", target=":MyThing", **files)]


class MyThing:
    def __call__(self, value):
        import numpy as np

        if not isinstance(value, bytes) or value[:4] != b"RIFF" or value[12:40] != HEAD[12:40]:
            raise BadData("it is no plain WAV file of 16-bit mono PCM at 8000 Hz")
        if int.from_bytes(value[40:44], "little") != len(value) - 44 or len(value) % 2:
            raise BadData("it was cut")
        return np.frombuffer(value[44:], "<i2")[None].astype("int16")


def examples():
    return [DecodeExample(value=HEAD + bytes(range(20)), shape=(1, 10), dtype="int16")]
