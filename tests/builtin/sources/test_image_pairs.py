"""The source `image-pairs`: which images are a pair, their splits, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchdog.api import BadData, BadUsage, BenchdogError
from benchdog.builtin.sources.images.pairs import ImagePairs
from benchdog.builtin.sources.options import ImagePairsOptions
from benchdog.data.decode.decoder import Decoder


def draw(folder: Path, name: str, level: int, size: tuple[int, int] = (6, 4), mode: str = "L") -> None:
    """Write an image of one gray level and a mark."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full(size[::-1], level, np.uint8)
    pixels[0, 0] = 255 - level
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Sixty inputs: three versions of each of twenty targets."""
    for number in range(60):
        draw(tmp_path / "in", f"a/{number}.png", number)
        draw(tmp_path / "out", f"a/{number}.bmp", 100 + number // 3, size=(12, 8))
    return tmp_path


def source(folder: Path, **options: object) -> ImagePairs:
    return ImagePairs(ImagePairsOptions(path=folder / "in", targets=folder / "out", **options))  # type: ignore[arg-type]


def test_inputs_and_targets_of_one_name_are_pairs_with_their_own_sizes(pairs):
    made = source(pairs)
    spec, splits = made.spec(), made.open()
    assert (spec.fields[0].shape, spec.target.shape) == ((1, 4, 6), (1, 8, 12))
    assert (spec.target.kind, spec.target.dtype, spec.target.name) == ("image", "uint8", "out")
    raw = splits["train"].raw(0)
    number = int(Path(raw.id).stem)
    assert raw.target.shape == (1, 8, 12)
    assert raw.target[0, 1, 1] == 100 + number // 3
    assert made.counts is not None
    assert (made.counts.found, made.counts.used) == (60, 60)


def test_versions_of_one_target_are_in_one_split(pairs):
    splits = source(pairs).open()
    groups = {name: {int(Path(split.id(i)).stem) // 3 for i in range(len(split))} for name, split in splits.items()}
    assert sum(len(split) for split in splits.values()) == 60
    assert sum(map(len, groups.values())) == 20


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
@pytest.mark.parametrize("size", [0, 5])
def test_autoencoder_target_is_the_decoded_input(tmp_path, mode, size):
    for number in range(9):
        draw(tmp_path, f"{number}.png", number * 20, mode=mode)
    made = ImagePairs(ImagePairsOptions(path=tmp_path, size=size))
    spec = made.spec()
    decoder = Decoder(spec, made.preprocess(spec))
    raw = made.open()["train"].raw(0)
    assert np.array_equal(decoder(raw)[0], raw.target)


def test_targets_without_input_are_named(pairs):
    draw(pairs / "out", "b.png", 3, size=(12, 8))
    made = source(pairs)
    made.spec()
    assert made.notes == ["Targets without an input: 1 (b.png)."]


def read_all(folder: Path) -> None:
    for split in source(folder).open().values():
        for i in range(len(split)):
            split.raw(i)


def deep(folder: Path) -> None:
    Image.fromarray(np.full((8, 12), 3000, np.uint16)).save(folder / "out" / "a" / "0.png")
    (folder / "out" / "a" / "0.bmp").unlink()


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda f: (f / "out" / "a" / "7.bmp").unlink(), "1 of 60 images in"),
        (lambda f: draw(f / "in", "a/7.bmp", 1), "two images of one name: a/7.bmp and a/7.png"),
        (lambda f: draw(f / "in", "a/7.png", 1, size=(9, 9)), "several sizes: 4 x 6, 9 x 9"),
        (lambda f: (f / "in" / "a" / "7.png").write_bytes(b"no"), "1 files in"),
        (deep, "more than 8 bits"),
    ],
)
def test_pairs_that_can_not_be_used_are_refused(pairs, change, part):
    change(pairs)
    with pytest.raises(BadData) as caught:
        read_all(pairs)
    assert part in str(caught.value.message)


def test_folders_in_each_other_are_refused(pairs):
    with pytest.raises(BadUsage, match="lie in each other"):
        ImagePairs(ImagePairsOptions(path=pairs, targets=pairs / "out"))
    with pytest.raises(BenchdogError, match="doesn't exist"):
        ImagePairs(ImagePairsOptions(path=pairs / "in", targets=pairs / "nowhere"))
