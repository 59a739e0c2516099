"""Every format of benchdog.api.IMAGE_FORMATS: decoding, image folders, predict, artifacts."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from benchdog.api import IMAGE_FORMATS, Field, ImageFormat, Raw, Spec, Target
from benchdog.builtin.sources.images.folder import ImageFolder
from benchdog.builtin.sources.options import ImageFolderOptions
from benchdog.data.decode.decoder import Decoder, default_preprocess
from benchdog.deployment.inputs import Sample, samples
from benchdog.model import samples as artifact_samples

IMAGE = Spec(
    fields=(Field(kind="image", shape=(3, 6, 6), dtype="uint8"),), target=Target(kind="class", classes=("a", "b"))
)


def encode(image_format: ImageFormat, seed: int = 0) -> bytes:
    if image_format.name == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow lacks WebP")
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, image_format.name)
    return out.getvalue()


@pytest.fixture(params=IMAGE_FORMATS, ids=lambda each: each.name)
def image_format(request: pytest.FixtureRequest) -> ImageFormat:
    each: ImageFormat = request.param
    return each


def test_image_format_decodes(image_format: ImageFormat) -> None:
    data = encode(image_format)
    (pixels,) = Decoder(IMAGE, default_preprocess(IMAGE))(Raw(id="x", fields={"input": data}))
    assert pixels.shape == (3, 6, 6)


def test_image_format_suffixes_are_read_from_folders(image_format: ImageFormat, tmp_path: Path) -> None:
    paths = [tmp_path / "zoo" / label / f"{i}{suffix}" for label in ("cat", "dog")
             for suffix in image_format.suffixes for i in range(6)]  # fmt: skip
    for seed, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(image_format, seed))
    splits = ImageFolder(ImageFolderOptions(path=tmp_path / "zoo")).open()
    assert sum(map(len, splits.values())) == len(paths)
    read = list(samples([str(tmp_path / "zoo")], Decoder(IMAGE, default_preprocess(IMAGE))))
    assert len(read) == len(paths)
    assert all(isinstance(each, Sample) for each in read)


def test_image_format_keeps_its_suffix_in_an_artifact(image_format: ImageFormat, tmp_path: Path) -> None:
    artifact_samples.write(tmp_path, [Raw(id="x", fields={"input": encode(image_format)}, target=0)])
    (file,) = (tmp_path / "samples").glob("000-input*")
    assert file.suffix == (image_format.suffixes[0] if image_format.signatures else ".bin")
