from __future__ import annotations

import io
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchdog.api import BadData, BadUsage, Spec, pixel_hash, read_regular
from benchdog.builtin.sources.images import folder as image_folder
from benchdog.builtin.sources.images import inspection
from benchdog.builtin.sources.images.folder import ImageFolder
from benchdog.builtin.sources.options import ImageFolderOptions

Check = Callable[..., Spec]


def paint(path: Path, number: int, *, color: bool = True, size: tuple[int, int] = (12, 10)) -> Path:
    """Write an image that is unique to its number."""
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3 if color else 1), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels if color else pixels[..., 0]).save(path)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for i in range(30):
        paint(tmp_path / "pets" / ("cat" if i % 2 else "dog") / f"{i}.png", i)
    return tmp_path / "pets"


def folder(path: Path, **more: Any) -> ImageFolder:
    return ImageFolder(ImageFolderOptions(path=path, **more))


def test_folder_per_class(check: Check, pets: Path) -> None:
    source = folder(pets)
    spec = check(source)
    assert spec.fields[0].shape == (3, 12, 10)
    assert spec.target.classes == ("cat", "dog")
    assert source.notes == []
    for split in source.open().values():
        assert set(split.targets) == {0, 1}
        assert split.raw(0).id.startswith(("cat/", "dog/"))


def test_grayscale_sizes_and_modes(check: Check, pets: Path, tmp_path: Path) -> None:
    assert check(folder(pets, size=8, mode="L")).fields[0].shape == (1, 8, 8)
    assert check(folder(pets, height=6, width=9)).fields[0].shape == (3, 6, 9)
    with pytest.raises(BadUsage, match="must be set together"):
        folder(pets, height=6).spec()
    for i in range(12):
        paint(tmp_path / "grayscale" / "ab"[i % 2] / f"{i}.png", i, color=False, size=(20 + i, 30))
    grayscale = folder(tmp_path / "grayscale")
    assert check(grayscale).fields[0].shape[0] == 1
    assert grayscale.notes == ["Images of heights 20-31 and widths 30 are resized to 25x25 pixels (option size)."]


def test_numeric_class_names_are_in_natural_order(tmp_path: Path) -> None:
    for i in range(36):
        paint(tmp_path / str(i % 12) / f"{i}.png", i)
    assert folder(tmp_path).spec().target.classes == tuple(map(str, range(12)))


def test_all_corrupt_files_are_reported_at_once(check: Check, pets: Path) -> None:
    (pets / "cat" / "note.png").write_text("hello, I am text")
    (pets / "cat" / "empty.jpg").touch()
    whole = io.BytesIO()
    Image.open(pets / "dog" / "0.png").resize((99, 99)).save(whole, "JPEG")
    (pets / "dog" / "half.jpg").write_bytes(whole.getvalue()[:900])
    (pets / "dog" / "readme.txt").write_text("not an image, not an error")
    with pytest.raises(BadData) as caught:
        folder(pets).open()
    message = caught.value.message
    assert message.startswith("3 of 33 files")
    assert "cat/note.png: not an image" in message
    assert "cat/empty.jpg: the file is empty" in message
    assert "dog/half.jpg: " in message
    assert "skip" in caught.value.hint
    skipping = folder(pets, bad="skip")
    check(skipping)
    assert sum(len(split) for split in skipping.open().values()) == 30
    assert any("3 damaged files" in note for note in skipping.notes)
    assert any("readme.txt" in note for note in skipping.notes)


def test_unusable_image_folders_are_refused(tmp_path: Path, pets: Path) -> None:
    with pytest.raises(BadUsage, match="needs the path"):
        ImageFolder(ImageFolderOptions())
    with pytest.raises(BadData, match="doesn't exist"):
        folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match="no images in class folders"):
        folder(tmp_path / "empty").spec()
    paint(tmp_path / "one" / "cat" / "1.png", 1)
    with pytest.raises(BadData, match="one class, 'cat'"):
        folder(tmp_path / "one").spec()
    paint(pets / "loose.png", 1)
    with pytest.raises(BadData, match=r"1 images are in .*loose\.png"):
        folder(pets).spec()
    (pets / "loose.png").unlink()
    paint(pets / "hamster" / "a.png", 77)
    paint(pets / "hamster" / "b.png", 78)
    with pytest.raises(BadData, match=r"needs 3 images.*'hamster' has 2"):
        folder(pets).spec()


def test_split_folders_are_used_and_missing_splits_taken_from_train(check: Check, tmp_path: Path) -> None:
    for i in range(24):
        paint(tmp_path / "train" / "ab"[i % 2] / f"{i}.png", i)
    for i in range(24, 30):
        paint(tmp_path / "val" / "ab"[i % 2] / f"{i}.png", i)
    splits = folder(tmp_path).open()
    assert len(splits["valid"]) == 6
    assert {p.path.split("/")[0] for p in splits["valid"].images} == {"val"}
    assert len(splits["train"]) + len(splits["test"]) == 24
    for i in range(30, 34):
        paint(tmp_path / "test" / "ab"[i % 2] / f"{i}.png", i)
    check(folder(tmp_path), {"train": 24, "valid": 6, "test": 4})
    paint(tmp_path / "test" / "c" / "x.png", 99)
    with pytest.raises(BadData, match="no training image of the class c"):
        folder(tmp_path).open()


def test_image_labels_from_csv(check: Check, pets: Path, tmp_path: Path) -> None:
    files = sorted(p.relative_to(pets).as_posix() for p in pets.rglob("*.png"))
    table = tmp_path / "labels.csv"

    def write(rows: Sequence[str]) -> None:
        table.write_text("path,label\n" + "\n".join(rows), encoding="utf-8")

    write([f"{name},{'odd' if i % 2 else 'even'}" for i, name in enumerate(files)])
    assert check(folder(pets, labels=table)).target.classes == ("even", "odd")
    write([*(f"{name},x" for name in files), "gone.png,y"])
    with pytest.raises(BadData, match=r"gone\.png \(line 32\)"):
        folder(pets, labels=table).spec()
    write([f"{files[0]},x", f"{files[0]},y"])
    with pytest.raises(BadData, match="more than once"):
        folder(pets, labels=table).spec()
    write([f"{files[0]},", f"{files[1]},y"])
    with pytest.raises(BadData, match="no label in line 2"):
        folder(pets, labels=table).spec()
    table.write_text("file,label\na,b\n")
    with pytest.raises(BadData, match="no column 'path'"):
        folder(pets, labels=table).spec()


def test_duplicates_and_groups_stay_in_one_split(tmp_path: Path) -> None:
    for film in range(12):
        for frame in range(4):
            paint(tmp_path / "ab"[film % 2] / f"film{film}_{frame}.png", film * 10 + frame)
    splits = folder(tmp_path, group="prefix").open()
    films = {name: {p.path.rsplit("_", 1)[0] for p in split.images} for name, split in splits.items()}
    assert not films["train"] & films["valid"]
    assert not films["train"] & films["test"]
    for film in range(0, 12, 2):
        copy = tmp_path / "a" / f"copy-of-{film}.png"
        copy.write_bytes((tmp_path / "a" / f"film{film}_0.png").read_bytes())
    (tmp_path / "b" / "other.png").write_bytes((tmp_path / "a" / "film0_0.png").read_bytes())
    source = folder(tmp_path)
    where = {p.path: name for name, split in source.open().items() for p in split.images}
    assert all(where[f"a/copy-of-{film}.png"] == where[f"a/film{film}_0.png"] for film in range(0, 12, 2))
    assert any("different classes" in note and "b/other.png" in note for note in source.notes)
    assert any("7 duplicate images" in note for note in source.notes)


def test_equal_pixels_of_other_files_stay_in_one_split(pets: Path) -> None:
    plain = {p.path: name for name, split in folder(pets).open().items() for p in split.images}
    for path in sorted(pets.rglob("*.png"))[::2]:
        with Image.open(path) as image:
            image.save(path.with_suffix(".bmp"))
            image.convert("RGBA").save(path.with_name(f"{path.stem}-rgba.png"))
    source = folder(pets)
    where = {p.path: name for name, split in source.open().items() for p in split.images}
    twins = {
        (where[p], where[f"{p[:-4]}.bmp"], where[f"{p[:-4]}-rgba.png"]) for p in plain if f"{p[:-4]}.bmp" in where
    }
    assert twins == {(split, split, split) for split in ("train", "valid", "test")}
    alone = [path for path in plain if f"{path[:-4]}.bmp" not in where]
    assert [where[path] for path in alone] == [plain[path] for path in alone]
    assert source.notes == ["30 duplicate images, pixel by pixel; kept in one split."]


def test_pixels_are_compared_as_a_model_sees_them() -> None:
    pixels = np.arange(120, dtype=np.uint8).reshape(10, 12)
    gray = Image.fromarray(pixels)
    deep = Image.fromarray(pixels.astype(np.uint16) * 257)
    assert pixel_hash(gray) == pixel_hash(gray.convert("RGB")) == pixel_hash(deep)
    assert pixel_hash(gray) != pixel_hash(Image.fromarray(pixels.reshape(12, 10)))


def test_equal_pixels_in_given_splits_are_counted(tmp_path: Path) -> None:
    for i in range(20):
        paint(tmp_path / "train" / "ab"[i % 2] / f"{i}.png", i)
    for i in (0, 1, 30, 31):
        paint(tmp_path / "test" / "ab"[i % 2] / f"{i}.bmp", i)
    source = folder(tmp_path)
    source.open()
    assert source.seen == {"test": 2}


def test_unchanged_files_are_decoded_once(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    real = inspection._image_properties

    def recorded(data: bytes) -> dict[str, Any]:
        decoded.append(len(data))
        return real(data)

    monkeypatch.setattr(inspection, "_image_properties", recorded)

    class Cache:
        folder = tmp_path / "cache"

    Cache.folder.mkdir()

    def spec() -> Spec:
        source = folder(pets)
        source.fetch(Cache())  # type: ignore[arg-type]
        return source.spec()

    first = spec()
    assert len(decoded) == 30
    assert spec() == first
    assert len(decoded) == 30
    paint(pets / "cat" / "1.png", 1000)
    os.utime(pets / "cat" / "1.png", ns=(1, 1))
    spec()
    assert len(decoded) == 31
    (index,) = Cache.folder.glob("inspected-*.json")
    for text in ("{", "[]", '{"format": 0, "files": {"a": 1}}', '{"format": 99}'):
        index.write_text(text)
        decoded.clear()
        assert spec() == first
        assert len(decoded) == 30


def test_image_deleted_after_inspection_is_reported(pets: Path) -> None:
    split = folder(pets).open()["train"]
    (pets / split.raw(0).id).unlink()
    with pytest.raises(BadData, match="can't be read"):
        split.raw(0)


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="names are always Unicode there")
def test_file_names_that_are_not_utf8_are_refused(pets: Path) -> None:
    (pets / "cat" / os.fsdecode(b"\xff.png")).write_bytes((pets / "cat" / "1.png").read_bytes())
    with pytest.raises(BadData, match=r"1 names in .* are not UTF-8: cat/.*udcff.png") as caught:
        folder(pets).spec()
    caught.value.message.encode()


def test_dark_16_bit_images_and_multi_page_files_are_noted(pets: Path) -> None:
    source = folder(pets, size=8)
    source.spec()
    assert source.notes == []
    Image.fromarray(np.full((9, 9), 4000, np.uint16)).save(pets / "cat" / "x-ray.png")
    pages = [Image.new("L", (9, 9), i) for i in range(3)]
    pages[0].save(pets / "dog" / "pages.tif", save_all=True, append_images=pages[1:])
    text = "\n".join(notes_of(pets))
    assert "1 images of 16 bits have no value above 4,000" in text
    assert "Only the first frame or page of animations and multi-page files is used: dog/pages.tif." in text
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(pets / "cat" / "bright.png")
    assert "16 bits" not in "\n".join(notes_of(pets))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp"])
def test_animations_are_noted(pets: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (9, 9), (i * 40, 0, 0)) for i in range(3)]
    frames[0].save(pets / "dog" / f"walk{suffix}", save_all=True, append_images=frames[1:])
    assert f"animations and multi-page files is used: dog/walk{suffix}." in "\n".join(notes_of(pets))


def notes_of(path: Path) -> list[str]:
    source = folder(path, size=8)
    source.spec()
    return source.notes


def test_inspection_caches_file_contents_for_one_read(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []

    def recorded(path: Path, limit: int) -> bytes:
        reads.append(path)
        return read_regular(path, limit)

    for module in (inspection, image_folder):
        monkeypatch.setattr(module, "read_regular", recorded)
    splits = folder(pets).open().values()
    first = [split.raw(i) for split in splits for i in range(len(split))]
    assert len(reads) == len(set(reads)) == 30  # by the inspection alone
    again = [split.raw(i) for split in splits for i in range(len(split))]
    assert [raw.fields for raw in again] == [raw.fields for raw in first]
    assert len(reads) == 60  # each content is kept for one use


def test_inspection_cache_stays_within_its_budget(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [path.relative_to(pets).as_posix() for path in sorted(pets.rglob("*.png"))]
    budget = sum((pets / name).stat().st_size for name in names[:3])
    monkeypatch.setattr(inspection, "KEPT_BYTES", budget)
    infos, contents = inspection.inspect(pets, names, None)
    assert len(infos) == 30
    assert sum(map(len, contents.values())) <= budget
    assert names[0] in contents


def test_class_that_a_given_split_lacks_is_noted(tmp_path: Path) -> None:
    for i in range(30):
        paint(tmp_path / "train" / "abc"[i % 3] / f"{i}.png", i)
    for i in range(30, 34):
        paint(tmp_path / "test" / "ab"[i % 2] / f"{i}.png", i)
    source = folder(tmp_path)
    source.open()
    assert source.notes == ["Class 'c' has 10 images: none in test."]


def test_spellings_of_one_class_are_one_class(pets: Path, tmp_path: Path) -> None:
    for i in range(20):
        name = unicodedata.normalize(("NFC", "NFD")[i % 2], "caf\u00e9") if i < 10 else "tea"
        paint(tmp_path / "cups" / name / f"{i}.png", i)
    source = folder(tmp_path / "cups")
    assert source.spec().target.classes == ("caf\u00e9", "tea")
    assert any("caf\u00e9" in note for note in source.notes)
    files = sorted(p.relative_to(pets).as_posix() for p in pets.rglob("*.png"))
    rows = [f"{name},{('1', '1.0', '10')[i % 3]}" for i, name in enumerate(files)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,label", *rows]))
    assert folder(pets, labels=tmp_path / "labels.csv").spec().target.classes == ("1", "10")
