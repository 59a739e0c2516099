"""WAV files in a folder per class, the example package that decodes them, and a source of them."""

import io
import math
import shutil
import struct
import wave
from pathlib import Path

ROOT = Path(__file__).parents[2]
WAV = ROOT / "examples" / "plugins" / "benchdog-wav" / "src" / "benchdog_wav"
SOURCE = """
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from benchdog.api import Doc, Field, Preprocess, Raw, SourceInfo, Spec, Target, find_files, hookimpl, read_regular

CONTRACT = 1


@hookimpl
def benchdog_sources():
    return [SourceInfo(name="sounds", summary="Sounds.", target=":Sounds", options=":Options", named_by="path")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    path: Annotated[Path, Doc("Folder with a folder per class.")]
    op: Annotated[str, Doc("Decode operation.")] = "wav"


class Sounds:
    def __init__(self, options):
        self.options = options

    def spec(self):
        field = Field(kind="audio", shape=(1, 64), dtype="float32", range=(-1, 1))
        return Spec(fields=(field,), target=Target(kind="class", classes=("high", "low")))

    def preprocess(self, spec):
        op = {"op": self.options.op, "rate": 8000, "length": 64}
        return Preprocess(decode={"input": [op]}, transform={"input": [{"op": "standardise", "axes": "channel"}]})

    def open(self):
        files = find_files(self.options.path, (".wav",), "not sounds").files
        return [
            Raw(
                id=file,
                fields={"input": read_regular(self.options.path / file, 10**6)},
                target=int(file.startswith("low")),
            )
            for file in files
        ]
"""


def tone(pitch: int, shift: float = 0.0, frames: int = 64, bits: int = 16) -> bytes:
    """Return a WAV file's bytes: mono, 8 kHz, 16 or 24 bits."""
    top = 2 ** (bits - 1) * 0.6
    values = [int(top * math.sin(2 * math.pi * pitch * (t + shift) / 64)) for t in range(frames)]
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, bits // 8, 8000, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<i", value)[: bits // 8] for value in values))
    return made.getvalue()


def write_tones(folder: Path, count: int = 30) -> Path:
    """Write `count` files per class, of different lengths and depths."""
    for label, pitch in (("high", 12), ("low", 3)):
        (folder / label).mkdir(parents=True)
        for i in range(count):
            (folder / label / f"{i:02}.wav").write_bytes(tone(pitch, i / 10, 60 + i % 5, 16 if i % 2 else 24))
    return folder


def install_wav(site: Path) -> Path:
    """Install the example package into a folder, as an installer does."""
    shutil.copytree(WAV, site / "benchdog_wav", ignore=shutil.ignore_patterns("__pycache__"))
    info = site / "benchdog_wav-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: benchdog-wav\nVersion: 0.1.0\nSummary: WAV.\n")
    (info / "entry_points.txt").write_text("[benchdog]\nwav = benchdog_wav\n")
    return site
